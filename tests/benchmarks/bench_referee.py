"""Plans and bounds beside an exact solver: `python tests/benchmarks/bench_referee.py [small] [free] [scarce]`.

One line of JSON for each; the planner's time is that of `solve(problem)`, the certified plan with its bound, the exact
solver's that of one thread of HiGHS without the time to set its programme up (`milp_setup_seconds`). Both run in turn
in one process; set OPENBLAS_NUM_THREADS=1, as `make bench-referee` does, to hold the planner to one thread as well.

`small`: the first 50 instances of `instance` that can be placed at all. `bound_above_optimum`: how many bounds exceed
the least cost; `plan_..._percent`: by how much plans are dearer, `bound_..._percent`: how far bounds are below it.
Where HiGHS is not done in time (`unsolved`) plans are held against its bound and bounds against its best placement,
either of which is unkind to the planner. `left_out`: where the planner places fewer than everyone; no percent of these.
`free` is 300 services by 30 sub-clusters without capacities and spread, `scarce` the same with both, `ratio` how many
times longer HiGHS takes, `cost_percent` how much dearer the plan is than the best placement HiGHS found.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fleets import fleet
from planning import judge, placeable, random_problem, with_every_limit
from referee import Verdict, referee

from federation.app import plan_request
from federation.planner.problem import Problem
from federation.planner.solve import Solution, solve

NOW = 1_800_000_000.0
INSTANCES = 50
SMALL_LIMIT_S = 60.0
LARGE_LIMIT_S = 120.0
SMALL_GAP = 1e-7
LARGE_GAP = 1e-4
"""The usual relative gap of HiGHS and its like: what counts as solved where that is compared by time."""


def instance(seed: int) -> Problem:
    """A small problem with every constraint: of ten, eight drawn freely and two of the fleets."""
    if seed % 5 == 4:
        services, subclusters = ((60, 6), (40, 8))[seed // 5 % 2]
        problem = plan_request(fleet(services, subclusters, seed), NOW).problem
    else:
        problem = replace(random_problem(seed, 30 + seed * 7 % 31, 4 + seed % 5), limits=())
    return with_every_limit(placeable(problem), seed)


def timed(problem: Problem) -> tuple[Solution, float]:
    began = time.perf_counter()
    solution = solve(problem)
    return solution, time.perf_counter() - began


def small() -> dict[str, object]:
    plan_percent: list[float] = []
    bound_percent: list[float] = []
    above = unsolved = left_out = infeasible = found = seed = 0
    plan_s = milp_s = 0.0
    while found < INSTANCES:
        problem = instance(seed)
        seed += 1
        exact = referee(problem, time_limit_s=SMALL_LIMIT_S, relative_gap=SMALL_GAP)
        if exact.status == "infeasible":
            infeasible += 1
            continue
        found += 1
        unsolved += exact.status != "optimal"
        solution, took_s = timed(problem)
        plan_s, milp_s = plan_s + took_s, milp_s + exact.solver_seconds
        best = exact.usd_per_hour
        above += best is not None and solution.bound_usd_per_hour > best * (1 + 1e-6)
        if not solution.counts.any(axis=1).all():
            left_out += 1
            continue
        cost, least = judge(problem, solution.counts), _least(exact)
        if cost is None:
            raise RuntimeError(f"the plan of instance {seed - 1} breaks a capacity or limit")
        plan_percent.append(100 * (cost / least - 1))
        if best is not None:
            bound_percent.append(100 * (1 - solution.bound_usd_per_hour / best))
    return {
        "bench": "small",
        "instances": found,
        "infeasible": infeasible,
        "unsolved": unsolved,
        "left_out": left_out,
        "bound_above_optimum": above,
        "plan_mean_percent": round(sum(plan_percent) / max(len(plan_percent), 1), 3),
        "plan_worst_percent": round(max(plan_percent, default=0.0), 3),
        "plans_over_2_percent": sum(each > 2 for each in plan_percent),
        "bound_mean_percent": round(sum(bound_percent) / max(len(bound_percent), 1), 3),
        "seconds": round(plan_s, 2),
        "milp_seconds": round(milp_s, 2),
    }


def _least(exact: Verdict) -> float:
    """The optimum, or what is proven to be no more than it."""
    if exact.status == "optimal" and exact.usd_per_hour is not None:
        return exact.usd_per_hour
    return exact.bound_usd_per_hour


def large(*, scarce: bool) -> dict[str, object]:
    problem = placeable(plan_request(fleet(300, 30, 0, scarce=scarce, spread=scarce), NOW).problem)
    solution, took_s = timed(problem)
    began = time.perf_counter()
    exact = referee(problem, time_limit_s=LARGE_LIMIT_S, relative_gap=LARGE_GAP)
    whole_s = time.perf_counter() - began
    cost = judge(problem, solution.counts)
    known = cost is not None and exact.usd_per_hour is not None
    return {
        "bench": "scarce" if scarce else "free",
        "services": problem.shape[0],
        "subclusters": problem.shape[1],
        "seconds": round(took_s, 3),
        "milp_seconds": round(exact.solver_seconds, 3),
        "milp_setup_seconds": round(whole_s - exact.solver_seconds, 3),
        "milp_status": exact.status,
        "milp_limit_seconds": LARGE_LIMIT_S,
        "columns": exact.columns,
        "ratio": round(exact.solver_seconds / took_s, 1),
        "left_out": int((~solution.counts.any(axis=1)).sum()),
        "cost": cost,
        "milp_cost": exact.usd_per_hour,
        "cost_percent": round(100 * (cost / exact.usd_per_hour - 1), 4) if known else None,
        "bound": solution.bound_usd_per_hour,
        "milp_bound": exact.bound_usd_per_hour,
    }


def main(asked: list[str]) -> None:
    benches = {"small": small, "free": lambda: large(scarce=False), "scarce": lambda: large(scarce=True)}
    unknown = [name for name in asked if name not in benches]
    if unknown:
        raise SystemExit(f"no benchmark {unknown[0]}: there are {', '.join(benches)}")
    for name in asked or benches:
        print(json.dumps(benches[name]()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

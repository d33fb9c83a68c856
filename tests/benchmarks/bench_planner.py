"""How good and how quick plans are: `python tests/benchmarks/bench_planner.py [SERVICESxSUBCLUSTERS ...] [--replan]`.

One line of JSON for each size (1000x30, 5000x30 and 10000x100 where none is given), on the fleets of `fleets.py`, each
in a process of its own: `seconds` until the certified plan, `first_plan_seconds` until a plan with a quick bound,
`bound`, `cost` and `gap` of the certified one, `unplaced`, `peak_mib` of the process until then, `moves`: how many
services a second plan would move of what the first one placed.

`--replan` (in the default for 10000x100) adds a line on plans made where that plan runs: `replan_seconds` after one
service asks for more CPU, `lost_seconds` after the fullest sub-cluster is lost; each is that of
`solve(problem, certify=False, after=...)`, the solution of what runs given, with `..._request_seconds` to make the
problem from the resources beside it.
`..._moves_elsewhere` counts the services that moved though nothing was new about them or where they ran,
`..._saving_usd_per_hour` what these moves save beside a plan in which all such services are held where they are, what a
move has to be worth (`stay_usd`) deducted; null where holding them leaves more unplaced (`..._unplaced_if_held`).
`..._unpaid` counts those that fit where they were and would be cheaper there after all.

`--opinions SIZE` prints how long all engines take for their opinions, how much these hold and need at most;
`--growth` plans 500 to 20,000 services x 30, prints the fitted exponents and writes `docs/planner-growth.json` and
`.svg`. Sizes given with it are planned in place of these.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from fleets import fleet
from growth import drawing, exponent

from federation.app import plan_request
from federation.model.meta import Metadata, Resource
from federation.model.microservice import Microservice
from federation.model.placement import Placement, PlacementSpec
from federation.model.plan import Plan
from federation.model.subcluster import SubCluster
from federation.planner.decide import decide
from federation.planner.parts import ask
from federation.planner.problem import Problem
from federation.planner.solve import Solution, solve

NOW = 1_800_000_000.0
SIZES = ("1000x30", "5000x30", "10000x100")
REPLANNED = "10000x100"
GROWTH = ("500x30", "1000x30", "2000x30", "5000x30", "10000x30", "20000x30")
DOCS = Path(__file__).parents[2] / "docs"


def measure(services: int, subclusters: int, *, replans: bool) -> None:
    resources = fleet(services, subclusters, seed=0)
    request = plan_request(resources, NOW)
    began = time.monotonic()
    decide(request, certify=False)
    first_s = time.monotonic() - began
    began = time.monotonic()
    plan = decide(plan_request(resources, NOW))
    took_s = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    standing = [*resources, *_committed(plan)]
    again = decide(plan_request(standing, NOW), certify=False)
    tell(
        services=services,
        subclusters=subclusters,
        edges=len(request.view.edges),
        seconds=round(took_s, 2),
        first_plan_seconds=round(first_s, 2),
        bound=round(plan.bound_usd_per_hour, 4),
        cost=round(plan.total_usd_per_hour, 4),
        gap=None if plan.gap is None else round(plan.gap, 5),
        unplaced=int(np.sum([each.verdict != "placed" for each in plan.placements])),
        moves=sum(a.targets != b.targets for a, b in zip(plan.placements, again.placements, strict=True)),
        peak_mib=round(peak, 1),
    )
    if replans:
        name = plan.placements[services // 2].service
        cpu = dict(
            zip((service.key.name for service in request.view.services), request.view.cpu_cores.tolist(), strict=True)
        )
        fullest = _fullest(plan, cpu)
        before = solve(plan_request(standing, NOW).problem, certify=False)
        tell(
            bench="replan",
            services=services,
            subclusters=subclusters,
            **replan("replan", before, _asking(standing, name, cpu[name] + 0.5), {name}),
            lost_services=sum(any(t.subcluster == fullest for t in each.targets) for each in plan.placements),
            **replan("lost", before, _without(standing, fullest), set(), fullest),
        )


def tell(**row: object) -> None:
    print(json.dumps(row), flush=True)


def _committed(plan: Plan) -> list[Resource]:
    return [
        Placement(
            metadata=Metadata(name=each.service, namespace=each.namespace), spec=PlacementSpec(targets=each.targets)
        )
        for each in plan.placements
        if each.targets
    ]


def _fullest(plan: Plan, cpu: dict[str, float]) -> str:
    """The sub-cluster with the most cores in use, by how many a replica of each service asks for."""
    used: dict[str, float] = {}
    for each in plan.placements:
        for target in each.targets:
            used[target.subcluster] = used.get(target.subcluster, 0.0) + target.replicas * cpu[each.service]
    return max(sorted(used), key=lambda name: used[name])


def _asking(resources: list[Resource], name: str, cores: float) -> list[Resource]:
    """The same with one service that asks for so many cores."""

    def changed(each: Resource) -> Resource:
        if not isinstance(each, Microservice) or each.metadata.name != name:
            return each
        raw: Any = each.model_dump(by_alias=True, exclude_unset=True, mode="json")
        requests = raw["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        requests["cpu"] = f"{cores:g}"
        return Microservice.model_validate(raw)

    return [changed(each) for each in resources]


def _without(resources: list[Resource], name: str) -> list[Resource]:
    """The same with one sub-cluster lost."""
    lost = {"health": "Lost"}
    return [
        SubCluster.model_validate({**each.model_dump(by_alias=True, exclude_unset=True, mode="json"), "status": lost})
        if isinstance(each, SubCluster) and each.metadata.name == name
        else each
        for each in resources
    ]


def replan(
    what: str, before: Solution, resources: list[Resource], changed: set[str], lost: str = ""
) -> dict[str, object]:
    """One plan after another, beside what runs: how long it took, and what moved that did not have to."""
    began = time.monotonic()
    request = plan_request(resources, NOW)
    problem = request.problem
    request_s = time.monotonic() - began
    began = time.monotonic()
    solution = solve(problem, certify=False, after=before)
    took_s = time.monotonic() - began
    free = np.array([service.key.name not in changed for service in request.view.services])
    if lost:
        free &= problem.current[:, request.subcluster_index[lost]] == 0
    moved = np.flatnonzero(free & (solution.counts != problem.current).any(axis=1)).tolist()
    held = solve(dataclasses.replace(problem, fixed=problem.fixed | free), certify=False)
    saving = held.state.objective() - solution.state.objective()
    out, out_held = (int((~each.counts.any(axis=1)).sum()) for each in (solution, held))
    return {
        f"{what}_seconds": round(took_s, 2),
        f"{what}_request_seconds": round(request_s, 2),
        f"{what}_moves_elsewhere": len(moved),
        f"{what}_unpaid": sum(_better_back(problem, solution, service) for service in moved),
        f"{what}_saving_usd_per_hour": round(saving, 4) if out == out_held else None,
        f"{what}_unplaced": out,
        f"{what}_unplaced_if_held": out_held,
    }


def _better_back(problem: Problem, solution: Solution, service: int) -> bool:
    """Whether it could go back to where it was, all others as they are now, and would be cheaper there."""
    rows = np.array([problem.current[service], solution.counts[service]])
    if not rows.any(axis=1).all():
        return False
    state, back = solution.state, rows[:1]
    before, after = state.option_costs(service, rows)
    return bool(before < after and state.rows_fit(service, back)[0] and state.rows_unblocked(service, back)[0])


def opinions(services: int, subclusters: int) -> None:
    request = plan_request(fleet(services, subclusters, seed=0), NOW)
    # A copy of the view has worked nothing out yet.
    view = dataclasses.replace(request.view)
    began = time.monotonic()
    ask(view, request.engines)
    took_s = time.monotonic() - began
    view = dataclasses.replace(request.view)
    tracemalloc.start()
    _, given = ask(view, request.engines)
    peak = tracemalloc.get_traced_memory()[1]
    tell(
        bench="opinions",
        services=services,
        subclusters=subclusters,
        engines=len(request.engines),
        opinions_seconds=round(took_s, 2),
        held_mib=round(_bytes(given, set()) / 2**20, 1),
        peak_mib=round(peak / 2**20, 1),
    )


def _bytes(value: object, seen: set[int]) -> int:
    """What the arrays in it hold, each counted once."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return value.nbytes if value.base is None else _bytes(value.base, seen)
    if dataclasses.is_dataclass(value):
        return sum(_bytes(getattr(value, field.name), seen) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return sum(_bytes(each, seen) for each in value.values())
    return sum(_bytes(each, seen) for each in value) if isinstance(value, list | tuple) else 0


def growth(sizes: list[str]) -> None:
    record([row for size in sizes for row in apart(size)])


def record(rows: list[dict[str, Any]]) -> None:
    """Fit, draw, write down and print how time grows over these rows, in the order of size.

    What every plan costs however small makes curves flat at first: the larger half of the sizes is fitted too."""
    lines = {
        name: [(row["services"], row[column]) for row in rows]
        for name, column in (("certified plan", "seconds"), ("first plan", "first_plan_seconds"))
    }
    fitted = {
        name: {
            "all": round(exponent(points), 3),
            "larger_half": round(exponent(points[min(len(points) // 2, len(points) - 2) :]), 3),
        }
        for name, points in lines.items()
    }
    named = {
        f"{name}: exponent {fitted[name]['all']:.2f}, of the larger half {fitted[name]['larger_half']:.2f}": points
        for name, points in lines.items()
    }
    DOCS.mkdir(exist_ok=True)
    kept = {"exponents": fitted, "rows": rows}
    (DOCS / "planner-growth.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    title = f"Time to plan, {rows[0]['subclusters']} sub-clusters"
    (DOCS / "planner-growth.svg").write_text(drawing(title, "services", "seconds", named), encoding="utf-8")
    tell(bench="growth", exponents=fitted)


def apart(size: str, *flags: str) -> list[dict[str, Any]]:
    """The rows of one size, measured in a process of its own, and printed."""
    command = [sys.executable, __file__, "--here", size, *flags]
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            rows.append(json.loads(line))
    if process.returncode:
        raise SystemExit(process.returncode)
    return rows


def numbers(size: str) -> tuple[int, int]:
    services, _, subclusters = size.partition("x")
    return int(services), int(subclusters)


def main() -> None:
    parser = argparse.ArgumentParser(description="How good and how quick plans are, as lines of JSON.")
    parser.add_argument("sizes", nargs="*", metavar="SERVICESxSUBCLUSTERS", help=f"default: {' '.join(SIZES)}")
    parser.add_argument("--replan", action="store_true", help="also plans after a change and after a loss")
    parser.add_argument("--opinions", metavar="SIZE", help="only what all engines' opinions take")
    parser.add_argument("--growth", action="store_true", help="how time grows with size, drawn in docs/")
    parser.add_argument("--here", action="store_true", help="one size, in this process")
    asked = parser.parse_args()
    if asked.growth and len(asked.sizes) == 1:
        parser.error("growth is between sizes: give two or more of different numbers of services, or none")
    if asked.opinions:
        opinions(*numbers(asked.opinions))
    elif asked.growth:
        growth(asked.sizes or list(GROWTH))
    elif asked.here:
        measure(*numbers(asked.sizes[0]), replans=asked.replan)
    else:
        for size in asked.sizes or SIZES:
            replanned = asked.replan or (not asked.sizes and size == REPLANNED)
            apart(size, *(["--replan"] if replanned else []))


if __name__ == "__main__":
    main()

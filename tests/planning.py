"""Fleets, services, policies and placement problems for the planner's tests, and an independent judge of plans."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from hypothesis import strategies as st

from federation.atlas.lookup import place_of
from federation.model.meta import API_VERSION, Key
from federation.model.microservice import Microservice
from federation.model.placement import Placement
from federation.model.plan import Plan
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy
from federation.model.subcluster import SubCluster
from federation.planner.options import Options
from federation.planner.problem import Problem, SpendLimit, SpreadRule
from federation.planner.request import PlanRequest, prepare
from federation.planner.world import World
from policies.compliance import ENGINE as COMPLIANCE
from policies.cost import ENGINE as COST
from policies.importance import ENGINE as IMPORTANCE
from policies.locality import ENGINE as LOCALITY
from policies.prefer import ENGINE as PREFER
from policies.rules import ENGINE as RULES
from policies.spread import ENGINE as SPREAD

ENGINES = (COMPLIANCE, COST, IMPORTANCE, LOCALITY, PREFER, RULES, SPREAD)
CLOUDS = {"gce": "gcp", "ec2": "aws", "azure": "azure"}


def subcluster(name, provider, region=None, *, price=(0.03, 0.004), status=None, **spec):
    pricing = {} if price is None else {"cpuHour": price[0], "memoryGiBHour": price[1]}
    return SubCluster.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "SubCluster",
            "metadata": {"name": name},
            "spec": {"provider": provider, "region": region, "pricing": pricing, **spec},
            "status": status or {},
        }
    )


ZURICH = subcluster(
    "onprem-zurich",
    "kubernetes",
    price=(0.015, 0.002),
    location={"country": "CH", "operator": "Example AG", "operatorCountry": "CH"},
    capacity={"cpu": "6", "memory": "16Gi"},
    attestations=["iso27001"],
)
BELGIUM = subcluster("gce-belgium", "gce", "europe-west1", price=(0.031, 0.0042))
FRANKFURT = subcluster("ec2-frankfurt", "ec2", "eu-central-1", price=(0.034, 0.0045))
VIRGINIA = subcluster("azure-virginia", "azure", "eastus", price=(0.028, 0.004))
FLEET = (ZURICH, BELGIUM, FRANKFURT, VIRGINIA)


def service(name, replicas=1, *, cpu="500m", memory="512Mi", calls=(), labels=None, namespace="shop", command=("run",)):
    container = {"name": "main", "image": "example", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    if command:
        container["command"] = list(command)
    return Microservice.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "Microservice",
            "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
            "spec": {
                "replicas": replicas,
                "template": {"spec": {"containers": [container]}},
                "calls": [{"service": call} if isinstance(call, str) else call for call in calls],
            },
        }
    )


def policy(name, *, namespace=None, selector=None, precedence=0, **sections):
    kind = ClusterPlacementPolicy if namespace is None else PlacementPolicy
    return kind.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": kind.kind_name,
            "metadata": {"name": name, "namespace": namespace or ""},
            "spec": {"selector": {"matchLabels": selector or {}}, "precedence": precedence, **sections},
        }
    )


def placement(name, namespace="shop", pinned=None, **targets):
    return Placement.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "Placement",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "targets": [{"subcluster": n.replace("_", "-"), "replicas": r} for n, r in targets.items()],
                "pinned": pinned,
            },
        }
    )


def placements_of(plan: Plan):
    """The plan, committed."""
    return {
        Key(each.namespace, each.service): placement(
            each.service, each.namespace, **{target.subcluster: target.replicas for target in each.targets}
        )
        for each in plan.placements
        if each.targets
    }


def places(fleet):
    return {each.metadata.name: place_of(each.spec, CLOUDS.get(each.spec.provider)) for each in fleet}


def request(
    services, policies=(), fleet=FLEET, *, placements=None, migrations=(), images=None, fixed=None
) -> PlanRequest:
    world = World(tuple(fleet), tuple(services), tuple(policies), placements or {}, tuple(migrations))
    return prepare(world, ENGINES, places(fleet), 0.0, images=images, fixed=fixed)


def planned(plan: Plan, name: str):
    return next(each for each in plan.placements if each.service == name)


def where(plan: Plan, name: str) -> dict[str, int]:
    return {target.subcluster: target.replicas for target in planned(plan, name).targets}


def random_problem(seed: int, services: int, subclusters: int, *, scarce=True, spread=True, hard=True, running=False):
    """A placement problem with everything in it: scarce room, denials, spread rules, call limits, budgets."""
    draw = np.random.default_rng(seed)
    replicas = draw.integers(1, 5, services)
    demand = np.column_stack([draw.uniform(0.1, 2, services), draw.uniform(1, 4, services)])
    capacity = np.full((subclusters, 2), np.inf)
    if scarce:
        tight = draw.random(subclusters) < 0.6
        capacity[tight, 0] = draw.uniform(2, 10, tight.sum())
        capacity[tight, 1] = draw.uniform(5, 30, tight.sum())
    allowed = draw.random((services, subclusters)) < 0.8
    price = replicas[:, None] * demand[:, :1] * draw.uniform(0.02, 0.06, subclusters)
    unary = np.where(allowed, price + draw.uniform(0, 0.05, price.shape), 0.0)
    caller, callee = draw.integers(0, services, 2 * services), draw.integers(0, services, 2 * services)
    caller, callee = caller[caller != callee], callee[caller != callee]
    count = len(caller)
    tariffs = np.stack([draw.uniform(0.01, 0.1, (subclusters,) * 2), draw.uniform(1, 80, (subclusters,) * 2)])
    tariffs[0][np.diag_indices(subclusters)], tariffs[1][np.diag_indices(subclusters)] = 0.0, 0.5
    rule = SpreadRule("provider", 2, 0.67, draw.integers(0, 3, subclusters))
    divided = draw.random(services) < 0.3
    marked = SpendLimit(
        "budget",
        draw.random(services) < 0.7,
        draw.random(subclusters) < 0.6,
        float(draw.uniform(0.05, 0.3)),
        unary,
        np.array([True, False]),
    )
    current = np.zeros((services, subclusters), dtype=np.int64)
    if running:
        runs = np.flatnonzero(draw.random(services) < 0.7)
        current[runs, draw.integers(0, subclusters, len(runs))] = replicas[runs]
    return Problem(
        replicas=replicas,
        demand=demand,
        capacity=capacity,
        allowed=allowed,
        unary=unary,
        caller=caller,
        callee=callee,
        weight=np.stack([draw.lognormal(-1, 1, count), draw.uniform(0, 0.001, count)]),
        price=tariffs,
        barrier=np.where(draw.random(count) < 0.2, 0, -1) if hard else np.full(count, -1),
        forbidden=(tariffs[1] > 50)[None],
        current=current,
        fixed=np.zeros(services, dtype=bool),
        spread={s: (rule,) for s in range(services) if spread and divided[s] and replicas[s] > 1},
        limits=(marked,) if hard and draw.random() < 0.5 else (),
    )


def placeable(problem: Problem) -> Problem:
    """The problem without the services that have no option at all, with or without others."""
    options = Options(problem)
    kept = np.array([options.count(service) > 0 for service in range(problem.shape[0])])
    number = np.cumsum(kept) - 1
    calls = kept[problem.caller] & kept[problem.callee]
    return dataclasses.replace(
        problem,
        replicas=problem.replicas[kept],
        demand=problem.demand[kept],
        allowed=problem.allowed[kept],
        unary=problem.unary[kept],
        caller=number[problem.caller[calls]],
        callee=number[problem.callee[calls]],
        weight=problem.weight[:, calls],
        barrier=problem.barrier[calls],
        current=problem.current[kept],
        fixed=problem.fixed[kept],
        spread={int(number[service]): rules for service, rules in problem.spread.items() if kept[service]},
        limits=tuple(dataclasses.replace(x, services=x.services[kept], price=x.price[kept]) for x in problem.limits),
        importance=None if problem.importance is None else problem.importance[kept],
        idle=frozenset(int(number[service]) for service in problem.idle if kept[service]),
    )


def with_every_limit(problem: Problem, seed: int) -> Problem:
    """The problem with what it may lack: hard limits on a seventh of the calls where there are none, a tenth of
    the services tied to another one, half of them to run together and half apart, and a budget that binds."""
    services, subclusters = problem.shape
    draw = np.random.default_rng([seed, services, subclusters])
    far = np.triu(draw.random((subclusters, subclusters)) < 0.3, 1)
    same = np.eye(subclusters, dtype=bool)
    barrier = problem.barrier.copy()
    if not (barrier >= 0).any():
        barrier[draw.random(len(barrier)) < 1 / 7] = len(problem.forbidden)
    single = [service for service in draw.permutation(services).tolist() if service not in problem.spread]
    pairs = [pair for pair in zip(single[::2], single[1::2], strict=False) if problem.allowed[list(pair)].all(0).any()]
    tied = np.array(pairs[: 2 * max(services // 40, 1)], dtype=np.int64).reshape(-1, 2)
    kinds = len(problem.forbidden) + 1 + np.arange(len(tied)) % 2
    marked, where = draw.random(services) < 0.7, draw.random(subclusters) < 0.5
    least = np.where(problem.allowed & where, problem.unary, np.inf).min(axis=1)
    most = float(draw.uniform(0.5, 0.9)) * float(least[marked & np.isfinite(least)].sum())
    terms = np.arange(len(problem.price)) == 0
    return dataclasses.replace(
        problem,
        caller=np.concatenate([problem.caller, tied[:, 0]]),
        callee=np.concatenate([problem.callee, tied[:, 1]]),
        weight=np.pad(problem.weight, ((0, 0), (0, len(tied)))),
        barrier=np.concatenate([barrier, kinds]),
        forbidden=np.concatenate([problem.forbidden.reshape(-1, *same.shape), [far | far.T, ~same, same]]),
        limits=(*problem.limits, SpendLimit("ceiling", marked, where, most, problem.unary, terms)),
    )


SEEDS = st.integers(0, 2**32 - 1)
PROBLEMS = st.builds(
    random_problem,
    SEEDS,
    st.integers(1, 24),
    st.integers(1, 6),
    scarce=st.booleans(),
    spread=st.booleans(),
    hard=st.booleans(),
    running=st.booleans(),
)


def judge(problem: Problem, rows) -> float | None:
    """What a placement costs, worked out route by route; None where it breaks capacity, a call's limit or a budget."""
    counts = np.array(rows)
    use = (counts[:, :, None] * problem.demand[:, None, :]).sum(axis=0)
    if (use > problem.capacity * (1 + 1e-9)).any():
        return None
    share = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    cost = float((share * problem.unary).sum())
    spent = [float((share * x.price)[x.services][:, x.subclusters].sum()) for x in problem.limits]
    for call, (a, b) in enumerate(zip(problem.caller.tolist(), problem.callee.tolist(), strict=True)):
        for c in np.flatnonzero(counts[a]) if counts[b].any() else ():
            routes = [(c, 1.0)] if counts[b, c] else [(d, share[b, d]) for d in np.flatnonzero(counts[b])]
            for d, part in routes:
                if problem.barrier[call] >= 0 and problem.forbidden[problem.barrier[call], c, d]:
                    return None
                terms = share[a, c] * part * problem.weight[:, call] * problem.price[:, c, d]
                cost += float(terms.sum())
                for index, limit in enumerate(problem.limits):
                    if limit.services[a] and limit.subclusters[c]:
                        spent[index] += float(terms[limit.terms].sum())
    over = any(x > y.max_usd_per_hour * (1 + 1e-9) + 1e-12 for x, y in zip(spent, problem.limits, strict=True))
    return None if over else cost


def brute_force(problem: Problem) -> tuple[int, float]:
    """The fewest services left out, and the least cost of that, over every combination of options."""
    options = Options(problem)
    nowhere = np.zeros(problem.shape[1], dtype=np.int64)
    every = [[*options.rows(service), nowhere] for service in range(problem.shape[0])]
    best = (problem.shape[0] + 1, np.inf)
    for rows in itertools.product(*every):
        out = sum(1 for row in rows if not row.any())
        if out <= best[0]:
            cost = judge(problem, rows)
            if cost is not None:
                best = min(best, (out, cost))
    return best

"""Single changes that could open a sub-cluster to a service, or make it the choice: each a function of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.offers import divisible
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import Capacity, SubCluster
from federation.planner.wording import cores, memory

if TYPE_CHECKING:
    from federation.planner.decide import Judgement

World = tuple[Resource, ...]
_DEMANDED = "attestations"
_ADDING_UP = "rules"
"""The section whose entries each stand for themselves."""
_HARMLESS = frozenset({"tolerations", "grace", "onViolation"})
"""Of policies, what only permits: without it nothing would be permitted that is not."""


@dataclass(frozen=True)
class Remedy:
    """`change`: what a person would do, in words. `apply`: the world with it done. `frees`: the service is no longer
    held where it is."""

    change: str
    apply: Callable[[World], World]
    frees: bool = False


def remedies(world: World, key: Key, subcluster: str, judgement: Judgement) -> list[Remedy]:
    """What may be worth a try, smaller changes first. `judgement`: of `world`."""
    there = next(each for each in world if isinstance(each, SubCluster) and each.metadata.name == subcluster)
    service = next(each for each in world if isinstance(each, Microservice) and each.key == key)
    return [
        *_operations(there),
        *_unpinning(world, key),
        *_policies(world, service, there),
        *_calls(world, service),
        *_room(judgement, key, there),
        *_money(there),
    ]


def cheaper(there: SubCluster, judgement: Judgement, factor: float) -> Remedy:
    """The sub-cluster with `factor` times its prices for cores and memory."""
    view = judgement.request.view
    column = judgement.request.subcluster_index[there.metadata.name]
    machines = view.machines[column]
    if machines:
        offers = (*divisible(there.status.offers), *(one.at_times(factor) for one in machines if one.priced))
        status = there.status.model_copy(update={"offers": offers})
        text = f"its machines for at most {factor:.3g} times their price there ({factor - 1:+.0%})"
        return Remedy(text, _on_subcluster(there, lambda old: old.model_copy(update={"status": status})))
    core, gib = float(view.cpu_hour_usd[column]), float(view.memory_gib_hour_usd[column])
    prices = {"cpu_hour": core * factor, "memory_gib_hour": gib * factor}

    def apply(old: SubCluster) -> SubCluster:
        offers = tuple(
            each.model_copy(update={"cpu_hour_usd": core * factor, "memory_gib_hour_usd": gib * factor})
            for each in old.status.offers
        )
        pricing = old.spec.pricing.model_copy(update=prices)
        return old.model_copy(
            update={
                "spec": old.spec.model_copy(update={"pricing": pricing}),
                "status": old.status.model_copy(update={"offers": offers}),
            }
        )

    text = f"a core for at most {core * factor:.4g} instead of {core:.4g} USD per hour there, a GiB for "
    return Remedy(f"{text}{gib * factor:.4g} instead of {gib:.4g} ({factor - 1:+.0%})", _on_subcluster(there, apply))


def _on_subcluster(there: SubCluster, change: Callable[[SubCluster], SubCluster]) -> Callable[[World], World]:
    name = there.metadata.name
    return lambda world: tuple(
        change(each) if isinstance(each, SubCluster) and each.metadata.name == name else each for each in world
    )


def _spec(there: SubCluster, **update: object) -> Callable[[World], World]:
    return _on_subcluster(there, lambda old: old.model_copy(update={"spec": old.spec.model_copy(update=update)}))


def _operations(there: SubCluster) -> Iterator[Remedy]:
    name = there.metadata.name
    if there.spec.unschedulable or there.spec.drain is not None:
        yield Remedy(f"roam uncordon {name}", _spec(there, unschedulable=False, drain=None))
    for taint in there.spec.taints:
        left = tuple(each for each in there.spec.taints if each != taint)
        yield Remedy(f"roam taint {name} {taint.key}:{taint.effect}-, or tolerate it", _spec(there, taints=left))


def _unpinning(world: World, key: Key) -> Iterator[Remedy]:
    placement = next((each for each in world if isinstance(each, Placement) and each.key == key), None)
    if placement is None or placement.spec.pinned is None:
        return

    def apply(now: World) -> World:
        return tuple(
            each.model_copy(update={"spec": each.spec.model_copy(update={"pinned": None})})
            if isinstance(each, Placement) and each.key == key
            else each
            for each in now
        )

    yield Remedy(f"roam unpin {key}", apply, frees=True)


def _policies(world: World, service: Microservice, there: SubCluster) -> Iterator[Remedy]:
    """What the sub-cluster could attest; then each rule taken out of the policies that select the service."""
    found = [
        (policy, name, section)
        for policy in world
        if isinstance(policy, PlacementPolicy | ClusterPlacementPolicy) and _selects(policy, service)
        for name, section in policy.spec.sections.items()
        if name not in _HARMLESS
    ]
    demanded = [section.get(_DEMANDED) for _, _, section in found if isinstance(section, dict)]
    lacking = dict.fromkeys(str(one) for some in demanded if isinstance(some, list) for one in some)
    lacking = {one: None for one in lacking if one not in there.spec.attestations}
    if lacking:
        have = (*there.spec.attestations, *lacking)
        yield Remedy(f"{there.metadata.name} attests {', '.join(lacking)}", _spec(there, attestations=have))
    for policy, name, section in found:
        keys: Sequence[str | int | None] = [None]
        if isinstance(section, dict):
            keys = [key for key in section if key not in _HARMLESS]
        elif isinstance(section, list) and name == _ADDING_UP:
            keys = range(len(section))
        for key in keys:
            field = f"spec.{name}" + (f".{key}" if isinstance(key, str) else "" if key is None else f"[{key}]")
            yield Remedy(f"{policy.kind} {policy.key} without {field}", _without(policy, name, key))


def _selects(policy: Policy, service: Microservice) -> bool:
    near = isinstance(policy, ClusterPlacementPolicy) or policy.key.namespace == service.key.namespace
    return near and policy.spec.selector.matches(service.metadata.labels)


def _without(policy: Policy, section: str, key: str | int | None) -> Callable[[World], World]:
    """The world with the policy's section, or one key or entry of it, taken out; the rest of a section that says
    nothing without it goes as well."""

    def trim(old: Resource) -> Resource:
        if not isinstance(old, PlacementPolicy | ClusterPlacementPolicy):
            return old
        extra = old.spec.sections
        value = extra.pop(section, None)
        if key is not None and isinstance(value, dict):
            rest = {name: each for name, each in value.items() if name != key}
            if any(name not in _HARMLESS for name in rest):
                extra[section] = rest
        elif isinstance(key, int) and isinstance(value, list) and len(value) > 1:
            extra[section] = value[:key] + value[key + 1 :]
        spec = {name: getattr(old.spec, name) for name in type(old.spec).model_fields}
        return old.model_copy(update={"spec": type(old.spec)(**spec, **extra)})

    same = (policy.kind_name, policy.key)
    return lambda world: tuple(trim(each) if (each.kind_name, each.key) == same else each for each in world)


def _calls(world: World, service: Microservice) -> Iterator[Remedy]:
    for caller in world:
        if not isinstance(caller, Microservice):
            continue
        for index, call in enumerate(caller.spec.calls):
            space, slash, name = call.service.partition("/")
            callee = Key(space, name) if slash else Key(caller.key.namespace, call.service)
            if call.max_latency is not None and service.key in (caller.key, callee):
                text = f"{caller.key} without maxLatency {call.max_latency} for its call to {callee}"
                yield Remedy(text, _unlimited(caller.key, index))


def _unlimited(caller: Key, index: int) -> Callable[[World], World]:
    def change(each: Resource) -> Resource:
        if not isinstance(each, Microservice) or each.key != caller:
            return each
        calls = list(each.spec.calls)
        calls[index] = calls[index].model_copy(update={"max_latency": None})
        return each.model_copy(update={"spec": each.spec.model_copy(update={"calls": tuple(calls)})})

    return lambda world: tuple(change(each) for each in world)


def _room(judgement: Judgement, key: Key, there: SubCluster) -> Iterator[Remedy]:
    """As much more room as all replicas of the service lack there, all others as planned."""
    request, problem = judgement.request, judgement.request.problem
    service, column = request.service_index[key], request.subcluster_index[there.metadata.name]
    used = np.zeros(2)
    for planned in judgement.plan.placements:
        for target in planned.targets if Key(planned.namespace, planned.service) != key else ():
            if target.subcluster == there.metadata.name:
                row = request.service_index[Key(planned.namespace, planned.service)]
                used += target.replicas * problem.demand[row]
    need = used + int(problem.replicas[service]) * problem.demand[service]
    short = np.maximum(need - problem.capacity[column], 0.0)
    if not short.any():
        return
    parts = [f"{cores(short[0])} more cores"] if short[0] else []
    parts += [f"{memory(short[1])} more memory"] if short[1] else []
    kept = problem.capacity[column] + short * (1 + 1e-6)
    capacity = Capacity(
        cpu=there.spec.capacity.cpu if np.isinf(kept[0]) else f"{kept[0]:.9f}",
        memory=there.spec.capacity.memory if np.isinf(kept[1]) else str(int(kept[1]) + 1),
    )

    def apply(old: SubCluster) -> SubCluster:
        first = tuple(
            each.model_copy(
                update={
                    "cpu_cores": each.cpu_cores + 2 * float(short[0]),
                    "memory_bytes": each.memory_bytes + 2 * float(short[1]),
                }
            )
            for each in old.status.offers[:1]
        )
        status = old.status.model_copy(update={"offers": (*first, *old.status.offers[1:])})
        spec = old.spec.model_copy(update={"capacity": capacity})
        return old.model_copy(update={"spec": spec, "status": status})

    yield Remedy(f"{' and '.join(parts)} in {there.metadata.name}", _on_subcluster(there, apply))


def _money(there: SubCluster) -> Iterator[Remedy]:
    if there.spec.budget is not None:
        yield Remedy(f"{there.metadata.name} without its budget (spec.budget)", _spec(there, budget=None))

"""Single changes, no matter of amounts, that could open a sub-cluster to a service: each a function of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import SubCluster

World = tuple[Resource, ...]
_DEMANDED = "attestations"
_ADDING_UP = "rules"
"""The section whose entries each stand for themselves."""
_HARMLESS = frozenset({"tolerations", "grace", "onViolation"})
"""Of policies, what only permits: without it nothing would be permitted that is not."""


@dataclass(frozen=True)
class Remedy:
    """`change`: what a person would do, in words; `edit`: the same for programs, by its `kind`. `apply`: the world with
    it done. `frees`: the service is no longer held where it is. Of remedies of one `group` the first that is enough
    makes the others needless."""

    change: str
    edit: Mapping[str, Any]
    apply: Callable[[World], World]
    frees: bool = False
    group: str = ""

    @property
    def target(self) -> tuple[Any, ...]:
        """What it changes, whatever the amount."""
        return tuple(self.edit.get(name) for name in ("kind", "subcluster", "object", "namespace", "name", "field"))


def remedies(world: World, key: Key, subcluster: str) -> list[Remedy]:
    """What may be worth a try and is no matter of amounts, smaller changes first."""
    there = next(each for each in world if isinstance(each, SubCluster) and each.metadata.name == subcluster)
    service = next(each for each in world if isinstance(each, Microservice) and each.key == key)
    return [
        *_operations(there),
        *_unpinning(world, key),
        *_policies(world, service, there),
        *_calls(world, service),
    ]


def on_subcluster(there: SubCluster, change: Callable[[SubCluster], SubCluster]) -> Callable[[World], World]:
    """The world with the sub-cluster changed."""
    name = there.metadata.name
    return lambda world: tuple(
        change(each) if isinstance(each, SubCluster) and each.metadata.name == name else each for each in world
    )


def with_spec(there: SubCluster, **update: object) -> Callable[[World], World]:
    """The world with fields of the sub-cluster's spec replaced."""
    return on_subcluster(there, lambda old: old.model_copy(update={"spec": old.spec.model_copy(update=update)}))


def _operations(there: SubCluster) -> Iterator[Remedy]:
    name = there.metadata.name
    if there.spec.unschedulable or there.spec.drain is not None:
        yield Remedy(
            f"roam uncordon {name}",
            {"kind": "uncordon", "subcluster": name},
            with_spec(there, unschedulable=False, drain=None),
        )
    for taint in there.spec.taints:
        left = tuple(each for each in there.spec.taints if each != taint)
        yield Remedy(
            f"roam taint {name} {taint.key}:{taint.effect}-, or tolerate it",
            {"kind": "untaint", "subcluster": name, "taint": taint.model_dump(mode="json")},
            with_spec(there, taints=left),
        )


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

    edit = {"kind": "unpin", "namespace": key.namespace, "service": key.name}
    yield Remedy(f"roam unpin {key}", edit, apply, frees=True)


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
        name = there.metadata.name
        edit = {"kind": "attest", "subcluster": name, "attestations": list(lacking)}
        yield Remedy(f"{name} attests {', '.join(lacking)}", edit, with_spec(there, attestations=have))
    for policy, name, section in found:
        keys: Sequence[str | int | None] = [None]
        if isinstance(section, dict):
            keys = [key for key in section if key not in _HARMLESS]
        elif isinstance(section, list) and name == _ADDING_UP:
            keys = range(len(section))
        for key in keys:
            field = f"spec.{name}" + (f".{key}" if isinstance(key, str) else "" if key is None else f"[{key}]")
            text = f"{policy.kind} {policy.key} without {field}"
            yield Remedy(
                text, {"kind": "drop", **named(policy), "field": field}, _without(policy, name, key), group=text
            )


def named(resource: Resource) -> dict[str, str]:
    """Which object is meant, for programs."""
    return {"object": resource.kind_name, "namespace": resource.key.namespace, "name": resource.key.name}


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
                edit = {"kind": "drop", **named(caller), "field": f"spec.calls[{index}].maxLatency"}
                yield Remedy(text, edit, with_latency(caller.key, index, None), group=f"{caller.key} {index}")


def with_latency(caller: Key, index: int, most: str | None) -> Callable[[World], World]:
    """The world with another `maxLatency` of that call of the service."""

    def change(each: Resource) -> Resource:
        if not isinstance(each, Microservice) or each.key != caller:
            return each
        calls = list(each.spec.calls)
        calls[index] = calls[index].model_copy(update={"max_latency": most})
        return each.model_copy(update={"spec": each.spec.model_copy(update={"calls": tuple(calls)})})

    return lambda world: tuple(change(each) for each in world)

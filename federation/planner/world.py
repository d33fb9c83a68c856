"""The stored objects as columns: which policies apply to which service, who calls whom, what runs, what is on offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from federation.atlas.machines import machines_of
from federation.atlas.places import Place
from federation.atlas.prices import Prices
from federation.contracts.policy import Edge, FleetView, PolicyEngine, Section
from federation.errors import InvalidInput, InvalidInputs
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.nearest import suggestion
from federation.model.offers import capacity_of, divisible
from federation.model.placement import Placement, Target
from federation.model.podtemplate import requests
from federation.model.policy import ClusterPlacementPolicy, Policy
from federation.model.quantity import parse_duration_s, parse_quantity
from federation.model.subcluster import SubCluster
from federation.planner.taints import tainted_since, tolerations

if TYPE_CHECKING:
    from federation.contracts.policy import Floats

ASSUMED_GIB_PER_HOUR = 0.05
"""What a call is taken to carry when nobody declared a volume: about 15 requests of 1 KiB a second."""

Sections = dict[str, tuple[Section, ...]]


@dataclass(frozen=True)
class World:
    """What a decision is made from, as it is stored. Order does not matter."""

    subclusters: tuple[SubCluster, ...]
    services: tuple[Microservice, ...]
    policies: tuple[Policy, ...] = ()
    placements: Mapping[Key, Placement] = field(default_factory=dict)
    migrations: tuple[Migration, ...] = ()
    moving: frozenset[Key] = frozenset()
    """Services with an open migration, beside those of `migrations`."""
    jurisdictions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Members of jurisdictions, where they are taken to be others than the atlas says."""


def build_view(
    world: World,
    engines: Sequence[PolicyEngine],
    places: Mapping[str, Place],
    now: float,
    prices: Prices | None = None,
) -> FleetView:
    """`world` as an opinion is formed on it. Args: places, by sub-cluster name; now, seconds since 1970; prices, of
    machines whose price neither a driver nor the sub-cluster's spec tells.

    Raises: InvalidInputs for policies that no engine understands. Linear in services, calls and sub-clusters."""
    subclusters = tuple(sorted(world.subclusters, key=lambda each: each.metadata.name))
    services = tuple(sorted(world.services, key=lambda each: each.key))
    names = {each.metadata.name for each in subclusters}
    asked = [_requests(service) for service in services]
    offered = [_offered(each) for each in subclusters]
    return FleetView(
        subclusters=subclusters,
        places=tuple(places[each.metadata.name] for each in subclusters),
        services=services,
        sections=_sections(services, parse_policies(world.policies, engines), engines),
        current=tuple(_current(world.placements.get(service.key), names) for service in services),
        edges=tuple(_edges(services)),
        cpu_cores=_column(cores for cores, _ in asked),
        memory_bytes=_column(memory for _, memory in asked),
        capacity_cpu_cores=_column(each.cpu_cores for each in offered),
        capacity_memory_bytes=_column(each.memory_bytes for each in offered),
        cpu_hour_usd=_column(each.cpu_hour_usd for each in offered),
        memory_gib_hour_usd=_column(each.memory_gib_hour_usd for each in offered),
        now=now,
        tolerations=tolerations(services, world.policies),
        tainted_since=tuple(tainted_since(world.placements.get(service.key)) for service in services),
        jurisdictions=world.jurisdictions,
        machines=tuple(machines_of(each, places[each.metadata.name], prices) for each in subclusters),
    )


def parse_policies(
    policies: Iterable[Policy], engines: Sequence[PolicyEngine]
) -> tuple[tuple[Policy, dict[str, Section]], ...]:
    """Each policy with its sections by engine name, checked by the engines' schemas; ordered by kind and key.

    Raises: InvalidInputs with every section that nobody reads and every value that does not fit."""
    readers = {engine.section: engine for engine in engines}
    errors: list[InvalidInput] = []
    result = []
    for policy in sorted(policies, key=lambda each: (each.kind, each.key)):
        origin = f"{policy.kind} {policy.key}"
        sections: dict[str, Section] = {}
        for name, value in sorted(policy.spec.sections.items()):
            engine = readers.get(name)
            if engine is None:
                message = f"{origin}: no policy engine reads `{name}`; {suggestion(name, readers)}"
                errors.append(InvalidInput(message, field=f"spec.{name}"))
                continue
            try:
                sections[engine.name] = Section(origin, policy.spec.precedence, engine.schema.model_validate(value))
            except ValidationError as error:
                errors += _errors(origin, name, error)
        result.append((policy, sections))
    if errors:
        raise InvalidInputs(tuple(errors))
    return tuple(result)


def _errors(origin: str, section: str, error: ValidationError) -> list[InvalidInput]:
    return [
        InvalidInput(
            f"{origin}: {each['msg'].removeprefix('Value error, ')}",
            field=".".join(["spec", section, *map(str, each["loc"])]),
        )
        for each in error.errors(include_url=False, include_context=False)
    ]


def conflicts(view: FleetView, engines: Sequence[PolicyEngine]) -> dict[Key, tuple[str, ...]]:
    """What is contradictory in the policies of each service, by service; nothing for a service without conflicts."""
    found: dict[Key, tuple[str, ...]] = {}
    known: dict[tuple[int, ...], tuple[str, ...]] = {}
    for index, service in enumerate(view.services):
        mine = [view.sections[engine.name][index] for engine in engines]
        mark = tuple(map(id, mine))
        if mark not in known:
            known[mark] = tuple(
                message
                for engine, sections in zip(engines, mine, strict=True)
                for message in engine.conflicts(sections)
            )
        if known[mark]:
            found[service.key] = known[mark]
    return found


def notices(world: World) -> tuple[str, ...]:
    """What was left out or assumed in reading the world, in a stable order: calls to nobody, unknown capacity."""
    services = sorted(world.services, key=lambda each: each.key)
    known = _reachable(services)
    result = [
        f"{service.key} calls {call.service}, which is no microservice here; the call is left out"
        for service in services
        for call in service.spec.calls
        if _callee(service, call.service) not in known
    ]
    for subcluster in sorted(world.subclusters, key=lambda each: each.metadata.name):
        offer = _offered(subcluster)
        what = [name for name, size in (("cores", offer.cpu_cores), ("memory", offer.memory_bytes)) if size == inf]
        if what:
            result.append(f"{subcluster.metadata.name}: {' and '.join(what)} unknown, taken as unlimited")
    return tuple(dict.fromkeys(result))


@dataclass(frozen=True, slots=True)
class _Offered:
    """Capacity in cores and bytes, infinite where unknown; prices in USD per hour, NaN where unknown."""

    cpu_cores: float
    memory_bytes: float
    cpu_hour_usd: float
    memory_gib_hour_usd: float


def _offered(subcluster: SubCluster) -> _Offered:
    """What the sub-cluster offers (all its offers at the cheapest one's price), within the ceilings of its spec; with
    no offer heard of yet, what the spec says."""
    spec, offers = subcluster.spec, divisible(subcluster.status.offers)
    cores, memory = capacity_of(offers)
    if spec.capacity.cpu is not None:
        cores = min(cores, parse_quantity(spec.capacity.cpu))
    if spec.capacity.memory is not None:
        memory = min(memory, parse_quantity(spec.capacity.memory))
    cpu_hour = min((o.cpu_hour_usd for o in offers if o.cpu_hour_usd is not None), default=spec.pricing.cpu_hour)
    gib_hour = min(
        (o.memory_gib_hour_usd for o in offers if o.memory_gib_hour_usd is not None),
        default=spec.pricing.memory_gib_hour,
    )
    return _Offered(cores, memory, nan if cpu_hour is None else cpu_hour, nan if gib_hour is None else gib_hour)


def _column(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=np.float64)


def _requests(service: Microservice) -> tuple[float, float]:
    try:
        asked = requests(service.spec.template)
    except InvalidInput as error:
        raise InvalidInput(f"Microservice {service.key}: {error.message}", field=error.field) from error
    return asked.cpu_cores, asked.memory_bytes


def _current(placement: Placement | None, names: set[str]) -> tuple[Target, ...]:
    if placement is None:
        return ()
    return tuple(target for target in placement.spec.targets if target.subcluster in names)


def _callee(service: Microservice, name: str) -> Key:
    namespace, slash, plain = name.partition("/")
    return Key(namespace, plain) if slash else Key(service.metadata.namespace, name)


def _reachable(services: Sequence[Microservice]) -> dict[Key, int]:
    """Names under which services are called, their own before anybody's alias."""
    known: dict[Key, int] = {}
    for index, service in enumerate(services):
        for alias in service.spec.aliases:
            known.setdefault(Key(service.metadata.namespace, alias), index)
    known.update({service.key: index for index, service in enumerate(services)})
    return known


def _edges(services: Sequence[Microservice]) -> Iterable[Edge]:
    """The calls between services of the view, by caller and then as declared; a call to oneself leaves nothing."""
    known = _reachable(services)
    for caller, service in enumerate(services):
        for index, call in enumerate(service.spec.calls):
            callee = known.get(_callee(service, call.service))
            if callee is None or callee == caller:
                continue
            yield Edge(
                caller=caller,
                callee=callee,
                gib_per_hour=ASSUMED_GIB_PER_HOUR if call.gib_per_hour is None else call.gib_per_hour,
                max_latency_s=None if call.max_latency is None else parse_duration_s(call.max_latency),
                assumed=call.assumed or call.gib_per_hour is None,
                call=index,
            )


def _sections(
    services: Sequence[Microservice],
    parsed: tuple[tuple[Policy, dict[str, Section]], ...],
    engines: Sequence[PolicyEngine],
) -> dict[str, tuple[tuple[Section, ...], ...]]:
    """By engine name, what applies to each service. Services with the same labels share one tuple."""
    known: dict[tuple[str, tuple[tuple[str, str], ...]], Sections] = {}
    interned: dict[tuple[int, ...], tuple[Section, ...]] = {}
    rows: list[Sections] = []
    for service in services:
        namespace, labels = service.metadata.namespace, service.metadata.labels
        mark = (namespace, tuple(sorted(labels.items())))
        if mark not in known:
            applying = [
                sections
                for policy, sections in parsed
                if (isinstance(policy, ClusterPlacementPolicy) or policy.metadata.namespace == namespace)
                and policy.spec.selector.matches(labels)
            ]
            known[mark] = {}
            for engine in engines:
                found = tuple(sections[engine.name] for sections in applying if engine.name in sections)
                known[mark][engine.name] = interned.setdefault(tuple(map(id, found)), found)
        rows.append(known[mark])
    return {engine.name: tuple(row[engine.name] for row in rows) for engine in engines}

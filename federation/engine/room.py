"""What is taken in each sub-cluster by what is committed and on its way, kept up to date change by change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf

from federation.engine.cache import Cache
from federation.errors import InvalidInput
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.offers import capacity_of
from federation.model.placement import Target
from federation.model.podtemplate import requests
from federation.model.quantity import parse_quantity
from federation.model.subcluster import Capacity, SubCluster

Demand = tuple[int, int]
"""Thousandths of a core and bytes, whole numbers: sums must not drift."""
_NOTHING: Demand = (0, 0)


@dataclass
class Room:
    """Sums by sub-cluster over all placements and the copies that open migrations make."""

    cache: Cache
    _demands: dict[Key, tuple[str, int, Demand]] = field(default_factory=dict)
    _taken: dict[Key, dict[str, Demand]] = field(default_factory=dict)
    _used: dict[str, Demand] = field(default_factory=dict)

    def recount(self, key: Key) -> None:
        """Take over a change of the service, its placement or its migrations."""
        for name, demand in self._taken.pop(key, {}).items():
            self._used[name] = _minus(self._used[name], demand)
        counts = self._counts(key)
        if not counts:
            if key not in self.cache.of(Microservice):
                self._demands.pop(key, None)
            return
        each = self.demand(key)
        taken = {name: (each[0] * count, each[1] * count) for name, count in counts.items()}
        for name, demand in taken.items():
            self._used[name] = _plus(self._used.get(name, _NOTHING), demand)
        self._taken[key] = taken

    def _counts(self, key: Key) -> dict[str, int]:
        placement = self.cache.placement(key)
        counts = {target.subcluster: target.replicas for target in placement.spec.targets} if placement else {}
        for migration in self.cache.open_migrations(key):
            target = migration.spec.target
            counts[target] = max(counts.get(target, 0), migration.spec.replicas)
        return {name: count for name, count in counts.items() if count}

    def demand(self, key: Key) -> Demand:
        """What one replica asks for; nothing for a service that is gone or makes no sense."""
        service = self.cache.of(Microservice).get(key)
        if service is None:
            return self._demands[key][2] if key in self._demands else _NOTHING
        mark = (service.metadata.uid, service.metadata.generation)
        kept = self._demands.get(key)
        if kept is None or kept[:2] != mark:
            kept = self._demands[key] = (*mark, _demand(service))
        return kept[2]

    def fits(self, key: Key, gained: Mapping[str, int], records: Mapping[str, SubCluster]) -> bool:
        """Whether so many more replicas of the service have room in these sub-clusters."""
        each = self.demand(key)
        for name, count in gained.items():
            left = _left(records[name], self._used.get(name, _NOTHING))
            if any(need * count > rest for need, rest in zip(each, left, strict=True)):
                return False
        return True

    def without(self, record: SubCluster, keys: Collection[Key]) -> SubCluster:
        """The sub-cluster as it is for the services of `keys` alone: less by what all others take."""
        name = record.metadata.name
        others = self._used.get(name, _NOTHING)
        for key in keys:
            others = _minus(others, self._taken.get(key, {}).get(name, _NOTHING))
        cpu, memory = _left(record, others)
        capacity = Capacity(
            cpu=record.spec.capacity.cpu if cpu == inf else f"{max(int(cpu), 0)}m",
            memory=record.spec.capacity.memory if memory == inf else str(max(int(memory), 0)),
        )
        return record.model_copy(update={"spec": record.spec.model_copy(update={"capacity": capacity})})


def gained(now: tuple[Target, ...], then: tuple[Target, ...]) -> dict[str, int]:
    """Replicas that `then` has beyond `now`, by sub-cluster."""
    before = {target.subcluster: target.replicas for target in now}
    more = {target.subcluster: target.replicas - before.get(target.subcluster, 0) for target in then}
    return {name: count for name, count in more.items() if count > 0}


def _demand(service: Microservice) -> Demand:
    try:
        cpu, memory = requests(service.spec.template)
    except InvalidInput:
        return _NOTHING
    return round(cpu * 1000), round(memory)


def _left(record: SubCluster, used: Demand) -> tuple[float, float]:
    """Thousandths of a core and bytes that are left of what is offered within the ceilings of the spec."""
    spec = record.spec.capacity
    cores, memory = capacity_of(record.status.offers)
    if spec.cpu is not None:
        cores = min(cores, parse_quantity(spec.cpu))
    if spec.memory is not None:
        memory = min(memory, parse_quantity(spec.memory))
    return cores * 1000 - used[0], memory - used[1]


def _plus(a: Demand, b: Demand) -> Demand:
    return a[0] + b[0], a[1] + b[1]


def _minus(a: Demand, b: Demand) -> Demand:
    return a[0] - b[0], a[1] - b[1]

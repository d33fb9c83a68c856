"""A small fleet in the simulation, told step by step: people write, time passes, and one looks at what runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from federation.contracts.store import Create, Delete, Replace
from federation.model.event import Event
from federation.model.meta import FLEET, Key, Metadata, Resource
from federation.model.microservice import Microservice
from federation.model.migration import Migration, MigrationSpec
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy
from federation.model.subcluster import SubCluster
from federation.testing.simulation.actions import CANARY, NAMESPACE
from federation.testing.simulation.scenario import Action, PlaceSpec, Scenario, ServiceSpec
from federation.testing.simulation.simulation import Simulation

R = TypeVar("R", bound=Resource)
PLACES = {"home": "DE", "near": "DE", "far": "FR"}
PRICES = {"home": 0.01, "near": 0.02, "far": 0.03}


class Story:
    """Three places: home is the cheapest, near in the same country, far in another one. All services are there after
    `begin`, which lets 10 s pass."""

    def __init__(self, *services: ServiceSpec, capacity: Mapping[str, int] | None = None, automatic: bool = False):
        room = {"home": 20, "near": 20, "far": 20, **(capacity or {})}
        places = tuple(
            PlaceSpec(name, country, room[name], PRICES[name], rewrites=False) for name, country in PLACES.items()
        )
        actions = tuple(Action(0.0, "create", (service.name,)) for service in services)
        self.simulation = Simulation(Scenario(7, places, services, (), automatic, actions))
        self.simulation.begin()
        self._moved = 0
        self.wait(10.0)

    # Time

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self.simulation.timeline.now

    def wait(self, seconds: float, always: Callable[[], None] = lambda: None) -> None:
        """Let so many seconds pass, and look `always` four times a second. No invariant may break meanwhile."""
        until = self.now + seconds
        while self.now < until:
            self.simulation.go_on(min(until, self.now + 0.25))
            assert not self.simulation.checks.violations
            always()

    # People

    def change(self, kind: type[R], name: str, **spec: object) -> None:
        """Change some fields of an object's spec."""
        found = self.find(kind, name)
        assert found is not None
        new = type(found).model_validate(
            {**found.model_dump(by_alias=False), "spec": {**found.spec.model_dump(by_alias=False), **spec}}  # type: ignore[attr-defined]
        )
        self.simulation.store.write_as_user([Replace(new)])

    def label(self, kind: type[R], name: str, **labels: str) -> None:
        """Set an object's labels; no others are left."""
        found = self.find(kind, name)
        assert found is not None
        metadata = found.metadata.model_copy(update={"labels": labels})
        self.simulation.store.write_as_user([Replace(found.model_copy(update={"metadata": metadata}))])

    def migrate(self, name: str, source: str, target: str) -> None:
        """Move a service by hand, quickly."""
        spec = MigrationSpec(service=name, source=source, target=target, replicas=1, strategy=CANARY)
        metadata = Metadata(name=f"{name}-{self._moved}", namespace=NAMESPACE)
        self._moved += 1
        self.simulation.store.write_as_user([Create(Migration(metadata=metadata, spec=spec))])

    def delete(self, name: str) -> None:
        """Delete a service."""
        self.simulation.store.write_as_user([Delete(Microservice, Key(NAMESPACE, name))])

    def policy(self, name: str, **spec: Any) -> None:
        """Add a policy for the whole fleet."""
        body = {"metadata": {"name": name}, "spec": spec}
        self.simulation.store.write_as_user([Create(ClusterPlacementPolicy.model_validate(body))])

    def remove_policy(self, name: str) -> None:
        """Take a policy back."""
        self.simulation.store.write_as_user([Delete(ClusterPlacementPolicy, Key(FLEET, name))])

    def remove(self, place: str) -> None:
        """Ask for a sub-cluster to be removed, as the API does."""
        record = self.find(SubCluster, place)
        assert record is not None
        metadata = record.metadata.model_copy(update={"deletion_timestamp": self.simulation.timeline.now})
        self.simulation.store.write_as_user([Replace(record.model_copy(update={"metadata": metadata}))])

    def forget(self, place: str) -> None:
        """Remove a sub-cluster's record at once, whatever runs there."""
        self.simulation.store.write_as_user([Delete(SubCluster, Key(FLEET, place))])

    # Looking

    def find(self, kind: type[R], name: str) -> R | None:
        """An object as it is stored."""
        return self.simulation.store.find(kind, Key(NAMESPACE if kind.namespaced else FLEET, name))

    def placement(self, name: str) -> Placement:
        """The placement of a service."""
        found = self.find(Placement, name)
        assert found is not None
        return found

    def where(self, name: str) -> dict[str, int]:
        """Committed replicas by place."""
        return {target.subcluster: target.replicas for target in self.placement(name).spec.targets}

    def runs(self, name: str) -> dict[str, int]:
        """Ready replicas by place, as it is."""
        key = Key(NAMESPACE, name)
        found = {p.name: sum(pod.ready for pod in p.live_pods(key)) for p in self.simulation.places.values()}
        return {place: count for place, count in found.items() if count}

    def moves(self, *, still_open: bool = False) -> list[Migration]:
        """All migrations, or those that are open; the oldest first."""
        found = [each for each in self.simulation.store.known(Migration).values() if each.open or not still_open]
        return sorted(found, key=lambda migration: migration.metadata.creation_timestamp)

    def condition(self, kind: type[R], name: str, type_: str) -> tuple[str, str, str] | None:
        """Status, reason and message of a condition."""
        found = self.find(kind, name)
        assert found is not None
        conditions = found.status.conditions  # type: ignore[attr-defined]
        return next(((c.status, c.reason, c.message) for c in conditions if c.type == type_), None)

    def reasons(self, name: str) -> list[str]:
        """The reasons of a service's events, oldest first."""
        events = self.simulation.store.inner.list(Event).items
        found = [event for event in events if event.regarding.name == name]
        return [event.reason for event in sorted(found, key=lambda event: event.metadata.resource_version)]

"""What an expression may read: facts on the service, on the sub-cluster it might run in, on the fleet; and the time.

A fact that is unknown has no value: reading it fails, and so denies; `has(subcluster.country)` tells whether it is
known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Literal

from federation.contracts.policy import FleetView
from federation.errors import InvalidInput
from federation.model.podtemplate import containers

Kind = Literal["bool", "int", "double", "string", "timestamp", "list(int)", "list(string)", "map", "list(map)"]
"""A CEL type; `map` is from text to text."""
Known = bool | int | float | str | datetime | list[int] | list[str] | dict[str, str] | list[dict[str, str]]
Values = dict[str, Known]
"""What an expression is evaluated on, by name; what is unknown is left out."""

ROOTS = ("fleet", "service", "subcluster")
NOW = "now"
GIB = 2.0**30


@dataclass(frozen=True, slots=True)
class Fact:
    """One variable. `read`: its value for the service or sub-cluster of that index (for the fleet: any); None is
    unknown."""

    name: str
    kind: Kind
    read: Callable[[FleetView, int], Known | None]

    @property
    def subject(self) -> str:
        """What it is a fact about: one of `ROOTS`, or `NOW` itself."""
        return PRESENCE[self.name].subject if self.name in PRESENCE else self.name.partition(".")[0]

    @property
    def field(self) -> str:
        """Its name within the root."""
        return self.name.partition(".")[2]

    @property
    def presence(self) -> str:
        """The variable that tells whether it is known, as long as `has(...)` of it but for one character."""
        return f"has_{self.name.replace('.', '_')}"


def _images(view: FleetView, index: int) -> list[str] | None:
    try:
        found = containers(view.services[index].spec.template)
    except InvalidInput:
        return None
    return [image for each in found if isinstance(image := each.get("image"), str)]


def _taints(view: FleetView, index: int) -> list[dict[str, str]]:
    taints = view.subclusters[index].spec.taints
    return [{"key": each.key, "value": each.value, "effect": each.effect} for each in taints]


def _price(price: float) -> float | None:
    return price if isfinite(price) else None


def _now(view: FleetView, _: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(view.now, UTC)
    except (ValueError, OverflowError, OSError):
        return None


_FACTS = (
    # The service. Its labels and name are metadata's; replicas, as declared; cores and GiB are one replica's requests.
    Fact("service.name", "string", lambda view, s: view.services[s].metadata.name),
    Fact("service.namespace", "string", lambda view, s: view.services[s].metadata.namespace),
    Fact("service.labels", "map", lambda view, s: view.services[s].metadata.labels),
    Fact("service.replicas", "int", lambda view, s: view.services[s].spec.replicas),
    Fact("service.cpuCores", "double", lambda view, s: float(view.cpu_cores[s])),
    Fact("service.memoryGiB", "double", lambda view, s: float(view.memory_bytes[s]) / GIB),
    Fact("service.stateful", "bool", lambda view, s: view.services[s].spec.stateful),
    Fact("service.workload", "string", lambda view, s: view.services[s].spec.workload),
    Fact("service.images", "list(string)", _images),
    Fact("service.ports", "list(int)", lambda view, s: [port.port for port in view.services[s].spec.ports]),
    Fact("service.calls", "list(string)", lambda view, s: [call.service for call in view.services[s].spec.calls]),
    # The sub-cluster. Its place is the atlas's: ISO 3166-1 alpha-2 countries; prices are USD per hour.
    Fact("subcluster.name", "string", lambda view, c: view.subclusters[c].metadata.name),
    Fact("subcluster.labels", "map", lambda view, c: view.subclusters[c].metadata.labels),
    Fact("subcluster.provider", "string", lambda view, c: view.subclusters[c].spec.provider),
    Fact("subcluster.cloud", "string", lambda view, c: view.places[c].cloud),
    Fact("subcluster.region", "string", lambda view, c: view.places[c].region),
    Fact("subcluster.country", "string", lambda view, c: view.places[c].country),
    Fact("subcluster.continent", "string", lambda view, c: view.places[c].continent),
    Fact("subcluster.operator", "string", lambda view, c: view.places[c].operator),
    Fact("subcluster.operatorCountry", "string", lambda view, c: view.places[c].operator_country),
    Fact("subcluster.attestations", "list(string)", lambda view, c: list(view.subclusters[c].spec.attestations)),
    Fact("subcluster.taints", "list(map)", _taints),
    Fact("subcluster.cpuHour", "double", lambda view, c: _price(float(view.cpu_hour_usd[c]))),
    Fact("subcluster.memoryGiBHour", "double", lambda view, c: _price(float(view.memory_gib_hour_usd[c]))),
    # The fleet: each name once, in order.
    Fact("fleet.size", "int", lambda view, _: len(view.subclusters)),
    Fact("fleet.names", "list(string)", lambda view, _: [each.metadata.name for each in view.subclusters]),
    Fact("fleet.regions", "list(string)", lambda view, _: sorted({p.region for p in view.places if p.region})),
    Fact("fleet.countries", "list(string)", lambda view, _: sorted({p.country for p in view.places if p.country})),
    Fact("fleet.clouds", "list(string)", lambda view, _: sorted({p.cloud for p in view.places})),
    Fact(NOW, "timestamp", _now),
)


def _presence(fact: Fact) -> Fact:
    return Fact(fact.presence, "bool", lambda view, index: fact.read(view, index) is not None)


FACTS = {fact.name: fact for fact in _FACTS}
"""Every variable by name."""
PRESENCE = {fact.presence: fact for fact in _FACTS if fact.name != NOW}
"""The facts by the variables that tell whether they are known."""
VARIABLES = FACTS | {name: _presence(fact) for name, fact in PRESENCE.items()}
"""All that the library is told of, by name."""


def fields_of(root: str) -> tuple[str, ...]:
    """The names of the facts about `service`, `subcluster` or `fleet`."""
    return tuple(fact.field for fact in _FACTS if fact.subject == root and fact.field)

"""`State`: everything that a what-if is played on, at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import SubCluster

PolicyKey = tuple[str, Key]
"""A policy's kind and key."""


@dataclass(frozen=True)
class State:
    """A fleet, its services and policies, and where everything is committed to run. `jurisdictions`: members of those
    that are not as the atlas says; `now`, seconds since 1970."""

    subclusters: Mapping[str, SubCluster]
    services: Mapping[Key, Microservice]
    policies: Mapping[PolicyKey, Policy]
    placements: Mapping[Key, Placement]
    migrations: tuple[Migration, ...] = ()
    jurisdictions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    now: float = 0.0

    def resources(self) -> tuple[Resource, ...]:
        """All of it, as it would be stored."""
        return (
            *self.subclusters.values(),
            *self.services.values(),
            *self.policies.values(),
            *self.placements.values(),
            *self.migrations,
        )

    def is_lost(self, subcluster: str) -> bool:
        """Whether what is committed there counts as gone."""
        found = self.subclusters.get(subcluster)
        return found is None or found.status.health == "Lost"


def state_of(resources: Iterable[Resource], now: float) -> State:
    """What `resources` say, with ended moves left out. A sub-cluster that was never heard of, or that has only just
    returned, is taken to be there, as in a plan."""
    subclusters: dict[str, SubCluster] = {}
    services: dict[Key, Microservice] = {}
    policies: dict[PolicyKey, Policy] = {}
    placements: dict[Key, Placement] = {}
    migrations: list[Migration] = []
    for each in resources:
        if isinstance(each, SubCluster):
            subclusters[each.metadata.name] = _heard_of(each)
        elif isinstance(each, Microservice):
            services[each.key] = each
        elif isinstance(each, PlacementPolicy | ClusterPlacementPolicy):
            policies[each.kind_name, each.key] = each
        elif isinstance(each, Placement):
            placements[each.key] = each
        elif isinstance(each, Migration) and each.open:
            migrations.append(each)
    return State(subclusters, services, policies, placements, tuple(migrations), now=now)


def _heard_of(subcluster: SubCluster) -> SubCluster:
    if subcluster.status.health not in ("Unknown", "Returning"):
        return subcluster
    return subcluster.model_copy(update={"status": subcluster.status.model_copy(update={"health": "Healthy"})})

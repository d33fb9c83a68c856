"""All kinds, found by kind name, plural or short name."""

from __future__ import annotations

from federation.model.event import Event
from federation.model.meta import Resource
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy
from federation.model.revision import Revision
from federation.model.subcluster import Gateway, SubCluster

KINDS: tuple[type[Resource], ...] = (
    ClusterPlacementPolicy,
    Event,
    Gateway,
    Microservice,
    Migration,
    Placement,
    PlacementPolicy,
    Revision,
    SubCluster,
)
BY_KIND: dict[str, type[Resource]] = {kind.kind_name: kind for kind in KINDS}
BY_PLURAL: dict[str, type[Resource]] = {kind.plural: kind for kind in KINDS}

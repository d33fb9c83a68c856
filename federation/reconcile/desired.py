"""What a placement and its open migration want: copies by sub-cluster, and traffic by sub-cluster.

Both are derived anew from the stored records each time, so a restarted controller wants just what the killed one did.
"""

from __future__ import annotations

from collections.abc import Mapping

from federation.model.migration import Migration, Phase
from federation.model.placement import Placement, Target

COPYING: frozenset[Phase] = frozenset({"Prepared", "Shifting", "Drained", "RollingBack"})
"""Phases in which the target copy exists beside the source."""


def desired_replicas(placement: Placement | None, migration: Migration | None) -> dict[str, int]:
    """Replicas to run by sub-cluster: what is committed, and during a move the target's copy beside it."""
    wanted: dict[str, int] = {}
    for target in _present(placement):
        wanted[target.subcluster] = wanted.get(target.subcluster, 0) + target.replicas
    if migration is not None and migration.status.phase in COPYING:
        wanted[migration.spec.target] = wanted.get(migration.spec.target, 0) + migration.spec.replicas
    return wanted


def _present(placement: Placement | None) -> tuple[Target, ...]:
    """Targets with replicas: a service that was scaled to zero keeps its place, but neither copies nor traffic."""
    return tuple(target for target in placement.spec.targets if target.replicas) if placement is not None else ()


def traffic_shares(placement: Placement | None, migration: Migration | None) -> dict[str, int]:
    """Relative traffic by sub-cluster; 0 means: known to the gateways, but takes no new request.

    Without a move each sub-cluster's share follows its replicas. During one, the source's share is divided between
    source and target by `status.weight` (percent on the target)."""
    committed = {target.subcluster: target.replicas for target in _present(placement)}
    shares = {subcluster: replicas * 100 for subcluster, replicas in committed.items()}
    if migration is None or migration.status.phase not in COPYING:
        return shares
    source, target, weight = migration.spec.source, migration.spec.target, migration.status.weight
    moving = min(committed.get(source, 0), migration.spec.replicas) or migration.spec.replicas
    shares[source] = shares.get(source, 0) - (moving * weight if source in committed else 0)
    shares[target] = shares.get(target, 0) + moving * weight
    return {subcluster: max(share, 0) for subcluster, share in shares.items()}


def moved_targets(placement: Placement, migration: Migration) -> tuple[Target, ...]:
    """The committed targets once `migration` is through: its replicas at the target instead of the source."""
    left = {target.subcluster: target.replicas for target in placement.spec.targets}
    moving = migration.spec.replicas
    remaining = left.pop(migration.spec.source, moving) - moving
    if remaining > 0:
        left[migration.spec.source] = remaining
    left[migration.spec.target] = left.get(migration.spec.target, 0) + moving
    return as_targets(left)


def as_targets(replicas: Mapping[str, int]) -> tuple[Target, ...]:
    """Targets ordered by name."""
    return tuple(Target(subcluster=name, replicas=count) for name, count in sorted(replicas.items()))


def min_available(replicas: int, declared: int | None) -> int:
    """How many replicas must stay available: as declared, else all but one and at least one."""
    if declared is not None:
        return min(declared, replicas)
    return max(replicas - 1, min(replicas, 1))

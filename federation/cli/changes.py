"""A plan as it is shown: with what it would change, and sums by sub-cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from federation.model.meta import Key, Resource
from federation.model.placement import Placement, Target
from federation.model.plan import Plan, PlannedService


@dataclass(frozen=True)
class Change:
    """What a plan means for one service, against the targets it is committed to now."""

    key: Key
    type: Literal["new", "move", "scale", "stranded"]
    before: tuple[Target, ...]
    after: tuple[Target, ...]

    def document(self) -> dict[str, Any]:
        """As JSON-like data."""
        return {
            "namespace": self.key.namespace,
            "service": self.key.name,
            "type": self.type,
            "from": [target.model_dump() for target in self.before],
            "to": [target.model_dump() for target in self.after],
        }


class Sum(NamedTuple):
    """What one sub-cluster gets."""

    subcluster: str
    services: int
    replicas: int
    cost_usd_per_hour: float


@dataclass(frozen=True)
class PlanShown:
    """A plan and its changes, ordered as its services."""

    plan: Plan
    changes: tuple[Change, ...]

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case; stable names that programs may rely on."""
        document = self.plan.model_dump(mode="json")
        for service in document["placements"]:
            if not service["candidates"]:
                del service["candidates"]
        sums = [{**one._asdict(), "cost_usd_per_hour": round(one.cost_usd_per_hour, 9)} for one in self.by_subcluster()]
        return {**document, "subclusters": sums, "changes": [change.document() for change in self.changes]}

    def by_subcluster(self) -> list[Sum]:
        """What runs and is spent where, by name; a service in several places counts in each by its replicas there."""
        found: dict[str, Sum] = {}
        for service in self.plan.placements:
            whole = sum(target.replicas for target in service.targets) or 1
            for target in service.targets:
                old = found.get(target.subcluster, Sum(target.subcluster, 0, 0, 0.0))
                usd = old.cost_usd_per_hour + service.cost_usd_per_hour * target.replicas / whole
                found[target.subcluster] = Sum(old.subcluster, old.services + 1, old.replicas + target.replicas, usd)
        return [one for _, one in sorted(found.items())]

    def unplaced(self) -> tuple[PlannedService, ...]:
        """Services without a place."""
        return tuple(service for service in self.plan.placements if service.verdict != "placed")


def shown(plan: Plan, resources: Iterable[Resource]) -> PlanShown:
    """`plan` against the placements among `resources`."""
    now = {each.key: each.spec.targets for each in resources if isinstance(each, Placement)}
    changes = []
    for service in plan.placements:
        key = Key(service.namespace, service.service)
        before, after = _counts(now.get(key, ())), _counts(service.targets)
        if before != after:
            changes.append(Change(key, _type(before, after), now.get(key, ()), service.targets))
    return PlanShown(plan, tuple(changes))


def _counts(targets: Iterable[Target]) -> dict[str, int]:
    return {target.subcluster: target.replicas for target in targets if target.replicas}


def _type(before: dict[str, int], after: dict[str, int]) -> Literal["new", "move", "scale", "stranded"]:
    if not before:
        return "new"
    if not after:
        return "stranded"
    return "scale" if before.keys() == after.keys() else "move"

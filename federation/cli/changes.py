"""A plan as it is shown: with what it would change, and sums by sub-cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from federation.model.meta import Key, Resource
from federation.model.placement import Placement, Target, counts_of, what_changes
from federation.model.plan import MoveCost, Plan, PlannedService
from federation.planner.decide import Judgement


@dataclass(frozen=True)
class Change:
    """What a plan means for one service, against the targets it is committed to now. `move`: what that costs once; None
    where nothing moves to another place."""

    key: Key
    type: Literal["new", "move", "scale", "stranded"]
    before: tuple[Target, ...]
    after: tuple[Target, ...]
    move: MoveCost | None = None

    def document(self) -> dict[str, Any]:
        """As JSON-like data."""
        move = self.move
        return {
            "namespace": self.key.namespace,
            "service": self.key.name,
            "type": self.type,
            "from": [target.model_dump() for target in self.before],
            "to": [target.model_dump() for target in self.after],
            "move": None if move is None else {**move.model_dump(mode="json"), "once_usd": round(move.once_usd, 9)},
        }


class Sum(NamedTuple):
    """What one sub-cluster gets."""

    subcluster: str
    services: int
    replicas: int
    cost_usd_per_hour: float


@dataclass(frozen=True)
class PlanShown:
    """A plan and its changes, ordered as its services. `present_usd_per_hour`: what all that runs costs now; None where
    nothing runs yet."""

    plan: Plan
    changes: tuple[Change, ...]
    present_usd_per_hour: float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case; stable names that programs may rely on."""
        document = self.plan.model_dump(mode="json")
        for service in document["placements"]:
            if not service["candidates"]:
                del service["candidates"]
        sums = [{**one._asdict(), "cost_usd_per_hour": round(one.cost_usd_per_hour, 9)} for one in self.by_subcluster()]
        return {
            **document,
            "terms": self.plan.terms(),
            "subclusters": sums,
            "present_usd_per_hour": self.present_usd_per_hour,
            "running_usd_per_hour": self.plan.running_usd_per_hour,
            "once_usd": round(sum(change.move.once_usd for change in self.changes if change.move), 9),
            "changes": [change.document() for change in self.changes],
        }

    def moves(self) -> list[Change]:
        """The changes by which something that runs goes to another place."""
        return [change for change in self.changes if change.move is not None]

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


def shown(judgement: Judgement, resources: Iterable[Resource]) -> PlanShown:
    """A judgement's plan against the placements among `resources`."""
    plan = judgement.plan
    now = {each.key: each.spec.targets for each in resources if isinstance(each, Placement)}
    changes = []
    for service in plan.placements:
        key = Key(service.namespace, service.service)
        before, after = now.get(key, ()), service.targets
        if counts_of(before) != counts_of(after):
            what = what_changes(before, after)
            move = judgement.move(key) if what in ("move", "scale") else None
            changes.append(Change(key, "stranded" if what == "gone" else what, before, after, move))
    return PlanShown(plan, tuple(changes), judgement.present_usd_per_hour())

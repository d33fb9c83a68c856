"""Sub-clusters that are emptied or removed: what is left there, and the end of the record once nothing is."""

from __future__ import annotations

from dataclasses import dataclass

from federation.contracts.store import Delete
from federation.engine.cache import Cache
from federation.engine.journal import Journal
from federation.engine.judging import Situation
from federation.engine.links import SubClusterLink
from federation.model.meta import Condition, Key, with_condition
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.subcluster import SubCluster

LOOK_AGAIN_S = 2.0
"""How often a sub-cluster that is to be removed is looked at while something still runs there."""
_NAMED = 5


@dataclass
class Leaving:
    """Keeps the condition `Drained` of sub-clusters, and removes those that were deleted and are empty."""

    cache: Cache
    journal: Journal
    links: dict[str, SubClusterLink]

    def look(self, situation: Situation) -> float | None:
        """Report, and remove what can be removed. Returns in how many seconds to look again, or None."""
        watched = False
        for record in situation.subclusters:
            current = self.cache.of(SubCluster).get(record.key)
            if current is None or not (self._leaves(current) or _condition(current) is not None):
                continue
            left = self._left(current.metadata.name)
            if current.metadata.deletion_timestamp is not None:
                if not left and not self._runs(current.metadata.name):
                    self._remove(current)
                    continue
                watched = True
            self._report(current, left, situation.now)
        return LOOK_AGAIN_S if watched else None

    def _leaves(self, record: SubCluster) -> bool:
        return record.spec.drain is not None or record.metadata.deletion_timestamp is not None

    def _left(self, name: str) -> list[Key]:
        """The services that are committed there or on their way from or to there."""
        moving = {
            Key(migration.metadata.namespace, migration.spec.service)
            for migration in self.cache.of(Migration).values()
            if migration.open and name in (migration.spec.source, migration.spec.target)
        }
        placed = {key for key, placement in self.cache.of(Placement).items() if placement.replicas_in(name)}
        return sorted(moving | placed)

    def _runs(self, name: str) -> bool:
        """Whether anything of Roam's may still run there. What is lost can't be asked: nothing of it is expected."""
        link = self.links.get(name)
        if link is None or link.pulse.health == "Lost":
            return False
        return not link.observed or bool(link.workloads)

    def _remove(self, record: SubCluster) -> None:
        if self.journal.write([Delete(SubCluster, record.key)]):
            self.journal.event(record, "Removed", f"{record.metadata.name} left the fleet; nothing runs there any more")

    def _report(self, record: SubCluster, left: list[Key], now: float) -> None:
        pending = self.journal.pending(record)
        status = pending.status if isinstance(pending, SubCluster) else record.status
        if not self._leaves(record):
            kept = tuple(each for each in status.conditions if each.type != "Drained")
            self.journal.update(record.model_copy(update={"status": status.model_copy(update={"conditions": kept})}))
            return
        names = ", ".join(str(key) for key in left[:_NAMED])
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        condition = Condition(
            type="Drained",
            status="False" if left else "True",
            reason="Draining" if left else "Empty",
            message=f"{len(left)} left: {names}{more}" if left else "nothing of Roam's runs here",
            last_transition_time=now,
        )
        conditions = with_condition(status.conditions, condition)
        if conditions != status.conditions:
            update = {"conditions": conditions}
            self.journal.update(record.model_copy(update={"status": status.model_copy(update=update)}))
            if condition.status == "True":
                self.journal.event(record, "Drained", f"{record.metadata.name} is empty")


def _condition(record: SubCluster) -> Condition | None:
    return next((each for each in record.status.conditions if each.type == "Drained"), None)

"""What the store forgets, and when."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from federation.contracts.store import Delete
from federation.model.event import Event
from federation.model.meta import Key
from federation.store.rows import state
from federation.store.schema import REVISIONS, STATE


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept of what would grow for ever.

    A change is forgotten when `changes` newer ones exist and it is older than `age_s` seconds, or when `most_changes`
    newer ones exist. Of the Events, the `events` newest are kept (roughly: up to a tenth more for some time); older
    ones are deleted like anything else, so that those who watch see them go."""

    changes: int = 20_000
    age_s: float = 600.0
    most_changes: int = 100_000
    events: int = 10_000

    @property
    def interval(self) -> int:
        """After how many versions to look again."""
        return max(1, min(1_000, self.changes // 10, self.events // 10))


def compact(connection: Connection, retention: Retention, now: float) -> int:
    """Forget changes as `retention` says; returns the version up to which they are forgotten now."""
    version, compacted = state(connection)
    columns = REVISIONS.c
    target = version - retention.changes
    if target <= compacted:
        return compacted
    old = connection.scalar(
        select(columns.version)
        .where(columns.version <= target, columns.version > compacted, columns.at <= now - retention.age_s)
        .order_by(columns.version.desc())
        .limit(1)
    )
    target = max(old or compacted, version - retention.most_changes)
    if target > compacted:
        connection.execute(delete(REVISIONS).where(columns.superseded <= target))
        connection.execute(update(STATE).values(compacted=target))
    return max(target, compacted)


def surplus_events(connection: Connection, retention: Retention) -> tuple[Delete, ...]:
    """The writes that delete the oldest Events, once there are a tenth too many."""
    columns = REVISIONS.c
    events = (columns.kind == Event.kind_name) & columns.superseded.is_(None)
    count = connection.scalar(select(func.count()).select_from(REVISIONS).where(events)) or 0
    if count <= retention.events + retention.events // 10:
        return ()
    oldest = (
        select(columns.namespace, columns.name).where(events).order_by(columns.version).limit(count - retention.events)
    )
    return tuple(Delete(Event, Key(namespace, name)) for namespace, name in connection.execute(oldest))

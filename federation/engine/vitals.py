"""What can be told of a running engine from outside: its signs of life, its queue, and what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from federation.engine.cache import Cache
from federation.engine.fleet import Fleet
from federation.model.migration import Migration
from federation.model.placement import Placement


@dataclass(frozen=True)
class Census:
    """Counts at one moment. Ages in seconds."""

    queued: int
    queue_age_s: float
    step_age_s: float
    health: Mapping[str, str]
    conditions: Mapping[tuple[str, str], int]
    migrations: Mapping[str, int]
    unacknowledged: Mapping[str, int]


@dataclass
class Vitals:
    """Kept by the engine's thread, read by others. Times are monotonic seconds; `observed`: every sub-cluster was heard
    once, or has been silent for its window."""

    last_step_at: float | None = None
    queued: int = 0
    queued_since: float | None = None
    observed: bool = False
    started_at: float = 0.0

    def step_age_s(self, now: float) -> float:
        """How long ago the engine finished a turn."""
        return now - (self.last_step_at if self.last_step_at is not None else self.started_at)

    def turn(self, now: float, depth: int) -> None:
        """A turn is over, and so many wait."""
        self.last_step_at, self.queued = now, depth
        self.queued_since = None if not depth else (now if self.queued_since is None else self.queued_since)


def take_census(vitals: Vitals, cache: Cache, fleet: Fleet, now: float) -> Census:
    """Count; may be called from any thread: tables are copied at once, objects never change."""
    conditions: Counter[tuple[str, str]] = Counter()
    for placement in list(cache.of(Placement).values()):
        conditions.update((condition.type, condition.status) for condition in placement.status.conditions)
    migrations = Counter(each.status.phase for each in list(cache.of(Migration).values()) if each.open)
    since = vitals.queued_since
    return Census(
        queued=vitals.queued,
        queue_age_s=0.0 if since is None else now - since,
        step_age_s=vitals.step_age_s(now),
        health={name: link.pulse.health for name, link in list(fleet.links.items())},
        conditions=conditions,
        migrations={str(phase): count for phase, count in migrations.items()},
        unacknowledged={name: link.unacknowledged for name, link in list(fleet.gateways.items())},
    )

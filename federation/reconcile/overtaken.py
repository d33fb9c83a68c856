"""Which copies that run have to leave their place, since when, from when they are moved, and by when they must be gone.

The rules themselves are judged by the planner; here is what time does to them. Since when is kept in the placement's
status, so that a controller that starts anew grants no second grace.
"""

from __future__ import annotations

from collections.abc import Mapping

from federation.model.placement import Overtaken
from federation.model.plan import Violation

CLOCK_SLACK_S = 1.0
"""An entry that began later than this in the future tells of a clock that was set back."""


def plan_overtaken(
    old: tuple[Overtaken, ...], violations: Mapping[str, Violation], now: float
) -> tuple[Overtaken, ...]:
    """The entries for the sub-clusters of `violations`, ordered by name.

    Args: old, the present entries; now, seconds since 1970. An entry of the same cause keeps when it began; what it
    grants is as the rule says today, counted from then."""
    began = {(entry.subcluster, entry.cause): entry.since for entry in old if entry.since <= now + CLOCK_SLACK_S}
    entries = []
    for subcluster, violation in sorted(violations.items()):
        since = began.get((subcluster, violation.cause), now)
        entries.append(
            Overtaken(
                subcluster=subcluster,
                cause=violation.cause,
                message=violation.message,
                since=since,
                due=since + violation.delay_s,
                deadline=None if violation.grace_s is None else since + violation.grace_s,
                stop=violation.stop,
            )
        )
    return tuple(entries)


def entry_of(entries: tuple[Overtaken, ...], subcluster: str) -> Overtaken | None:
    """The entry of that sub-cluster, if there is one."""
    return next((entry for entry in entries if entry.subcluster == subcluster), None)


def is_due(entry: Overtaken | None, now: float) -> bool:
    """Whether the copy has to be moved away now."""
    return entry is not None and now >= entry.due


def has_expired(entry: Overtaken | None, now: float) -> bool:
    """Whether the copy should be gone by now and is to be stopped if nothing else helps."""
    return entry is not None and entry.stop and entry.deadline is not None and now >= entry.deadline


def next_moment(entries: tuple[Overtaken, ...], now: float) -> float | None:
    """When the entries say something new by time alone (seconds since 1970, after `now`)."""
    moments = [entry.due for entry in entries]
    moments += [entry.deadline for entry in entries if entry.stop and entry.deadline is not None]
    return min((moment for moment in moments if moment > now), default=None)

"""How a migration advances: one phase or one traffic step at a time, from the record and what is observed.

The record alone carries the intent: copies and traffic follow from it (`desired`), so the engine writes the record
first and acts after. Source of the phases: the design's migration page, without volumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from federation.model.migration import Migration, MigrationStatus, Phase, PhaseEntry
from federation.model.quantity import parse_duration_s
from federation.reconcile.routing import Load

PREPARE_TIMEOUT_S = 120.0
"""How long the target's copy may take to become ready before the move is undone."""
CLOCK_SLACK_S = 1.0
"""A step that began later than this in the future tells of a clock that was set back."""
RETIRE_S = 2.0
"""How long before a deadline the source is told to go at the latest, so that it is gone by then."""
ENOUGH_REQUESTS = 20
"""How many requests the target must have seen in a step before its error rate says anything."""


@dataclass(frozen=True, slots=True)
class MigrationFacts:
    """What a step depends on.

    `objection`: why the target can't be used ("" when it can); `lost_*`: the sub-cluster counts as lost;
    `target_ready`: ready replicas of the present revision in the target, beyond those committed there, and
    `target_serving`: the same of any revision, since an update may come at any moment of a move;
    `settled`: every live gateway has what the record asks for in force; `source_load`, `target_load`: what the
    gateways count; `source_gone`: no copy is left at the source, or what is left there is committed."""

    exists: bool
    objection: str
    source_committed: bool
    lost_source: bool
    lost_target: bool
    target_ready: int
    target_serving: int
    settled: bool
    source_load: Load
    target_load: Load
    source_gone: bool


@dataclass(frozen=True, slots=True)
class Advance:
    """What to write: the new status, whether the placement's targets change with it in the same write, and the kind
    of event."""

    status: MigrationStatus
    commit: bool = False
    event: Literal["Normal", "Warning"] = "Normal"


def plan_migration(migration: Migration, facts: MigrationFacts, now: float) -> Advance | None:
    """The next step of an open migration, or None while it waits. `now`: seconds since 1970.

    Call it again after the step was stored. Before Retired any fault leads to RollingBack; from Retired on, only
    forward."""
    phase = migration.status.phase
    if migration.status.since > now + CLOCK_SLACK_S:
        # The clock was set back: without this, every wait would last that much longer.
        return _enter(migration, phase, now, migration.status.message)
    if phase == "Retired":
        return _enter(migration, "Succeeded", now, "source is gone") if facts.source_gone else None
    if phase == "RollingBack":
        return _rolling_back(migration, facts, now)
    fault = _fault(migration, facts)
    if not fault and _holds(migration, now):
        return None
    if fault:
        if phase in ("Pending", "Checked"):
            return _enter(migration, "Failed", now, fault, event="Warning")
        return _enter(migration, "RollingBack", now, fault, event="Warning", weight=0)
    steps = {
        "Pending": _pending,
        "Checked": _checked,
        "Prepared": _prepared,
        "Shifting": _shifting,
        "Drained": _drained,
    }
    return steps[phase](migration, facts, now)


def refuse_migration(migration: Migration, why: str, now: float) -> Advance:
    """End a migration that may not begin."""
    return _enter(migration, "Failed", now, why, event="Warning")


def waits_until(migration: Migration, now: float) -> float | None:
    """When time alone may let the migration advance (seconds since 1970, after `now`); None when only facts can."""
    if migration.status.phase != "RollingBack" and _holds(migration, now):
        return _pause_ends(migration)
    waits = {
        "Prepared": PREPARE_TIMEOUT_S,
        "Shifting": _interval_s(migration),
        "Drained": _drain_s(migration),
        "RollingBack": _drain_s(migration),
    }
    wait_s = waits.get(migration.status.phase)
    if wait_s is None or migration.status.since + wait_s <= now:
        return None
    return migration.status.since + wait_s


def _holds(migration: Migration, now: float) -> bool:
    """Whether a pause holds the migration in its phase. A pause does not outlast what the deadline needs."""
    ends = _pause_ends(migration)
    return migration.spec.paused and (ends is None or now < ends)


def _pause_ends(migration: Migration) -> float | None:
    if migration.spec.deadline is None:
        return None
    return migration.spec.deadline - RETIRE_S - parse_duration_s(migration.spec.strategy.canary.drain_timeout)


def _interval_s(migration: Migration) -> float:
    """How long the present traffic step lasts: as the strategy says, shorter where a deadline would be missed.

    What is left until the deadline, less the time to drain, is divided among the steps to come."""
    canary, status = migration.spec.strategy.canary, migration.status
    interval_s = parse_duration_s(canary.interval)
    if migration.spec.deadline is None:
        return interval_s
    left_s = migration.spec.deadline - status.since - RETIRE_S
    steps = max(len(canary.steps) - status.step, 1)
    return max(min(interval_s, (left_s - min(parse_duration_s(canary.drain_timeout), left_s / 2)) / steps), 0.0)


def _drain_s(migration: Migration) -> float:
    """How long requests in flight are waited for; not beyond a deadline."""
    timeout_s = parse_duration_s(migration.spec.strategy.canary.drain_timeout)
    if migration.spec.deadline is None or migration.status.phase != "Drained":
        return timeout_s
    return max(min(timeout_s, migration.spec.deadline - RETIRE_S - migration.status.since), 0.0)


def _lasted(migration: Migration, now: float, wait_s: float) -> bool:
    """Whether the present phase or step has lasted so long; added up as `waits_until` does."""
    return now >= migration.status.since + wait_s


def _fault(migration: Migration, facts: MigrationFacts) -> str:
    phase = migration.status.phase
    if not facts.exists:
        return "the microservice is gone"
    if migration.spec.rollback:
        return "rollback was asked for"
    if not facts.source_committed:
        return f"{migration.spec.source} does not run {migration.spec.service}"
    if facts.lost_target:
        return f"{migration.spec.target} does not answer"
    if facts.objection:
        return facts.objection
    if phase == "Shifting" and not facts.lost_source:
        return _unhealthy(migration, facts)
    return ""


def _unhealthy(migration: Migration, facts: MigrationFacts) -> str:
    """Whether the target answers worse than the strategy allows, once enough requests of this step were seen."""
    status = migration.status
    requests = facts.target_load.requests - status.baseline_requests
    errors = facts.target_load.errors - status.baseline_errors
    limit = migration.spec.strategy.canary.max_error_rate
    if requests >= ENOUGH_REQUESTS and errors > limit * requests:
        return f"{errors} of {requests} requests failed at {migration.spec.target}, over {limit:.1%}"
    return ""


def _enter(
    migration: Migration,
    phase: Phase,
    now: float,
    message: str,
    *,
    event: Literal["Normal", "Warning"] = "Normal",
    commit: bool = False,
    **changes: int,
) -> Advance:
    old = migration.status
    history = old.history
    if phase != old.phase:
        history = (*history, PhaseEntry(phase=phase, at=now, message=message))
    update = {"phase": phase, "since": now, "message": message, "history": history, **changes}
    return Advance(old.model_copy(update=update), commit, event)


def _pending(migration: Migration, _facts: MigrationFacts, now: float) -> Advance:
    return _enter(migration, "Checked", now, "checking policy, capacity and health of the target")


def _checked(migration: Migration, _facts: MigrationFacts, now: float) -> Advance:
    return _enter(migration, "Prepared", now, f"starting {migration.spec.replicas} replicas in {migration.spec.target}")


def _prepared(migration: Migration, facts: MigrationFacts, now: float) -> Advance | None:
    if facts.target_ready >= migration.spec.replicas and facts.settled:
        return _shift_to(migration, facts, now, 0)
    if _lasted(migration, now, PREPARE_TIMEOUT_S):
        message = f"{facts.target_ready} of {migration.spec.replicas} replicas ready after {PREPARE_TIMEOUT_S:.0f} s"
        return _enter(migration, "RollingBack", now, message, event="Warning", weight=0)
    return None


def _shift_to(migration: Migration, facts: MigrationFacts, now: float, step: int) -> Advance:
    steps = migration.spec.strategy.canary.steps
    if facts.lost_source or step >= len(steps):
        step, weight = len(steps) - 1, 100
    else:
        weight = steps[step]
    return _enter(
        migration,
        "Shifting",
        now,
        f"{weight} % of the traffic to {migration.spec.target}",
        step=step,
        weight=weight,
        baseline_requests=facts.target_load.requests,
        baseline_errors=facts.target_load.errors,
    )


def _shifting(migration: Migration, facts: MigrationFacts, now: float) -> Advance | None:
    status = migration.status
    waited = facts.lost_source or _lasted(migration, now, _interval_s(migration))
    if facts.target_ready < migration.spec.replicas or not (facts.settled and waited):
        return None
    if status.weight < 100:
        return _shift_to(migration, facts, now, status.step + 1)
    return _enter(migration, "Drained", now, f"{migration.spec.source} takes no new requests", weight=100)


def _drained(migration: Migration, facts: MigrationFacts, now: float) -> Advance | None:
    late = _lasted(migration, now, _drain_s(migration))
    if facts.target_serving <= 0 and not facts.lost_source:
        return _enter(migration, "RollingBack", now, "no replica at the target is ready", event="Warning", weight=0)
    if not facts.settled or not (facts.source_load.in_flight == 0 or facts.lost_source or late):
        return None
    return _enter(migration, "Retired", now, f"removing the copy in {migration.spec.source}", commit=True)


def _rolling_back(migration: Migration, facts: MigrationFacts, now: float) -> Advance | None:
    late = _lasted(migration, now, _drain_s(migration))
    drained = facts.settled and (facts.target_load.in_flight == 0 or late)
    if drained or facts.lost_target or not facts.exists:
        return _enter(migration, "RolledBack", now, f"rolled back: {migration.status.message}", event="Warning")
    return None

"""A migration comes to an end, in order, and never goes back once the source is being retired."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from federation.model.meta import Metadata
from federation.model.migration import Migration, MigrationSpec, MigrationStatus
from federation.model.policy import Canary, Strategy
from federation.reconcile.migration import (
    CLOCK_SLACK_S,
    Advance,
    MigrationFacts,
    plan_migration,
    refuse_migration,
    waits_until,
)
from federation.reconcile.routing import Load

BEGIN_S = 1_700_000_000.0
FAIR = MigrationFacts(
    exists=True,
    objection="",
    source_committed=True,
    lost_source=False,
    lost_target=False,
    target_ready=3,
    target_serving=3,
    settled=True,
    source_load=Load(),
    target_load=Load(),
    source_gone=True,
)
ORDER = ["Pending", "Checked", "Prepared", "Shifting", "Drained", "Retired", "Succeeded"]
FORWARD = {*pairwise(ORDER)} | {("Shifting", "Shifting")}
BACK = {(phase, "RollingBack") for phase in ("Prepared", "Shifting", "Drained")} | {("RollingBack", "RolledBack")}
REFUSED = {("Pending", "Failed"), ("Checked", "Failed")}

loads = st.builds(Load, st.integers(0, 3), st.integers(0, 200), st.integers(0, 50))
any_facts = st.builds(
    MigrationFacts,
    exists=st.sampled_from([True, True, True, False]),
    objection=st.sampled_from(["", "", "", "forbidden"]),
    source_committed=st.sampled_from([True, True, True, False]),
    lost_source=st.booleans(),
    lost_target=st.sampled_from([False, False, False, True]),
    target_ready=st.integers(-1, 3),
    target_serving=st.integers(-1, 3),
    settled=st.booleans(),
    source_load=loads,
    target_load=loads,
    source_gone=st.booleans(),
)


def _migration(steps: tuple[int, ...] = (5, 50, 100), *, rollback: bool = False) -> Migration:
    canary = Canary(steps=steps, interval="10s", drain_timeout="20s")
    return Migration(
        metadata=Metadata(name="move", namespace="default"),
        spec=MigrationSpec(
            service="web", source="a", target="b", replicas=3, strategy=Strategy(canary=canary), rollback=rollback
        ),
        status=MigrationStatus(since=BEGIN_S),
    )


def _with(migration: Migration, advance: Advance) -> Migration:
    return migration.model_copy(update={"status": advance.status})


def _run(migration: Migration, facts: MigrationFacts, now: float) -> tuple[list[Advance], Migration, float]:
    """Let time pass whenever the migration waits for it, until it ends or waits for facts only."""
    advances: list[Advance] = []
    for _ in range(50):
        if not migration.open:
            break
        advance = plan_migration(migration, facts, now)
        if advance is None:
            wake = waits_until(migration, now)
            if wake is None:
                break
            assert wake > now
            now = wake
        else:
            advances.append(advance)
            migration = _with(migration, advance)
    return advances, migration, now


@given(st.lists(st.integers(1, 99), min_size=0, max_size=4))
def test_with_fair_facts_it_succeeds_in_order_and_commits_once(steps: list[int]) -> None:
    canary = (*sorted(set(steps)), 100)
    advances, migration, now = _run(_migration(canary), FAIR, BEGIN_S)
    assert migration.status.phase == "Succeeded"
    assert [entry.phase for entry in migration.status.history] == ORDER[1:]
    assert [advance.commit for advance in advances].count(True) == 1
    assert next(advance for advance in advances if advance.commit).status.phase == "Retired"
    weights = [advance.status.weight for advance in advances if advance.status.phase == "Shifting"]
    assert tuple(weights) == canary[: canary.index(100) + 1]
    assert now - BEGIN_S == 10.0 * len(weights)


@given(any_facts)
def test_the_worst_end_is_reached_too(facts: MigrationFacts) -> None:
    """Whatever holds for good: it ends, or it waits for facts that may still come, and says nothing twice."""
    advances, migration, _ = _run(_migration(), facts, BEGIN_S)
    assert len(advances) < 15
    if migration.open:
        waiting = migration.status.phase
        assert waiting in ("Prepared", "Shifting", "Drained", "Retired", "RollingBack")
        _, ended, _ = _run(migration, replace(FAIR, lost_source=facts.lost_source), BEGIN_S + 1000.0)
        assert not ended.open


@given(st.lists(st.tuples(any_facts, st.floats(0.0, 60.0)), max_size=40), st.booleans())
def test_phases_follow_each_other_as_designed(course: list[tuple[MigrationFacts, float]], rollback: bool) -> None:
    migration, now = _migration(rollback=rollback), BEGIN_S
    for facts, pause_s in course:
        now += pause_s
        if not migration.open:
            break
        advance = plan_migration(migration, facts, now)
        if advance is None:
            continue
        step = (migration.status.phase, advance.status.phase)
        assert step in FORWARD | BACK | REFUSED
        assert advance.commit == (step[1] == "Retired")
        assert advance.status.history[-1].phase == advance.status.phase
        if step[1] == "RollingBack":
            assert advance.status.weight == 0
        if step == ("Shifting", "Shifting"):
            assert advance.status.weight > migration.status.weight
        if step[1] in ("RollingBack", "RolledBack", "Failed"):
            assert advance.event == "Warning"
            assert advance.status.message
        migration = _with(migration, advance)


@given(any_facts)
def test_after_retired_only_forward(facts: MigrationFacts) -> None:
    status = MigrationStatus(phase="Retired", since=BEGIN_S, weight=100)
    migration = _migration(rollback=True).model_copy(update={"status": status})
    advance = plan_migration(migration, facts, BEGIN_S + 10_000.0)
    assert (advance is not None) == facts.source_gone
    assert advance is None or advance.status.phase == "Succeeded"


@given(st.sampled_from(["Prepared", "Shifting", "Drained"]), any_facts)
def test_a_wanted_rollback_begins_at_once(phase: str, facts: MigrationFacts) -> None:
    status = MigrationStatus.model_validate({"phase": phase, "since": BEGIN_S, "weight": 50})
    advance = plan_migration(_migration(rollback=True).model_copy(update={"status": status}), facts, BEGIN_S)
    assert advance is not None
    assert advance.status.phase == "RollingBack"


@given(any_facts)
def test_no_traffic_is_shifted_before_the_copy_is_ready_and_known_to_all(facts: MigrationFacts) -> None:
    status = MigrationStatus(phase="Prepared", since=BEGIN_S)
    advance = plan_migration(_migration().model_copy(update={"status": status}), facts, BEGIN_S)
    if advance is not None and advance.status.phase == "Shifting":
        assert facts.target_ready >= 3
        assert facts.settled


@given(any_facts, st.floats(0.0, 19.0))
def test_the_source_is_not_retired_with_requests_in_flight(facts: MigrationFacts, waited_s: float) -> None:
    status = MigrationStatus(phase="Drained", since=BEGIN_S, weight=100)
    advance = plan_migration(_migration().model_copy(update={"status": status}), facts, BEGIN_S + waited_s)
    if advance is not None and advance.status.phase == "Retired":
        assert facts.settled
        assert facts.source_load.in_flight == 0 or facts.lost_source


@given(st.sampled_from(["Prepared", "Shifting", "Drained", "RollingBack"]), any_facts, st.floats(2.0, 1e7))
def test_a_clock_that_is_set_back_does_not_stop_it(phase: str, facts: MigrationFacts, back_s: float) -> None:
    status = MigrationStatus.model_validate({"phase": phase, "since": BEGIN_S, "weight": 50})
    migration = _migration().model_copy(update={"status": status})
    advance = plan_migration(migration, facts, BEGIN_S - back_s - CLOCK_SLACK_S)
    assert advance is not None
    assert advance.status.since < BEGIN_S
    assert advance.status.phase == phase


def test_errors_at_the_target_roll_back_once_enough_were_seen() -> None:
    status = MigrationStatus(phase="Shifting", since=BEGIN_S, weight=50, baseline_requests=100, baseline_errors=10)
    migration = _migration().model_copy(update={"status": status})
    few = replace(FAIR, target_load=Load(0, 110, 20))
    many = replace(FAIR, target_load=Load(0, 200, 20))
    fine = replace(FAIR, target_load=Load(0, 200, 11))
    assert plan_migration(migration, few, BEGIN_S) is None
    assert plan_migration(migration, fine, BEGIN_S) is None
    advance = plan_migration(migration, many, BEGIN_S)
    assert advance is not None
    assert advance.status.phase == "RollingBack"
    assert "10 of 100 requests failed at b" in advance.status.message


def test_a_refused_migration_says_why() -> None:
    advance = refuse_migration(_migration(), "another is open already", BEGIN_S)
    assert (advance.status.phase, advance.status.message) == ("Failed", "another is open already")
    assert advance.event == "Warning"


@given(st.floats(30.0, 3000.0), st.lists(st.integers(1, 99), max_size=4), st.booleans())
def test_a_deadline_is_kept(grace_s: float, steps: list[int], paused: bool) -> None:
    """With copies that get ready at once, the source is told to go before the deadline, also out of a pause."""
    migration = _migration((*sorted(set(steps)), 100))
    spec = migration.spec.model_copy(update={"deadline": BEGIN_S + grace_s, "paused": paused})
    busy = replace(FAIR, source_load=Load(in_flight=1))
    _, ended, now = _run(migration.model_copy(update={"spec": spec}), busy, BEGIN_S)
    assert ended.status.phase == "Succeeded"
    assert now <= BEGIN_S + grace_s
    retired = next(entry for entry in ended.status.history if entry.phase == "Retired")
    assert retired.at <= BEGIN_S + grace_s - 1.9


@given(st.sampled_from(["Pending", "Checked", "Prepared", "Shifting", "Drained"]), st.floats(0.0, 1e6))
def test_a_paused_migration_stays_where_it_is(phase: str, waited_s: float) -> None:
    status = MigrationStatus.model_validate({"phase": phase, "since": BEGIN_S, "weight": 50})
    migration = _migration()
    paused = migration.model_copy(update={"status": status, "spec": migration.spec.model_copy(update={"paused": True})})
    assert plan_migration(paused, FAIR, BEGIN_S + waited_s) is None
    assert waits_until(paused, BEGIN_S + waited_s) is None
    assert plan_migration(paused, replace(FAIR, lost_target=True), BEGIN_S + waited_s) is not None


def test_an_update_in_the_last_phase_does_not_undo_the_move() -> None:
    """While the target's copy is replaced by a newer one, none of the present revision is ready for a moment."""
    drained = _migration().model_copy(update={"status": MigrationStatus(phase="Drained", since=BEGIN_S, weight=100)})
    advance = plan_migration(drained, replace(FAIR, target_ready=0, target_serving=3), BEGIN_S + 1.0)
    assert advance is not None
    assert advance.status.phase == "Retired"

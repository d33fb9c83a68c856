"""What time does to copies that have to leave: nothing is granted twice, and nothing is due before it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from federation.model.plan import Violation
from federation.reconcile.overtaken import entry_of, has_expired, is_due, next_moment, plan_overtaken

NOW_S = 1_700_000_000.0
violations = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.builds(
        Violation,
        cause=st.sampled_from(["Policy", "Taint", "Drain"]),
        message=st.just("a rule"),
        delay_s=st.sampled_from([0.0, 30.0]),
        grace_s=st.sampled_from([None, 60.0, 600.0]),
        stop=st.booleans(),
    ),
)


@given(violations, st.lists(st.floats(0.0, 100.0), max_size=6))
def test_looking_again_grants_nothing(found: dict[str, Violation], pauses: list[float]) -> None:
    first = entries = plan_overtaken((), found, NOW_S)
    now = NOW_S
    for pause_s in pauses:
        now += pause_s
        entries = plan_overtaken(entries, found, now)
    assert entries == first
    assert [entry.subcluster for entry in entries] == sorted(found)


@given(violations, violations)
def test_what_may_stay_again_is_forgotten(before: dict[str, Violation], after: dict[str, Violation]) -> None:
    entries = plan_overtaken(plan_overtaken((), before, NOW_S), after, NOW_S + 10.0)
    for name, violation in after.items():
        entry = entry_of(entries, name)
        assert entry is not None
        kept = name in before and before[name].cause == violation.cause
        assert entry.since == (NOW_S if kept else NOW_S + 10.0)
    assert len(entries) == len(after)


@given(violations)
def test_moments_are_when_something_changes(found: dict[str, Violation]) -> None:
    entries, now = plan_overtaken((), found, NOW_S), NOW_S
    seen = []
    while (moment := next_moment(entries, now)) is not None:
        assert moment > now
        before = [(is_due(entry, now), has_expired(entry, now)) for entry in entries]
        now = moment
        assert [(is_due(entry, now), has_expired(entry, now)) for entry in entries] != before
        seen.append(moment)
    assert all(is_due(entry, now) for entry in entries)
    assert all(has_expired(entry, now) == (entry.stop and entry.deadline is not None) for entry in entries)
    assert len(seen) <= 4


def test_a_clock_that_was_set_back_begins_anew() -> None:
    found = {"a": Violation("Policy", "a rule", grace_s=60.0)}
    entries = plan_overtaken(plan_overtaken((), found, NOW_S + 5000.0), found, NOW_S)
    assert entries[0].since == NOW_S
    assert entries[0].deadline == NOW_S + 60.0

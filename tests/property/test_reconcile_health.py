"""When silence counts as loss, and what counts as return."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from federation.reconcile.health import Pulse, answered, failed, judge, next_judgement, reachable

WINDOW_S, RECOVERY_S = 4.0, 2.0
happenings = st.lists(st.tuples(st.sampled_from(["answer", "failure", "time"]), st.floats(0.0, 6.0)), max_size=40)


def _judged(pulse: Pulse, now: float) -> Pulse:
    return judge(pulse, now, window_s=WINDOW_S, recovery_s=RECOVERY_S)


def _live(events: list[tuple[str, float]]) -> list[tuple[float, Pulse]]:
    """The pulse after each happening, judged as the engine judges it: at once."""
    now, pulse = 0.0, Pulse()
    seen = [(now, pulse)]
    for what, pause_s in events:
        now += pause_s
        pulse = _judged(pulse, now)
        seen.append((now, pulse))
        if what == "answer":
            pulse = answered(pulse, now)
        elif what == "failure":
            pulse = failed(pulse)
        pulse = _judged(pulse, now)
        seen.append((now, pulse))
    return seen


@given(happenings)
def test_lost_never_becomes_healthy_at_once(events: list[tuple[str, float]]) -> None:
    lost_at = None
    for now, pulse in _live(events):
        if pulse.health == "Lost":
            lost_at = now
        if pulse.health in ("Healthy", "Silent") and lost_at is not None:
            assert pulse.answering_since is not None
            assert now >= pulse.answering_since + RECOVERY_S
            lost_at = None


@given(happenings)
def test_lost_exactly_after_a_window_of_silence(events: list[tuple[str, float]]) -> None:
    for now, pulse in _live(events):
        silent = now >= (pulse.heard if pulse.heard is not None else pulse.asked_since) + WINDOW_S
        if silent:
            assert pulse.health == "Lost"
        if pulse.health == "Lost" and pulse.heard is not None and not silent:
            # Only a return that was broken off is a loss within the window.
            assert pulse.failing


@given(happenings)
def test_judging_again_at_the_same_time_changes_nothing(events: list[tuple[str, float]]) -> None:
    for now, pulse in _live(events):
        again = _judged(pulse, now)
        assert again == _judged(again, now)


@given(happenings, st.floats(0.0, 20.0))
def test_nothing_changes_before_the_next_judgement(events: list[tuple[str, float]], later_s: float) -> None:
    now, pulse = _live(events)[-1]
    due = next_judgement(pulse, window_s=WINDOW_S, recovery_s=RECOVERY_S)
    if due is None or now + later_s < due:
        assert _judged(pulse, now + later_s).health == pulse.health
    else:
        # What is due is due: judging then does not leave the same moment due again.
        then = _judged(pulse, due)
        assert next_judgement(then, window_s=WINDOW_S, recovery_s=RECOVERY_S) != due


@given(happenings)
def test_only_who_answered_last_time_is_reachable(events: list[tuple[str, float]]) -> None:
    for _, pulse in _live(events):
        assert reachable(pulse) == (pulse.health in ("Healthy", "Returning", "Silent") and not pulse.failing)

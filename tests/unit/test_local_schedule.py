"""When pods are asked, and when they are started again."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from providers.local.agent.schedule import FIRST_RESTART_S, GRID_S, LONGEST_RESTART_S, Backoff, ProbeState
from providers.local.agent.template import Probe

PROBES = st.builds(
    Probe,
    tcp_socket=st.just({"port": 80}),
    initial_delay_seconds=st.integers(0, 30),
    period_seconds=st.integers(1, 30),
    failure_threshold=st.integers(1, 5),
    success_threshold=st.integers(1, 3),
)


def probe(**settings: int) -> Probe:
    return Probe.model_validate({"tcpSocket": {"port": 80}, **settings})


@given(PROBES, st.floats(0, 1e6))
def test_the_first_question_keeps_the_initial_delay(settings: Probe, started: float) -> None:
    state = ProbeState(settings, "readiness", started)
    assert state.next_at(started, None) == started + settings.initial_delay_seconds


@given(PROBES, st.sampled_from(["readiness", "liveness", "startup"]), st.floats(0, 1e6), st.floats(0, 100))
def test_never_in_the_past_and_never_late(settings: Probe, kind: str, started: float, waited: float) -> None:
    state = ProbeState(settings, kind, started)  # type: ignore[arg-type]
    asked = started + waited
    at = state.next_at(asked + 0.001, asked)
    assert asked < at <= asked + settings.period_seconds + GRID_S


def test_before_the_first_success_it_asks_quickly_and_then_rarely() -> None:
    state = ProbeState(probe(periodSeconds=10), "readiness", 100.0)
    asked, times = None, []
    now = 100.0
    while now < 130.0:
        asked = now = state.next_at(now, asked)
        state.record(False, now)
        times.append(now)
    assert times[0] == 100.0
    assert 0.04 < times[1] - times[0] < 0.06
    assert all(later - earlier <= max(0.051, 0.1 * (later - 100.0)) for earlier, later in itertools.pairwise(times))
    assert len(times) < 60
    state.record(True, now)
    assert 9.9 <= state.next_at(now, now) - now <= 10.1


def test_an_initial_delay_means_the_given_period() -> None:
    state = ProbeState(probe(initialDelaySeconds=5, periodSeconds=2), "readiness", 0.0)
    assert 6.9 <= state.next_at(5.0, 5.0) <= 7.1


@given(PROBES, st.lists(st.booleans(), max_size=40))
def test_thresholds_count_in_a_row(settings: Probe, results: list[bool]) -> None:
    state, streak = ProbeState(settings, "liveness", 0.0), 0
    last: bool | None = None
    for result in results:
        streak = streak + 1 if result == last else 1
        last = result
        needed = settings.success_threshold if result else settings.failure_threshold
        assert state.record(result, 1.0) == (result if streak >= needed else None)


def test_startup_has_the_time_that_its_periods_give() -> None:
    state = ProbeState(probe(periodSeconds=2, failureThreshold=3), "startup", 10.0)
    assert [state.record(False, now) for now in (10.0, 10.05, 10.1, 15.9)] == [None] * 4
    assert state.record(False, 16.0) is False


@given(st.lists(st.floats(0, 59), min_size=1, max_size=40))
def test_backoff_doubles_to_its_ceiling(runs: list[float]) -> None:
    backoff = Backoff()
    delays = [backoff.after_run(ran) for ran in runs]
    assert delays[0] == FIRST_RESTART_S
    assert all(later == min(LONGEST_RESTART_S, 2 * earlier) for earlier, later in itertools.pairwise(delays))
    assert backoff.restarts == len(runs)


def test_five_kills_in_a_row_each_come_back_within_a_second() -> None:
    backoff = Backoff()
    assert max(backoff.after_run(2.0) for _ in range(5)) < 1.0


def test_a_healthy_minute_forgives() -> None:
    backoff = Backoff()
    for _ in range(8):
        backoff.after_run(0.1)
    assert backoff.after_run(60.0) == FIRST_RESTART_S

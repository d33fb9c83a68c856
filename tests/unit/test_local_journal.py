"""Watchers of an agent see every state that lasts, and nothing twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from federation.contracts.driver import Observation, WorkloadState
from federation.model.meta import Key
from providers.local.agent import journal as module
from providers.local.agent.journal import Journal

ACTIONS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=60)


def state(name: int, replicas: int) -> WorkloadState:
    return WorkloadState(Key("n", str(name)), "1", replicas, ())


def take(view: dict[Key, WorkloadState], seen: Observation) -> None:
    if seen.complete:
        view.clear()
    view.update({found.key: found for found in seen.workloads})
    for key in seen.gone:
        view.pop(key, None)


@given(ACTIONS, st.sets(st.integers(0, 60)))
def test_following_by_cursor_is_as_good_as_reading_all(actions: list[tuple[int, int]], reads: set[int]) -> None:
    journal = Journal("b")
    view: dict[Key, WorkloadState] = {}
    cursor: str | None = None
    for index, (name, replicas) in enumerate(actions):
        if replicas == 0:
            journal.remove(Key("n", str(name)))
        else:
            journal.publish(state(name, replicas))
        if index in reads:
            seen = journal.read(cursor, 0.0)
            take(view, seen)
            cursor = seen.cursor
            assert view == {found.key: found for found in journal.states()}
    take(view, journal.read(cursor, 0.0))
    assert view == {found.key: found for found in journal.states()}


def test_equal_states_are_no_change() -> None:
    journal = Journal("b")
    journal.publish(state(1, 1))
    cursor = journal.read(None, 0.0).cursor
    journal.publish(state(1, 1))
    assert journal.read(cursor, 0.0).workloads == ()


def test_a_cursor_of_another_life_is_told_everything() -> None:
    journal = Journal("b")
    journal.publish(state(1, 1))
    for cursor in ("a:1", "b:2", "b:", "b:-1", "b", ":1"):
        assert journal.read(cursor, 5.0).complete


def test_a_cursor_older_than_the_forgotten_is_told_everything() -> None:
    journal = Journal("b")
    journal.publish(state(0, 1))
    cursor = journal.read(None, 0.0).cursor
    for name in range(1, module.REMEMBERED_GONE + 3):
        journal.publish(state(name, 1))
        journal.remove(Key("n", str(name)))
    assert journal.read(cursor, 0.0).complete

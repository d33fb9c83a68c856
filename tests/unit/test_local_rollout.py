"""Rolling over: never fewer ready pods than asked for, never two writers, always to the end."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.local.agent.rollout import PodView, has_one_writer, least_ready, plan_pods


@dataclass
class World:
    """Pods that become ready, and go, one event at a time."""

    replicas: int
    one_writer: bool
    capacity: int
    pods: list[PodView]
    min_available: int | None = None
    births: int = 1000

    def step(self) -> bool:
        """Carry out the plan. Returns: whether there was anything to do."""
        steps = plan_pods(
            self.replicas,
            self.pods,
            one_writer=self.one_writer,
            room=max(0, self.capacity - len(self.pods)),
            min_available=self.min_available,
        )
        assert steps.start <= max(0, self.capacity - len(self.pods))
        self.pods = [replace(pod, stopping=True, ready=False) if pod.name in steps.stop else pod for pod in self.pods]
        for _ in range(steps.start):
            self.births += 1
            self.pods.append(PodView(f"p{self.births}", True, False, False, self.births))
        return bool(steps.start or steps.stop)

    def event(self, choice: int) -> bool:
        """One pod goes or becomes ready. Returns: whether anything was left to happen."""
        open_ones = [pod for pod in self.pods if pod.stopping or (pod.current and not pod.ready)]
        if not open_ones:
            return False
        pod = open_ones[choice % len(open_ones)]
        self.pods.remove(pod)
        if not pod.stopping:
            self.pods.append(replace(pod, ready=True))
        return True

    @property
    def ready(self) -> int:
        return sum(pod.ready for pod in self.pods)


def old_pods(count: int, ready: int) -> list[PodView]:
    return [PodView(f"o{i}", False, i < ready, False, i) for i in range(count)]


@settings(max_examples=300)
@given(
    replicas=st.integers(0, 5), old=st.integers(0, 6), ready=st.integers(0, 6), one_writer=st.booleans(),
    spare=st.integers(0, 3), min_available=st.none() | st.integers(0, 6),
    choices=st.lists(st.integers(0, 10), min_size=60, max_size=60),
)  # fmt: skip
def test_every_rollout_ends(
    replicas: int,
    old: int,
    ready: int,
    one_writer: bool,
    spare: int,
    min_available: int | None,
    choices: list[int],
) -> None:
    capacity = max(replicas, old) + spare
    world = World(replicas, one_writer, capacity, old_pods(old, min(ready, old)), min_available)
    floor = min(replicas, world.ready)
    least = least_ready(replicas, min_available)
    for choice in choices:
        world.step()
        assert len(world.pods) <= capacity
        if not one_writer:
            # Without room for one more, one at a time may be missing; never of those that must stay.
            assert world.ready >= (floor if spare else max(floor - 1, min(floor, least)))
        if not world.event(choice):
            break
    while world.step() or world.event(0):
        pass
    stuck_for_room = not one_writer and not spare and old >= replicas and ready >= replicas and least >= replicas
    if stuck_for_room and replicas:
        steps = plan_pods(replicas, world.pods, one_writer=False, room=capacity - len(world.pods), min_available=least)
        assert steps.waiting or [pod.current and pod.ready for pod in world.pods] == [True] * replicas
    else:
        assert [pod.current and pod.ready for pod in world.pods] == [True] * replicas


@given(replicas=st.integers(1, 5), choices=st.lists(st.integers(0, 10), max_size=60))
def test_one_writer_is_never_two(replicas: int, choices: list[int]) -> None:
    world = World(replicas, True, 100, old_pods(replicas, replicas))
    for choice in choices:
        world.step()
        assert len(world.pods) <= replicas
        world.event(choice)


def test_fewer_replicas_lose_the_unready_then_the_newest() -> None:
    pods = [PodView(f"p{i}", True, i != 0, False, i) for i in range(4)]
    assert plan_pods(2, pods, one_writer=False, room=9).stop == ("p0", "p3")


@pytest.mark.parametrize(("min_available", "stops"), [(2, ()), (3, ()), (1, ("o0",)), (0, ("o0",)), (None, ("o0",))])
def test_without_room_an_old_pod_makes_way_only_if_enough_stay(
    min_available: int | None, stops: tuple[str, ...]
) -> None:
    steps = plan_pods(2, old_pods(2, 2), one_writer=False, room=0, min_available=min_available)
    assert (steps.start, steps.stop, steps.waiting) == (0, stops, True)


def test_one_at_a_time_makes_way() -> None:
    coming = PodView("new", True, False, False, 9)
    going = PodView("gone", False, False, True, 8)
    for other in (coming, going):
        assert not plan_pods(3, [*old_pods(2, 2), other], one_writer=False, room=0, min_available=0).stop


def test_no_room_waits() -> None:
    steps = plan_pods(2, [], one_writer=False, room=1)
    assert (steps.start, steps.waiting) == (1, True)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"kind": "StatefulSet", "spec": {}}, True),
        ({"kind": "Deployment", "spec": {"strategy": {"type": "Recreate"}}}, True),
        ({"kind": "Deployment", "spec": {"strategy": {"type": "RollingUpdate"}}}, False),
        ({"kind": "Deployment"}, False),
        ({"kind": "Service", "spec": None}, False),
    ],
)
def test_what_has_one_writer(item: dict[str, object], expected: bool) -> None:
    assert has_one_writer([item]) is expected  # type: ignore[list-item]

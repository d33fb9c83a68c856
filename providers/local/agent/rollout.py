"""Which pods to start and to stop next, so that what runs becomes what was asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True)
class PodView:
    """One pod as a decision sees it. `current`: of the revision asked for. `order` grows with age of birth."""

    name: str
    current: bool
    ready: bool
    stopping: bool
    order: int


@dataclass(frozen=True)
class Steps:
    """How many pods of the asked revision to start now, and which pods to stop now. `waiting`: for room."""

    start: int = 0
    stop: tuple[str, ...] = ()
    waiting: bool = False


def plan_pods(
    replicas: int, pods: Sequence[PodView], *, one_writer: bool, room: int, min_available: int | None = None
) -> Steps:
    """The next steps; call again after each change.

    Args: room, how many more pods fit at the moment; one_writer, an old pod must be gone before a new one starts;
    min_available, how many stay ready while they are replaced (None: all but one, at least one).
    A new revision comes in with one pod more than asked for, and an old pod stops only when a new one is ready. Where
    there is no room for that one pod more, one old pod stops first if enough others are ready, else all wait for room.
    Never stops what is not replaced, except when fewer are asked for; then the unready go first, then the newest."""
    living = [pod for pod in pods if not pod.stopping]
    current = [pod for pod in living if pod.current]
    old = sorted((pod for pod in living if not pod.current), key=lambda pod: (pod.ready, pod.order))
    if one_writer:
        return _plan_writers(replicas, pods, current, old, room)
    missing = replicas - len(current)
    if missing <= 0:
        stop = _excess(current, -missing)
        ready = sum(pod.ready for pod in current if pod.name not in stop)
        return Steps(0, stop + _retired(old, ready, replicas))
    surge = 1 if old else 0
    wanted = max(0, min(missing, replicas + surge - len(living)))
    # An old pod that is not ready serves nobody: it makes way at once.
    retired = _retired(old, sum(pod.ready for pod in current), replicas)
    start = min(wanted, room)
    if not start and not retired and wanted and old and _may_make_way(replicas, pods, min_available):
        retired = (old[0].name,)
    return Steps(start, retired, waiting=start < wanted)


def least_ready(replicas: int, min_available: int | None) -> int:
    """How many of `replicas` stay ready while they are replaced."""
    return max(replicas - 1, min(replicas, 1)) if min_available is None else min(min_available, replicas)


def _may_make_way(replicas: int, pods: Sequence[PodView], min_available: int | None) -> bool:
    """Whether one old pod may stop before there is another in its place: enough others are ready, and nothing else is
    coming or going, so that what is missing is never more than one at a time."""
    settled = all(pod.ready for pod in pods if pod.current) and not any(pod.stopping for pod in pods)
    return settled and sum(pod.ready for pod in pods) > least_ready(replicas, min_available)


def _plan_writers(
    replicas: int, pods: Sequence[PodView], current: list[PodView], old: list[PodView], room: int
) -> Steps:
    if len(current) > replicas:
        return Steps(0, _excess(current, len(current) - replicas) + tuple(pod.name for pod in old))
    if old and len(current) + len(old) > replicas:
        return Steps(0, (old[0].name,))
    # A pod that is still stopping may still write: its place is not free before it is gone.
    wanted = max(0, replicas - len(pods))
    start = min(wanted, room)
    settled = all(pod.ready for pod in current) and len(pods) == len(current) + len(old)
    stop = (old[0].name,) if old and settled and not start else ()
    return Steps(start, stop, waiting=start < wanted)


def _excess(pods: list[PodView], count: int) -> tuple[str, ...]:
    leaving = sorted(pods, key=lambda pod: (pod.ready, -pod.order))
    return tuple(pod.name for pod in leaving[:count])


def _retired(old: list[PodView], ready_current: int, replicas: int) -> tuple[str, ...]:
    """The old pods that may go: the unready, and as many ready ones as others are ready in their place."""
    unready = [pod.name for pod in old if not pod.ready]
    ready = [pod.name for pod in old if pod.ready]
    spare = max(0, ready_current + len(ready) - replicas)
    return tuple(unready + ready[:spare])


def has_one_writer(objects: Sequence[Mapping[str, JsonValue]]) -> bool:
    """Whether old and new pods must never run side by side: a StatefulSet, or a Deployment that says `Recreate`."""
    for item in objects:
        if item.get("kind") == "StatefulSet":
            return True
        spec = item.get("spec")
        strategy = spec.get("strategy") if isinstance(spec, dict) else None
        if item.get("kind") == "Deployment" and isinstance(strategy, dict) and strategy.get("type") == "Recreate":
            return True
    return False

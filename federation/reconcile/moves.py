"""From a plan to what may be done about it: commit at once, or move what runs by a migration, or leave it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from federation.model.migration import Reason
from federation.model.placement import Target
from federation.reconcile.desired import as_targets


@dataclass(frozen=True, slots=True)
class Commit:
    """Write these targets; no running replica moves by it. `reason` is the event's."""

    targets: tuple[Target, ...]
    reason: str = "Scaled"


@dataclass(frozen=True, slots=True)
class Move:
    """Open a migration of so many replicas."""

    source: str
    target: str
    replicas: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Keep:
    """Leave what runs; `why` is for a condition ("" when there is nothing to say)."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class MoveFacts:
    """`lost(subcluster)`: it counts as lost; `leave(subcluster)`: why what runs there has to go now, None when it may
    stay; `full(subcluster)`: it could not take the service now; `unstarted(subcluster)`: how many of the replicas
    that are committed there it refused to start; `rank(subcluster)`: its place in the order of preference, the less the
    better; `stateful`: a single writer whose data lives with it; `automatic`: a cheaper place alone is reason
    enough."""

    lost: Callable[[str], bool]
    leave: Callable[[str], Reason | None]
    full: Callable[[str], bool]
    unstarted: Callable[[str], int]
    rank: Callable[[str], int]
    stateful: bool
    automatic: bool


def plan_change(current: tuple[Target, ...], proposed: tuple[Target, ...], facts: MoveFacts) -> Commit | Move | Keep:
    """What to do when the plan says `proposed` and `current` is committed.

    An empty proposal never empties a placement. Growing and shrinking are commits, and so is another place for
    replicas that could not be started; replicas that run and would run elsewhere are moved, one sub-cluster pair at a
    time: lost ones first, then those that have to leave, then towards what is preferred, then cheaper ones, by name.
    More replicas are added before anything moves for preference or cost."""
    now = {target.subcluster: target.replicas for target in current}
    then = {target.subcluster: target.replicas for target in proposed}
    if not then or now == then:
        return Keep()
    losers = sorted((name for name in now if now[name] > then.get(name, 0)), key=lambda n: _urgency(n, facts))
    gainers = sorted((name for name in then if then[name] > now.get(name, 0)), key=lambda n: (facts.rank(n), n))
    if not losers or not gainers:
        # A single writer grows where its data is, also after it was scaled to zero there.
        apart = facts.stateful and bool(now) and not then.keys() <= now.keys()
        return _growth(now, then, facts) if apart else Commit(as_targets(then))
    source, target = losers[0], gainers[0]
    replicas = min(now[source] - then.get(source, 0), then[target] - now.get(target, 0))
    refused = next((name for name in losers if _movable(name, now, facts)), None)
    if refused is not None:
        room = min(now[refused] - then.get(refused, 0), then[target] - now.get(target, 0))
        replicas = min(room, _movable(refused, now, facts))
        moved = {**now, refused: now[refused] - replicas, target: now.get(target, 0) + replicas}
        return Commit(as_targets({name: count for name, count in moved.items() if count}))
    if facts.lost(source):
        if facts.stateful:
            return Keep(f"{source} is lost and holds the only copy of its data; a person has to decide")
        return Move(source, target, replicas, "Failover")
    leave = facts.leave(source)
    if leave is not None:
        if facts.stateful:
            return Keep(cannot_move(source, leave))
        return Move(source, target, replicas, leave)
    missing = sum(then.values()) - sum(now.values())
    if facts.stateful or missing > 0:
        return _growth(now, then, facts)
    if facts.rank(target) < facts.rank(source):
        return Move(source, target, replicas, "Preference")
    return Move(source, target, replicas, "Cost") if facts.automatic else _growth(now, then, facts)


def cannot_move(source: str, cause: str) -> str:
    """What is said of a single writer that has to leave its place."""
    return f"has to leave {source} ({cause.lower()}), and moving its data is not possible in this release"


def _movable(name: str, now: Mapping[str, int], facts: MoveFacts) -> int:
    """How many replicas can be committed elsewhere since they never ran; a single writer's only all together."""
    unstarted = min(facts.unstarted(name), now[name])
    return 0 if facts.stateful and unstarted < now[name] else unstarted


def _urgency(name: str, facts: MoveFacts) -> tuple[int, int, str]:
    if facts.lost(name):
        return 0, 0, name
    return (1 if facts.leave(name) else 2), -facts.rank(name), name


def _growth(now: Mapping[str, int], then: Mapping[str, int], facts: MoveFacts) -> Commit | Keep:
    """What a new number of replicas asks for while nothing may move: grow or shrink where it runs; where that is full
    and the data allows it, grow where the plan would have it."""
    missing = sum(then.values()) - sum(now.values())
    if missing == 0:
        return Keep()
    resized = dict(now)
    if missing > 0:
        roomy = [name for name in now if facts.stateful or not facts.full(name)]
        if not roomy:
            return Commit(as_targets(_spill(now, then, missing)))
        for _ in range(missing):
            name = min(roomy, key=lambda n: (resized[n], n))
            resized[name] += 1
    for _ in range(-missing):
        name = max(resized, key=lambda n: (resized[n], n))
        resized[name] -= 1
    return Commit(as_targets({name: count for name, count in resized.items() if count > 0}))


def _spill(now: Mapping[str, int], then: Mapping[str, int], missing: int) -> dict[str, int]:
    """`missing` more replicas than `now`, in the places that gain replicas by the plan, in the order of names."""
    resized = dict(now)
    for name in sorted(then):
        added = min(missing, max(then[name] - now.get(name, 0), 0))
        if added:
            resized[name] = now.get(name, 0) + added
            missing -= added
    return resized


def resize_pinned(current: tuple[Target, ...], pin: str, replicas: int) -> tuple[Target, ...]:
    """The targets of a service that a person pinned to `pin`, with another number of `replicas` (> 0): the pinned place
    grows; the others shrink first, the largest of them before the smaller ones."""
    counts = {target.subcluster: target.replicas for target in current}
    surplus = sum(counts.values()) - replicas
    if surplus <= 0:
        counts[pin] -= surplus
    for name in [*sorted(counts.keys() - {pin}, key=lambda n: (-counts[n], n)), pin]:
        taken = min(max(surplus, 0), counts[name])
        counts[name] -= taken
        surplus -= taken
    return as_targets({name: count for name, count in counts.items() if count > 0})

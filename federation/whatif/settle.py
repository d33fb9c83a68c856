"""What the controller would make of a state, round by round, until nothing changes any more.

Each round asks the judgement that the controller asks: freely first, then with those held that may not move now; what
follows for each service is taken as done. Time passes only as far as a rule's grace or a toleration's seconds call for
it. Waves (how many leave at a time) and the time that a move takes are left out: they change when, not whether."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from federation.contracts.driver import Capabilities
from federation.contracts.store import Change as Stored
from federation.engine.cache import Cache
from federation.engine.changing import change_of
from federation.engine.judging import Situation
from federation.engine.situation import Judged, Surroundings, overtaken
from federation.engine.snapshot import LinkSnapshot
from federation.errors import InvalidInput, InvalidInputs
from federation.model.meta import Key, Metadata
from federation.model.microservice import Microservice
from federation.model.placement import Overtaken, Placement, PlacementSpec, Target, counts_of
from federation.model.plan import PlannedService
from federation.model.subcluster import SubCluster
from federation.planner.decide import Judgement
from federation.reconcile.desired import as_targets
from federation.reconcile.health import Pulse
from federation.reconcile.moves import Commit, Keep, Move, cannot_move
from federation.reconcile.overtaken import entry_of, is_due, next_moment
from federation.whatif.state import State

ROUNDS = 60
"""After so many rounds a state counts as one that does not settle: two or three are the rule, one for each stretch of
time that passes."""


@dataclass(frozen=True)
class Planner:
    """`judge`: what the plug-ins make of a situation; `runs_images`: whether a sub-cluster runs container images."""

    judge: Callable[[Situation], Judgement]
    runs_images: Callable[[SubCluster], bool]


@dataclass(frozen=True)
class Cause:
    """Why something was done with a service: the controller's reason, and a sentence."""

    reason: str
    why: str


@dataclass(frozen=True)
class Settled:
    """A state in which the controller has nothing left to do. `judged` is its last judgement; `judgement` the same with
    everybody who can't go where they should held where they are, so that its plan is what runs and costs;
    `wish`: where all would be if they could be moved at will;
    `kept`: what keeps a service from going; `causes`: what was done on the way here. `ended`: False when there was no
    end to it."""

    state: State
    judged: Judgement
    judgement: Judgement
    wish: Judgement
    kept: Mapping[Key, str]
    causes: Mapping[Key, tuple[Cause, ...]]
    ended: bool = True

    @property
    def total_usd_per_hour(self) -> float:
        """What all that runs costs."""
        return self.judgement.plan.total_usd_per_hour


def settle(state: State, planner: Planner) -> Settled:
    """What becomes of `state`. Deterministic; the order of the input is no matter.

    Raises: InvalidInputs for policies that contradict each other or that no engine understands."""
    causes: dict[Key, list[Cause]] = {}
    for _ in range(ROUNDS):
        surroundings, judged = _judge(state, planner)
        followed = _Round(state, judged, surroundings, causes).follow()
        moment = None
        if followed.placements == state.placements:
            moment = _next_moment(followed.placements.values(), state.now)
            if moment is None:
                return _settled(followed, judged, surroundings, planner, causes)
        state = followed if moment is None else replace(followed, now=moment)
    surroundings, judged = _judge(state, planner)
    return replace(_settled(state, judged, surroundings, planner, causes), ended=False)


def _judge(state: State, planner: Planner) -> tuple[Surroundings, Judged]:
    cache = Cache()
    for resource in state.resources():
        cache.apply(Stored("Added", resource, 1))
    links = {name: _link(each, planner) for name, each in state.subclusters.items()}

    def judgement(situation: Situation) -> Judgement:
        found = planner.judge(situation)
        if found.request.conflicts:
            raise _conflicts(found.request.conflicts)
        return found

    returning = max(len(state.services), 1)
    surroundings = Surroundings(cache, _Moment(state.now), links, judgement, returning)
    return surroundings, surroundings.judge(replace(surroundings.now(), jurisdictions=state.jurisdictions))


def _conflicts(found: Mapping[Key, tuple[str, ...]]) -> InvalidInputs:
    lines = sorted({f"{key}: {message}" for key, messages in found.items() for message in messages})
    return InvalidInputs(tuple(InvalidInput(line) for line in lines))


@dataclass(frozen=True)
class _Moment:
    """A clock that stands."""

    at: float

    def now(self) -> float:
        return self.at


def _link(subcluster: SubCluster, planner: Planner) -> LinkSnapshot:
    """The sub-cluster as a link would tell of it."""
    status = subcluster.status
    images = planner.runs_images(subcluster) if status.runs_images is None else status.runs_images
    return LinkSnapshot(
        subcluster=subcluster,
        pulse=Pulse(health=status.health),
        offers=status.offers,
        capabilities=Capabilities(runs_images=images),
        answering=status.health == "Healthy",
        workloads={},
        refused=frozenset(),
    )


@dataclass
class _Round:
    """What follows from one judgement for each service, all taken as done."""

    state: State
    judged: Judged
    surroundings: Surroundings
    causes: dict[Key, list[Cause]]
    placements: dict[Key, Placement] = field(default_factory=dict)

    def follow(self) -> State:
        self.placements = dict(self.state.placements)
        for planned in self.judged.verdict.plan.placements:
            self._one(planned)
        return replace(self.state, placements=self.placements)

    def _one(self, planned: PlannedService) -> None:
        key = Key(planned.namespace, planned.service)
        service, placement = self.state.services[key], self.state.placements.get(key)
        if placement is None:
            if planned.targets:
                self._note(key, "Placed", planned.reasons[0] if planned.reasons else "")
                self.placements[key] = _first(service, planned)
            return
        if key in self.judged.situation.moving:
            return
        entries = overtaken(placement, self.judged.verdict, self.state.now)
        status = placement.status.model_copy(update={"overtaken": entries})
        placement = placement.model_copy(update={"status": status})
        change = change_of(service, placement, planned, self.judged.verdict, self.judged.situation, self.surroundings)
        if isinstance(change, Commit) and change.targets != placement.spec.targets:
            placement = self._commit(key, placement, change, entries)
        elif isinstance(change, Move):
            placement = self._move(key, placement, change, planned, entries)
        self.placements[key] = placement

    def _commit(self, key: Key, placement: Placement, change: Commit, entries: tuple[Overtaken, ...]) -> Placement:
        stopped = change.reason == "Stopped"
        before, after = (sum(t.replicas for t in targets) for targets in (placement.spec.targets, change.targets))
        why = "; ".join(entry.message for entry in entries) if stopped else f"{after} replicas instead of {before}"
        self._note(key, change.reason, why if stopped or before != after else "")
        update = {"targets": change.targets, "stopped": stopped and not after}
        return placement.model_copy(update={"spec": placement.spec.model_copy(update=update)})

    def _move(
        self, key: Key, placement: Placement, move: Move, planned: PlannedService, entries: tuple[Overtaken, ...]
    ) -> Placement:
        entry = entry_of(entries, move.source)
        if move.reason == "Failover":
            why = f"{move.source} is lost"
        elif move.reason in ("Preference", "Cost"):
            why = planned.reasons[0] if planned.reasons else ""
        else:
            why = f"{move.source}: {entry.message}" if entry is not None else ""
        self._note(key, move.reason, why)
        counts = {target.subcluster: target.replicas for target in placement.spec.targets}
        counts[move.source] -= move.replicas
        counts[move.target] = counts.get(move.target, 0) + move.replicas
        targets = as_targets({name: count for name, count in counts.items() if count})
        spec = placement.spec.model_copy(update={"targets": targets, "pinned": None})
        return placement.model_copy(update={"spec": spec})

    def _note(self, key: Key, reason: str, why: str) -> None:
        found = self.causes.setdefault(key, [])
        if Cause(reason, why) not in found:
            found.append(Cause(reason, why))


def _first(service: Microservice, planned: PlannedService) -> Placement:
    metadata = Metadata(
        name=service.metadata.name, namespace=service.metadata.namespace, labels=service.metadata.labels
    )
    return Placement(metadata=metadata, spec=PlacementSpec(targets=planned.targets))


def _next_moment(placements: Iterable[Placement], now: float) -> float | None:
    """When time alone changes something next; None for never."""
    found = (next_moment(placement.status.overtaken, now) for placement in placements)
    return min((moment for moment in found if moment is not None), default=None)


def _settled(
    state: State,
    judged: Judged,
    surroundings: Surroundings,
    planner: Planner,
    causes: Mapping[Key, list[Cause]],
) -> Settled:
    kept: dict[Key, str] = {}
    verdict = cast("Judgement", judged.verdict)
    stuck = _elsewhere(state, verdict, {})
    for planned in verdict.plan.placements:
        key = Key(planned.namespace, planned.service)
        placement = state.placements.get(key)
        if placement is not None and (key in stuck or placement.status.overtaken):
            kept[key] = _keeps(state.services[key], placement, planned, judged, surroundings)
    judgement, held = verdict, dict(judged.situation.fixed)
    while stuck:
        held |= stuck
        judgement = planner.judge(replace(judged.situation, fixed=held))
        stuck = _elsewhere(state, judgement, held)
    frozen = {key: tuple(found) for key, found in causes.items()}
    return Settled(state, verdict, judgement, cast("Judgement", judged.wish), kept, frozen)


def _elsewhere(state: State, judgement: Judgement, held: Mapping[Key, object]) -> dict[Key, tuple[Target, ...]]:
    """Who runs elsewhere than the plan says and is not held there: it can't go, and counts where it is. What is
    lost with all its places does not run, unless its data waits there."""
    found = {}
    for planned in judgement.plan.placements:
        key = Key(planned.namespace, planned.service)
        placement = state.placements.get(key)
        if placement is None or key in held or counts_of(placement.spec.targets) in ({}, counts_of(planned.targets)):
            continue
        gone = all(state.is_lost(target.subcluster) for target in placement.spec.targets)
        if state.services[key].spec.bound or not gone:
            found[key] = placement.spec.targets
    return found


def _keeps(
    service: Microservice,
    placement: Placement,
    planned: PlannedService,
    judged: Judged,
    surroundings: Surroundings,
) -> str:
    """What keeps a service from what the plan would have it do."""
    change = change_of(service, placement, planned, judged.verdict, judged.situation, surroundings)
    if isinstance(change, Keep) and change.why:
        return change.why
    due = [entry for entry in placement.status.overtaken if is_due(entry, judged.situation.now)]
    if service.spec.bound and due:
        return "; ".join(cannot_move(entry.subcluster, entry.cause) for entry in due)
    return " ".join(planned.reasons)

"""Which copies of one microservice to apply or delete, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from federation.contracts.driver import WorkloadState


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do in one sub-cluster. `replicas` is for Apply. `why` is the event's reason."""

    verb: Literal["Apply", "Delete"]
    subcluster: str
    replicas: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """`wanted`: replicas by sub-cluster; `revisions`: the workload's revision by sub-cluster; `observed`: what runs, by
    sub-cluster that answers; `allowed`: where nothing forbids a new replica; `retirable`: whether copies that are not
    wanted any more may go now (no gateway sends them anything, and enough others serve); `uncertain`: a place where it
    is wanted is being changed, or silent, so that it is not known whether it is well; `first`: which place gets a new
    revision before the others ("" for the first by name)."""

    wanted: Mapping[str, int]
    revisions: Mapping[str, str]
    observed: Mapping[str, WorkloadState | None]
    allowed: frozenset[str]
    retirable: bool
    uncertain: bool = False
    first: str = ""


def plan_delivery(facts: DeliveryFacts) -> tuple[Step, ...]:
    """The steps, ordered by sub-cluster; none when what runs is what is wanted.

    A sub-cluster that does not answer gets no step. Where a rule forbids new replicas, what runs is left as it is
    (it may be scaled down), and nothing is started. Nothing is deleted unless `retirable`. A new revision goes to one
    place after the other: to the next once the one before has all its replicas ready with it, so that one which does
    not work stops at the first."""
    steps = []
    changed = _to_change(facts)
    for subcluster, state in sorted(facts.observed.items()):
        wanted = facts.wanted.get(subcluster, 0)
        if wanted == 0:
            if state is not None and facts.retirable:
                steps.append(Step("Delete", subcluster, why="Superseded"))
            continue
        if state is None:
            if subcluster in facts.allowed:
                steps.append(Step("Apply", subcluster, wanted, "Missing"))
        elif state.revision != facts.revisions[subcluster]:
            if subcluster in changed:
                steps.append(Step("Apply", subcluster, wanted, "Changed"))
        elif state.replicas != wanted and (subcluster in facts.allowed or wanted < state.replicas):
            steps.append(Step("Apply", subcluster, wanted, "Scaled"))
    return tuple(steps)


def _to_change(facts: DeliveryFacts) -> frozenset[str]:
    """The places that get the new revision now: those where nothing is ready, as nothing can be lost there, and else
    one, unless another one is not through with it."""
    running = {name: state for name, state in facts.observed.items() if state is not None and facts.wanted.get(name)}
    behind = {name for name, state in running.items() if state.revision != facts.revisions[name]}
    candidates = behind & facts.allowed
    idle = frozenset(name for name in candidates if not ready_replicas(running[name]))
    ill = {name for name, state in running.items() if not is_through(state, facts.wanted[name])}
    if facts.uncertain or idle or ill - behind:
        return idle
    # Where the last revision did not work, the next one is tried first.
    return frozenset(sorted(candidates, key=lambda name: (name not in ill, name != facts.first, name))[:1])


def is_through(state: WorkloadState, replicas: int) -> bool:
    """Whether that many replicas are ready with the revision that was last asked for, and none of another is left that
    is not on its way out; or a Job has completed."""
    staying = [pod for pod in state.pods if pod.phase != "Terminating"]
    ready = sum(pod.ready and pod.revision == state.revision for pod in staying)
    old = any(pod.revision != state.revision for pod in staying)
    return (ready >= replicas and not old) or state.outcome == "Complete"


def ready_replicas(state: WorkloadState | None) -> int:
    """How many pods of a workload are ready."""
    return sum(pod.ready for pod in state.pods) if state is not None else 0

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
    wanted any more may go now (no gateway sends them anything, and enough others serve)."""

    wanted: Mapping[str, int]
    revisions: Mapping[str, str]
    observed: Mapping[str, WorkloadState | None]
    allowed: frozenset[str]
    retirable: bool


def plan_delivery(facts: DeliveryFacts) -> tuple[Step, ...]:
    """The steps, ordered by sub-cluster; none when what runs is what is wanted.

    A sub-cluster that does not answer gets no step. Where a rule forbids new replicas, what runs is left as it is
    (it may be scaled down), and nothing is started. Nothing is deleted unless `retirable`."""
    steps = []
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
            if subcluster in facts.allowed:
                steps.append(Step("Apply", subcluster, wanted, "Changed"))
        elif state.replicas != wanted and (subcluster in facts.allowed or wanted < state.replicas):
            steps.append(Step("Apply", subcluster, wanted, "Scaled"))
    return tuple(steps)


def ready_replicas(state: WorkloadState | None) -> int:
    """How many pods of a workload are ready."""
    return sum(pod.ready for pod in state.pods) if state is not None else 0

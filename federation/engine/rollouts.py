"""The rollout of one microservice as the engine sees it: facts from links and records, for `reconcile.rollout`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from federation.contracts.driver import Workload
from federation.engine.links import SubClusterLink
from federation.model.meta import Condition, with_condition
from federation.model.microservice import Microservice
from federation.model.placement import Placement, PlacementStatus
from federation.reconcile.rollout import RolloutFacts, due_at, job_conditions, judge_rollout, progress

JOB_ENDED = ("Complete", "Failed")


class Builder(Protocol):
    """Makes workloads from microservices (see `federation.engine.addressing`)."""

    def build(self, service: Microservice, link: SubClusterLink, replicas: int) -> Workload:
        """The workload as that sub-cluster shall run it."""
        ...


def rollout_facts(
    service: Microservice, placement: Placement, links: Mapping[str, SubClusterLink], builder: Builder
) -> RolloutFacts:
    """What is known of the rollout of `service` where it is committed to run."""
    key = service.key
    wanted = {target.subcluster: target.replicas for target in placement.spec.targets if target.replicas}
    known = {name: links[name] for name in wanted if name in links}
    return RolloutFacts(
        wanted=wanted,
        revisions={name: builder.build(service, link, wanted[name]).revision for name, link in known.items()},
        states={name: link.workloads[key] for name, link in known.items() if key in link.workloads},
        failures={name: link.failure_of(key) for name, link in known.items() if link.failure_of(key)},
    )


def updated_replicas(facts: RolloutFacts, subcluster: str) -> int:
    """How many pods there are ready with the present template."""
    state, revision = facts.states.get(subcluster), facts.revisions.get(subcluster)
    return sum(pod.ready and pod.revision == revision for pod in state.pods) if state is not None else 0


def with_rollout(service: Microservice, status: PlacementStatus, facts: RolloutFacts, now: float) -> PlacementStatus:
    """`status` with the rollout and its conditions as they are now."""
    rollout = judge_rollout(status.rollout, service, facts, now)
    conditions = with_condition(status.conditions, progress(service, rollout, facts, now))
    if is_job(service):
        for state in facts.states.values():
            for condition in job_conditions(state, now):
                conditions = with_condition(conditions, condition)
    return status.model_copy(update={"rollout": rollout, "conditions": conditions})


def look_again_at(service: Microservice, placement: Placement, now: float) -> float | None:
    """When the rollout of `service` has taken too long (seconds since 1970, after `now`); None for never."""
    rollout = placement.status.rollout
    late = due_at(service, rollout) if rollout is not None else None
    return late if late is not None and late > now else None


def is_job(service: Microservice) -> bool:
    """Whether it runs to an end."""
    return service.spec.workload == "Job"


def job_ended(service: Microservice, placement: Placement | None) -> Condition | None:
    """How a Job ended: it is then not started anywhere again; None for what has not, and for all else."""
    if placement is None or not is_job(service):
        return None
    return next(
        (each for each in placement.status.conditions if each.type in JOB_ENDED and each.status == "True"), None
    )

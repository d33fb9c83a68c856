"""How far a new template has come, and when to say that it does not come further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from federation.contracts.driver import PodState, WorkloadState
from federation.model.meta import Condition
from federation.model.microservice import Microservice
from federation.model.placement import Rollout

PROGRESS_DEADLINE_S = 120.0
"""How long a rollout may take for its next step, unless the Deployment states `progressDeadlineSeconds`."""


@dataclass(frozen=True, slots=True)
class RolloutFacts:
    """What a rollout is judged by, by sub-cluster. `wanted`: replicas; `revisions`: which one the present template has
    there, `states`: what runs there, both where known; `failures`: why the last step there failed."""

    wanted: Mapping[str, int]
    revisions: Mapping[str, str]
    states: Mapping[str, WorkloadState]
    failures: Mapping[str, str]


def judge_rollout(old: Rollout | None, service: Microservice, facts: RolloutFacts, now: float) -> Rollout:
    """Where the rollout of the template of `service` is, `old` being what was last said of it. `now`: seconds since
    1970. Once it was done it stays done for that generation, whatever pods come and go later."""
    updated, outdated = _pods(facts)
    ready = sum(pod.ready for pod in updated)
    replicas = sum(facts.wanted.values())
    completed = any(state.outcome == "Complete" for state in facts.states.values())
    complete = completed or (ready >= replicas and not outdated and sum(facts.wanted.values()) >= service.spec.replicas)
    generation = service.metadata.generation
    same = old is not None and old.generation == generation
    found = Rollout(
        generation=generation,
        replicas=replicas,
        updated=len(updated),
        ready=ready,
        old=len(outdated),
        done=complete or (old is not None and same and old.done),
    )
    if old is not None and found.model_copy(update={"since": old.since}) == old:
        return old
    return found.model_copy(update={"since": now})


def due_at(service: Microservice, rollout: Rollout) -> float | None:
    """When it has taken too long, if nothing happens before (seconds since 1970); None when it is done."""
    return None if rollout.done else rollout.since + deadline_s(service)


def deadline_s(service: Microservice) -> float:
    """How long a rollout of `service` may take for its next step."""
    for item in service.spec.objects:
        spec = item.get("spec") if item.get("kind") == "Deployment" else None
        stated = spec.get("progressDeadlineSeconds") if isinstance(spec, dict) else None
        if isinstance(stated, int) and stated > 0:
            return float(stated)
    return PROGRESS_DEADLINE_S


def progress(service: Microservice, rollout: Rollout, facts: RolloutFacts, now: float) -> Condition:
    """The condition `Progressing`: True while it comes further and when it is done, else False with the reason."""
    if rollout.done:
        return _condition("True", "Complete", "", now)
    text = f"{rollout.ready} of {rollout.replicas} ready with the new template"
    text += f", {rollout.old} with an older one" if rollout.old else ""
    why = _trouble(facts)
    text += f"; {why}" if why else ""
    late = due_at(service, rollout)
    if late is not None and now >= late:
        limit = f"no progress for {deadline_s(service):g} s"
        return _condition("False", "ProgressDeadlineExceeded", f"{limit}: {text}", now)
    return _condition("True", "RollingOut", text, now)


def job_conditions(state: WorkloadState | None, now: float) -> tuple[Condition, ...]:
    """How a Job ended, as Kubernetes says it: `Complete` or `Failed`; and whether it does what it is there for."""
    if state is None:
        return ()
    if not state.outcome:
        runs = any(pod.phase == "Running" for pod in state.pods)
        reason = "Running" if runs else "Starting"
        return (_available("True" if runs else "False", reason, state.message, now),)
    reason = state.message.partition(" ")[0].rstrip(":") if state.outcome == "Failed" else "Completed"
    ended = Condition(type=state.outcome, status="True", reason=reason, message=state.message, last_transition_time=now)
    return ended, _available("True" if state.outcome == "Complete" else "False", state.outcome, "", now)


def _available(status: Literal["True", "False"], reason: str, message: str, now: float) -> Condition:
    return Condition(type="Available", status=status, reason=reason, message=message, last_transition_time=now)


def _condition(status: Literal["True", "False"], reason: str, message: str, now: float) -> Condition:
    return Condition(type="Progressing", status=status, reason=reason, message=message, last_transition_time=now)


def _pods(facts: RolloutFacts) -> tuple[list[PodState], list[PodState]]:
    """Pods of the present template and of others, without those on their way out, where pods are wanted."""
    updated: list[PodState] = []
    outdated: list[PodState] = []
    for name, state in facts.states.items():
        if name in facts.wanted:
            revision = facts.revisions.get(name)
            for pod in state.pods:
                if pod.phase != "Terminating":
                    (updated if pod.revision == revision else outdated).append(pod)
    return updated, outdated


def _trouble(facts: RolloutFacts) -> str:
    """What stands in the way, by sub-cluster: a step that failed, something to wait for, or a pod that is not well."""
    found = []
    for name in sorted(facts.wanted):
        state = facts.states.get(name)
        pods = state.pods if state is not None else ()
        new = [pod for pod in pods if pod.revision == facts.revisions.get(name) and not pod.ready]
        ill = next((pod for pod in new if pod.message and pod.phase != "Terminating"), None)
        why = facts.failures.get(name, "")
        if not why and ill is not None:
            # Without when the next start is due: that is another text each time.
            message = ill.message.partition(";")[0]
            why = f"pod {ill.name}: {ill.reason}: {message}" if ill.reason else f"pod {ill.name}: {message}"
        elif not why and state is not None and state.waiting:
            why = state.message
        if why:
            found.append(f"{name}: {why}")
    return "; ".join(found)

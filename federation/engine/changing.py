"""What a judged plan asks to be done about one service now: commit targets, open a move, or leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from federation.model.migration import Reason
from federation.model.placement import Overtaken, Placement, Target
from federation.model.policy import migration_rules
from federation.reconcile.desired import as_targets
from federation.reconcile.moves import Commit, Keep, Move, MoveFacts, plan_change
from federation.reconcile.overtaken import entry_of, has_expired, is_due

if TYPE_CHECKING:
    from federation.engine.judging import Situation, Verdict
    from federation.engine.situation import Surroundings
    from federation.model.microservice import Microservice
    from federation.model.plan import PlannedService


def change_of(
    service: Microservice,
    placement: Placement,
    planned: PlannedService,
    verdict: Verdict,
    situation: Situation,
    surroundings: Surroundings,
) -> Commit | Move | Keep | None:
    """What follows for a service that has a placement; None when nothing does, and nothing is to be said of it.

    Args: placement, with the copies that may not stay in its status; planned, what `verdict` has it do."""
    key, entries = service.key, placement.status.overtaken
    if service.spec.replicas == 0:
        return Commit(planned.targets) if placement.spec.targets != planned.targets else None
    expired = {entry.subcluster for entry in entries if has_expired(entry, situation.now)}
    if expired:
        # What keeps data keeps its place, too: nobody else has it.
        left = {t.subcluster: 0 if t.subcluster in expired else t.replicas for t in placement.spec.targets}
        kept = {name: count for name, count in left.items() if count or service.spec.stateful}
        return Commit(as_targets(kept), "Stopped")
    if placement.spec.stopped and service.spec.stateful:
        homes = [target.subcluster for target in placement.spec.targets]
        if not homes or any(verdict.forbidden(key, name) for name in homes):
            return None
        return Commit((Target(subcluster=homes[0], replicas=service.spec.replicas),))
    facts = MoveFacts(
        lost=surroundings.is_lost,
        leave=lambda subcluster: _leave(entry_of(entries, subcluster), situation.now),
        rank=lambda subcluster: verdict.rank(key, subcluster),
        full=lambda subcluster: bool(verdict.objection(key, subcluster)),
        unstarted=lambda subcluster: surroundings.unstarted(placement, subcluster),
        stateful=service.spec.bound,
        automatic=migration_rules(service, situation.policies).mode == "automatic",
    )
    return plan_change(placement.spec.targets, planned.targets, facts)


def _leave(entry: Overtaken | None, now: float) -> Reason | None:
    """Why a copy has to leave now, as the reason of its move."""
    if entry is None or not is_due(entry, now):
        return None
    return entry.cause

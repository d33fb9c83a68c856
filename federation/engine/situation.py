"""Makes situations of what is stored and seen, and has them judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from federation.contracts.driver import Capabilities, WorkloadState
from federation.engine.cache import Cache
from federation.engine.holding import PREFERENCE_PARALLEL, Holding
from federation.engine.judging import Judgement, Situation, Verdict
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.offers import Offer, remembered
from federation.model.placement import Overtaken, Placement, Target
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import SubCluster
from federation.reconcile.desired import COPYING
from federation.reconcile.health import Pulse
from federation.reconcile.moves import resize_pinned
from federation.reconcile.overtaken import is_due, plan_overtaken


def overtaken(placement: Placement, verdict: Verdict, now: float) -> tuple[Overtaken, ...]:
    """Which committed copies may not stay, by what the verdict says and since when the placement's status says so."""
    violations = {}
    for target in placement.spec.targets:
        violation = verdict.violation(placement.key, target.subcluster) if target.replicas else None
        if violation is not None:
            violations[target.subcluster] = violation
    if not violations and not placement.status.overtaken:
        return ()
    return plan_overtaken(placement.status.overtaken, violations, now)


@dataclass(frozen=True)
class Judged:
    """`wish`: what would be best if everything could be moved; `verdict`: what is to be done in `situation`, in which
    those are held that are not due to move; `wake`: when somebody will have rested long enough to go back to a
    preferred place (seconds since 1970)."""

    wish: Verdict
    verdict: Verdict
    situation: Situation
    wake: float | None = None


class Clock(Protocol):
    """Part of a `Runtime`."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...


class Link(Protocol):
    """What decisions ask of a link to a sub-cluster (see `federation.engine.links`)."""

    @property
    def subcluster(self) -> SubCluster:
        """Its record."""
        ...

    @property
    def pulse(self) -> Pulse:
        """Its signs of life."""
        ...

    @property
    def offers(self) -> tuple[Offer, ...] | None:
        """What it offers; None while unknown."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def answering(self) -> bool:
        """Whether what it last said still counts."""
        ...

    @property
    def workloads(self) -> Mapping[Key, WorkloadState]:
        """What runs there."""
        ...

    def refuses(self, key: Key) -> bool:
        """Whether the last step for `key` was refused."""
        ...


@dataclass
class Surroundings:
    """Makes situations of what is stored and seen, and has them judged. `returning`: how many services go back to a
    preferred place at a time."""

    cache: Cache
    clock: Clock
    links: Mapping[str, Link]
    judgement: Judgement
    returning: int = PREFERENCE_PARALLEL

    def judge(self, situation: Situation) -> Judged:
        """Judge freely first, then with those held that may not move now."""
        wish = self.judgement(situation)
        released = {key for key in situation.fixed if self._is_denied_pin(key, wish, situation.now)}
        if released:
            kept = {key: targets for key, targets in situation.fixed.items() if key not in released}
            situation = replace(situation, fixed=kept)
            wish = self.judgement(situation)
        held, wake = Holding(self.cache, self.unstarted, self.returning).held(situation, wish)
        if all(held.get(Key(p.namespace, p.service), p.targets) == p.targets for p in wish.plan.placements):
            return Judged(wish, wish, situation, wake)
        situation = replace(situation, fixed={**situation.fixed, **held})
        return Judged(wish, self.judgement(situation), situation, wake)

    def _is_denied_pin(self, key: Key, verdict: Verdict, now: float) -> bool:
        """Whether a rule has overtaken a person's choice of place."""
        placement = self.cache.placement(key)
        if placement is None or self.cache.open_migration(key) is not None:
            return False
        return any(is_due(entry, now) for entry in overtaken(placement, verdict, now))

    def now(self, only: Collection[Key] | None = None) -> Situation:
        """The situation of this moment; with `only`, as if these were all services."""
        placements = self.cache.of(Placement)
        policies: list[Policy] = [policy for _, policy in sorted(self.cache.of(ClusterPlacementPolicy).items())]
        policies += [policy for _, policy in sorted(self.cache.of(PlacementPolicy).items())]
        known = self.cache.of(Microservice)
        services = tuple(known[key] for key in sorted(known if only is None else only))
        fixed = {}
        for service in services:
            kept = self._fixed(service, placements.get(service.key))
            if kept is not None:
                fixed[service.key] = kept
        return Situation(
            subclusters=tuple(self._live(record) for _, record in sorted(self.cache.of(SubCluster).items())),
            services=services,
            policies=tuple(policies),
            placements=placements,
            migrations=tuple(m for m in self.cache.of(Migration).values() if m.status.phase in COPYING),
            fixed=fixed,
            now=self.clock.now(),
            moving=frozenset(s.key for s in services if self.cache.open_migration(s.key) is not None),
        )

    def is_lost(self, subcluster: str) -> bool:
        """Whether what runs there counts as gone."""
        link = self.links.get(subcluster)
        return link is None or link.pulse.health == "Lost"

    def is_removed(self, subcluster: str) -> bool:
        """Whether the sub-cluster leaves the fleet, once nothing runs there any more."""
        link = self.links.get(subcluster)
        return link is not None and link.subcluster.metadata.deletion_timestamp is not None

    def unstarted(self, placement: Placement, subcluster: str) -> int:
        """How many of the replicas committed in a place that answers were refused by it, and do not run."""
        link, key = self.links.get(subcluster), placement.key
        if link is None or not link.answering or not link.refuses(key):
            return 0
        state = link.workloads.get(key)
        return max(placement.replicas_in(subcluster) - (state.replicas if state is not None else 0), 0)

    def _live(self, record: SubCluster) -> SubCluster:
        """The record with what is known this moment; one of which too little is known, or that just
        returned, takes no new work."""
        link = self.links.get(record.metadata.name)
        health = link.pulse.health if link is not None else "Lost"
        update: dict[str, object] = {"health": "Lost" if health == "Unknown" else health}
        if link is not None and link.offers is not None:
            update["offers"] = remembered(link.offers, record.status.offers)
        if link is not None:
            update["runs_images"] = link.capabilities.runs_images
        changed: dict[str, object] = {"status": record.status.model_copy(update=update)}
        unknown = link is None or (link.offers is None and not record.status.offers)
        if health == "Returning" or unknown:
            changed["spec"] = record.spec.model_copy(update={"unschedulable": True})
        return record.model_copy(update=changed)

    def _fixed(self, service: Microservice, placement: Placement | None) -> tuple[Target, ...] | None:
        """Targets the planner may not touch: of a service on the move, and of a pinned one while its pin holds."""
        if placement is None or not placement.spec.targets:
            return None
        if self.cache.open_migration(service.key) is not None:
            return placement.spec.targets
        pin = placement.spec.pinned
        if pin is None or placement.replicas_in(pin) == 0 or service.spec.replicas == 0:
            return None
        names = [target.subcluster for target in placement.spec.targets]
        if any(self.is_lost(name) or self.unstarted(placement, name) for name in names):
            return None
        return resize_pinned(placement.spec.targets, pin, service.spec.replicas)

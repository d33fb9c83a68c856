"""What a decision is made from, and who is held where while others are placed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from federation.contracts.driver import Capabilities, WorkloadState
from federation.engine.cache import Cache
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.offers import Offer
from federation.model.placement import Overtaken, Placement, Target
from federation.model.plan import Plan, Violation
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import SubCluster
from federation.reconcile.desired import COPYING
from federation.reconcile.health import Pulse
from federation.reconcile.moves import migration_rules, resize_pinned
from federation.reconcile.overtaken import is_due, plan_overtaken

PREFERENCE_PARALLEL = 2
"""How many services go back to a preferred place at the same time."""
PREFERENCE_REST_S = 60.0
"""How long after a move a service is not moved for preference."""


@dataclass(frozen=True)
class Situation:
    """Everything a decision is made from. Sub-clusters carry the health and offers of this moment; `migrations` are
    those whose target's copy exists already."""

    subclusters: tuple[SubCluster, ...]
    services: tuple[Microservice, ...]
    policies: tuple[Policy, ...]
    placements: Mapping[Key, Placement]
    migrations: tuple[Migration, ...]
    fixed: Mapping[Key, tuple[Target, ...]]
    now: float


class Verdict(Protocol):
    """A plan and the rules it was made under."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        ...

    def stands(self, key: Key) -> bool:
        """Whether a service that runs may stay as it is committed."""
        ...

    @property
    def separable(self) -> bool:
        """Whether what it says of its services would hold in any fleet that leaves them the same room and calls: no
        rule counts or names other services than those that a call joins."""
        ...

    def forbidden(self, key: Key, subcluster: str) -> str:
        """Why a hard rule forbids the service there; "" when none does."""
        ...

    def violation(self, key: Key, subcluster: str) -> Violation | None:
        """Why a copy of the service that runs there may not stay; None when it may."""
        ...

    def rank(self, key: Key, subcluster: str) -> int:
        """The sub-cluster's place in the service's order of preference, 0 the most preferred."""
        ...

    def objection(self, key: Key, subcluster: str) -> str:
        """Why the service could not be started there now, for any reason (rule, health, room); "" when it could."""
        ...


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


Judgement = Callable[[Situation], Verdict]


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
    """Makes situations of what is stored and seen, and has them judged."""

    cache: Cache
    clock: Clock
    links: Mapping[str, Link]
    judgement: Judgement

    def judge(self, situation: Situation) -> Judged:
        """Judge freely first, then with those held that may not move now."""
        wish = self.judgement(situation)
        released = {key for key in situation.fixed if self._is_denied_pin(key, wish, situation.now)}
        if released:
            kept = {key: targets for key, targets in situation.fixed.items() if key not in released}
            situation = replace(situation, fixed=kept)
            wish = self.judgement(situation)
        returning, wake = self._returning(situation, wish)
        held = self._held(situation, wish, returning)
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

    def _held(self, situation: Situation, wish: Verdict, returning: frozenset[Key]) -> dict[Key, tuple[Target, ...]]:
        """Who stays while others are placed. A plan may count only on moves that are really made: nobody makes room for
        another by a move that is not due. So those that may stay do, unless they are `returning` to what they prefer or
        moving for cost alone is automatic for them, nothing is urgent, and the last plan's moves for cost are through:
        plans made of half a move run after each other. Data is not moved at all."""
        urgent = self._is_urgent(situation, wish)
        busy = any(m.open and m.spec.reason == "Cost" for m in self.cache.of(Migration).values())
        held = {}
        for service in situation.services:
            placement = situation.placements.get(service.key)
            if service.key in situation.fixed or placement is None or not placement.spec.targets:
                continue
            targets = placement.spec.targets
            if any(self.unstarted(placement, target.subcluster) for target in targets):
                continue
            if service.spec.stateful and placement.spec.stopped:
                held[service.key] = targets
            elif sum(target.replicas for target in targets) == service.spec.replicas:
                settled = urgent or busy or migration_rules(service, situation.policies).mode == "manual"
                leaves = service.key in returning and not urgent
                if service.spec.bound or (settled and not leaves and wish.stands(service.key)):
                    held[service.key] = targets
        return held

    def _is_urgent(self, situation: Situation, wish: Verdict) -> bool:
        """Whether somebody who could be placed has no place, or must not stay where it runs."""
        for planned in wish.plan.placements:
            key = Key(planned.namespace, planned.service)
            if not planned.targets or key in situation.fixed:
                continue
            placement = situation.placements.get(key)
            now = placement.spec.targets if placement is not None else ()
            if now != planned.targets and not (now and wish.stands(key)):
                service = self.cache.of(Microservice).get(key)
                if not now or service is None or not service.spec.bound:
                    return True
        return False

    def _returning(self, situation: Situation, wish: Verdict) -> tuple[frozenset[Key], float | None]:
        """Who may go back to a place that is preferred to the present one: a few at a time, and none that moved just
        now, so that a place which comes and goes is not followed each time; and when the next one has rested."""
        ended: dict[Key, float] = {}
        wake: float | None = None
        slots = PREFERENCE_PARALLEL
        for migration in self.cache.of(Migration).values():
            key = Key(migration.metadata.namespace, migration.spec.service)
            if migration.open:
                slots -= migration.spec.reason == "Preference"
            elif migration.status.phase == "Succeeded":
                ended[key] = max(ended.get(key, 0.0), migration.status.since)
        found: list[Key] = []
        for planned in wish.plan.placements:
            key = Key(planned.namespace, planned.service)
            placement = situation.placements.get(key)
            if slots <= len(found):
                break
            if placement is None or not (placement.spec.targets and planned.targets) or key in situation.fixed:
                continue
            best = max(wish.rank(key, target.subcluster) for target in planned.targets)
            now = max(wish.rank(key, target.subcluster) for target in placement.spec.targets)
            rested_at = ended.get(key, 0.0) + PREFERENCE_REST_S
            if best < now and situation.now >= rested_at:
                found.append(key)
            elif best < now:
                wake = rested_at if wake is None else min(wake, rested_at)
        return frozenset(found), wake

    def _live(self, record: SubCluster) -> SubCluster:
        """The record with what is known this moment; one of which too little is known, or that just
        returned, takes no new work."""
        link = self.links.get(record.metadata.name)
        health = link.pulse.health if link is not None else "Lost"
        update: dict[str, object] = {"health": "Lost" if health == "Unknown" else health}
        if link is not None and link.offers is not None:
            update["offers"] = link.offers
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

"""When to plan, and what to make of a plan: commitments, migrations, proposals, and the reasons for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from federation.contracts.runtime import Runtime
from federation.contracts.store import Create, Replace, Write
from federation.engine.boundary import Backoff, after_failure
from federation.engine.cache import Cache
from federation.engine.journal import FLUSH_BATCH, Journal, explain
from federation.engine.links import SubClusterLink
from federation.errors import FederationError, NoCapacity
from federation.model.meta import Condition, Key, Metadata, with_condition
from federation.model.microservice import Microservice
from federation.model.migration import Migration, MigrationSpec
from federation.model.placement import Placement, PlacementSpec, PlacementStatus, Proposal, Target
from federation.model.plan import Plan, PlannedService
from federation.model.policy import ClusterPlacementPolicy, MigrationRules, PlacementPolicy, Policy
from federation.model.subcluster import SubCluster
from federation.reconcile.desired import COPYING
from federation.reconcile.moves import Commit, Move, MoveFacts, plan_change, resize_pinned

STORE_RETRY_S = 1.0
_LOG = logging.getLogger(__name__)
COALESCE_S = 0.05
"""How long news is gathered before planning, so that a batch of changes is planned once."""


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

    def forbidden(self, key: Key, subcluster: str) -> str:
        """Why a hard rule forbids the service there; "" when none does."""
        ...

    def objection(self, key: Key, subcluster: str) -> str:
        """Why the service could not be started there now, for any reason (rule, health, room); "" when it could."""
        ...


Judgement = Callable[[Situation], Verdict]


@dataclass
class DecisionEngine:
    """Plans when there is news, and turns the plan into records. Implements `services.Rules`."""

    cache: Cache
    journal: Journal
    runtime: Runtime
    links: dict[str, SubClusterLink]
    judgement: Judgement
    _verdict: Verdict | None = None
    _due: float | None = None
    _seen: dict[Key, int] = field(default_factory=dict)
    _pins: dict[Key, str | None] = field(default_factory=dict)
    _trouble: Backoff | None = None
    _failures: dict[Key, Backoff] = field(default_factory=dict)
    _counted: set[str] = field(default_factory=set)

    # When

    def request(self) -> None:
        """Ask for a decision soon."""
        if self._due is None:
            self._due = self.runtime.monotonic() + COALESCE_S

    def due_at(self) -> float | None:
        """When the next decision is due (monotonic seconds)."""
        retries = [b.not_before for b in self._failures.values() if b.not_before != float("inf")]
        if self._trouble is not None:
            retries.append(self._trouble.not_before)
        times = [time for time in (self._due, *retries) if time is not None]
        return min(times, default=None)

    def due(self, now: float) -> bool:
        """Whether to decide now."""
        at = self.due_at()
        return at is not None and at <= now

    def is_news(self, service: Microservice) -> bool:
        """Whether the service's spec has changed since the last decision."""
        return self._seen.get(service.key) != service.metadata.generation

    def is_unplanned(self, placement: Placement) -> bool:
        """Whether a person changed the pin since the last decision."""
        return self._pins.get(placement.key) != placement.spec.pinned

    # Rules

    def forbidden(self, key: Key, subcluster: str) -> str | None:
        """Why a hard rule forbids it there; None while nothing was decided."""
        return None if self._verdict is None or key not in self._seen else self._verdict.forbidden(key, subcluster)

    def objection(self, migration: Migration) -> str | None:
        """Why the target can't be used. Room is only asked for before the copy is made: later it fills it itself."""
        key = Key(migration.metadata.namespace, migration.spec.service)
        service = self.cache.of(Microservice).get(key)
        if self._verdict is None or (service is not None and key not in self._seen):
            return None
        target = migration.spec.target
        if service is None:
            return ""
        if service.spec.stateful:
            return f"{key} keeps its data with it; moving data is not possible in this release"
        if target not in self.links:
            return f"there is no sub-cluster {target}"
        placement = self.cache.placement(key)
        if migration.status.phase in ("Pending", "Checked"):
            if placement is not None and placement.replicas_in(target) and migration.spec.reason == "Manual":
                return f"{key} runs in {target} already"
            return self._verdict.objection(key, target)
        return self._verdict.forbidden(key, target)

    # Deciding

    def decide(self) -> tuple[Key, ...]:
        """Plan, and write what follows; the services to reconcile now."""
        self._due = None
        now = self.runtime.monotonic()
        self._failures = {
            key: Backoff(b.attempts, float("inf")) if b.not_before <= now else b for key, b in self._failures.items()
        }
        self._count_failures()
        situation = self._situation()
        try:
            wish, verdict, situation = self._judge(situation)
        except Exception as error:
            # What is committed goes on as it is; a policy that can't be read must not end the controller.
            self._on_failure(situation, error)
            return ()
        self._verdict, self._trouble = verdict, None
        self._seen = {service.key: service.metadata.generation for service in situation.services}
        self._pins = {key: placement.spec.pinned for key, placement in situation.placements.items()}
        services = {service.key: service for service in situation.services}
        writes: list[list[Write]] = []
        for planned, wished in zip(verdict.plan.placements, wish.plan.placements, strict=True):
            key = Key(planned.namespace, planned.service)
            found = self._consequence(services[key], (planned, wished), verdict, situation)
            if found:
                writes.append(found)
        self._write(writes)
        return tuple(services)

    def _judge(self, situation: Situation) -> tuple[Verdict, Verdict, Situation]:
        """What would be best, what is to be done, and the situation with those held that may not move now."""
        wish = self.judgement(situation)
        released = {key for key in situation.fixed if self._is_denied_pin(key, wish)}
        if released:
            kept = {key: targets for key, targets in situation.fixed.items() if key not in released}
            situation = replace(situation, fixed=kept)
            wish = self.judgement(situation)
        held = self._held(situation, wish)
        if all(held.get(Key(p.namespace, p.service), p.targets) == p.targets for p in wish.plan.placements):
            return wish, wish, situation
        situation = replace(situation, fixed={**situation.fixed, **held})
        return wish, self.judgement(situation), situation

    def _is_denied_pin(self, key: Key, verdict: Verdict) -> bool:
        """Whether a rule has overtaken a person's choice of place."""
        placement = self.cache.placement(key)
        if placement is None or self.cache.open_migration(key) is not None:
            return False
        return any(verdict.forbidden(key, target.subcluster) for target in placement.spec.targets)

    def _on_failure(self, situation: Situation, error: Exception) -> None:
        now = self.runtime.monotonic()
        self._trouble = after_failure(self._trouble, error, explain(error), now, self.runtime.random())
        _LOG.error("no decision was possible: %s", explain(error), exc_info=not isinstance(error, FederationError))
        for policy in situation.policies:
            if f"{policy.kind} {policy.key}" in str(error):
                self.journal.event(policy, "NotUnderstood", explain(error), warning=True)

    def _held(self, situation: Situation, wish: Verdict) -> dict[Key, tuple[Target, ...]]:
        """Who stays while others are placed. A plan may count only on moves that are really made: nobody makes room for
        another by a move that is not due. So those that may stay do, unless moving for cost alone is automatic for them
        and nothing is urgent (without a place, or where it must not stay); and data is not moved at all."""
        running = {
            service.key: service
            for service in situation.services
            if service.key not in situation.fixed
            and (placement := situation.placements.get(service.key)) is not None
            and placement.spec.targets
        }
        standing = {key for key in running if wish.stands(key)}
        placed = len(running) + len(situation.fixed)
        urgent = placed < sum(1 for s in situation.services if s.spec.replicas) or len(standing) < len(running)
        held = {}
        for key, service in running.items():
            targets = situation.placements[key].spec.targets
            complete = sum(target.replicas for target in targets) == service.spec.replicas
            settled = urgent or migration_rules(service, situation.policies).mode == "manual"
            if complete and (service.spec.stateful or (key in standing and settled)):
                held[key] = targets
        return held

    def _situation(self) -> Situation:
        placements = self.cache.of(Placement)
        policies: list[Policy] = [policy for _, policy in sorted(self.cache.of(ClusterPlacementPolicy).items())]
        policies += [policy for _, policy in sorted(self.cache.of(PlacementPolicy).items())]
        services = tuple(service for _, service in sorted(self.cache.of(Microservice).items()))
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
            now=self.runtime.now(),
        )

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
        if any(self._is_lost(name) for name in names):
            return None
        return resize_pinned(placement.spec.targets, pin, service.spec.replicas)

    def _is_vacant(self, key: Key, subcluster: str) -> bool:
        link = self.links.get(subcluster)
        return link is not None and link.answering and key not in link.workloads and link.refuses(key)

    def _is_lost(self, subcluster: str) -> bool:
        link = self.links.get(subcluster)
        return link is None or link.pulse.health == "Lost"

    def _count_failures(self) -> None:
        """Remember automatic moves that failed, so that the next try of the same service waits longer each time."""
        now = self.runtime.monotonic()
        for migration in self.cache.of(Migration).values():
            if migration.open or migration.metadata.uid in self._counted:
                continue
            self._counted.add(migration.metadata.uid)
            key = Key(migration.metadata.namespace, migration.spec.service)
            if migration.status.phase == "Succeeded":
                self._failures.pop(key, None)
            elif migration.spec.reason != "Manual" and self.runtime.now() - migration.status.since < 60.0:
                old = self._failures.get(key)
                self._failures[key] = after_failure(old, NoCapacity("move failed"), "", now, self.runtime.random())

    # Consequences

    def _consequence(
        self,
        service: Microservice,
        plans: tuple[PlannedService, PlannedService],
        verdict: Verdict,
        situation: Situation,
    ) -> list[Write]:
        """The writes that follow for one service, to be carried out together. `plans`: what is to be done, and what
        would be best if everything could be moved, which is what is proposed."""
        key = service.key
        planned, wished = plans
        placement = situation.placements.get(key)
        proposal = Proposal(
            targets=wished.targets,
            cost_usd_per_hour=wished.cost_usd_per_hour if wished.targets else None,
            terms=wished.terms,
            reasons=wished.reasons,
        )
        if placement is None:
            return self._first(service, planned, proposal)
        writes: list[Write] = []
        conditions = self._conditions(placement, planned, verdict)
        status = placement.status.model_copy(update={"proposed": proposal, "conditions": conditions})
        changed = placement.model_copy(update={"status": status})
        if self.cache.open_migration(key) is None:
            change = self._change(service, placement, planned, verdict, situation)
            if isinstance(change, Commit):
                spec = placement.spec.model_copy(update={"targets": change.targets})
                changed = changed.model_copy(update={"spec": spec})
                writes.append(Create(self.journal.make_event(placement, "Scaled", _where(change.targets))))
            elif isinstance(change, Move):
                if placement.spec.pinned is not None:
                    changed = changed.model_copy(update={"spec": placement.spec.model_copy(update={"pinned": None})})
                writes += self._open_migration(service, change, situation)
        self._tell(service, placement.status.conditions, conditions)
        if changed != placement:
            if changed.spec == placement.spec and not writes:
                self._merge_status(placement, status)
                return []
            writes.insert(0, Replace(changed))
        return writes

    def _tell(self, service: Microservice, old: tuple[Condition, ...], new: tuple[Condition, ...]) -> None:
        """An event for each condition that changed."""
        known = {condition.type: (condition.status, condition.reason) for condition in old}
        for condition in new:
            if known.get(condition.type) == (condition.status, condition.reason):
                continue
            good = condition.status == ("False" if condition.type == "OutOfPolicy" else "True")
            reason = condition.type if condition.type == "OutOfPolicy" and not good else condition.reason
            self.journal.event(service, reason, condition.message or reason, warning=not good)

    def _merge_status(self, placement: Placement, status: PlacementStatus) -> None:
        self.journal.update(placement.model_copy(update={"status": status}))

    def _first(self, service: Microservice, planned: PlannedService, proposal: Proposal) -> list[Write]:
        condition = _placed(planned, self.runtime.now())
        record = Placement(
            metadata=Metadata(
                name=service.metadata.name, namespace=service.metadata.namespace, labels=service.metadata.labels
            ),
            spec=PlacementSpec(targets=planned.targets),
            status=PlacementStatus(proposed=proposal, conditions=(condition,)),
        )
        reason = "Placed" if planned.targets else condition.reason
        message = " ".join(planned.reasons) if planned.reasons else _where(planned.targets)
        event = self.journal.make_event(service, reason, message, warning=not planned.targets)
        return [Create(record), Create(event)]

    def _conditions(self, placement: Placement, planned: PlannedService, verdict: Verdict) -> tuple[Condition, ...]:
        now = self.runtime.now()
        conditions = with_condition(placement.status.conditions, _placed(planned, now))
        rules = [verdict.forbidden(placement.key, target.subcluster) for target in placement.spec.targets]
        broken = "; ".join(rule for rule in rules if rule)
        if broken or any(condition.type == "OutOfPolicy" for condition in conditions):
            conditions = with_condition(
                conditions,
                Condition(
                    type="OutOfPolicy",
                    status="True" if broken else "False",
                    reason="Forbidden" if broken else "Permitted",
                    message=broken,
                    last_transition_time=now,
                ),
            )
        return conditions

    def _change(
        self,
        service: Microservice,
        placement: Placement,
        planned: PlannedService,
        verdict: Verdict,
        situation: Situation,
    ) -> Commit | Move | None:
        key = service.key
        if service.spec.replicas == 0:
            return Commit(planned.targets) if placement.spec.targets != planned.targets else None
        rules = migration_rules(service, situation.policies)
        facts = MoveFacts(
            lost=self._is_lost,
            forbidden=lambda subcluster: verdict.forbidden(key, subcluster),
            full=lambda subcluster: bool(verdict.objection(key, subcluster)),
            vacant=lambda subcluster: self._is_vacant(key, subcluster),
            stateful=service.spec.stateful,
            automatic=rules.mode == "automatic",
        )
        change = plan_change(placement.spec.targets, planned.targets, facts)
        if isinstance(change, Move):
            failure = self._failures.get(key)
            if failure is not None and failure.not_before != float("inf"):
                return None
            return change
        if isinstance(change, Commit):
            return change
        if change.why:
            self.journal.event(service, "Waiting", change.why, warning=True)
        return None

    def _open_migration(self, service: Microservice, move: Move, situation: Situation) -> list[Write]:
        rules = migration_rules(service, situation.policies)
        record = Migration(
            metadata=Metadata(
                name=f"{service.metadata.name}-{self.runtime.uid()}", namespace=service.metadata.namespace
            ),
            spec=MigrationSpec(
                service=service.metadata.name,
                source=move.source,
                target=move.target,
                replicas=move.replicas,
                reason=move.reason,
                strategy=rules.strategy,
            ),
        )
        message = f"{move.reason.lower()}: {move.replicas} replicas from {move.source} to {move.target}"
        return [Create(record), Create(self.journal.make_event(service, "Migrating", message))]

    def _write(self, groups: list[list[Write]]) -> None:
        """Write the groups in large batches; where a batch loses a compare-and-swap, each group on its own."""
        batch: list[list[Write]] = []
        for group in [*groups, []]:
            if batch and (not group or sum(map(len, batch)) + len(group) > FLUSH_BATCH):
                if not self.journal.write([write for part in batch for write in part]):
                    # A later try plans anew; with a store that takes no writes, not at once.
                    if self.journal.failing:
                        self._due = self.runtime.monotonic() + STORE_RETRY_S
                        return
                    written = [self.journal.write(part) for part in batch]
                    if not all(written):
                        self.request()
                batch = []
            if group:
                batch.append(group)


def migration_rules(service: Microservice, policies: tuple[Policy, ...]) -> MigrationRules:
    """How the service moves: the `migration` section of the matching policy of the highest precedence; of equals the
    first by kind and name; defaults when no policy says anything."""
    namespace, labels = service.metadata.namespace, service.metadata.labels
    found = [
        policy
        for policy in policies
        if policy.spec.migration is not None
        and (isinstance(policy, ClusterPlacementPolicy) or policy.metadata.namespace == namespace)
        and policy.spec.selector.matches(labels)
    ]
    best = min(found, key=lambda policy: (-policy.spec.precedence, policy.kind, policy.key), default=None)
    return best.spec.migration if best is not None and best.spec.migration is not None else MigrationRules()


def _where(targets: tuple[Target, ...]) -> str:
    return ", ".join(f"{target.replicas} in {target.subcluster}" for target in targets)


def _placed(planned: PlannedService, now: float) -> Condition:
    reasons = {"placed": "Placed", "denied": "Denied", "full": "NoCapacity"}
    return Condition(
        type="Placed",
        status="True" if planned.verdict == "placed" else "False",
        reason=reasons[planned.verdict],
        message="" if planned.verdict == "placed" else " ".join(planned.reasons),
        last_transition_time=now,
    )

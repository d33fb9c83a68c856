"""When to plan, what the newest plan's rules say, and writing down what follows from it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from federation.contracts.runtime import Runtime
from federation.contracts.store import Write
from federation.engine.boundary import Backoff, after_failure
from federation.engine.cache import Cache
from federation.engine.consequences import Consequences
from federation.engine.journal import FLUSH_BATCH, Journal, explain
from federation.engine.leaving import Leaving
from federation.engine.links import SubClusterLink
from federation.engine.situation import Judgement, Situation, Surroundings, Verdict
from federation.errors import FederationError, NoCapacity
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement

STORE_RETRY_S = 1.0
_LOG = logging.getLogger(__name__)
COALESCE_S = 0.05
"""How long news is gathered before planning, so that a batch of changes is planned once."""


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
    _moment: float | None = None
    _seen: dict[Key, int] = field(default_factory=dict)
    _pins: dict[Key, str | None] = field(default_factory=dict)
    _trouble: Backoff | None = None
    _failures: dict[Key, Backoff] = field(default_factory=dict)
    _counted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._surroundings = Surroundings(self.cache, self.runtime, self.links, self.judgement)
        self._consequences = Consequences(self.cache, self.journal, self.runtime, self._surroundings, self._is_resting)
        self._leaving = Leaving(self.cache, self.journal, self.links)

    def _is_resting(self, key: Key) -> bool:
        failure = self._failures.get(key)
        return failure is not None and failure.not_before != float("inf")

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
        times = [time for time in (self._due, self._moment, *retries) if time is not None]
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
        self._due = self._moment = None
        now = self.runtime.monotonic()
        self._failures = {
            key: Backoff(b.attempts, float("inf")) if b.not_before <= now else b for key, b in self._failures.items()
        }
        self._count_failures()
        situation = self._surroundings.now()
        try:
            judged = self._surroundings.judge(situation)
        except Exception as error:
            # What is committed goes on as it is; a policy that can't be read must not end the controller.
            self._on_failure(situation, error)
            return ()
        wish, verdict, situation = judged.wish, judged.verdict, judged.situation
        self._verdict, self._trouble = verdict, None
        self._seen = {service.key: service.metadata.generation for service in situation.services}
        self._pins = {key: placement.spec.pinned for key, placement in situation.placements.items()}
        services = {service.key: service for service in situation.services}
        writes: list[list[Write]] = []
        self._consequences.begin()
        for planned, wished in zip(verdict.plan.placements, wish.plan.placements, strict=True):
            key = Key(planned.namespace, planned.service)
            found = self._consequences.of(services[key], (planned, wished), verdict, situation)
            if found:
                writes.append(found)
        self._write(writes)
        upcoming = self._consequences.upcoming
        waits = [None if upcoming is None else upcoming - situation.now, self._leaving.look(situation)]
        wait_s = min((wait for wait in waits if wait is not None), default=None)
        self._moment = None if wait_s is None else self.runtime.monotonic() + wait_s
        return tuple(services)

    def _on_failure(self, situation: Situation, error: Exception) -> None:
        now = self.runtime.monotonic()
        self._trouble = after_failure(self._trouble, error, explain(error), now, self.runtime.random())
        _LOG.error("no decision was possible: %s", explain(error), exc_info=not isinstance(error, FederationError))
        for policy in situation.policies:
            if f"{policy.kind} {policy.key}" in str(error):
                self.journal.event(policy, "NotUnderstood", explain(error), warning=True)

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

"""When to plan, what the newest plan's rules say, and writing down what follows from it.

A decision on everything is made on another thread, from a snapshot; what follows from it is written down slice by
slice, for services of which nothing has changed meanwhile. The engine goes on all the time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from federation.contracts.meter import Meter, NoMeter
from federation.contracts.runtime import Runtime
from federation.contracts.store import Delete, Write
from federation.engine.boundary import Backoff, after_failure
from federation.engine.cache import Cache
from federation.engine.consequences import Consequences
from federation.engine.journal import FLUSH_BATCH, Journal, explain
from federation.engine.judging import Judgement
from federation.engine.leaving import Leaving
from federation.engine.links import SubClusterLink
from federation.engine.quick import QuickDecisions
from federation.engine.room import Room, gained
from federation.engine.situation import Judged, Surroundings
from federation.engine.snapshot import snapshot
from federation.engine.verdicts import Verdicts, mark_of
from federation.errors import FederationError, NoCapacity
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.plan import PlannedService
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy

STORE_RETRY_S = 1.0
_LOG = logging.getLogger(__name__)
COALESCE_S = 0.05
"""How long news is gathered before planning, so that a batch of changes is planned once."""
QUICK_FROM_S = 0.1
"""Where a decision on everything takes longer than this, changed services get a quick one first."""
LATER = 5.0
"""Decisions that nobody waits for rest this many times as long as one takes."""
LONGEST_REST_S = 60.0
KEPT_MIGRATIONS = 10
"""How many ended moves of a service are remembered."""
SLICE = 250
SLICE_WRITES = 60
"""Of how many services the consequences are written down, and in how many objects, before the engine looks at other
things again."""


@dataclass
class _Run:
    """A decision on everything, from its beginning to its last consequence. `rules`: under which it is made;
    `commits`: how many quick decisions came before it."""

    surroundings: Surroundings
    rules: int
    commits: int
    began_at: float
    judged: Judged | None = None
    left: Iterator[tuple[PlannedService, PlannedService]] = field(default_factory=lambda: iter(()))


@dataclass
class DecisionEngine:
    """Plans when there is news, and turns the plan into records. Implements `services.Rules`.

    `neighbours(key)`: services that the service may talk to, either way."""

    cache: Cache
    journal: Journal
    runtime: Runtime
    links: dict[str, SubClusterLink]
    judgement: Judgement
    neighbours: Callable[[Key], frozenset[Key]]
    meter: Meter = field(default_factory=NoMeter)
    _run: _Run | None = None
    _due: float | None = None
    _moment: float | None = None
    _took_s: float = 0.0
    _ended_at: float = 0.0
    _commits: int = 0
    _fresh: dict[Key, None] = field(default_factory=dict)
    _touched: set[Key] = field(default_factory=set)
    _pins: dict[Key, str | None] = field(default_factory=dict)
    _trouble: Backoff | None = None
    _failures: dict[Key, Backoff] = field(default_factory=dict)
    _counted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._surroundings = Surroundings(self.cache, self.runtime, self.links, self.judgement)
        self._consequences = Consequences(self.cache, self.journal, self.runtime, self._surroundings, self._is_resting)
        self._leaving = Leaving(self.cache, self.journal, self.links)
        self._verdicts = Verdicts(self.cache)
        self.room = Room(self.cache)
        self._quick = QuickDecisions(
            self.cache, self._surroundings, self._consequences, self._verdicts, self.room, self.neighbours
        )

    def _is_resting(self, key: Key) -> bool:
        failure = self._failures.get(key)
        return failure is not None and failure.not_before != float("inf")

    # When

    def request(self, rest: float = 1.0) -> None:
        """Ask for a decision on everything soon. `rest`: for how many times as long as one takes it may wait after the
        last, where one takes long."""
        rest_s = min(rest * self._took_s, LONGEST_REST_S) if self._took_s > QUICK_FROM_S else 0.0
        due = max(self.runtime.monotonic() + COALESCE_S, self._ended_at + rest_s)
        self._due = due if self._due is None else min(self._due, due)

    def on_rules(self) -> None:
        """Policies or sub-clusters have changed: nothing new is started until that is judged."""
        self._verdicts.rules += 1
        self.request(rest=0.0)

    def on_service(self, service: Microservice) -> None:
        """Ask for a decision if the service has changed since it was judged."""
        if not self._verdicts.knows(service):
            self._fresh[service.key] = None

    def is_unplanned(self, placement: Placement) -> bool:
        """Whether a person changed the pin since the last decision."""
        return self._pins.get(placement.key) != placement.spec.pinned

    @property
    def busy(self) -> bool:
        """Whether `work` has something to do at once."""
        return bool(self._fresh or self._touched) or (self._run is not None and self._run.judged is not None)

    def due_at(self) -> float | None:
        """When the next decision on everything is to begin (monotonic seconds)."""
        if self._run is not None:
            return None
        retries = [b.not_before for b in self._failures.values() if b.not_before != float("inf")]
        if self._trouble is not None:
            retries.append(self._trouble.not_before)
        times = [time for time in (self._due, self._moment, *retries) if time is not None]
        return min(times, default=None)

    # Rules

    def forbidden(self, key: Key, subcluster: str) -> str | None:
        """Why a hard rule forbids it there; None while nothing was decided."""
        return self._verdicts.forbidden(key, subcluster)

    def objection(self, migration: Migration) -> str | None:
        """Why the target can't be used. Room is only asked for before the copy is made: later it fills it itself."""
        key = Key(migration.metadata.namespace, migration.spec.service)
        service = self.cache.of(Microservice).get(key)
        if service is None:
            return None if self._verdicts.full is None else ""
        verdict = self._verdicts.of(key)
        if verdict is None:
            return None
        target = migration.spec.target
        if service.spec.workload == "Job":
            return f"{key} is a Job: it stays where it was started"
        if service.spec.stateful:
            return f"{key} keeps its data with it; moving data is not possible in this release"
        if target not in self.links:
            return f"there is no sub-cluster {target}"
        placement = self.cache.placement(key)
        if migration.status.phase in ("Pending", "Checked"):
            if placement is not None and placement.replicas_in(target) and migration.spec.reason == "Manual":
                return f"{key} runs in {target} already"
            return verdict.objection(key, target)
        return verdict.forbidden(key, target)

    # Deciding

    def work(self) -> set[Key]:
        """Decide quickly on what is new, write down the next consequences of a decision that has come back, or begin
        another if one is due. Returns services to reconcile."""
        touched, self._touched = self._touched, set()
        if self._fresh:
            touched |= self._decide_quickly()
        if self._run is not None and self._run.judged is not None:
            self._follow(self._run, self._run.judged)
        due = self.due_at()
        if due is not None and due <= self.runtime.monotonic():
            self._begin()
        return touched

    def _decide_quickly(self) -> set[Key]:
        fresh, self._fresh = self._fresh, {}
        fresh = {key: None for key in fresh if self._is_news(key)}
        if not fresh:
            return set()
        if self._verdicts.full is None or self._took_s <= QUICK_FROM_S:
            self.request()
            return set()
        began_at = self.runtime.monotonic()
        try:
            outcome = self._quick.decide(fresh)
        except Exception as error:
            _LOG.debug("no quick decision: %s", explain(error))
            self.meter.decision("quick", "failed", self.runtime.monotonic() - began_at)
            self.request()
            return set()
        self.meter.decision("quick", "made", self.runtime.monotonic() - began_at)
        self._commits += len(outcome.writes)
        self._write(list(outcome.writes))
        if outcome.soon or outcome.later:
            self.request(1.0 if outcome.soon else LATER)
        return set(fresh)

    def _is_news(self, key: Key) -> bool:
        service = self.cache.of(Microservice).get(key)
        return service is not None and not self._verdicts.knows(service)

    def _begin(self) -> None:
        self._due = self._moment = None
        now = self.runtime.monotonic()
        self._failures = {
            key: Backoff(b.attempts, float("inf")) if b.not_before <= now else b for key, b in self._failures.items()
        }
        self._count_failures()
        surroundings = snapshot(self.cache, self.runtime, self.links, self.judgement)
        run = self._run = _Run(surroundings, self._verdicts.rules, self._commits, now)
        self.runtime.submit("decisions", lambda: surroundings.judge(surroundings.now()), partial(self._on_judged, run))

    def _on_judged(self, run: _Run, judged: Judged | None, error: BaseException | None) -> None:
        self._ended_at = self.runtime.monotonic()
        self._took_s = self._ended_at - run.began_at
        self._run = None
        if judged is None:
            self.meter.decision("full", "failed", self._took_s)
            self._verdicts.keep(run.rules)
            self._touched |= self._verdicts.release()
            self._on_failure(error or RuntimeError("no answer"))
        elif run.rules != self._verdicts.rules:
            self.meter.decision("full", "overtaken", self._took_s)
            self.request(rest=0.0)  # what it says may be forbidden by now
        else:
            self._trouble = None
            plan = judged.verdict.plan
            self.meter.decision("full", "made", self._took_s)
            self.meter.plan(plan.gap, sum(each.verdict != "placed" for each in plan.placements))
            services = {service.key: service for service in judged.situation.services}
            self._verdicts.replace(judged.verdict, run.rules, services)
            self._pins = {key: placement.spec.pinned for key, placement in judged.situation.placements.items()}
            self._count_failures()
            self._consequences.begin(judged.wake)
            run.judged = judged
            run.left = iter(zip(plan.placements, judged.wish.plan.placements, strict=True))
            self._run = run
            self._touched |= self._verdicts.release() | self.cache.moving()

    def _follow(self, run: _Run, judged: Judged) -> None:
        """Write down what follows for the next services; after the last of them, all that follows for sub-clusters."""
        situation = replace(judged.situation, placements=self.cache.of(Placement), now=self.runtime.now())
        records = {record.metadata.name: record for record in situation.subclusters}
        writes: list[list[Write]] = []
        looked_at = 0
        for planned, wished in run.left:
            looked_at += 1
            service = self._unchanged(run, Key(planned.namespace, planned.service))
            if service is None:
                continue
            before = self.cache.placement(service.key)
            more = gained(before.spec.targets if before is not None else (), planned.targets)
            if more and (
                any(self._surroundings.is_lost(name) for name in more)
                or (self._commits != run.commits and not self.room.fits(service.key, more, records))
            ):
                self.request()
                continue
            found = self._consequences.of(service, (planned, wished), judged.verdict, situation)
            if found:
                writes.append(found)
            if looked_at >= SLICE or self.journal.waiting + sum(map(len, writes)) >= SLICE_WRITES:
                if not self._write(writes):
                    self._run = None
                return
        self._run = None
        if self._write(writes):
            upcoming = self._consequences.upcoming
            waits = [None if upcoming is None else upcoming - situation.now, self._leaving.look(situation)]
            wait_s = min((wait for wait in waits if wait is not None), default=None)
            self._moment = None if wait_s is None else self.runtime.monotonic() + wait_s

    def _unchanged(self, run: _Run, key: Key) -> Microservice | None:
        """The service, if nothing has happened to it since the decision began. What has happened asks for another."""
        service, old = self.cache.of(Microservice).get(key), run.surroundings.cache.of(Microservice).get(key)
        if service is None or old is None or mark_of(service) != mark_of(old):
            return None
        now, then = self.cache.placement(key), run.surroundings.cache.placement(key)
        if (now is None) != (then is None) or (now is not None and then is not None and now.spec != then.spec):
            return None
        moving = [each.key for each in self.cache.open_migrations(key)]
        return service if moving == [each.key for each in run.surroundings.cache.open_migrations(key)] else None

    def _on_failure(self, error: BaseException) -> None:
        """What is committed goes on as it is; a policy that can't be read must not end the controller."""
        now = self.runtime.monotonic()
        self._trouble = after_failure(self._trouble, error, explain(error), now, self.runtime.random())
        _LOG.error("no decision was possible: %s", explain(error), exc_info=_unforeseen(error))
        policies = [*self.cache.of(ClusterPlacementPolicy).values(), *self.cache.of(PlacementPolicy).values()]
        for policy in policies:
            if f"{type(policy).kind_name} {policy.key}" in str(error):
                self.journal.event(policy, "NotUnderstood", explain(error), warning=True)

    def _count_failures(self) -> None:
        """Remember automatic moves that failed, so that the next try of the same service waits longer each time."""
        now = self.runtime.monotonic()
        moved: set[Key] = set()
        for migration in self.cache.of(Migration).values():
            if migration.open or migration.metadata.uid in self._counted:
                continue
            self._counted.add(migration.metadata.uid)
            key = Key(migration.metadata.namespace, migration.spec.service)
            moved.add(key)
            if migration.status.phase == "Succeeded":
                self._failures.pop(key, None)
            elif migration.spec.reason != "Manual" and self.runtime.now() - migration.status.since < 60.0:
                old = self._failures.get(key)
                self._failures[key] = after_failure(old, NoCapacity("move failed"), "", now, self.runtime.random())
        self._prune(moved)

    def _prune(self, keys: set[Key]) -> None:
        """Forget the oldest records of moves that have ended, of these services."""
        if not keys:
            return
        ended: dict[Key, list[Migration]] = {key: [] for key in keys}
        for migration in self.cache.of(Migration).values():
            key = Key(migration.metadata.namespace, migration.spec.service)
            if key in ended and not migration.open:
                ended[key].append(migration)
        for found in ended.values():
            found.sort(key=lambda each: (each.metadata.creation_timestamp, each.key))
            for migration in found[:-KEPT_MIGRATIONS]:
                self._counted.discard(migration.metadata.uid)
                self.journal.write([Delete(Migration, migration.key)])

    def _write(self, groups: list[list[Write]]) -> bool:
        """Write the groups in large batches; where a batch loses a compare-and-swap, each group on its own. False when
        the store takes no writes: everything is decided again a little later."""
        batch: list[list[Write]] = []
        for group in [*groups, []]:
            if batch and (not group or sum(map(len, batch)) + len(group) > FLUSH_BATCH):
                if not self.journal.write([write for part in batch for write in part]):
                    if self.journal.failing:
                        self._due = self.runtime.monotonic() + STORE_RETRY_S
                        return False
                    written = [self.journal.write(part) for part in batch]
                    if not all(written):
                        self.request()
                batch = []
            if group:
                batch.append(group)
        return True


def _unforeseen(error: BaseException) -> BaseException | None:
    """What the log shows the traceback of: errors that are not ours."""
    return None if isinstance(error, FederationError) else error

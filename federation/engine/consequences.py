"""What follows from a judged plan for each service: commitments, migrations, proposals, conditions, and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from federation.contracts.runtime import Runtime
from federation.contracts.store import Create, Replace, Write
from federation.engine.cache import Cache
from federation.engine.changing import change_of
from federation.engine.journal import Journal
from federation.engine.judging import Situation, Verdict
from federation.engine.situation import Surroundings, overtaken
from federation.model.meta import Condition, Key, Metadata, with_condition
from federation.model.microservice import Microservice
from federation.model.migration import Migration, MigrationSpec
from federation.model.placement import Overtaken, Placement, PlacementSpec, PlacementStatus, Proposal, Target
from federation.model.plan import PlannedService
from federation.model.policy import migration_rules
from federation.model.subcluster import Drain
from federation.reconcile.moves import Commit, Move, cannot_move
from federation.reconcile.overtaken import entry_of, has_expired, is_due, next_moment

_FLAGS = {"Taint": "Tainted", "Drain": "Draining"}


@dataclass
class Consequences:
    """Makes writes of plans. `resting(key)`: whether automatic moves of the service wait after one that failed.
    `upcoming`: when time alone calls for the next decision, by the consequences since `begin` (seconds since 1970)."""

    cache: Cache
    journal: Journal
    runtime: Runtime
    surroundings: Surroundings
    resting: Callable[[Key], bool]
    upcoming: float | None = None
    _opened: dict[str, int] = field(default_factory=dict)

    def begin(self, wake: float | None) -> None:
        """Begin with the consequences of another decision, which itself calls for the next one at `wake`."""
        self._opened.clear()
        self.upcoming = wake

    def of(
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
        entries = overtaken(placement, verdict, situation.now)
        moment = next_moment(entries, situation.now)
        if moment is not None and (self.upcoming is None or moment < self.upcoming):
            self.upcoming = moment
        conditions = self._conditions(placement, planned, entries)
        update = {"proposed": proposal, "conditions": conditions, "overtaken": entries}
        status = placement.status.model_copy(update=update)
        changed = placement.model_copy(update={"status": status})
        if self.cache.open_migration(key) is None:
            change = self._change(service, changed, planned, verdict, situation)
            if isinstance(change, Commit):
                update = {
                    "targets": change.targets,
                    "stopped": not any(target.replicas for target in change.targets) and change.reason == "Stopped",
                }
                spec = placement.spec.model_copy(update=update)
                changed = changed.model_copy(update={"spec": spec})
                message = _stopped(entries, situation.now) if change.reason == "Stopped" else _where(change.targets)
                warning = change.reason == "Stopped"
                writes.append(Create(self.journal.make_event(service, change.reason, message, warning=warning)))
            elif isinstance(change, Move):
                if placement.spec.pinned is not None:
                    changed = changed.model_copy(update={"spec": placement.spec.model_copy(update={"pinned": None})})
                writes += self._open_migration(service, change, entries, situation)
        self._flag(service, placement.status.overtaken, entries)
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

    def _flag(self, service: Microservice, old: tuple[Overtaken, ...], new: tuple[Overtaken, ...]) -> None:
        """An event for each copy that has to leave its place from now on, for another reason than a policy (of which a
        condition tells)."""
        known = {(entry.subcluster, entry.cause) for entry in old}
        for entry in new:
            if (entry.subcluster, entry.cause) not in known and entry.cause != "Policy":
                wait_s = entry.due - entry.since
                when = f"; it leaves after {wait_s:g} s" if wait_s else ""
                self.journal.event(service, _FLAGS[entry.cause], f"{entry.message}{when}", warning=True)

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
        message = "; ".join(planned.reasons) if planned.reasons else _where(planned.targets)
        event = self.journal.make_event(service, reason, message, warning=not planned.targets)
        return [Create(record), Create(event)]

    def _conditions(
        self, placement: Placement, planned: PlannedService, entries: tuple[Overtaken, ...]
    ) -> tuple[Condition, ...]:
        now = self.runtime.now()
        conditions = with_condition(placement.status.conditions, _placed(planned, now, stopped=placement.spec.stopped))
        broken = "; ".join(entry.message for entry in entries if entry.cause == "Policy")
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
        """What is done now; what has to wait says why."""
        key, entries = service.key, placement.status.overtaken
        change = change_of(service, placement, planned, verdict, situation, self.surroundings)
        if isinstance(change, Move):
            return None if self.resting(key) or self._wave_is_full(change, situation) else change
        if change is None or isinstance(change, Commit):
            return change
        why = change.why
        if service.spec.stateful and not why:
            due = [entry for entry in entries if is_due(entry, situation.now)]
            why = "; ".join(cannot_move(entry.subcluster, entry.cause) for entry in due)
        if why:
            self.journal.event(service, "Waiting", why, warning=True)
        return None

    def _wave_is_full(self, move: Move, situation: Situation) -> bool:
        """Whether as many services leave the source already as shall at a time."""
        if move.reason != "Drain":
            return False
        record = next((each for each in situation.subclusters if each.metadata.name == move.source), None)
        drain = (record.spec.drain if record is not None else None) or Drain()
        leaving = sum(
            migration.open and migration.spec.reason == "Drain" and migration.spec.source == move.source
            for migration in self.cache.of(Migration).values()
        )
        return leaving + self._opened.get(move.source, 0) >= drain.parallel

    def _open_migration(
        self, service: Microservice, move: Move, entries: tuple[Overtaken, ...], situation: Situation
    ) -> list[Write]:
        rules = migration_rules(service, situation.policies)
        entry = entry_of(entries, move.source)
        if move.reason == "Drain":
            self._opened[move.source] = self._opened.get(move.source, 0) + 1
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
                deadline=entry.deadline if entry is not None else None,
            ),
        )
        message = f"{move.reason.lower()}: {move.replicas} replicas from {move.source} to {move.target}"
        return [Create(record), Create(self.journal.make_event(service, "Migrating", message))]


def _stopped(entries: tuple[Overtaken, ...], now: float) -> str:
    """What is said of copies that a rule has stopped."""
    gone = [entry for entry in entries if has_expired(entry, now)]
    return "; ".join(f"stopped in {entry.subcluster}, with no other place in time: {entry.message}" for entry in gone)


def _where(targets: tuple[Target, ...]) -> str:
    return ", ".join(f"{target.replicas} in {target.subcluster}" for target in targets) or "nowhere"


def _placed(planned: PlannedService, now: float, *, stopped: bool = False) -> Condition:
    if stopped and not any(target.replicas for target in planned.targets):
        message = " ".join(planned.reasons) or "a rule forbids the place of its data"
        return Condition(type="Placed", status="False", reason="Stopped", message=message, last_transition_time=now)
    reasons = {"placed": "Placed", "denied": "Denied", "full": "NoCapacity"}
    return Condition(
        type="Placed",
        status="True" if planned.verdict == "placed" else "False",
        reason=reasons[planned.verdict],
        message="" if planned.verdict == "placed" else " ".join(planned.reasons),
        last_transition_time=now,
    )

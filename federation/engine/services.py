"""Reconciling one microservice: its migration, its routes, its copies, and what is reported of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from federation.contracts.driver import Workload, WorkloadState
from federation.contracts.runtime import Runtime
from federation.contracts.store import Create, Delete, Replace, Write
from federation.engine.cache import Cache
from federation.engine.gateways import GatewayLink
from federation.engine.journal import Journal
from federation.engine.links import SubClusterLink
from federation.engine.rollouts import job_ended, look_again_at, rollout_facts, updated_replicas, with_rollout
from federation.model.meta import Condition, Key, with_condition
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement, Running
from federation.reconcile.delivery import DeliveryFacts, Step, plan_delivery, ready_replicas
from federation.reconcile.desired import desired_replicas, min_available, moved_targets, traffic_shares
from federation.reconcile.migration import Advance, MigrationFacts, plan_migration, refuse_migration, waits_until
from federation.reconcile.routing import RoutingFacts, load_on, plan_routes

PARTING_S = 2.0
"""How long a deleted microservice goes on after it was taken out of every route, for what is in flight."""


class Rules(Protocol):
    """What the newest decision says about places, for one service."""

    def forbidden(self, key: Key, subcluster: str) -> str | None:
        """Why a hard rule forbids it there; "" when none does; None while nothing was decided yet."""
        ...

    def objection(self, migration: Migration) -> str | None:
        """Why the migration's target can't be used; "" when it can; None while nothing was decided yet."""
        ...


class Workloads(Protocol):
    """Makes workloads from microservices (see `federation.engine.addressing`)."""

    def build(self, service: Microservice, link: SubClusterLink, replicas: int) -> Workload:
        """The workload as that sub-cluster shall run it."""
        ...


@dataclass
class World:
    """All that reconciling needs; owned by the engine."""

    cache: Cache
    journal: Journal
    runtime: Runtime
    links: dict[str, SubClusterLink]
    gateways: dict[str, GatewayLink]
    rules: Rules
    workloads: Workloads


class ServiceReconciler:
    """Level-triggered: each call derives everything anew from the records and observations."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._outbox: dict[Key, list[Callable[[], None]]] = {}
        self._routed: dict[Key, object] = {}
        self._parting: dict[Key, float] = {}
        self._began_at = 0.0

    def send(self) -> None:
        """Send the steps of the passes so far; to be called once their events are stored."""
        outbox, self._outbox = self._outbox, {}
        for calls in outbox.values():
            for call in calls:
                call()

    def hold(self) -> tuple[Key, ...]:
        """Drop the steps of the passes so far; returns the services that have to be reconciled again."""
        outbox, self._outbox = self._outbox, {}
        return tuple(outbox)

    def reconcile(self, key: Key) -> float | None:
        """One pass. Returns when to look again even if nothing changes (seconds since 1970), or None."""
        world = self._world
        # Before anything is judged: what becomes due in between must be looked at again, not forgotten.
        now, self._began_at = world.runtime.now(), world.runtime.monotonic()
        service = world.cache.of(Microservice).get(key)
        placement = world.cache.placement(key)
        migration, *surplus = world.cache.open_migrations(key) or (None,)
        for other in surplus:
            self._refuse(other, migration)
        self._route(key, service, placement, migration)
        if migration is not None and self._advance(key, service, placement, migration):
            placement, migration = world.cache.placement(key), world.cache.open_migration(key)
            self._route(key, service, placement, migration)
        leaving = self._deliver(key, service, placement, migration)
        self._watch(key, migration, leaving=leaving)
        if service is not None and placement is not None:
            self._report(service, placement)
        elif placement is not None and migration is None:
            self._clear(key)
        times = [waits_until(migration, now)] if migration is not None else []
        if service is None and key in self._parting:
            left_s = self._parting[key] + PARTING_S - self._began_at
            times.append(now + left_s if left_s > 0 else None)
        if service is not None and placement is not None:
            times.append(look_again_at(service, _latest(world.journal, placement), now))
        return min((time for time in times if time is not None), default=None)

    # Facts

    def _states(self, key: Key) -> dict[str, WorkloadState]:
        """What counts of a service: where it is answered for, and was not told to go."""
        return {
            name: link.workloads[key]
            for name, link in self._world.links.items()
            if link.answering and key in link.workloads and not link.leaving(key)
        }

    def _live_gateways(self) -> list[GatewayLink]:
        links = self._world.links
        lost = {name for name, link in links.items() if link.pulse.health == "Lost"}
        return [gateway for gateway in self._world.gateways.values() if gateway.live and gateway.near not in lost]

    def _settled(self, key: Key) -> bool:
        return all(gateway.settled(key) for gateway in self._live_gateways())

    # Routing

    def _route(
        self, key: Key, service: Microservice | None, placement: Placement | None, migration: Migration | None
    ) -> None:
        gateways = self._world.gateways.values()
        if service is not None:
            self._parting.pop(key, None)
        else:
            self._routed.pop(key, None)
            for gateway in gateways:
                gateway.put(key, ())
            return
        shares = traffic_shares(placement, migration)
        links = self._world.links
        if not all(links[name].known for name in shares if name in links):
            self._routed.pop(key, None)
            for gateway in gateways:  # what runs there is not known yet
                gateway.keep(key)
            return
        moving = frozenset({migration.spec.source, migration.spec.target}) if migration is not None else frozenset()
        states = self._states(key)
        if not any(ready_replicas(state) for name, state in states.items() if name in shares):
            # Silence alone must not empty a route: with nothing else left, requests go where it was last seen.
            states = {
                **{name: link.remembered[key] for name, link in links.items() if key in link.remembered},
                **states,
            }
            ready = any(ready_replicas(state) for name, state in states.items() if name in shares)
            if shares.keys() - links.keys() and not ready:
                # The place was taken out of the fleet at once: requests still go there until another one serves.
                self._routed.pop(key, None)
                return
        facts = RoutingFacts(shares, moving & shares.keys(), states)
        basis = (facts, service.status.gateway_ports, service.metadata.generation, tuple(map(id, gateways)))
        if self._routed.get(key) == basis:
            return
        self._routed[key] = basis
        # Seen from where no copy is, all gateways see the same.
        views = {near: plan_routes(service, facts, near) for near in {None, *shares}}
        for gateway in gateways:
            gateway.put(key, views[gateway.near if gateway.near in views else None])

    def _watch(self, key: Key, migration: Migration | None, *, leaving: bool) -> None:
        """Look at the gateways closely while something waits for them: a move, or copies that are to go."""
        for gateway in self._world.gateways.values():
            if migration is not None or leaving:
                gateway.watched.add(key)
            else:
                gateway.watched.discard(key)
            if migration is not None and migration.status.phase in ("Drained", "RollingBack"):
                gateway.urgent.add(key)
            else:
                gateway.urgent.discard(key)

    # Migration

    def _advance(
        self, key: Key, service: Microservice | None, placement: Placement | None, migration: Migration
    ) -> bool:
        objection = self._world.rules.objection(migration)
        if objection is None:
            return False
        facts = self._migration_facts(key, service, placement, migration, objection)
        advance = plan_migration(migration, facts, self._world.runtime.now())
        return advance is not None and self._store(placement, migration, advance)

    def _refuse(self, migration: Migration, first: Migration | None) -> None:
        """End a migration beside which another one of the same service is open."""
        name = first.metadata.name if first is not None else ""
        advance = refuse_migration(migration, f"{name} is open already", self._world.runtime.now())
        self._store(None, migration, advance)

    def _migration_facts(
        self,
        key: Key,
        service: Microservice | None,
        placement: Placement | None,
        migration: Migration,
        objection: str,
    ) -> MigrationFacts:
        world, spec = self._world, migration.spec
        states = self._states(key)
        committed = placement.replicas_in(spec.target) if placement is not None else 0
        link = world.links.get(spec.target)
        ready = 0
        if service is not None and link is not None and spec.target in states:
            revision = world.workloads.build(service, link, 1).revision
            ready = sum(pod.ready and pod.revision == revision for pod in states[spec.target].pods)
        observed = [gateway.state for gateway in self._live_gateways() if gateway.state is not None]
        source_link = world.links.get(spec.source)
        if source_link is None or source_link.pulse.health == "Lost":
            lost_source = source_gone = True
        else:
            lost_source = False
            source_gone = source_link.observed and key not in source_link.workloads
        left = placement.replicas_in(spec.source) if placement is not None else 0
        return MigrationFacts(
            exists=service is not None and placement is not None,
            objection=objection,
            source_committed=left > 0,
            lost_source=lost_source,
            lost_target=link is None or link.pulse.health == "Lost",
            target_ready=ready - committed,
            target_serving=ready_replicas(states.get(spec.target)) - committed,
            settled=self._settled(key),
            source_load=load_on(key, _addresses(states.get(spec.source)), observed),
            target_load=load_on(key, _addresses(states.get(spec.target)), observed),
            source_gone=source_gone or left > 0,
        )

    def _store(self, placement: Placement | None, migration: Migration, advance: Advance) -> bool:
        changed = migration.model_copy(update={"status": advance.status})
        writes: list[Write] = [Replace(changed)]
        if advance.commit and placement is not None:
            update: dict[str, object] = {"targets": moved_targets(placement, migration)}
            if migration.spec.reason == "Manual":
                update["pinned"] = migration.spec.target
            writes.append(Replace(placement.model_copy(update={"spec": placement.spec.model_copy(update=update)})))
        journal = self._world.journal
        warning = advance.event == "Warning"
        writes.append(
            Create(journal.make_event(changed, advance.status.phase, advance.status.message, warning=warning))
        )
        return journal.write(writes)

    # Delivery

    def _deliver(
        self,
        key: Key,
        service: Microservice | None,
        placement: Placement | None,
        migration: Migration | None,
    ) -> bool:
        """Send the steps towards what is wanted; whether copies are left that are to go."""
        links = self._world.links
        if service is not None and job_ended(service, placement):
            return False
        wanted = desired_replicas(placement, migration) if service is not None else {}
        ready_links = {name: link for name, link in links.items() if link.ready_for(key)}
        workloads: dict[str, Workload] = {}
        if service is not None:
            for name in wanted.keys() & ready_links.keys():
                workloads[name] = self._world.workloads.build(service, links[name], wanted[name])
        facts = DeliveryFacts(
            wanted=wanted,
            revisions={name: workload.revision for name, workload in workloads.items()},
            observed={name: link.state(key) for name, link in ready_links.items()},
            allowed=frozenset(name for name in workloads if self._world.rules.forbidden(key, name) == ""),
            retirable=self._retirable(key, service, placement, wanted),
            uncertain=any(
                name in links and name not in ready_links and links[name].pulse.health != "Lost" for name in wanted
            ),
            first=migration.spec.target if migration is not None else "",
        )
        for step in plan_delivery(facts):
            self._carry_out(key, service or placement, step, workloads)
        return any(state is not None and not wanted.get(name) for name, state in facts.observed.items())

    def _retirable(
        self, key: Key, service: Microservice | None, placement: Placement | None, wanted: Mapping[str, int]
    ) -> bool:
        """Whether copies that nobody wants may go: no live gateway sends them anything, and enough others are ready."""
        if not self._settled(key):
            return False
        if service is None:
            # One reading of the clock for this and for when to look again: in between nothing may become due unseen.
            return self._began_at >= self._parting.setdefault(key, self._began_at) + PARTING_S
        if placement is None or not wanted:
            return service.spec.replicas == 0 or (placement is not None and placement.spec.stopped)
        ready = sum(ready_replicas(state) for name, state in self._states(key).items() if name in wanted)
        needed = min_available(service.spec.replicas, service.spec.disruption.min_available)
        return ready >= min(needed, sum(wanted.values()))

    def _carry_out(
        self, key: Key, about: Microservice | Placement | None, step: Step, workloads: Mapping[str, Workload]
    ) -> None:
        """Write the step down; it is sent once that is stored."""
        link = self._world.links[step.subcluster]
        apply = step.verb == "Apply"
        call = partial(link.apply, workloads[step.subcluster]) if apply else partial(link.delete, key)
        self._outbox.setdefault(key, []).append(call)
        what = f"{step.replicas} replicas of {key} in" if apply else f"{key} in"
        message = f"{step.verb.lower()} {what} {step.subcluster}: {step.why.lower()}"
        self._world.journal.event(about or link.subcluster, f"{step.verb}{step.why}", message)

    def _clear(self, key: Key) -> None:
        """Remove the placement of a microservice that is gone, once no copy is left where Roam can look, and what is
        remembered of its moves."""
        if not any(key in link.workloads for link in self._world.links.values()):
            self._parting.pop(key, None)
            moves = [
                Delete(Migration, migration.key)
                for migration in self._world.cache.of(Migration).values()
                if Key(migration.metadata.namespace, migration.spec.service) == key
            ]
            self._world.journal.write([Delete(Placement, key), *moves])

    # Reporting

    def _report(self, service: Microservice, placement: Placement) -> None:
        """What runs, as status of the placement: numbers and messages by sub-cluster, and whether it is available."""
        world, key = self._world, service.key
        placement = _latest(world.journal, placement)
        now = world.runtime.now()
        rollout = rollout_facts(service, placement, world.links, world.workloads)
        running = []
        for name, link in sorted(world.links.items()):
            state = link.workloads.get(key)
            message = link.failure_of(key) or (state.message if state is not None else "")
            if state is not None or message:
                replicas = len(state.pods) if state is not None else 0
                updated = updated_replicas(rollout, name)
                running.append(
                    Running(
                        subcluster=name,
                        replicas=replicas,
                        ready=ready_replicas(state),
                        updated=updated,
                        message=message,
                    )
                )
        wanted = {target.subcluster for target in placement.spec.targets}
        ready = sum(entry.ready for entry in running if entry.subcluster in wanted)
        condition = _availability(service, ready, wanted, running, now)
        status = placement.status.model_copy(
            update={
                "running": tuple(running),
                "conditions": with_condition(placement.status.conditions, condition),
                "observed_generation": placement.metadata.generation,
            }
        )
        status = with_rollout(service, status, rollout, now)
        if status != placement.status:
            world.journal.update(placement.model_copy(update={"status": status}))


def _latest(journal: Journal, placement: Placement) -> Placement:
    pending = journal.pending(placement)
    return pending if isinstance(pending, Placement) else placement


def _addresses(state: WorkloadState | None) -> frozenset[str]:
    return frozenset(pod.address for pod in state.pods) if state is not None else frozenset()


def _availability(
    service: Microservice, ready: int, wanted: set[str], running: Sequence[Running], now: float
) -> Condition:
    replicas = service.spec.replicas
    needed = min_available(replicas, service.spec.disruption.min_available)
    if not wanted:
        return Condition(type="Available", status="False", reason="NotPlaced", last_transition_time=now)
    status = "True" if ready >= needed else "False"
    reason = "Ready" if ready >= replicas else ("MinimumReady" if status == "True" else "NotReady")
    faults = "; ".join(f"{entry.subcluster}: {entry.message}" for entry in running if entry.message)
    message = f"{ready}/{replicas} ready" + (f"; {faults}" if faults else "")
    return Condition(
        type="Available",
        status="True" if status == "True" else "False",
        reason=reason,
        message=message,
        last_transition_time=now,
    )

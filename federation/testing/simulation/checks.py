"""What must hold at every moment, and what must hold once everything is quiet again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from federation.contracts.driver import Workload
from federation.contracts.gateway import Route
from federation.model.event import Event
from federation.model.meta import FLEET, Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy
from federation.model.subcluster import SubCluster
from federation.reconcile.desired import min_available
from federation.testing.simulation.gateways import SimGateway, usable
from federation.testing.simulation.judging import forbidden_by
from federation.testing.simulation.places import ROLL_GRACE_S, Place, Pod

if TYPE_CHECKING:
    from federation.testing.simulation.simulation import Simulation

NOTICE_S = 1.5
"""How long after a rule was written the engine may act without it."""
NEWS_S = 1.0
"""How long it takes at most until a table can know that a pod is ready."""
FAULT_NOTICE_S = 8.0
"""How long a fault may stay unnoticed: the detection window of a silent sub-cluster, and a slow answer."""
GATEWAY_WINDOW_S = 5.0
GATEWAY_NEWS_S = 6.5
"""How long after a gateway can be reached again it may have its old table: a call that hangs until its deadline, the
pause after it, a slow look, and a slow hand-over."""
STALE_S = 30.0
"""How long, with no fault anywhere, a gateway may send requests to a pod that died by a fault."""


class Checks:
    """Watches one run; `violations` stays empty as long as all invariants hold."""

    def __init__(self, simulation: Simulation) -> None:
        self._sim = simulation
        self.violations: list[str] = []
        self.changed = False
        self._asked: dict[str, dict[str, set[str]]] = {}

    def fail(self, invariant: str, message: str) -> None:
        """Record a violation."""
        self.violations.append(f"{invariant} at {self._sim.timeline.now:.2f} s: {message}")

    def note(self, *what: object) -> None:
        """One line of the trace."""
        self._sim.note(*what)

    def on_change(self) -> None:
        """Pods or tables changed: look at the traffic with the next tick."""
        self.changed = True

    # When Roam acts

    def on_apply(self, place: Place, workload: Workload, sent_at: float) -> None:
        """I1, I2, I3, I4 at an Apply."""
        key = workload.key
        if key in place.foreign:
            self.fail("I3", f"Roam asked {place.name} for {key}, which is not its own")
        copy = place.copies.get(key)
        service = self._service(key)
        grows = copy is None or workload.replicas > copy.replicas or workload.revision != copy.revision
        if service is not None and grows:
            rule = self.forbidden(service, place.name, sent_at)
            if rule:
                self.fail("I1", f"{key} was started in {place.name} against {rule}")
            if service.spec.stateful:
                others = [p.name for p in self._sim.places.values() if p is not place and _serving(p, key)]
                if others:
                    self.fail("I4", f"stateful {key} was started in {place.name} while it lives in {others}")
        if service is not None and copy is not None and workload.replicas < copy.replicas:
            live = place.live_pods(key)
            left = min(len([pod for pod in live if pod.ready]), workload.replicas)
            self._enough(service, place, left)

    def on_delete(self, place: Place, key: Key, sent_at: float) -> None:
        """I2, I3 and no lost request at a Delete."""
        if key in place.foreign:
            self.fail("I3", f"Roam asked {place.name} to delete {key}, which is not its own")
        service = self._service(key)
        if service is None or not place.live_pods(key):
            return
        self._enough(service, place, 0)
        addresses = {pod.address for pod in place.live_pods(key)}
        for gateway in self._sim.gateways.values():
            if not gateway.serving or not self._waited_for(gateway, sent_at):
                continue
            for route in gateway.table.values():
                if _key(route) == key and any(e.address in addresses for e in usable(route)):
                    self.fail("Lost request", f"{key} is retired in {place.name} while {gateway.name} sends there")

    def _enough(self, service: Microservice, place: Place, left_here: int) -> None:
        """I2: what Roam takes away must not be missed. What a fault took a moment ago counts as there."""
        key, now = service.key, self._sim.timeline.now
        before = sum(pod.ready for pod in place.live_pods(key))
        if left_here >= before:
            return
        elsewhere = 0
        for other in self._sim.places.values():
            if other is not place:
                elsewhere += sum(pod.ready for pod in other.live_pods(key)) + other.broken_since(
                    key, now - FAULT_NOTICE_S
                )
        placement = self._sim.store.find(Placement, key)
        committed = sum(target.replicas for target in placement.spec.targets) if placement is not None else 0
        needed = min(committed, min_available(service.spec.replicas, service.spec.disruption.min_available))
        if left_here + elsewhere < min(needed, before + elsewhere):
            self.fail("I2", f"{key}: Roam leaves {left_here} in {place.name} and {elsewhere} elsewhere, below {needed}")

    def _waited_for(self, gateway: SimGateway, at_s: float) -> bool:
        """Whether Roam has to wait for the word of a gateway: it was heard, and its sub-cluster was not silent."""
        place = gateway.place
        silent = place is not None and max(place.reachable_at, place.standing_at) > at_s - FAULT_NOTICE_S
        return not silent and gateway.heard_at > at_s - GATEWAY_WINDOW_S + 0.5

    def on_route(self, gateway: str, old: Route | None, new: Route | None) -> None:
        """No route loses its last usable endpoint while one that it had still serves."""
        if old is None or (new is not None and usable(new)):
            return
        service = self._service(_key(old))
        if service is None or service.spec.replicas == 0 or self._stopped(service.key):
            return
        for endpoint in usable(old):
            pod, place = self._pod(endpoint.address), self._sim.places[endpoint.subcluster]
            # A controller that began while nobody answered there has nothing to remember.
            unheard = max(place.reachable_at, place.standing_at, place.trouble.until_s) > self._sim.life_began_at
            # A pod that came back while the table was on its way is news to its author.
            told = pod is not None and pod.ready and pod.ready_since <= self._sim.timeline.now - NEWS_S
            if self._given_up(service, endpoint.subcluster):
                continue
            if told and not (unheard and self._sim.lives > 1):
                self.fail("Lost request", f"{gateway} drops {old.key}, though {endpoint.subcluster} serves it")
                return

    def _stopped(self, key: Key) -> bool:
        """Whether a rule had the service stopped."""
        placement = self._sim.store.find(Placement, key)
        return placement is not None and placement.spec.stopped

    def _given_up(self, service: Microservice, place: str) -> bool:
        """Whether a rule forbids the service there and it is not committed there: a move that was called off."""
        placement = self._sim.store.find(Placement, service.key)
        committed = placement is not None and placement.replicas_in(place)
        return not committed and bool(self.forbidden(service, place, float("inf")))

    def on_table(self, gateway: str, routes: Sequence[Route], sent_at: float) -> None:
        """I1 for traffic: no request newly sent to where a rule forbids the service, unless it is committed there."""
        before = self._asked.get(gateway, {})
        now: dict[str, set[str]] = {}
        for route in routes:
            now[route.key] = {endpoint.subcluster for endpoint in usable(route)}
            added = now[route.key] - before.get(route.key, set())
            service = self._service(_key(route)) if added else None
            if service is None:
                continue
            placement = self._sim.store.find(Placement, service.key)
            for name in sorted(added):
                rule = self.forbidden(service, name, sent_at)
                if rule and (placement is None or not placement.replicas_in(name)):
                    self.fail("I1", f"{gateway} gets traffic for {service.key} to {name} against {rule}")
        self._asked[gateway] = now

    def forbidden(self, service: Microservice, place: str, at_s: float) -> str:
        """The rule that forbids `service` in `place`, of those that the engine had time to notice by `at_s`."""
        country = next(spec.country for spec in self._sim.scenario.places if spec.name == place)
        for policy in self._sim.store.known(ClusterPlacementPolicy).values():
            if forbidden_by(policy, service, country) and self._noticed_at(policy) < at_s:
                return f"policy {policy.metadata.name}"
        return ""

    def _noticed_at(self, policy: ClusterPlacementPolicy) -> float:
        written_at = self._sim.store.written_at.get((type(policy), policy.key), 0.0)
        noticed_at = written_at + NOTICE_S
        return (
            noticed_at
            if self._sim.store.down_until_s < written_at
            else (max(noticed_at, self._sim.store.down_until_s + NOTICE_S))
        )

    def _service(self, key: Key) -> Microservice | None:
        return self._sim.store.find(Microservice, key)

    # Traffic

    def traffic(self) -> None:
        """Each gateway sends a request along each of its routes to every endpoint it may choose."""
        if not self.changed:
            return
        self.changed = False
        for gateway in self._sim.gateways.values():
            if not gateway.serving:
                continue
            for route in gateway.table.values():
                for endpoint in usable(route):
                    pod = self._pod(endpoint.address)
                    if pod is None or (pod.death and not pod.serves):
                        self.changed = True
                        self._lost(gateway, route, pod, endpoint.subcluster)

    def _pod(self, address: str) -> Pod | None:
        for place in self._sim.places.values():
            if address in place.addresses:
                return place.addresses[address]
        return None

    def _lost(self, gateway: SimGateway, route: Route, pod: Pod | None, subcluster: str) -> None:
        sim = self._sim
        calm_s = sim.timeline.now - sim.disturbed_at(gateway, sim.places[subcluster])
        why = pod.death if pod is not None else "fault"
        if self._service(_key(route)) is None and why != "fault":
            return
        if why == "retired":
            assert pod is not None
            if gateway.heard_at > pod.died_at - GATEWAY_WINDOW_S and calm_s > GATEWAY_NEWS_S:
                self.fail("Lost request", f"{gateway.name} sends {route.key} to a copy retired in {subcluster}")
        elif why == "replaced":
            if calm_s > ROLL_GRACE_S + 2.0:
                self.fail("Lost request", f"{gateway.name} sends {route.key} to a replaced pod in {subcluster}")
        elif min(calm_s, sim.timeline.now - (pod.died_at if pod is not None else 0.0)) > STALE_S:
            self.fail("Lost request", f"{gateway.name} still sends {route.key} to a dead pod in {subcluster}")

    # Records

    def records(self) -> None:
        """I6: at most one migration of a service is beyond its beginning, and what it moves is still committed at its
        source until it is retired there. I7: what was acknowledged is there."""
        for migration in self._sim.store.known(Migration).values():
            if migration.status.phase not in ("Prepared", "Shifting", "Drained"):
                continue
            placement = self._sim.store.find(Placement, Key(migration.metadata.namespace, migration.spec.service))
            if placement is not None and placement.replicas_in(migration.spec.source) < migration.spec.replicas:
                self.fail(
                    "I6", f"{migration.metadata.name} is {migration.status.phase}, but its source is not committed"
                )
        under_way = Counter(
            (m.metadata.namespace, m.spec.service)
            for m in self._sim.store.known(Migration).values()
            if m.open and m.status.phase not in ("Pending", "Checked")
        )
        for service, count in under_way.items():
            if count > 1:
                self.fail("I6", f"{count} migrations of {service[1]} are under way at once")
        for kind, known in self._sim.store.acknowledged.items():
            stored = {item.key: item for item in self._sim.store.inner.list(kind).items}
            for key, resource in known.items():
                if stored.get(key) != resource:
                    self.fail("I7", f"{kind.__name__} {key} is not stored as it was acknowledged")

    def history(self) -> None:
        """I5: every phase of every migration, and every refusal, has an event with a reason."""
        events = self._sim.store.inner.list(Event).items
        told = {(e.regarding.kind, e.regarding.namespace, e.regarding.name, e.reason) for e in events}
        for migration in self._sim.store.known(Migration).values():
            for entry in migration.status.history:
                if ("Migration", *migration.key, entry.phase) not in told:
                    self.fail("I5", f"{migration.metadata.name} entered {entry.phase} without an event")
        for placement in self._sim.store.known(Placement).values():
            for condition in placement.status.conditions:
                refused = condition.type == "Placed" and condition.status == "False"
                flagged = condition.type == "OutOfPolicy" and condition.status == "True"
                if (refused or flagged) and not any(
                    ("Microservice", *placement.key, reason) in told for reason in (condition.reason, condition.type)
                ):
                    self.fail("I5", f"{placement.key} is {condition.type}={condition.status} without an event")

    # Rest

    def unrest(self) -> list[str]:
        """What is not as it should be in the end; empty when the system is at rest."""
        found: list[str] = []
        services = self._sim.store.known(Microservice)
        placements = self._sim.store.known(Placement)
        for migration in self._sim.store.known(Migration).values():
            if migration.open:
                found.append(f"migration {migration.metadata.name} is {migration.status.phase}")
        for key in placements.keys() - services.keys():
            found.append(f"placement {key} is left over")
        for key, service in services.items():
            placement = placements.get(key)
            if placement is None:
                found.append(f"{key} has no placement")
                continue
            found += self._placed_wrong(service, placement)
        for place in self._sim.places.values():
            found += self._runs_wrong(place, placements)
        for gateway in self._sim.gateways.values():
            found += self._routed_wrong(gateway, services)
        return sorted(found)

    def _placed_wrong(self, service: Microservice, placement: Placement) -> list[str]:
        wanted = sum(target.replicas for target in placement.spec.targets)
        feasible = any(c.type == "Placed" and c.status == "True" for c in placement.status.conditions)
        homes = [target.subcluster for target in placement.spec.targets]
        if placement.spec.stopped and service.spec.stateful:
            # Its data is where a rule forbids it to run: it waits there.
            banned = any(self.forbidden(service, home, float("inf")) or self._emptied(home) for home in homes)
            return [] if banned else [f"{service.key} stays stopped, though nothing forbids {homes}"]
        if feasible or service.spec.replicas == 0:
            found = []
            if wanted != service.spec.replicas:
                found.append(f"{service.key} has {wanted} of {service.spec.replicas} replicas committed")
            for target in placement.spec.targets:
                rule = self.forbidden(service, target.subcluster, float("inf"))
                if rule and not service.spec.stateful:
                    found.append(f"{service.key} stays in {target.subcluster} against {rule}")
                elif self._emptied(target.subcluster) and not service.spec.stateful:
                    found.append(f"{service.key} stays in {target.subcluster}, which is to be empty")
            return found
        return []

    def _emptied(self, place: str) -> bool:
        """Whether nothing may stay in a sub-cluster."""
        record = self._sim.store.find(SubCluster, Key(FLEET, place))
        if record is None:
            return True
        return record.spec.drain is not None or any(taint.effect == "NoExecute" for taint in record.spec.taints)

    def _runs_wrong(self, place: Place, placements: dict[Key, Placement]) -> list[str]:
        found = []
        for key, copy in place.copies.items():
            wanted = placements[key].replicas_in(place.name) if key in placements else 0
            if wanted != copy.replicas or (wanted == 0 and copy.pods):
                found.append(f"{place.name} runs {copy.replicas} of {key}, committed are {wanted}")
            ready = [pod for pod in copy.pods if pod.ready and pod.revision == copy.revision]
            if len(ready) != len(copy.pods) or len(ready) != copy.replicas:
                found.append(f"{place.name} has {len(ready)} ready of {copy.replicas} of {key}")
        for key, placement in placements.items():
            service = self._service(key)
            if placement.replicas_in(place.name) and key not in place.copies:
                rule = self.forbidden(service, place.name, float("inf")) if service is not None else ""
                if not (rule or self._emptied(place.name)):
                    found.append(f"{place.name} runs nothing of {key}")
        return found

    def _routed_wrong(self, gateway: SimGateway, services: dict[Key, Microservice]) -> list[str]:
        found = []
        routed = {_key(route) for route in gateway.table.values()}
        for key in routed - services.keys():
            found.append(f"{gateway.name} still routes {key}")
        for key, service in services.items():
            ready = {pod.address for place in self._sim.places.values() for pod in place.live_pods(key) if pod.ready}
            for port in service.spec.ports:
                route = gateway.table.get(f"{key.namespace}/{key.name}:{port.port}")
                routes_to = {e.address for e in route.endpoints} if route is not None else set()
                if ready != routes_to:
                    found.append(f"{gateway.name} routes {key} to {sorted(routes_to)}, ready are {sorted(ready)}")
        return found


def _serving(place: Place, key: Key) -> bool:
    copy = place.copies.get(key)
    return copy is not None and any(pod.serves for pod in copy.pods)


def _key(route: Route) -> Key:
    return Key(route.namespace, route.service)

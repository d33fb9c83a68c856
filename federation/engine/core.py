"""The engine: one loop that observes, decides, writes down, and acts, on an injected `Runtime`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from federation.contracts.driver import SubClusterDriver
from federation.contracts.gateway import Gateway as GatewayHandle
from federation.contracts.meter import Meter, NoMeter, Step
from federation.contracts.runtime import Runtime
from federation.contracts.store import Change, Store
from federation.engine.addressing import WorkloadBuilder, assign_ports
from federation.engine.cache import CACHED, Cache
from federation.engine.deciding import DecisionEngine
from federation.engine.fleet import Fleet
from federation.engine.journal import Journal
from federation.engine.judging import Judgement
from federation.engine.services import ServiceReconciler, World
from federation.engine.vitals import Census, Vitals, take_census
from federation.errors import Expired, Unavailable
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy
from federation.model.subcluster import Gateway, SubCluster

WATCH_WAIT_S = 2.0
STORE_RETRY_S = 1.0
MAX_SLEEP_S = 5.0
PASS_SERVICES = 100
"""How many services are reconciled before the engine looks at what came in meanwhile."""


@dataclass(frozen=True)
class Plugins:
    """How the engine reaches the outside: handles on sub-clusters and gateways, and how it decides."""

    open_driver: Callable[[SubCluster], SubClusterDriver]
    open_gateway: Callable[[Gateway], GatewayHandle]
    judgement: Judgement


class Engine:
    """Drives everything in one store. Only the thread that calls `run` or `step` touches its state.

    It can be dropped at any instruction: all intents are in the store, and a new engine on it goes on."""

    def __init__(self, store: Store, runtime: Runtime, plugins: Plugins, meter: Meter | None = None) -> None:
        self._store, self._runtime, self._meter = store, runtime, meter or NoMeter()
        self._cache = Cache()
        self._vitals = Vitals(started_at=runtime.monotonic())
        self._journal = Journal(store, runtime, self._cache, self._on_change, self._meter)
        self._fleet = Fleet(
            self._cache,
            self._journal,
            runtime,
            plugins.open_driver,
            plugins.open_gateway,
            touched=self._touch,
            news=lambda: self._deciding.request(rest=0.0),
        )
        self._workloads = WorkloadBuilder(self._cache, self._fleet.gateways)
        self._deciding = DecisionEngine(
            self._cache,
            self._journal,
            runtime,
            self._fleet.links,
            plugins.judgement,
            self._workloads.neighbours,
            self._meter,
        )
        self._reconciler = ServiceReconciler(
            World(
                self._cache,
                self._journal,
                runtime,
                self._fleet.links,
                self._fleet.gateways,
                self._deciding,
                self._workloads,
            )
        )
        self._dirty: dict[Key, None] = {}
        self._backlog: dict[Key, None] = {}
        self._unported: set[Key] = set()
        self._timers: dict[Key, float] = {}
        self._since = 0
        self._retry_store_at: float | None = None
        self._lap_at = 0.0
        self._ready = self._informed = False
        self._stopping = False

    # Life

    def start(self) -> None:
        """Read the store and begin to observe."""
        self._load()
        self._watch()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Work until `stopped()`; `Runtime.wake` makes it look. Leaves everything that runs as it is."""
        self.start()
        while not stopped():
            self.step()
        self.close()

    def close(self) -> None:
        """Stop observing and write what is left to write; workloads and gateways go on."""
        self._stopping = True
        self._fleet.close()
        self._journal.flush()

    def step(self) -> None:
        """Wait for something to do, then do one pass over what changed."""
        self._runtime.wait(self._sleep_s())
        self._lap_at = self._runtime.monotonic()
        self._fleet.tick()
        self._fleet.report()
        self._ready = self._ready or self._fleet.known
        self._lap("watch")
        if self._ready:
            self._pass()
        self._fleet.tick_gateways(self._ready)
        self._lap("route")
        self._journal.flush()
        self._vitals.turn(self._lap_at, len(self._dirty) + len(self._backlog))
        self._vitals.observed = self._ready
        if self._retry_store_at is not None and self._runtime.monotonic() >= self._retry_store_at:
            self._retry_store_at = None
            self._watch()

    def _pass(self) -> None:
        """Decide if something asks for it, then reconcile what is dirty; what becomes dirty by it is for the next pass.

        Not before every sub-cluster was heard or has been silent for its window: with less, a table or a decision
        would be made from half of what runs."""
        now = self._runtime.monotonic()
        for key in [key for key, at in self._timers.items() if at <= now]:
            del self._timers[key]
            self._dirty[key] = None
        if self._unported:
            keys, self._unported = self._unported, set()
            assign_ports(self._cache, self._journal, keys)
            if self._journal.failing:
                self._unported |= keys
        # A first decision before capacity is known would overfill what looks cheap.
        self._informed = self._informed or self._fleet.offered
        if self._informed:
            self._touch(self._deciding.work())
        self._lap("decide")
        for key in self._next():
            refused = self._journal.refused
            again = self._reconciler.reconcile(key)
            if self._journal.refused > refused:
                self._timers[key] = now + STORE_RETRY_S
            elif again is not None:
                # Kept on the clock that never jumps; the record's own times are judged anew when it rings.
                self._timers[key] = now + again - self._runtime.now()
            else:
                self._timers.pop(key, None)
        self._journal.flush()
        self._lap("reconcile")
        if self._journal.failing:
            # Nothing is done of which no record can be kept.
            self._timers.update(dict.fromkeys(self._reconciler.hold(), now + STORE_RETRY_S))
        else:
            self._reconciler.send()
            self._lap("deliver")

    def _lap(self, step: Step) -> None:
        """Tell how long a part of this turn took."""
        began_at, self._lap_at = self._lap_at, self._runtime.monotonic()
        self._meter.step(step, self._lap_at - began_at)

    def _next(self) -> list[Key]:
        """The services to reconcile in this pass: those of which something was written, and some of the others."""
        dirty, self._dirty = self._dirty, {}
        room = max(PASS_SERVICES - len(dirty), 0)
        dirty.update(dict.fromkeys(islice(self._backlog, room)))
        for key in dirty:
            self._backlog.pop(key, None)
        return list(dirty)

    def _sleep_s(self) -> float:
        mono = self._runtime.monotonic()
        times = [MAX_SLEEP_S]
        tick = self._fleet.next_tick()
        if tick is not None:
            times.append(tick - mono)
        if self._retry_store_at is not None:
            times.append(self._retry_store_at - mono)
        if not self._journal.idle:
            times.append(STORE_RETRY_S if self._journal.failing else 0.0)
        if self._ready or self._fleet.known:
            times += [at - mono for at in self._timers.values()]
            due = self._deciding.due_at() if self._informed else None
            if due is not None:
                times.append(due - mono)
            if self._dirty or self._backlog or self._unported or (self._informed and self._deciding.busy):
                times.append(STORE_RETRY_S if self._journal.failing else 0.0)
        return max(0.0, min(times))

    # For others, from any thread

    @property
    def vitals(self) -> Vitals:
        """Its signs of life."""
        return self._vitals

    def census(self) -> Census:
        """What it holds and what waits."""
        return take_census(self._vitals, self._cache, self._fleet, self._runtime.monotonic())

    # Store

    def _load(self) -> None:
        """Take over the whole store; also after the change log no longer reaches back to what was seen last."""
        version = self._store.version()
        for kind in CACHED:
            listed = {resource.key: resource for resource in self._store.list(kind).items}
            for key, resource in list(self._cache.of(kind).items()):
                if key not in listed:
                    self._take(Change("Deleted", resource, version))
            for resource in listed.values():
                self._take(Change("Added", resource, resource.metadata.resource_version))
        self._since = version

    def _watch(self) -> None:
        since, store = self._since, self._store
        self._runtime.submit("store", lambda: store.changes(since, kinds=CACHED, wait_s=WATCH_WAIT_S), self._on_watch)

    def _on_watch(self, answer: tuple[tuple[Change, ...], int] | None, error: BaseException | None) -> None:
        if self._stopping:
            return
        if answer is not None:
            changes, self._since = answer
            for change in changes:
                self._take(change)
        elif isinstance(error, Expired) and self._reload():
            pass
        else:
            self._retry_store_at = self._runtime.monotonic() + STORE_RETRY_S
            return
        self._watch()

    def _reload(self) -> bool:
        try:
            self._load()
        except Unavailable:
            return False
        return True

    def _take(self, change: Change) -> None:
        if self._cache.apply(change):
            self._on_change(change)

    def _on_change(self, change: Change) -> None:
        """Work out what has to be looked at again after a change in the cache."""
        resource, deleted = change.resource, change.type == "Deleted"
        if isinstance(resource, Microservice | Placement):
            self._deciding.room.recount(resource.key)
        elif isinstance(resource, Migration):
            self._deciding.room.recount(Key(resource.metadata.namespace, resource.spec.service))
        if isinstance(resource, Microservice):
            self._on_service(resource, deleted=deleted)
        elif isinstance(resource, Placement):
            self._dirty[resource.key] = None
            if deleted or self._deciding.is_unplanned(resource):
                self._deciding.request()
        elif isinstance(resource, Migration):
            self._dirty[Key(resource.metadata.namespace, resource.spec.service)] = None
            if deleted or not resource.open or change.type == "Added":
                self._deciding.request()
        elif isinstance(resource, PlacementPolicy | ClusterPlacementPolicy):
            self._deciding.on_rules()
        elif isinstance(resource, SubCluster):
            self._on_fleet(self._fleet.sync_subcluster(resource, deleted=deleted))
        elif isinstance(resource, Gateway):
            self._on_fleet(self._fleet.sync_gateway(resource, deleted=deleted))

    def _on_fleet(self, changed: bool) -> None:
        if changed:
            self._deciding.on_rules()
            self._touch(self._cache.of(Microservice))

    def _on_service(self, service: Microservice, *, deleted: bool) -> None:
        self._dirty[service.key] = None
        self._touch(self._workloads.callers(service.key))
        if deleted:
            self._workloads.forget(service.key)
            self._deciding.request()
            return
        self._workloads.learn(service)
        self._touch(self._workloads.callers(service.key))
        if any(str(port.port) not in service.status.gateway_ports for port in service.spec.ports):
            self._unported.add(service.key)
        self._deciding.on_service(service)

    def _touch(self, keys: Iterable[Key]) -> None:
        self._backlog.update(dict.fromkeys(sorted(keys)))

"""Decisions beside the loop: what is delivered while one is under way, and what must wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from federation.contracts.driver import Capabilities, Observation, PodState, WithoutInspection, Workload, WorkloadState
from federation.contracts.store import Create, Replace
from federation.engine.core import Engine, Plugins
from federation.engine.links import OFFERS_PERIOD_S
from federation.model.meta import Key, Metadata, Selector
from federation.model.microservice import Call, Microservice, MicroserviceSpec
from federation.model.offers import Offer
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, PolicySpec
from federation.model.subcluster import Location, SubCluster, SubClusterSpec
from federation.store.sql import SqlStore, open_store
from federation.testing.simulation.judging import judge_really

NAMES = ("here", "there")
PRICE = {"cpu_hour_usd": 0.04, "memory_gib_hour_usd": 0.005}


class HandRuntime:
    """Time goes on by hand; a decision takes a second, or as long as `held`."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.held = False
        self._calls: list[tuple[float, str, Callable[[], Any], Callable[[Any, Any], None]]] = []
        self._number = 0

    def now(self) -> float:
        return 1_770_000_000.0 + self.time

    def monotonic(self) -> float:
        return self.time

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, Any], None]) -> None:
        self._calls.append((self.time + (1.0 if lane == "decisions" else 0.01), lane, call, done))

    def wait(self, timeout_s: float) -> None:
        self.time += min(max(timeout_s, 0.001), 0.01)
        ready = [each for each in self._calls if each[0] <= self.time and not (self.held and each[1] == "decisions")]
        self._calls = [each for each in self._calls if each not in ready]
        for _, _, call, done in ready:
            try:
                answer = call()
            except Exception as error:
                done(None, error)
            else:
                done(answer, None)

    def wake(self) -> None:
        """Nobody sleeps."""

    def uid(self) -> str:
        self._number += 1
        return f"{self._number:010d}"

    def random(self) -> float:
        return 0.5

    def close(self, timeout_s: float) -> None:
        """Nothing is open."""


class Driver(WithoutInspection):
    """Runs everything at once."""

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self.running: dict[Key, WorkloadState] = {}
        self.machines: tuple[Offer, ...] = ()

    def capabilities(self) -> Capabilities:
        return Capabilities(runs_images=True, names="dns")

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:
        return (Offer(name="all", cpu_cores=self._cores, memory_bytes=2.0**40, **PRICE), *self.machines)

    def observe(self, cursor: str | None, *, wait_s: float, deadline_s: float) -> Observation:
        return Observation("0", True, tuple(state for _, state in sorted(self.running.items())))

    def apply(self, workload: Workload, *, deadline_s: float) -> None:
        pods = tuple(
            PodState(name=f"p{n}", address="127.0.0.1", ready=True, revision=workload.revision, ports={})
            for n in range(workload.replicas)
        )
        self.running[workload.key] = WorkloadState(workload.key, workload.revision, workload.replicas, pods)

    def delete(self, key: Key, *, deadline_s: float) -> None:
        self.running.pop(key, None)

    def close(self) -> None:
        """Nothing is held."""


class Impatient:
    """A store of which the changes are not waited for: time goes on by hand."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def changes(self, since: int, *, kinds: Any, wait_s: float) -> Any:
        return self._store.changes(since, kinds=kinds, wait_s=0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Fleet:
    """An engine on a store in memory, two sub-clusters, and some services that run."""

    def __init__(self, services: int = 4, cores: float = 20.0) -> None:
        self.store = open_store(None)
        self.runtime = HandRuntime()
        self.drivers = {name: Driver(cores) for name in NAMES}
        plugins = Plugins(lambda record: self.drivers[record.metadata.name], self._no_gateway, judge_really)
        for number, name in enumerate(NAMES):
            place = Location(country=("DE", "US")[number], latitude=50.0, longitude=8.0, cloud=name)
            self.write(
                Create(SubCluster(metadata=Metadata(name=name), spec=SubClusterSpec(provider="x", location=place)))
            )
        for number in range(services):
            self.create(f"s{number}", calls=(f"s{number + 1}",) if number + 1 < services else ())
        impatient: Any = Impatient(self.store)
        self.engine = Engine(impatient, self.runtime, plugins)
        self.engine.start()
        self.until(lambda: self.count() == services)
        self.pass_time(3.0)

    @staticmethod
    def _no_gateway(record: object) -> Any:
        raise AssertionError(record)

    def write(self, write: Any) -> Any:
        return self.store.write([write], now=self.runtime.now())[0]

    def create(self, name: str, cpu: str = "1", calls: tuple[str, ...] = ()) -> None:
        container = {"name": "main", "command": ["x"], "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
        spec = MicroserviceSpec(
            replicas=1,
            template={"spec": {"containers": [container]}},
            calls=tuple(Call(service=each) for each in calls),
        )
        self.write(Create(Microservice(metadata=Metadata(name=name, namespace="d", labels={"app": name}), spec=spec)))

    def change(self, name: str, **spec: object) -> None:
        old = self.store.get(Microservice, Key("d", name))
        self.write(Replace(old.model_copy(update={"spec": old.spec.model_copy(update=spec)})))

    def change_template(self, name: str, value: str) -> None:
        template = dict(self.store.get(Microservice, Key("d", name)).spec.template)
        container = {**template["spec"]["containers"][0], "env": [{"name": "X", "value": value}]}  # type: ignore[index,call-overload]
        self.change(name, template={"spec": {"containers": [container]}})

    def forbid(self, country: str) -> None:
        rule = {"selector": Selector(), "compliance": {"residency": {"deny": [country]}}}
        self.write(
            Create(
                ClusterPlacementPolicy(metadata=Metadata(name=country.lower()), spec=PolicySpec.model_validate(rule))
            )
        )

    def running(self, name: str) -> dict[str, WorkloadState]:
        key = Key("d", name)
        return {place: driver.running[key] for place, driver in self.drivers.items() if key in driver.running}

    def replicas(self, name: str) -> int:
        return sum(state.replicas for state in self.running(name).values())

    def revisions(self, name: str) -> set[str]:
        return {state.revision for state in self.running(name).values()}

    def count(self) -> int:
        return sum(len(driver.running) for driver in self.drivers.values())

    def until(self, holds: Callable[[], bool], limit_s: float = 30.0) -> None:
        ends_at = self.runtime.time + limit_s
        while not holds():
            assert self.runtime.time < ends_at, "not in time"
            self.engine.step()

    def pass_time(self, seconds: float) -> None:
        ends_at = self.runtime.time + seconds
        while self.runtime.time < ends_at:
            self.engine.step()


def test_a_changed_service_is_delivered_while_a_decision_is_under_way() -> None:
    fleet = Fleet()
    fleet.runtime.held = True
    fleet.create("far", cpu="100")  # for this everything is decided anew: there is no room
    fleet.pass_time(2.0)
    before = fleet.revisions("s1")
    fleet.change_template("s1", "new")
    fleet.until(lambda: fleet.revisions("s1") != before, limit_s=0.5)
    fleet.change("s2", replicas=3)
    fleet.until(lambda: fleet.replicas("s2") == 3, limit_s=0.5)
    fleet.create("s9")
    fleet.until(lambda: fleet.replicas("s9") == 1, limit_s=0.5)
    assert not fleet.running("far")
    fleet.runtime.held = False
    fleet.pass_time(5.0)
    assert fleet.replicas("s2") == 3
    assert not fleet.running("far")


def test_what_a_new_rule_may_forbid_waits_until_it_is_judged() -> None:
    fleet = Fleet()
    where = {name: set(fleet.running(name)) for name in ("s0", "s1")}
    fleet.runtime.held = True
    fleet.forbid("US" if where["s1"] == {"there"} else "DE")
    fleet.pass_time(0.5)
    before = fleet.revisions("s1")
    fleet.change_template("s1", "new")
    fleet.create("s9")
    fleet.pass_time(3.0)
    assert fleet.revisions("s1") == before
    assert not fleet.running("s9")
    fleet.runtime.held = False
    fleet.until(lambda: fleet.replicas("s9") == 1)
    assert set(fleet.running("s9")).isdisjoint(where["s1"])


def test_quick_decisions_count_the_room_of_all_others() -> None:
    fleet = Fleet(services=4, cores=3.0)
    fleet.runtime.held = True
    for name in ("n1", "n2", "n3", "n4"):
        fleet.create(name)
        fleet.pass_time(0.5)
    assert fleet.count() == 6
    fleet.runtime.held = False
    fleet.pass_time(10.0)
    assert fleet.count() == 6
    placements = fleet.store.list(Placement).items
    assert sum(target.replicas for each in placements for target in each.spec.targets) == 6


def test_what_a_driver_says_machines_cost_decides_and_is_remembered() -> None:
    """One machine is cheaper than the cores elsewhere; when the driver can't tell its price any more, it is still."""
    fleet = Fleet(services=0)
    quoted = Offer(
        name="m1",
        instance_type="m1",
        cpu_cores=2.0,
        memory_bytes=2.0**33,
        usd_per_hour=0.01,
        origin="the price list",
        as_of=fleet.runtime.now(),
    )
    for there, usd in (("here", 0.5), ("there", 0.01)):
        fleet.drivers[there].machines = (quoted.model_copy(update={"usd_per_hour": usd}),)
    fleet.pass_time(OFFERS_PERIOD_S + 2.0)
    fleet.create("first")
    fleet.until(lambda: fleet.count() == 1)
    silent = quoted.model_copy(update={"usd_per_hour": None, "as_of": None, "origin": ""})
    fleet.drivers["there"].machines = (silent,)
    fleet.pass_time(OFFERS_PERIOD_S + 2.0)
    fleet.create("second")
    fleet.until(lambda: fleet.count() == 2)
    for name in ("first", "second"):
        assert set(fleet.running(name)) == {"there"}
        placement = fleet.store.get(Placement, Key("d", name))
        assert placement.status.proposed is not None
        assert placement.status.proposed.terms["compute"] == 0.01
    stored = fleet.store.get(SubCluster, Key("", "there")).status.offers
    assert stored[1] == quoted

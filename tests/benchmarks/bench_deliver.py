"""How long 2,000 microservices take from the store to four scripted drivers, through the real engine and planner.

`python tests/benchmarks/bench_deliver.py [SERVICES]` prints one line of JSON. The store is a file with full durability;
the drivers answer at once; threads and clock are real.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from federation import app
from federation.contracts.driver import (
    Capabilities,
    Observation,
    PodState,
    WithoutInspection,
    Workload,
    WorkloadState,
)
from federation.contracts.gateway import GatewayState, Route, RouteState
from federation.contracts.store import Create
from federation.engine.core import Engine, Plugins
from federation.engine.runtime import ThreadRuntime
from federation.model.meta import Key, Metadata
from federation.model.microservice import Call, Microservice, MicroserviceSpec, Port
from federation.model.offers import Offer
from federation.model.subcluster import Gateway, GatewaySpec, Location, Pricing, SubCluster, SubClusterSpec
from federation.store.sql import open_store

PLACES = ("azure", "ec2", "gce", "onprem")
GIB = 2.0**30
LONGEST_S = 300.0


class InstantDriver(WithoutInspection):
    """Runs everything at once, in memory."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._changed = threading.Condition()
        self._log: list[Key] = []
        self.workloads: dict[Key, WorkloadState] = {}

    def capabilities(self) -> Capabilities:
        return Capabilities(runs_images=True, names="rewrite")

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:
        price = {"cpu_hour_usd": 0.04, "memory_gib_hour_usd": 0.005}
        return (Offer(name="all", cpu_cores=4000.0, memory_bytes=16000 * GIB, **price),)

    def observe(self, cursor: str | None, *, wait_s: float, deadline_s: float) -> Observation:
        with self._changed:
            if cursor is not None and int(cursor) == len(self._log):
                self._changed.wait(wait_s)
            keys = set(self.workloads) if cursor is None else set(self._log[int(cursor) :])
            found = tuple(self.workloads[key] for key in sorted(keys))
            return Observation(str(len(self._log)), cursor is None, found)

    def apply(self, workload: Workload, *, deadline_s: float) -> None:
        with self._changed:
            number = len(self.workloads)
            pods = tuple(
                PodState(
                    name=f"{workload.key.name}-{replica}",
                    address=f"127.{100 + self._index}.{number // 250}.{1 + number % 250}",
                    ready=True,
                    revision=workload.revision,
                    ports={port.port: port.port for port in workload.ports},
                )
                for replica in range(workload.replicas)
            )
            self.workloads[workload.key] = WorkloadState(workload.key, workload.revision, workload.replicas, pods)
            self._log.append(workload.key)
            self._changed.notify_all()

    def delete(self, key: Key, *, deadline_s: float) -> None:
        raise AssertionError(f"nothing is to be deleted here: {key}")

    def close(self) -> None:
        """Nothing is held."""


class InstantGateway:
    """Has every table in force at once."""

    def __init__(self) -> None:
        self._routes: tuple[Route, ...] = ()

    def apply(self, routes: Sequence[Route], *, deadline_s: float) -> None:
        self._routes = tuple(routes)

    def observe(self, *, deadline_s: float) -> GatewayState:
        return GatewayState({route.key: RouteState(route.key, route.revision, (), 0) for route in self._routes})

    def close(self) -> None:
        """Nothing is held."""


def fleet() -> list[Create]:
    writes = []
    for number, name in enumerate(PLACES):
        place = Location(country="DE", latitude=50.0 + number, longitude=8.0, cloud=name, operator_country="DE")
        spec = SubClusterSpec(provider="local", location=place, pricing=Pricing(cpu_hour=0.04, memory_gib_hour=0.005))
        gateway = GatewaySpec(subcluster=name, address=f"127.0.0.{10 + number}")
        writes.append(Create(SubCluster(metadata=Metadata(name=name), spec=spec)))
        writes.append(Create(Gateway(metadata=Metadata(name=name), spec=gateway)))
    return writes


def service(number: int) -> Microservice:
    """One of an application of ten, each of which calls the next."""
    container = {
        "name": "main",
        "image": "app:1",
        "env": [{"name": "NEXT_ADDR", "value": f"s{number + 1}:8080"}],
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}},
    }
    calls = (Call(service=f"s{number + 1}", gib_per_hour=0.1),) if number % 10 < 9 else ()
    return Microservice(
        metadata=Metadata(name=f"s{number}", namespace="bench"),
        spec=MicroserviceSpec(
            replicas=2,
            template={"metadata": {"labels": {"app": f"s{number}"}}, "spec": {"containers": [container]}},
            ports=(Port(port=8080, protocol="http"),),
            calls=calls,
        ),
    )


def deliver(services: int, folder: Path) -> float:
    """Seconds from the first write of a microservice until all run in the drivers."""
    store = open_store(folder / "store.db")
    store.write(fleet(), now=time.time())
    drivers = {name: InstantDriver(number) for number, name in enumerate(PLACES)}
    runtime = ThreadRuntime()
    plugins = Plugins(lambda record: drivers[record.metadata.name], lambda _record: InstantGateway(), app.judge)
    engine = Engine(store, runtime, plugins)
    stopping = threading.Event()
    thread = threading.Thread(target=engine.run, args=(stopping.is_set,))
    thread.start()
    try:
        began = time.monotonic()
        for first in range(0, services, 100):
            batch = [Create(service(number)) for number in range(first, min(first + 100, services))]
            store.write(batch, now=time.time())
        while sum(len(driver.workloads) for driver in drivers.values()) < services:
            if time.monotonic() - began > LONGEST_S:
                raise TimeoutError(f"not delivered within {LONGEST_S:g} s")
            time.sleep(0.02)
        return time.monotonic() - began
    finally:
        stopping.set()
        runtime.wake()
        thread.join()
        runtime.close(5.0)
        store.close()


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps({"bench": "deliver", "services": count, "seconds": round(deliver(count, Path(directory)), 2)}))

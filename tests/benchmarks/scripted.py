"""A provider and a gateway driver that do everything at once in memory, for measuring the controller alone.

`bench_controller.py` makes them known to a real `roam serve` as any third party would: by entry points. Sub-clusters
answer by long poll. Each Apply is noted, with the time it arrived, in the file that `ROAM_BENCH_APPLIED` names.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from federation.contracts.driver import Capabilities, Observation, PodState, Workload, WorkloadState
from federation.contracts.gateway import GatewayState, Route, RouteState
from federation.model.meta import Key
from federation.model.offers import Offer
from federation.model.subcluster import SubCluster

GIB = 2.0**30


class Connection(BaseModel):
    """`index` keeps the addresses of the sub-clusters' pods apart."""

    model_config = ConfigDict(extra="forbid")

    index: int = 0


class InstantDriver:
    """Runs everything at once, in memory; new pods get new ports, as real ones would."""

    def __init__(self, index: int, applied: int) -> None:
        self._index, self._applied = index, applied
        self._changed = threading.Condition()
        self._log: list[Key] = []
        self._numbers: dict[Key, int] = {}
        self._workloads: dict[Key, WorkloadState] = {}

    def capabilities(self) -> Capabilities:
        return Capabilities(runs_images=True, names="rewrite")

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:
        price = {"cpu_hour_usd": 0.04 + 0.001 * self._index, "memory_gib_hour_usd": 0.005}
        return (Offer(name="all", cpu_cores=3000.0, memory_bytes=12000 * GIB, **price),)

    def observe(self, cursor: str | None, *, wait_s: float, deadline_s: float) -> Observation:
        with self._changed:
            if cursor is not None and int(cursor) == len(self._log):
                self._changed.wait(wait_s)
            keys = set(self._workloads) | set(self._log) if cursor is None else set(self._log[int(cursor) :])
            found = tuple(self._workloads[key] for key in sorted(keys) if key in self._workloads)
            gone = tuple(key for key in sorted(keys) if key not in self._workloads)
            return Observation(str(len(self._log)), cursor is None, found, gone)

    def apply(self, workload: Workload, *, deadline_s: float) -> None:
        line = f"{workload.key.name} {workload.revision} {workload.replicas} {time.monotonic():.6f}\n"
        os.write(self._applied, line.encode())
        with self._changed:
            number = self._numbers.setdefault(workload.key, len(self._numbers))
            old = self._workloads.get(workload.key)
            base = 20_000 + int(workload.revision[:3], 16)
            pods = tuple(
                PodState(
                    name=f"{workload.key.name}-{replica}",
                    address=f"127.{100 + self._index}.{number // 250}.{1 + number % 250}",
                    ready=True,
                    revision=workload.revision,
                    ports={port.port: base + 5_000 * replica + index for index, port in enumerate(workload.ports)},
                )
                for replica in range(workload.replicas)
            )
            new = WorkloadState(workload.key, workload.revision, workload.replicas, pods)
            if new != old:
                self._workloads[workload.key] = new
                self._tell(workload.key)

    def delete(self, key: Key, *, deadline_s: float) -> None:
        with self._changed:
            if self._workloads.pop(key, None) is not None:
                self._tell(key)

    def _tell(self, key: Key) -> None:
        self._log.append(key)
        self._changed.notify_all()

    def close(self) -> None:
        """Nothing is held."""


class Provider:
    """Sub-clusters of instant drivers."""

    name = "scripted"
    cloud = None
    connection_schema = Connection

    def capabilities(self, connection: BaseModel) -> Capabilities:
        return Capabilities(runs_images=True, names="rewrite")

    def open(self, subcluster: SubCluster, connection: BaseModel) -> InstantDriver:
        applied = os.open(os.environ["ROAM_BENCH_APPLIED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return InstantDriver(Connection.model_validate(connection.model_dump()).index, applied)


class InstantGateway:
    """Has every table in force at once. Looks only at routes that are others than before, as a thrifty one would."""

    def __init__(self) -> None:
        self._table: Sequence[Route] = ()
        self._state = GatewayState({})

    def apply(self, routes: Sequence[Route], *, deadline_s: float) -> None:
        old, self._table = self._table, tuple(routes)
        if len(old) == len(routes):
            changed = [(was, now) for was, now in zip(old, routes, strict=True) if was is not now]
            states = dict(self._state.routes)
            for was, _ in changed:
                states.pop(was.key, None)
        else:
            known = self._state.routes
            states = {key: known[key] for key in {route.key for route in routes} & known.keys()}
            same = set(map(id, old))
            changed = [(route, route) for route in routes if id(route) not in same]
        states.update((now.key, RouteState(now.key, now.revision, (), 0)) for _, now in changed)
        self._state = GatewayState(states)

    def observe(self, *, deadline_s: float) -> GatewayState:
        return self._state

    def close(self) -> None:
        """Nothing is held."""


class GatewayDriver:
    """Instant gateways."""

    name = "scripted"
    connection_schema = Connection

    def open(self, gateway: str, address: str, connection: BaseModel) -> InstantGateway:
        return InstantGateway()


PROVIDER = Provider()
GATEWAY = GatewayDriver()

"""Traffic is not disturbed by what Roam does to it: the routing's spike, kept as a test.

Three gateways, backends of each protocol, an open-loop load that verifies every answer and never retries by itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import routing_helpers as helpers
from routing_helpers import Backend, PhaseReport, RunningGateway

from federation.contracts.gateway import Route, RouteEndpoint
from federation.model.microservice import Protocol

pytestmark = pytest.mark.e2e

RATES_PER_S: Mapping[Protocol, float] = {"http": 70.0, "http2": 50.0, "tcp": 40.0}
WEIGHT_CHANGES = 1000
RETRIED_SHARE = 0.001
RECOVERY_S = 2.0


class Routing:
    """Three gateways with one service per protocol, under load; phases are named as they begin."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.network = helpers.free_network()
        self.gateways: list[RunningGateway] = stack.enter_context(helpers.running_gateways(3, self.network))
        self.listen_ports: dict[Protocol, int] = {}
        for protocol in RATES_PER_S:
            self.listen_ports[protocol] = helpers.free_port(f"{self.network}.1")
        self.neighbour: Route | None = None
        self.endpoints: dict[Protocol, dict[str, tuple[Backend, int]]] = {protocol: {} for protocol in RATES_PER_S}
        self.born = 0
        self.phases: list[tuple[str, float, int]] = []

    def start_backends(self, weight: int) -> None:
        """One more backend for each protocol."""
        self.born += 1
        for protocol, backends in self.endpoints.items():
            name = f"{protocol}-{self.born}"
            started = helpers.backend(protocol, f"{self.network}.{100 + self.born}", name)
            backends[name] = (self.stack.enter_context(started), weight)

    def routes(self) -> list[Route]:
        table = []
        for protocol, backends in self.endpoints.items():
            endpoints = tuple(backend.endpoint(weight) for backend, weight in backends.values())
            table.append(Route("shop", protocol, 80, protocol, self.listen_ports[protocol], endpoints))
        return [*table, self.neighbour] if self.neighbour else table

    def weigh(self, weights: Mapping[str, int]) -> None:
        """Change the weights of the named backends; applied at once, nothing waited for."""
        for backends in self.endpoints.values():
            for name in set(weights) & set(backends):
                backends[name] = (backends[name][0], weights[name])
        self.apply()

    def apply(self) -> None:
        for gateway in self.gateways:
            gateway.apply(self.routes())

    def acknowledge(self) -> None:
        routes = self.routes()
        helpers.wait_for(lambda: helpers.acknowledged(self.gateways, routes), "every gateway acknowledges")

    def begin(self, name: str) -> None:
        self.phases.append((name, time.monotonic(), helpers.retried(self.gateways)))

    def reports(self, results: list[helpers.Result]) -> dict[str, PhaseReport]:
        """One report for each phase but the last, which only ends the one before it."""
        found = {}
        for (name, start, before), (_, end, after) in zip(self.phases, self.phases[1:], strict=False):
            found[name] = helpers.report(name, start, end, results, after - before)
            print(found[name])
            for failure in found[name].failed[:10]:
                print(f"    +{failure.due - start:.2f} s {failure.protocol}: {failure.error}")
        return found


@pytest.fixture
def routing() -> Iterator[Routing]:
    with ExitStack() as stack:
        yield Routing(stack)


@pytest.mark.timeout(300)
def test_planned_changes_cost_no_request_and_a_kill_costs_only_its_moment(routing: Routing, tmp_path: Path) -> None:
    routing.start_backends(50)
    routing.start_backends(50)
    routing.apply()
    routing.acknowledge()
    targets = [
        (protocol, rate, [(gateway.address, routing.listen_ports[protocol]) for gateway in routing.gateways])
        for protocol, rate in RATES_PER_S.items()
    ]
    with helpers.load(tmp_path, targets, seed=7) as load:
        helpers.wait_for(lambda: requests_seen(routing) > 100, "the load is on")
        routing.begin("before")
        helpers.pause(2.0)
        routing.begin("weights")
        change_weights(routing)
        routing.begin("drain")
        drain_first(routing)
        routing.begin("restore")
        routing.start_backends(50)
        routing.apply()
        routing.acknowledge()
        helpers.pause(1.0)
        routing.begin("kill")
        killed = time.monotonic()
        for backends in routing.endpoints.values():
            next(iter(backends.values()))[0].kill()
        helpers.pause(RECOVERY_S + 1.5)
        routing.begin("end")
        results = load.end()
    reports = routing.reports(results)
    planned = [reports[name] for name in ("before", "weights", "drain", "restore")]
    assert not [failure for each in planned for failure in each.failed]
    assert sum(each.retried for each in planned) <= RETRIED_SHARE * sum(each.requests for each in planned)
    late = [failure for failure in reports["kill"].failed if failure.due > killed + RECOVERY_S]
    assert not late


def requests_seen(routing: Routing) -> int:
    return sum(
        load.requests
        for gateway in routing.gateways
        for state in gateway.observe().routes.values()
        for load in state.endpoints
    )


def change_weights(routing: Routing) -> None:
    """Random weights, every fourth change and the last acknowledged by all; a neighbour comes and goes meanwhile."""
    rng = random.Random(11)
    names = [name for backends in routing.endpoints.values() for name in backends]
    port = helpers.free_port(f"{routing.network}.1")
    for number in range(WEIGHT_CHANGES):
        if number % 50 == 25:
            away = RouteEndpoint(f"{routing.network}.99", 1, "away", 1)
            routing.neighbour = None if routing.neighbour else Route("shop", "neighbour", 80, "http", port, (away,))
        weights = {name: rng.randrange(1, 100) for name in names}
        if number % 10 == 0:
            idle = f"-{rng.randrange(1, 3)}"
            weights = {name: 0 if name.endswith(idle) else 100 for name in names}
        routing.weigh(weights)
        if number % 4 == 3:
            routing.acknowledge()
    routing.acknowledge()


def drain_first(routing: Routing) -> None:
    """As a migration does it: no new requests, none in flight, out of the table, and only then stopped."""
    leaving = {protocol: next(iter(backends)) for protocol, backends in routing.endpoints.items()}
    routing.weigh(dict.fromkeys(leaving.values(), 0))
    routing.acknowledge()
    retired = [routing.endpoints[protocol][name][0] for protocol, name in leaving.items()]
    for backend in retired:
        helpers.wait_for(lambda b=backend: helpers.in_flight(routing.gateways, b) == 0, f"{backend.name} is idle")
    for protocol, name in leaving.items():
        del routing.endpoints[protocol][name]
    routing.apply()
    routing.acknowledge()
    for backend in retired:
        backend.stop()

"""The conformance suite of gateway drivers: real traffic through a real gateway, whatever kind it is.

A driver passes it by a class in its tests::

    class TestMine(GatewaySuite):
        @pytest.fixture
        def rig(self) -> Iterator[GatewayRig]: ...
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import pytest

from federation.contracts.gateway import Gateway, Route, RouteEndpoint, RouteState
from federation.errors import InvalidInput, Unavailable
from federation.testing.backends import TestBackend, echo_backend, http_backend

T = TypeVar("T")
DEADLINE_S: Final = 10.0
POLL_S: Final = 0.01


@dataclass(frozen=True)
class GatewayRig:
    """What a driver's tests hand to the suite: a running gateway of its kind with an empty table.

    `address`: where it listens, on loopback; `backend_address`: where the suite may listen; `open`: a new handle each
    time; `restart`: end the gateway hard and start it on what it had; `stop`: end it for good."""

    address: str
    backend_address: str
    open: Callable[[], Gateway]
    restart: Callable[[], None]
    stop: Callable[[], None]


@dataclass
class Scene:
    """A rig with a handle, backends that end with the test, and one service to route."""

    rig: GatewayRig
    stack: ExitStack
    gateway: Gateway
    listen_port: int

    def web(self, name: str) -> TestBackend:
        """One more HTTP/1.1 backend."""
        return self.stack.enter_context(http_backend(self.rig.backend_address, name))

    def echo(self, name: str) -> TestBackend:
        """One more TCP backend."""
        return self.stack.enter_context(echo_backend(self.rig.backend_address, name))

    def route(self, *endpoints: RouteEndpoint, service: str = "cart", protocol: str = "http", port: int = 0) -> Route:
        """A route of the scene's service, or of another one on its own `port`."""
        assert protocol in ("http", "http2", "tcp")
        return Route("shop", service, 80, protocol, port or self.listen_port, endpoints)  # type: ignore[arg-type]

    def put(self, *routes: Route) -> None:
        """Make this the table, and wait until the gateway says so."""
        self.gateway.apply(routes, deadline_s=DEADLINE_S)
        wait_for(lambda: self.in_force(*routes), "the table is in force")

    def in_force(self, *routes: Route) -> bool:
        """Whether exactly these revisions are reported."""
        observed = self.gateway.observe(deadline_s=DEADLINE_S).routes
        return {key: state.revision for key, state in observed.items()} == {r.key: r.revision for r in routes}

    def state(self, route: Route) -> RouteState:
        """What the gateway reports of one route now."""
        return self.gateway.observe(deadline_s=DEADLINE_S).routes[route.key]

    def in_flight(self, route: Route, backend: TestBackend) -> int:
        """What the gateway reports in flight to one backend."""
        loads = {(load.address, load.port): load.in_flight for load in self.state(route).endpoints}
        return loads[backend.address, backend.port]

    def ask(self, method: str = "GET", port: int = 0) -> tuple[int, str]:
        """One request on a connection of its own: status and body."""
        with self.client(port) as client:
            return ask(client, method)

    @contextmanager
    def client(self, port: int = 0) -> Iterator[http.client.HTTPConnection]:
        """An HTTP connection to the gateway."""
        connection = http.client.HTTPConnection(self.rig.address, port or self.listen_port, timeout=DEADLINE_S)
        try:
            yield connection
        finally:
            connection.close()

    def names(self, count: int) -> Counter[str]:
        """Which backends answered `count` requests."""
        return Counter(self.ask()[1] for _ in range(count))


def ask(client: http.client.HTTPConnection, method: str = "GET") -> tuple[int, str]:
    """One request on a kept connection: status and body."""
    client.request(method, "/", body=b"x" if method == "POST" else None)
    response = client.getresponse()
    return response.status, response.read().decode()


def wait_for(wanted: Callable[[], T], what: str) -> T:
    """The first true value of `wanted()` within the deadline; fails with `what` otherwise."""
    end = time.monotonic() + DEADLINE_S
    while not (value := wanted()):
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        threading.Event().wait(POLL_S)
    return value


def free_port(address: str) -> int:
    """A TCP port of `address` that is free now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class GatewaySuite:
    """What every gateway driver promises. Override `rig`."""

    @pytest.fixture
    def rig(self) -> Iterator[GatewayRig]:
        """A running gateway with an empty table."""
        raise NotImplementedError("a driver's tests override this fixture")

    @pytest.fixture
    def scene(self, rig: GatewayRig) -> Iterator[Scene]:
        """A handle on the gateway, and backends at hand."""
        with ExitStack() as stack:
            gateway = rig.open()
            stack.callback(gateway.close)
            yield Scene(rig, stack, gateway, free_port(rig.address))

    def test_new_requests_follow_the_weights(self, scene: Scene) -> None:
        """A canary of 10 % gets about 10 %; the next table holds from the moment it is acknowledged."""
        old, new = scene.web("old"), scene.web("new")
        scene.put(scene.route(old.endpoint(90), new.endpoint(10)))
        assert 4 <= scene.names(100)["new"] <= 18
        scene.put(scene.route(old.endpoint(0), new.endpoint(1)))
        assert scene.names(20) == {"new": 20}

    def test_what_is_acknowledged_holds(self, scene: Scene) -> None:
        """Also of changes that follow each other at once: after the acknowledgement no request goes the old way."""
        one, two = scene.web("one"), scene.web("two")
        for turn in range(10):
            scene.put(scene.route(one.endpoint(turn % 2), two.endpoint(1 - turn % 2)))
            assert scene.names(3) == {"one" if turn % 2 else "two": 3}

    def test_far_endpoints_are_a_reserve(self, scene: Scene) -> None:
        """A higher priority is used only when no nearer endpoint is usable."""
        near, other, far = scene.web("near"), scene.web("other"), scene.web("far")
        scene.put(scene.route(near.endpoint(), other.endpoint(), far.endpoint(100, 1)))
        assert set(scene.names(20)) == {"near", "other"}
        scene.put(scene.route(near.endpoint(0), other.endpoint(), far.endpoint(100, 1)))
        assert scene.names(20) == {"other": 20}
        scene.put(scene.route(near.endpoint(0), other.endpoint(0), far.endpoint(100, 1)))
        assert scene.names(20) == {"far": 20}
        scene.put(scene.route(far.endpoint(100, 7)))
        assert scene.names(20) == {"far": 20}

    def test_without_an_endpoint_a_request_fails_at_once(self, scene: Scene) -> None:
        """No usable endpoint means 503 now, not a wait."""
        drained = scene.web("drained")
        for endpoints in ((), (drained.endpoint(0),)):
            scene.put(scene.route(*endpoints))
            start = time.monotonic()
            assert scene.ask()[0] == 503
            assert time.monotonic() - start < 1.0

    def test_a_draining_endpoint_ends_its_requests_and_reports_them(self, scene: Scene) -> None:
        """Weight 0: nothing new, what is in flight stays countable and gets its answer, even past the removal."""
        old, new = scene.web("old"), scene.web("new")
        scene.put(scene.route(old.endpoint()))
        old.open_gate.clear()
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(scene.ask)
            wait_for(lambda: old.asked, "the slow request is there")
            draining = scene.route(old.endpoint(0), new.endpoint())
            scene.put(draining)
            assert scene.in_flight(draining, old) == 1
            assert scene.names(10) == {"new": 10}
            scene.put(scene.route(new.endpoint()))
            old.open_gate.set()
            assert slow.result(DEADLINE_S) == (200, "old")
        assert old.asked == 1

    def test_in_flight_falls_to_zero(self, scene: Scene) -> None:
        """Requests and errors are counted; in flight ends with the answer."""
        only = scene.web("only")
        route = scene.route(only.endpoint())
        scene.put(route)
        assert scene.names(5) == {"only": 5}
        wait_for(lambda: scene.in_flight(route, only) == 0, "nothing is in flight")
        load = scene.state(route).endpoints[0]
        assert (load.requests, load.errors) == (5, 0)

    def test_clients_keep_their_connections_over_changes(self, scene: Scene) -> None:
        """A change of endpoints, or of a neighbour, closes no client's connection."""
        old, new = scene.web("old"), scene.web("new")
        neighbour = scene.route(new.endpoint(), service="neighbour", port=free_port(scene.rig.address))
        scene.put(scene.route(old.endpoint()))
        with scene.client() as client:
            assert ask(client) == (200, "old")
            kept = client.sock
            for routes in (
                [scene.route(old.endpoint(0), new.endpoint())],
                [scene.route(new.endpoint()), neighbour],
                [scene.route(old.endpoint())],
            ):
                scene.put(*routes)
                assert ask(client)[0] == 200
                assert client.sock is kept

    def test_a_dead_endpoint_costs_no_request(self, scene: Scene) -> None:
        """Refused connections go to another endpoint, also of a POST, and are counted as retries."""
        alive = scene.web("alive")
        dead = RouteEndpoint(scene.rig.backend_address, free_port(scene.rig.backend_address), "sub-dead", 1)
        route = scene.route(alive.endpoint(), dead)
        scene.put(route)
        assert Counter(scene.ask("POST") for _ in range(20)) == {(200, "alive"): 20}
        assert scene.state(route).retried > 0
        reserve = scene.route(dead, alive.endpoint(1, 1))
        scene.put(reserve)
        assert Counter(scene.ask("POST") for _ in range(20)) == {(200, "alive"): 20}

    def test_what_may_have_been_done_is_not_done_twice(self, scene: Scene) -> None:
        """A POST whose backend broke off after it had arrived fails; a GET may be tried elsewhere."""
        backends = [scene.web("one"), scene.web("two")]
        scene.put(scene.route(*(each.endpoint() for each in backends)))
        for each in backends:
            each.open_gate.clear()
        with ThreadPoolExecutor(1) as pool:
            posted = pool.submit(scene.ask, "POST")
            wait_for(lambda: sum(each.asked for each in backends), "the request is there")
            for each in backends:
                each.reset_connections()
            assert posted.result(DEADLINE_S)[0] >= 500
        assert sum(each.asked for each in backends) == 1

    def test_routes_that_share_an_endpoint_are_independent(self, scene: Scene) -> None:
        """Two services over the same pods may weigh them differently."""
        one, two = scene.web("one"), scene.web("two")
        port = free_port(scene.rig.address)
        scene.put(
            scene.route(one.endpoint(1), two.endpoint(0)),
            scene.route(one.endpoint(0), two.endpoint(1), service="alias", port=port),
        )
        assert {scene.ask() for _ in range(5)} == {(200, "one")}
        assert {scene.ask(port=port) for _ in range(5)} == {(200, "two")}

    def test_tcp_connections_go_on_while_they_drain(self, scene: Scene) -> None:
        """New connections follow the table; one that exists stays, is counted, and ends with its backend."""
        old, new = scene.echo("old"), scene.echo("new")
        scene.put(scene.route(old.endpoint(), protocol="tcp"))
        with socket.create_connection((scene.rig.address, scene.listen_port), DEADLINE_S) as kept:
            assert exchange(kept) == b"old\n"
            draining = scene.route(old.endpoint(0), new.endpoint(), protocol="tcp")
            scene.put(draining)
            assert exchange(kept) == b"old\n"
            assert scene.in_flight(draining, old) == 1
            with socket.create_connection((scene.rig.address, scene.listen_port), DEADLINE_S) as fresh:
                assert exchange(fresh) == b"new\n"
            old.reset_connections()
            assert kept.recv(10) == b""
        wait_for(lambda: scene.in_flight(draining, old) == 0, "the connection is gone from the count")

    def test_a_removed_route_is_refused(self, scene: Scene) -> None:
        """Nothing listens any more for a service that is gone, and its port can be taken by another."""
        backend = scene.web("one")
        scene.put(scene.route(backend.endpoint()))
        assert scene.ask() == (200, "one")
        scene.put()

        def refused() -> bool:
            try:
                scene.ask()
            except ConnectionError:
                return True
            return False

        wait_for(refused, "connections are refused")
        scene.put(scene.route(backend.endpoint(), service="another"))
        assert scene.ask() == (200, "one")

    def test_another_handle_goes_on_undisturbed(self, scene: Scene) -> None:
        """A restarted controller finds what is in force, and an equal table changes nothing."""
        backend = scene.web("one")
        route = scene.route(backend.endpoint(5))
        scene.put(route)
        with scene.client() as client:
            assert ask(client) == (200, "one")
            kept = client.sock
            scene.gateway.close()
            scene.gateway = scene.rig.open()
            scene.put(route)
            assert ask(client) == (200, "one")
            assert client.sock is kept
            assert scene.state(route).endpoints[0].requests == 2
        scene.put(scene.route(backend.endpoint(7)))

    def test_a_restarted_gateway_has_its_table(self, scene: Scene) -> None:
        """A gateway that was killed comes up with the routes it had, without a controller."""
        route = scene.route(scene.web("one").endpoint())
        scene.put(route)
        scene.rig.restart()
        wait_for(lambda: scene.in_force(route), "the table is in force again")
        assert scene.ask() == (200, "one")

    def test_a_port_in_use_is_not_acknowledged_until_it_is_free(self, scene: Scene) -> None:
        """A route that can't be listened for says so by its missing revision; the others work; it mends by itself."""
        backend = scene.web("one")
        with socket.socket() as squatter:
            squatter.bind((scene.rig.address, 0))
            squatter.listen()
            good = scene.route(backend.endpoint())
            bad = scene.route(backend.endpoint(), service="bad", port=squatter.getsockname()[1])
            scene.gateway.apply([good, bad], deadline_s=DEADLINE_S)
            wait_for(lambda: scene.state(good).revision == good.revision, "the good route is in force")
            assert scene.ask() == (200, "one")
            assert scene.state(bad).revision != bad.revision
        wait_for(lambda: scene.in_force(good, bad), "the port is taken up once it is free")
        assert scene.ask(port=bad.listen_port) == (200, "one")

    def test_a_table_of_no_use_is_refused_whole(self, scene: Scene) -> None:
        """One bad entry changes nothing at all, and the message names it."""
        good = scene.web("one").endpoint()
        route = scene.route(good)
        scene.put(route)
        elsewhere = free_port(scene.rig.address)
        for bad in (
            [scene.route(good), scene.route(good, port=elsewhere)],
            [scene.route(good), scene.route(good, service="other")],
            [scene.route(good, good)],
            [scene.route(RouteEndpoint("backend.example", 80, "sub", 1))],
            [scene.route(RouteEndpoint(good.address, good.port, "sub", -1))],
            [scene.route(RouteEndpoint(good.address, 70000, "sub", 1))],
        ):
            with pytest.raises(InvalidInput, match="shop/"):
                scene.gateway.apply(bad, deadline_s=DEADLINE_S)
        assert scene.in_force(route)
        assert scene.ask() == (200, "one")

    def test_tables_and_observations_from_many_threads(self, scene: Scene) -> None:
        """Handles are safe to share; the last table wins."""
        backend = scene.web("one")
        with ThreadPoolExecutor(4) as pool:
            watching = [pool.submit(scene.gateway.observe, deadline_s=DEADLINE_S) for _ in range(50)]
            for weight in range(1, 51):
                scene.gateway.apply([scene.route(backend.endpoint(weight))], deadline_s=DEADLINE_S)
            for each in watching:
                each.result(DEADLINE_S)
        wait_for(lambda: scene.in_force(scene.route(backend.endpoint(50))), "the last table is in force")

    def test_a_gateway_that_is_gone_is_unavailable(self, scene: Scene) -> None:
        """The error says so within the deadline, and is one to retry."""
        scene.rig.stop()
        start = time.monotonic()
        with pytest.raises(Unavailable):
            scene.gateway.observe(deadline_s=2.0)
        assert time.monotonic() - start < 5.0


def exchange(connection: socket.socket) -> bytes:
    """One message and its answer."""
    connection.sendall(b"hello\n")
    return connection.recv(100)

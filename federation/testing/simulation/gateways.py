"""Scripted gateways: tables that come into force a while after they were handed over, and requests in flight."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from federation.contracts.gateway import EndpointLoad, GatewayState, Route, RouteEndpoint, RouteState
from federation.errors import Unavailable
from federation.testing.simulation.places import Place, Trouble, sent_at
from federation.testing.simulation.runtime import Delayed

REQUESTS_PER_S = 20
_Slot = tuple[str, str, int]


@dataclass(eq=False)
class _Counter:
    since: float
    busy_until_s: float = 0.0
    requests: float = 0.0
    errors: float = 0.0
    active: bool = False


class SimGateway:
    """The gateway `gw-PLACE`, or `edge`, which stands in none of them. Its table stays when nobody can reach it."""

    def __init__(self, name: str, places: Mapping[str, Place], chance: random.Random) -> None:
        self.name, self.place = name, places.get(name.removeprefix("gw-"))
        self.trouble = Trouble()
        self.table: dict[str, Route] = {}
        self.calls = 0
        self.heard_at = 0.0
        self._asked: dict[str, Route] = {}
        self._revisions: dict[str, str] = {}
        self._counters: dict[_Slot, _Counter] = {}
        self._places, self._chance = places, chance
        beside = next(iter(places.values()))
        self._timeline, self._referee = beside.timeline, beside.referee

    @property
    def reachable(self) -> bool:
        """Whether the controller can reach it."""
        return self.place is None or self.place.reachable

    @property
    def serving(self) -> bool:
        """Whether it carries traffic."""
        return self.place is None or self.place.standing

    def reset(self) -> None:
        """It comes back without a table."""
        self.table, self._asked = {}, {}
        self._counters.clear()
        self._referee.on_change()

    # Contract

    def apply(self, routes: Sequence[Route], *, deadline_s: float) -> None:
        """Take the table over; each route is in force a moment later."""
        lost = self._meet_faults(deadline_s)
        self.calls += 1
        self._referee.note("table", self.name, tuple(sorted(route.revision for route in routes)))
        self._referee.on_table(self.name, routes, sent_at(self._timeline))
        self._asked = {route.key: route for route in routes}
        for key in sorted(self.table.keys() | self._asked.keys()):
            if self.table.get(key) != self._asked.get(key):
                self._timeline.after(self._chance.uniform(0.01, 0.4), partial(self._come_into_force, key))
        if lost is not None:
            raise lost

    def observe(self, *, deadline_s: float) -> GatewayState:
        """What is in force."""
        lost = self._meet_faults(deadline_s)
        if lost is not None:
            raise lost
        self.heard_at = self._timeline.now
        return GatewayState({key: self._route_state(route) for key, route in sorted(self.table.items())})

    def close(self) -> None:
        """The gateway goes on."""

    def _meet_faults(self, deadline_s: float) -> Delayed | None:
        chance = self._chance
        if not self.reachable:
            raise Delayed(Unavailable(f"gateway {self.name} does not answer"), deadline_s * chance.uniform(0.3, 1.0))
        if self._timeline.now >= self.trouble.until_s or chance.random() >= self.trouble.rate:
            return None
        if chance.random() < 0.5:
            raise Unavailable(f"gateway {self.name}: connection refused")
        return Delayed(Unavailable(f"gateway {self.name}: answer lost"), chance.uniform(0.0, deadline_s))

    # Traffic

    def _come_into_force(self, key: str) -> None:
        route, old = self._asked.get(key), self.table.get(key)
        if not self.serving or route == old:
            return
        self._referee.on_route(self.name, old, route)
        if route is None:
            del self.table[key]
        else:
            self.table[key] = route
            self._revisions[key] = route.revision
        now = self._timeline.now
        for endpoint in usable(old) if old is not None else ():
            counter = self._counters[key, endpoint.address, endpoint.port]
            self._count(counter, endpoint.subcluster)
            counter.active, counter.busy_until_s = False, now + self._chance.uniform(0.02, 1.5)
        for endpoint in usable(route) if route is not None else ():
            counter = self._counters.setdefault((key, endpoint.address, endpoint.port), _Counter(now))
            self._count(counter, endpoint.subcluster)
            counter.active = True
        self._referee.on_change()

    def _count(self, counter: _Counter, subcluster: str) -> None:
        """Let the requests since the last look have happened."""
        now = self._timeline.now
        if counter.active:
            sent = (now - counter.since) * REQUESTS_PER_S
            counter.requests += sent
            counter.errors += sent / 2 if now < self._places[subcluster].errors_until_s else 0.0
        counter.since = now

    def _route_state(self, route: Route) -> RouteState:
        now, loads = self._timeline.now, []
        for endpoint in route.endpoints:
            counter = self._counters.get((route.key, endpoint.address, endpoint.port))
            requests, flying = 0, 0
            if counter is not None:
                self._count(counter, endpoint.subcluster)
                requests = int(counter.requests)
                flying = 2 if counter.active else int(now < counter.busy_until_s)
            errors = int(counter.errors) if counter is not None else 0
            loads.append(EndpointLoad(endpoint.address, endpoint.port, flying, requests, errors))
        return RouteState(route.key, self._revisions[route.key], tuple(loads), 0)


def usable(route: Route) -> tuple[RouteEndpoint, ...]:
    """The endpoints that take new requests: the first priority level with any weight."""
    for priority in sorted({endpoint.priority for endpoint in route.endpoints}):
        found = tuple(e for e in route.endpoints if e.priority == priority and e.weight > 0)
        if found:
            return found
    return ()

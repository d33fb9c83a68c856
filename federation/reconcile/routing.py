"""What each gateway shall do with the ports of one microservice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation.contracts.driver import PodState, WorkloadState
from federation.contracts.gateway import GatewayState, Route, RouteEndpoint
from federation.model.meta import Key
from federation.model.microservice import Microservice

SCALE = 1000
"""Endpoint weights are shares times this, divided by the number of endpoints: fine enough for 1 % steps."""


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """What routes of one service depend on. `shares`: traffic by sub-cluster (`desired.traffic_shares`); `moving`: the
    two sub-clusters between which traffic is being shifted; `states`: what runs in sub-clusters that answer, and, where
    nothing is ready there, what was last seen in lost ones."""

    shares: Mapping[str, int]
    moving: frozenset[str]
    states: Mapping[str, WorkloadState]


def _usable(states: Mapping[str, WorkloadState], shares: Mapping[str, int]) -> dict[str, tuple[PodState, ...]]:
    """Pods by sub-cluster that take part: the ready ones; where none is ready anywhere, those that run at all, because
    a probe that fails everywhere must not empty a route."""
    pods = {name: states[name].pods for name in sorted(shares) if name in states}
    running = {name: tuple(pod for pod in group if pod.phase == "Running") for name, group in pods.items()}
    ready = {name: tuple(pod for pod in group if pod.ready) for name, group in running.items()}
    serving = any(group for name, group in ready.items() if shares[name] > 0)
    return ready if serving or any(ready.values()) else running


def _effective_shares(shares: Mapping[str, int], usable: Mapping[str, tuple[PodState, ...]]) -> dict[str, int]:
    """Shares of the sub-clusters that have pods; should all of them be 0, they serve equally rather than nobody."""
    present = {name: shares[name] for name, pods in usable.items() if pods}
    if present and not any(present.values()):
        return dict.fromkeys(present, 100)
    return present


def plan_endpoints(facts: RoutingFacts, near: str | None, port: int) -> tuple[RouteEndpoint, ...]:
    """The endpoints of one service port as the gateway in sub-cluster `near` (None: the edge) shall see them.

    Near first: with pods in its own sub-cluster, the others are only a reserve. While traffic is being shifted between
    two sub-clusters of which one is near, both count as near, so that the weights hold everywhere."""
    usable = _usable(facts.states, facts.shares)
    shares = _effective_shares(facts.shares, usable)
    nearby = {near} if near is not None and shares.get(near, 0) > 0 else set()
    if near in facts.moving:
        nearby = {name for name in facts.moving if name in shares}
    endpoints = []
    for name, share in sorted(shares.items()):
        pods = [pod for pod in usable[name] if port in pod.ports]
        for pod in pods:
            endpoints.append(
                RouteEndpoint(
                    address=pod.address,
                    port=pod.ports[port],
                    subcluster=name,
                    weight=max(1, share * SCALE // len(pods)) if share else 0,
                    priority=1 if nearby and name not in nearby else 0,
                )
            )
    if endpoints and not any(endpoint.weight and endpoint.priority == 0 for endpoint in endpoints):
        endpoints = [RouteEndpoint(e.address, e.port, e.subcluster, e.weight, 0) for e in endpoints]
    return tuple(sorted(endpoints, key=lambda e: (e.priority, e.subcluster, e.address, e.port)))


def plan_routes(service: Microservice, facts: RoutingFacts, near: str | None) -> tuple[Route, ...]:
    """The routes of all ports of `service` that have a gateway port, in the order of their ports."""
    routes = []
    for port in service.spec.ports:
        listen_port = service.status.gateway_ports.get(str(port.port))
        if listen_port is None:
            continue
        routes.append(
            Route(
                namespace=service.metadata.namespace,
                service=service.metadata.name,
                port=port.port,
                protocol=port.protocol,
                listen_port=listen_port,
                endpoints=plan_endpoints(facts, near, port.port),
            )
        )
    return tuple(sorted(routes, key=lambda route: route.port))


def settled(routes: Sequence[Route], state: GatewayState | None) -> bool:
    """Whether a gateway has every one of `routes` in force."""
    if state is None:
        return not routes
    return all((found := state.routes.get(r.key)) is not None and found.revision == r.revision for r in routes)


@dataclass(frozen=True, slots=True)
class Load:
    """Sums over gateways for some endpoints; requests and errors since the endpoints appeared."""

    in_flight: int = 0
    requests: int = 0
    errors: int = 0


def load_on(key: Key, addresses: frozenset[str], states: Sequence[GatewayState]) -> Load:
    """What the gateways count on the pods with `addresses` of the service `key`."""
    prefix = f"{key.namespace}/{key.name}:"
    in_flight = requests = errors = 0
    for state in states:
        for route_key, route in state.routes.items():
            if not route_key.startswith(prefix):
                continue
            for endpoint in route.endpoints:
                if endpoint.address in addresses:
                    in_flight += endpoint.in_flight
                    requests += endpoint.requests
                    errors += endpoint.errors
    return Load(in_flight, requests, errors)

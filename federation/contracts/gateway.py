"""A gateway carries traffic to microservices: one per sub-cluster, one at the edge."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from federation.model.microservice import Protocol as PortProtocol


@dataclass(frozen=True, slots=True)
class RouteEndpoint:
    """One pod behind a route. `weight` >= 0, relative within its priority; 0 takes no new requests but still counts
    what is in flight. `priority` 0 is tried first; a higher one only when no nearer endpoint is usable."""

    address: str
    port: int
    subcluster: str
    weight: int
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """One service port as one gateway sees it; it listens on `listen_port` of the gateway's address."""

    namespace: str
    service: str
    port: int
    protocol: PortProtocol
    listen_port: int
    endpoints: tuple[RouteEndpoint, ...]

    @property
    def key(self) -> str:
        """`namespace/service:port`, unique in a table."""
        return f"{self.namespace}/{self.service}:{self.port}"

    @property
    def revision(self) -> str:
        """A short hash of the whole content; equal routes have equal revisions in every process."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class EndpointLoad:
    """What a gateway counts for one endpoint: in flight now; requests and errors since it appeared."""

    address: str
    port: int
    in_flight: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class RouteState:
    """What is in force for a route. `revision` is "" while unknown; `retried` counts since the gateway started."""

    key: str
    revision: str
    endpoints: tuple[EndpointLoad, ...]
    retried: int


@dataclass(frozen=True, slots=True)
class GatewayState:
    """One observation of a gateway, by route key."""

    routes: Mapping[str, RouteState]


class Gateway(Protocol):
    """A gateway under control. Safe to use from several threads."""

    def apply(self, routes: Sequence[Route], *, deadline_s: float) -> None:
        """Make `routes` the whole table. Idempotent; each route changes atomically; a route that is not named goes.

        Raises: Unavailable, when the configuration can't be handed over."""
        ...

    def observe(self, *, deadline_s: float) -> GatewayState:
        """What is really in force, and what is in flight. Raises: Unavailable."""
        ...

    def close(self) -> None:
        """Release what this handle holds; the gateway itself goes on."""
        ...


class GatewayPlugin(Protocol):
    """How a gateway driver is found (entry-point group `roam.gateways`)."""

    name: str
    connection_schema: type[BaseModel]

    def open(self, gateway: str, address: str, connection: BaseModel) -> Gateway:
        """A handle on the gateway named `gateway` that listens on `address`."""
        ...

"""A gateway's table: what may be in it, and how it is kept on disk. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final

from federation.contracts.gateway import Route, RouteEndpoint
from federation.errors import InvalidInput
from federation.traffic.envoy.config import MAX_WEIGHT

# Route key -> (pool, route).
Table = Mapping[str, tuple[str, Route]]
PROTOCOLS: Final = ("http", "http2", "tcp")
_ROUTE_FIELDS: Final = tuple(each.name for each in fields(Route))
_ENDPOINT_FIELDS: Final = tuple(each.name for each in fields(RouteEndpoint))


def check(routes: Sequence[Route]) -> None:
    """Refuse a table that Envoy would refuse: one wrong entry would hold up every other route of its file.

    Raises: InvalidInput, naming the route and what would be right."""
    keys: dict[str, Route] = {}
    ports: dict[int, Route] = {}
    for route in routes:
        _check_route(route)
        if keys.setdefault(route.key, route) is not route:
            raise InvalidInput(f"route {route.key} is in the table twice")
        if (other := ports.setdefault(route.listen_port, route)) is not route:
            raise InvalidInput(f"routes {other.key} and {route.key} both listen on port {route.listen_port}")


def encode_table(table: Table) -> bytes:
    """The table as the bytes of its record; equal tables have equal bytes."""
    entries = [
        {
            "pool": pool,
            **{name: getattr(route, name) for name in _ROUTE_FIELDS},
            "endpoints": [{name: getattr(each, name) for name in _ENDPOINT_FIELDS} for each in route.endpoints],
        }
        for pool, route in table.values()
    ]
    return json.dumps(entries, separators=(",", ":")).encode() + b"\n"


def decode_table(content: bytes) -> dict[str, tuple[str, Route]]:
    """The inverse of `encode_table`. Raises: InvalidInput, for anything else."""
    try:
        table = {}
        for entry in json.loads(content):
            pool = str(entry.pop("pool"))
            endpoints = tuple(RouteEndpoint(**endpoint) for endpoint in entry.pop("endpoints"))
            route = Route(**entry, endpoints=endpoints)
            table[route.key] = (pool, route)
        check([route for _, route in table.values()])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"not a record of a gateway's table: {error!r}") from error
    return table


def _check_route(route: Route) -> None:
    where = f"route {route.key}"
    if route.protocol not in PROTOCOLS:
        raise InvalidInput(f"{where}: protocol {route.protocol!r} is not one of {', '.join(PROTOCOLS)}")
    _check_port(route.listen_port, where)
    seen: set[tuple[str, int]] = set()
    for endpoint in route.endpoints:
        place = f"{where}: endpoint {endpoint.address}:{endpoint.port}"
        try:
            ipaddress.ip_address(endpoint.address)
        except ValueError as error:
            raise InvalidInput(f"{place}: the address must be an IP address") from error
        _check_port(endpoint.port, place)
        if not 0 <= endpoint.weight <= MAX_WEIGHT:
            raise InvalidInput(f"{place}: weight {endpoint.weight} is not within 0..{MAX_WEIGHT}")
        if (endpoint.address, endpoint.port) in seen:
            raise InvalidInput(f"{place} is there twice")
        seen.add((endpoint.address, endpoint.port))


def _check_port(port: int, where: str) -> None:
    if not 0 < port < 65536:
        raise InvalidInput(f"{where}: port {port} is not within 1..65535")

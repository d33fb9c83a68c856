"""Which routes share an Envoy cluster: a pure, stable assignment.

Envoy knows an endpoint of a cluster by address and port alone. Two routes that share a backend (two service ports on
one pod port, two services over the same pods) may give it different weights, so they go to different pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from federation.contracts.gateway import Route


def assign_pools(routes: Sequence[Route], before: Mapping[str, tuple[str, Route]]) -> dict[str, str]:
    """A pool name (`http-0`, `http2-0`, `tcp-1`, ...) for each route key, in key order.

    Args: before, route key to its last pool and content; empty for the first table.
    Guarantees: routes of one pool have one protocol and no endpoint in common; a route keeps its pool unless that is
    impossible, and of two rivals the one that had endpoints before keeps it; deterministic; O(endpoints x pools)."""

    def standing(route: Route) -> tuple[int, str]:
        last = before.get(route.key)
        return (2 if last is None else 0 if last[1].endpoints else 1), route.key

    taken: dict[str, set[tuple[str, int]]] = {}
    chosen: dict[str, str] = {}
    for route in sorted(routes, key=standing):
        wanted = {(endpoint.address, endpoint.port) for endpoint in route.endpoints}
        last = before.get(route.key)
        candidates = [last[0]] if last and last[1].protocol == route.protocol else []
        candidates += [f"{route.protocol}-{index}" for index in range(len(taken) + 1)]
        pool = next(name for name in candidates if not wanted & taken.get(name, set()))
        taken.setdefault(pool, set()).update(wanted)
        chosen[route.key] = pool
    return {key: chosen[key] for key in sorted(chosen)}

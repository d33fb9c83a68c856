"""Which routes share an Envoy cluster, for any table after any other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from federation.contracts.gateway import Route, RouteEndpoint
from federation.traffic.envoy.pools import assign_pools

endpoints = st.lists(st.integers(1, 6), unique=True, max_size=4).map(
    lambda hosts: tuple(RouteEndpoint(f"10.0.0.{host}", 80, "sub", 1) for host in hosts)
)


@st.composite
def tables(draw: st.DrawFn) -> list[Route]:
    names = draw(st.lists(st.sampled_from("abcdefgh"), unique=True))
    protocols = st.sampled_from(("http", "http2", "tcp"))
    return [Route("shop", name, 80, draw(protocols), 1000 + ord(name), draw(endpoints)) for name in names]


@given(tables(), tables())
def test_pools_hold_no_endpoint_twice_and_routes_stay_where_they_can(first: list[Route], second: list[Route]) -> None:
    before = assign_pools(first, {})
    last = {route.key: (before[route.key], route) for route in first}
    after = assign_pools(second, last)
    assert after == assign_pools(second[::-1], last)
    for table, pools in ((first, before), (second, after)):
        assert set(pools) == {route.key for route in table}
        seen = [(pools[route.key], endpoint.address) for route in table for endpoint in route.endpoints]
        assert len(seen) == len(set(seen))
        assert all(pools[route.key].rpartition("-")[0] == route.protocol for route in table)
    assert assign_pools(first, last) == before
    for route in second:
        moved = (
            route.key in last
            and last[route.key][1].protocol == route.protocol
            and after[route.key] != before[route.key]
        )
        if moved:
            wanted = {endpoint.address for endpoint in route.endpoints}
            rivals = [r for r in second if r.key != route.key and after[r.key] == before[route.key]]
            assert wanted & {endpoint.address for rival in rivals for endpoint in rival.endpoints}


@given(tables())
def test_routes_that_share_nothing_share_a_pool(table: list[Route]) -> None:
    alone = [Route(r.namespace, r.service, r.port, r.protocol, r.listen_port, ()) for r in table]
    assert set(assign_pools(alone, {}).values()) <= {"http-0", "http2-0", "tcp-0"}

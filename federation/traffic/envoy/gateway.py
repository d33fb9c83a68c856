"""An Envoy under control: a table of routes in, watched files out; what is in force, read back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from federation.contracts.gateway import EndpointLoad, GatewayState, Route, RouteState
from federation.errors import InvalidInput, Unavailable
from federation.traffic.envoy import config, files
from federation.traffic.envoy.admin import Admin, Host, Snapshot
from federation.traffic.envoy.pools import assign_pools
from federation.traffic.envoy.table import Table, check, decode_table, encode_table

RECORD_FILE: Final = "routes.json"
# Between seeing a new version and counting what is in flight under it: Envoy reports a version when its main thread
# has it, and the thread that carries traffic has it one turn of its event loop later.
SETTLE_S: Final = 0.01
# How many versions of a pool's file are remembered, to tell which one Envoy has.
REMEMBERED_VERSIONS: Final = 64
# How often a port that could not be listened on is tried again.
OFFER_AGAIN_S: Final = 1.0
_NEVER_USED: Final = Host(0, 0, 0, 0, 0, 0)


class EnvoyGateway:
    """One Envoy. One writing process per directory; any number of threads.

    The record of the table is in the directory too, so a restarted controller goes on where the last one ended.
    Envoy lets a TCP connection to an endpoint that left the table go on until one of its ends closes it: to cut it,
    stop the backend. One to a machine that vanished ends by itself (5 s with data unacknowledged, 20 s when quiet)."""

    def __init__(self, gateway: str, address: str, directory: Path, admin: str) -> None:
        """Args: gateway, its name; address, the IP address to listen on; directory, absolute, what the Envoy watches;
        admin, the path of a Unix socket or `host:port`."""
        self.name = gateway
        self._address = address
        self._directory = directory
        self._admin = Admin(admin)
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._listeners_since = time.monotonic()
        self._settled: Mapping[str, str] = {}
        # Pool -> version of its file -> the revisions that it holds, by route key.
        self._written: dict[str, dict[str, dict[str, str]]] = {}
        self._table = self._load()

    def apply(self, routes: Sequence[Route], *, deadline_s: float) -> None:  # noqa: ARG002
        """See `Gateway.apply`. Equal tables write nothing; one that differs may be interrupted at any point.

        Args: deadline_s, not needed: renaming small local files waits for nobody.
        Raises: InvalidInput, before anything is written; Unavailable, when the directory can't be written."""
        check(routes)
        with self._writing:
            pools = assign_pools(routes, self._table)
            table = {route.key: (pools[route.key], route) for route in sorted(routes, key=lambda each: each.key)}
            try:
                self._write(table)
            except OSError as error:
                raise Unavailable(f"the gateway {self.name} can't be configured: {error}") from error

    def observe(self, *, deadline_s: float) -> GatewayState:
        """See `Gateway.observe`. Counts begin anew when Envoy restarts or an endpoint leaves and comes back.

        Raises: Unavailable, when Envoy does not answer within `deadline_s` (seconds)."""
        with self._reading:
            snapshot = self._read_settled(time.monotonic() + deadline_s)
        with self._writing:
            states = {key: self._state(route, pool, snapshot) for key, (pool, route) in self._table.items()}
            if any(_listener_of(entry) not in snapshot.listeners for entry in self._table.values()):
                self._offer_listeners_again()
        return GatewayState(states)

    def close(self) -> None:
        """Nothing is held between calls."""

    def _load(self) -> Table:
        try:
            table = decode_table(files.read(self._directory / RECORD_FILE) or b"[]")
        except (InvalidInput, OSError):
            # Until the next `apply`, which replaces it or says what is wrong, nothing is known.
            return {}
        for pool in {pool for pool, _ in table.values()}:
            self._render_pool(pool, table)
        return table

    def _write(self, table: Table) -> None:
        """Clusters and endpoints before the listeners that need them; what goes, after the listeners that needed it."""
        before, self._table = self._table, table
        self._directory.mkdir(parents=True, exist_ok=True)
        files.replace(self._directory / RECORD_FILE, encode_table(table))
        pools = sorted({pool for pool, _ in table.values()})
        content = {pool: self._render_pool(pool, table) for pool in pools}
        left = {pool for key, (pool, _) in before.items() if key in table and table[key][0] != pool}
        for pool in pools:
            if pool not in left:
                self._replace(config.pool_file(pool), content[pool])
        leaving = sorted({pool for pool, _ in before.values()} - set(pools))
        served = [pool for pool in leaving if (self._directory / config.pool_file(pool)).exists()]
        self._replace(config.CLUSTERS_FILE, config.clusters(sorted({*pools, *served}), self._directory))
        listeners = config.listeners([entry[1] for entry in table.values()], _pools(table), self._address)
        if self._replace(config.LISTENERS_FILE, listeners):
            self._listeners_since = time.monotonic()
        for pool in sorted(left & set(pools)):
            self._replace(config.pool_file(pool), content[pool])
        self._replace(config.CLUSTERS_FILE, config.clusters(pools, self._directory))
        kept = {config.pool_file(pool) for pool in pools}
        for path in self._directory.glob(config.pool_file("*")):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _offer_listeners_again(self) -> None:
        """A port that was taken may be free by now, but Envoy tries again only when its file is replaced."""
        if time.monotonic() - self._listeners_since < OFFER_AGAIN_S:
            return
        self._listeners_since = time.monotonic()
        # The next observation is another chance, and `apply` reports a directory of no use.
        with contextlib.suppress(OSError):
            files.touch(self._directory / config.LISTENERS_FILE)

    def _replace(self, name: str, document: config.Document) -> bool:
        return files.replace(self._directory / name, document.content)

    def _render_pool(self, pool: str, table: Table) -> config.Document:
        routes = [route for its_pool, route in table.values() if its_pool == pool]
        document = config.endpoints(pool, routes)
        versions = self._written.setdefault(pool, {})
        versions.pop(document.version, None)
        versions[document.version] = {route.key: route.revision for route in routes}
        while len(versions) > REMEMBERED_VERSIONS:
            versions.pop(next(iter(versions)))
        return document

    def _read_settled(self, end: float) -> Snapshot:
        """A reading whose counts were made when its versions had reached the thread that carries traffic."""
        snapshot = self._admin.read(deadline_s=end - time.monotonic())
        if snapshot.versions != self._settled:
            seen = snapshot.versions
            time.sleep(SETTLE_S)
            snapshot = self._admin.read(deadline_s=end - time.monotonic())
            snapshot = snapshot.only_versions(seen)
            self._settled = snapshot.versions
        return snapshot

    def _state(self, route: Route, pool: str, snapshot: Snapshot) -> RouteState:
        version = snapshot.versions.get(pool, "")
        revision = self._written.get(pool, {}).get(version, {}).get(route.key, "")
        if snapshot.listeners.get(_listener_of((pool, route))) != (self._address, route.listen_port):
            revision = ""
        hosts = snapshot.hosts.get(pool, {})
        loads = []
        for endpoint in route.endpoints:
            host = hosts.get((endpoint.address, endpoint.port), _NEVER_USED)
            loads.append(_load_of(endpoint.address, endpoint.port, host, tcp=route.protocol == "tcp"))
        retried = snapshot.retried.get(config.statistics_name(route), 0)
        if route.protocol == "tcp":
            retried = sum(load.errors for load in loads)
        return RouteState(route.key, revision, tuple(loads), retried)


def _pools(table: Table) -> dict[str, str]:
    return {key: pool for key, (pool, _) in table.items()}


def _listener_of(entry: tuple[str, Route]) -> str:
    pool, route = entry
    return config.listener_name(route, pool)


def _load_of(address: str, port: int, host: Host, *, tcp: bool) -> EndpointLoad:
    if tcp:
        return EndpointLoad(address, port, host.connections_active, host.connections, host.connection_failures)
    return EndpointLoad(address, port, host.requests_active, host.requests, host.request_errors)

"""Envoy's administration interface: three cheap reads, parsed into values.

Source: https://www.envoyproxy.io/docs/envoy/latest/operations/admin
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from federation.errors import Unavailable
from federation.traffic.envoy.process import split_host_port

Address = tuple[str, int]
_STATISTICS: Final = "/stats?format=json&type=All&filter=" + quote(r"version_text$|upstream_rq_retry$")
_HOSTS: Final = "/clusters?format=json"
_LISTENERS: Final = "/listeners?format=json"


@dataclass(frozen=True, slots=True)
class Host:
    """What Envoy counts for one endpoint of one pool."""

    requests_active: int
    connections_active: int
    requests: int
    request_errors: int
    connections: int
    connection_failures: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading. `versions`: version in force of each pool's endpoint file; `hosts`: by pool, then address;
    `listeners`: what each listener is bound to; `retried`: by the route's statistics name."""

    versions: Mapping[str, str]
    hosts: Mapping[str, Mapping[Address, Host]]
    listeners: Mapping[str, Address]
    retried: Mapping[str, int]

    def only_versions(self, seen: Mapping[str, str]) -> Snapshot:
        """This reading, with only those versions that were the same in an earlier one."""
        kept = {pool: version for pool, version in self.versions.items() if seen.get(pool) == version}
        return replace(self, versions=kept)


class Admin:
    """The administration interface. Holds no connection between calls."""

    def __init__(self, address: str) -> None:
        """Args: address, the path of a Unix socket (it begins with `/`) or `host:port`."""
        self.address = address

    def read(self, *, deadline_s: float) -> Snapshot:
        """One reading of everything, versions before counts: the counts are never older than the versions.

        Raises: Unavailable, when Envoy does not answer in time or answers something else."""
        connection = _Connection(self.address, time.monotonic() + deadline_s)
        try:
            statistics = connection.get(_STATISTICS)["stats"]
            listeners = connection.get(_LISTENERS).get("listener_statuses", [])
            hosts = connection.get(_HOSTS).get("cluster_statuses", [])
            versions, retried = _statistics(statistics)
            return Snapshot(
                versions=versions,
                hosts={cluster["name"]: _hosts(cluster) for cluster in hosts},
                listeners={status["name"]: _address(status["local_address"]) for status in listeners},
                retried=retried,
            )
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"the Envoy behind {self.address} does not answer: {error!r}") from error
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over TCP or a Unix socket, every step within one deadline."""

    def __init__(self, address: str, deadline: float) -> None:
        host, port = ("localhost", 0) if address.startswith("/") else split_host_port(address)
        super().__init__(host, port or None)
        self._address = address
        self._deadline = deadline

    def connect(self) -> None:
        if not self._address.startswith("/"):
            self.timeout = self._remaining_s()
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._remaining_s())
        self.sock.connect(self._address)

    def get(self, path: str) -> Any:
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self._remaining_s())
        self.request("GET", path)
        response = self.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise ValueError(f"{path} answered {response.status}")
        return json.loads(body)

    def _remaining_s(self) -> float:
        remaining_s = self._deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the deadline has passed")
        return remaining_s


def _statistics(entries: list[dict[str, Any]]) -> tuple[dict[str, str], dict[str, int]]:
    versions: dict[str, str] = {}
    retried: dict[str, int] = {}
    for entry in entries:
        parts = str(entry.get("name", "")).split(".")
        if parts[-1] == "version_text" and parts[0] == "cluster":
            versions[parts[1]] = entry["value"]
        elif parts[-1] == "upstream_rq_retry" and parts[0] == "vhost":
            retried[parts[1]] = retried.get(parts[1], 0) + entry["value"]
    return versions, retried


def _hosts(cluster: dict[str, Any]) -> dict[Address, Host]:
    hosts: dict[Address, Host] = {}
    for status in cluster.get("host_statuses", []):
        # Envoy leaves out what is zero.
        counts = {entry["name"]: int(entry.get("value", 0)) for entry in status["stats"]}
        hosts[_address(status["address"])] = Host(
            # A request that waits for its connection has chosen this host already.
            requests_active=counts["rq_active"] + counts.get("rq_pending_active", 0),
            connections_active=counts["cx_active"],
            requests=counts["rq_total"],
            request_errors=counts["rq_error"],
            connections=counts["cx_total"],
            connection_failures=counts["cx_connect_fail"],
        )
    return hosts


def _address(value: dict[str, Any]) -> Address:
    return value["socket_address"]["address"], int(value["socket_address"]["port_value"])

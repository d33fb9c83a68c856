"""Routes as Envoy configuration: pure functions from a table to the JSON that Envoy's files hold.

Three kinds of watched files: `lds.json` (one listener per route), `cds.json` (one cluster per pool) and one
`pool-*.json` per pool with the endpoints of all its routes. A change of weights touches one pool file only.

Why pools and not one cluster per route: Envoy opens one inotify instance for each file-backed EDS subscription, and
Linux grants 128 of them per user. Beyond that Envoy aborts. So a pool is one cluster shared by many routes; a route is
a *subset* of it, chosen by endpoint metadata (`lb_subset_config`). Source: Envoy `watcher_impl.cc`,
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/subsets
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from federation.contracts.gateway import Route, RouteEndpoint

JsonObject = dict[str, object]

LISTENERS_FILE: Final = "lds.json"
CLUSTERS_FILE: Final = "cds.json"
CONNECT_TIMEOUT: Final = "0.5s"
# Below the keep-alive of usual servers (gunicorn 2 s, Node and uvicorn 5 s): it must be the gateway that hangs up,
# or a request can meet a connection that its backend is just closing.
UPSTREAM_IDLE_TIMEOUT: Final = "1.5s"
# A connection to a machine that vanished without a word ends after this long without an acknowledged byte.
UNACKNOWLEDGED_LIMIT_MS: Final = 5000
SAFE_METHODS: Final = "GET|HEAD|OPTIONS"
# Cases in which the backend cannot have begun to work on the request.
RETRY_ALWAYS: Final = "connect-failure,refused-stream,reset-before-request"
RETRY_SAFE_METHODS: Final = RETRY_ALWAYS + ",reset"
# One usable endpoint of up to 10,000 keeps a whole priority level in charge.
OVERPROVISIONING_PERCENT: Final = 1_000_000
MAX_WEIGHT: Final = 1_000_000

_TYPE: Final = "type.googleapis.com/envoy."
_SUBSET_KEY: Final = "route"


@dataclass(frozen=True, slots=True)
class Document:
    """A watched file: its bytes, and the version that Envoy reports once they are in force. Equal content has equal
    bytes and an equal version, in every process."""

    version: str
    content: bytes


def listeners(routes: Sequence[Route], pools: Mapping[str, str], address: str) -> Document:
    """The listener file: one listener on `address` for each route, in the order given.

    Args: pools, route key to pool name, complete for `routes`."""
    return _document([_listener(route, pools[route.key], address) for route in routes])


def clusters(pools: Sequence[str], directory: PurePath) -> Document:
    """The cluster file: one cluster for each pool name; `directory` is where the pool files are."""
    return _document([_cluster(pool, directory) for pool in pools])


def endpoints(pool: str, routes: Sequence[Route]) -> Document:
    """The endpoint file of one pool, with the endpoints of all `routes` in it."""
    groups: dict[int, list[object]] = {}
    for route in routes:
        ranks = {priority: rank for rank, priority in enumerate(sorted({e.priority for e in route.endpoints}))}
        for endpoint in route.endpoints:
            # Envoy wants priorities without a gap, so each route's are counted from 0.
            groups.setdefault(ranks[endpoint.priority], []).append(_endpoint(route, endpoint))
    assignment: JsonObject = {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": pool,
        "endpoints": [{"priority": rank, "lb_endpoints": groups[rank]} for rank in sorted(groups)],
        "policy": {"overprovisioning_factor": OVERPROVISIONING_PERCENT},
    }
    # The revisions are part of the version, so that a route without endpoints is acknowledged like any other.
    return _document([assignment], salt=" ".join(route.revision for route in routes))


def listener_name(route: Route, pool: str) -> str:
    """What a route's listener is called; a name stands for one protocol and pool, so seeing it tells both."""
    return f"{route.key} {pool}"


def pool_file(pool: str) -> str:
    """The name of a pool's endpoint file."""
    return f"pool-{pool}.json"


def statistics_name(route: Route) -> str:
    """What a route is called in Envoy's statistics, where ':' and '.' have a meaning of their own."""
    return f"{route.namespace}/{route.service}/{route.port}"


def _document(resources: list[JsonObject], salt: str = "") -> Document:
    content = json.dumps(resources, separators=(",", ":")).encode()
    version = hashlib.sha256(content + salt.encode()).hexdigest()[:16]
    return Document(version, b'{"version_info":"%s","resources":%s}\n' % (version.encode(), content))


def _endpoint(route: Route, endpoint: RouteEndpoint) -> JsonObject:
    # A draining host takes nothing new but stays in the table, so that its in-flight count stays readable.
    usable = {"load_balancing_weight": endpoint.weight} if endpoint.weight else {"health_status": "DRAINING"}
    return {"endpoint": {"address": _address(endpoint.address, endpoint.port)}, "metadata": _metadata(route), **usable}


def _listener(route: Route, pool: str, address: str) -> JsonObject:
    chosen: JsonObject = {"cluster": pool, "metadata_match": _metadata(route)}
    network_filter = _tcp_proxy(route, chosen) if route.protocol == "tcp" else _http(route, chosen)
    return {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": listener_name(route, pool),
        "address": _address(address, route.listen_port),
        # With SO_REUSEPORT a second gateway on the same port would silently take half of the connections.
        "enable_reuse_port": False,
        "socket_options": [_socket_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1, "STATE_LISTENING")],
        "filter_chains": [{"filters": [network_filter]}],
    }


def _tcp_proxy(route: Route, chosen: JsonObject) -> JsonObject:
    config = {
        "@type": f"{_TYPE}extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": statistics_name(route),
        "max_connect_attempts": 4,
        # A quiet connection is not a broken one: databases keep theirs for days. Dead peers show by TCP keep-alive.
        "idle_timeout": "0s",
        **chosen,
    }
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}


def _http(route: Route, chosen: JsonObject) -> JsonObject:
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": SAFE_METHODS}}}
    virtual_host = {
        "name": statistics_name(route),
        "domains": ["*"],
        "routes": [
            _http_route({"prefix": "/", "headers": [safe]}, "safe", RETRY_SAFE_METHODS, chosen),
            _http_route({"prefix": "/"}, "any", RETRY_ALWAYS, chosen),
        ],
    }
    router = {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    config = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "roam",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        # A cluster that is a moment late answers 503; with validation the whole listener would be refused.
        "route_config": {"name": route.key, "validate_clusters": False, "virtual_hosts": [virtual_host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": route.service},
        # Streams may be long and quiet; only the peers know when one has taken too long.
        "stream_idle_timeout": "3600s",
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def _http_route(match: JsonObject, name: str, retry_on: str, chosen: JsonObject) -> JsonObject:
    hosts: JsonObject = {"@type": f"{_TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}
    priorities: JsonObject = {
        "@type": f"{_TYPE}extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        "update_frequency": 2,
    }
    return {
        "match": match,
        "stat_prefix": name,
        "route": {
            **chosen,
            "timeout": "0s",
            "retry_policy": {
                "retry_on": retry_on,
                "num_retries": 4,
                "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
                "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": hosts}],
                "host_selection_retry_max_attempts": 5,
                "retry_priority": {"name": "envoy.retry_priorities.previous_priorities", "typed_config": priorities},
            },
        },
    }


def _cluster(pool: str, directory: PurePath) -> JsonObject:
    file = {"path": str(directory / pool_file(pool))}
    cluster: JsonObject = {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": pool,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"resource_api_version": "V3", "path_config_source": file}},
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "ROUND_ROBIN",
        "lb_subset_config": {"fallback_policy": "NO_FALLBACK", "subset_selectors": [{"keys": [_SUBSET_KEY]}]},
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            # What is acknowledged holds: changes of weight and health are never gathered over time.
            "update_merge_window": "0s",
        },
        "circuit_breakers": {"thresholds": [_thresholds()]},
        "outlier_detection": _outlier_detection(),
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 10, "keepalive_interval": 3, "keepalive_probes": 3}
        },
    }
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        limit = _socket_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_LIMIT_MS, "STATE_PREBIND")
        cluster["upstream_bind_config"] = {"socket_options": [limit]}
    if not pool.startswith("tcp"):
        options = "http2_protocol_options" if pool.startswith("http2") else "http_protocol_options"
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": UPSTREAM_IDLE_TIMEOUT},
                "explicit_http_config": {options: {}},
            }
        }
    return cluster


def _thresholds() -> JsonObject:
    # The pool is shared by many services: Envoy's default of 1,024 would let one starve the others.
    most = 1_000_000
    return {"max_connections": most, "max_pending_requests": most, "max_requests": most, "max_retries": 10_000}


def _outlier_detection() -> JsonObject:
    # Only what the gateway itself sees of a dead host (refused, reset, timed out) counts; answers never do.
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": "0.5s",
        "base_ejection_time": "1s",
        "max_ejection_time": "1s",
        "max_ejection_percent": 100,
    }


def _metadata(route: Route) -> JsonObject:
    return {"filter_metadata": {"envoy.lb": {_SUBSET_KEY: route.key}}}


def _address(address: str, port: int) -> JsonObject:
    return {"socket_address": {"address": address, "port_value": port}}


def _socket_option(level: int, name: int, value: int, state: str) -> JsonObject:
    return {"level": level, "name": name, "int_value": value, "state": state}

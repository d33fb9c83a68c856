"""Which addresses and ports are free for another sandbox on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from federation.errors import NoCapacity
from federation.sandbox.layout import AGENT_PORT, EDGE_ADDRESS, SETS, Claim
from federation.sandbox.places import PLACES


def free_set() -> int:
    """The first set of addresses in which nobody listens. Call it under `choosing`. Raises: NoCapacity."""
    for index in range(SETS):
        claim = Claim("", index, "")
        wanted = [(claim.address(place), AGENT_PORT) for place in PLACES]
        wanted += [(EDGE_ADDRESS, claim.gateway_port), (EDGE_ADDRESS, claim.controller_port)]
        if all(_is_free(address, port) for address, port in wanted):
            return index
    raise NoCapacity(f"all {SETS} sets of addresses for sandboxes are in use; take one down: roam sandbox down")


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


@contextlib.contextmanager
def choosing() -> Iterator[None]:
    """While inside, no other `up` of this user looks for a free set: hold it until the agents listen."""
    path = Path(tempfile.gettempdir()) / f"roam-sandbox-{os.getuid()}.lock"
    with locked(path):
        yield


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, waiting for it. The kernel lets go of it when this process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

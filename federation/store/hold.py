"""One controller to a store: two would undo each other's work, and a restore under a running one would be lost."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from federation.errors import FederationError, InvalidInput

_AGAIN_S = 0.05


class Held(FederationError):
    """Another process has the store."""

    reason = "StoreHeld"


@contextmanager
def hold(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Have the store in `path` alone, among those who ask so; a process that dies lets go.

    Args: wait_s, how long to wait for another to end.
    Raises: Held (the message names the process), InvalidInput (no file can be kept beside the store)."""
    beside = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInput(
            f"can't be opened for the store ({error.strerror}); name a file in a directory that can be written",
            file=str(path),
        ) from error
    try:
        _lock(handle, path, time.monotonic() + wait_s)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, ends_at_s: float) -> None:
    while not _locked(handle):
        if time.monotonic() >= ends_at_s:
            pid = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise Held(f"the store {path} is in use by a controller (process {pid}); stop that one first")
        time.sleep(_AGAIN_S)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Processes that outlive the command that started them: started detached, found again, never mistaken for others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from federation.errors import FederationError

MARK_VARIABLE: Final = "ROAM_PROCESS"
"""Set in the environment of every process of a sandbox, inherited by all that descends from it: `<mark>/<what>`."""
POLL_S: Final = 0.02


@dataclass(frozen=True)
class Handle:
    """A process: its id, and when it started (clock ticks since boot), as ids are used again."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether exactly this process runs; one that only waits to be reaped does not."""
        return _started(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send a signal to exactly this process; nothing happens when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            descriptor = os.pidfd_open(self.pid)
            try:
                # The descriptor holds on to the process, so what is checked now is what gets the signal.
                if self.alive():
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def spawn(argv: Sequence[str], *, mark: str, log: Path, environment: Mapping[str, str]) -> Handle:
    """Start a program detached: a session of its own, no terminal, output appended to `log` (mode 0600).

    Raises: FederationError, when it can't be started or ends at once."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # The shell ends at once, so the program is nobody's child here and leaves no zombie with us.
        done = subprocess.run(
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            cwd="/",
            env={**environment, MARK_VARIABLE: mark},
            start_new_session=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise FederationError(f"{argv[0]} can't be started: {error}") from error
    finally:
        os.close(descriptor)
    pid = int(done.stdout)
    started = _started(pid)
    if started is None:
        raise FederationError(f"{argv[0]} ended at once; see {log}:\n{tail(log)}")
    return Handle(pid, started)


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is gone or a zombie. Source: proc(5), stat."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def remember(path: Path, handle: Handle) -> None:
    """Write a process down, mode 0600; a reader sees all of it or the file before."""
    partial = path.with_name(f"{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"pid": handle.pid, "started": handle.started}, file)
    os.replace(partial, path)


def recall(path: Path) -> Handle | None:
    """The process written down there if it still runs, else None."""
    try:
        content = json.loads(path.read_bytes())
        handle = Handle(int(content["pid"]), int(content["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return handle if handle.alive() else None


def stop(handles: Sequence[Handle], *, within_s: float) -> None:
    """SIGTERM to all at once, SIGKILL to those that still run after `within_s` seconds; returns when all are gone."""
    for handle in handles:
        handle.signal(signal.SIGTERM)
    if not wait_until(lambda: not any(handle.alive() for handle in handles), within_s):
        kill(handles)


def kill(handles: Sequence[Handle]) -> None:
    """SIGKILL to all at once; returns when all are gone. Raises: FederationError, when the kernel keeps one."""
    for handle in handles:
        handle.signal(signal.SIGKILL)
    if not wait_until(lambda: not any(handle.alive() for handle in handles), 5.0):
        raise FederationError(f"processes {[h.pid for h in handles if h.alive()]} can't be killed")


def marked(mark: str) -> list[Handle]:
    """All living processes that carry `mark` or descend from one that does, other than this one."""
    prefix = f"{MARK_VARIABLE}={mark}/".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or int(entry) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{entry}/environ").read_bytes()
        except OSError:
            continue
        started = _started(int(entry))
        if started is not None and (environment.startswith(prefix) or b"\0" + prefix in environment):
            found.append(Handle(int(entry), started))
    return found


def sweep(mark: str) -> int:
    """Kill every process with that mark, again until none is left. Returns: how many there were."""
    count = 0
    for _ in range(100):
        found = marked(mark)
        if not found:
            return count
        count += len(found)
        kill(found)
    raise FederationError(f"processes of {mark} keep coming back: {[handle.pid for handle in marked(mark)]}")


def wait_until(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether `condition` came true within so many seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            return condition()
        time.sleep(POLL_S)
    return True


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log, indented, for an error message."""
    try:
        text = log.read_bytes()[-4096:].decode("utf-8", "replace")
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (the log is empty)"

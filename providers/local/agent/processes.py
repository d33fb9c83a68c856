"""Real processes, started and watched through the runner. For the agent's event loop only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from providers.local.agent import runner

LOG_LIMIT_BYTES: Final = 1 << 20
KILLED: Final = -9


class CannotStart(Exception):
    """A program could not be started; the message says why, without its arguments."""


@dataclass(frozen=True)
class Command:
    """What to run: arguments, the whole environment, the working directory, and the file that takes its output."""

    argv: Sequence[str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    directory: Path
    log: Path | None = None


class Process:
    """A started process. `exit` is its exit code once it ended, or the negative number of the signal that ended it."""

    def __init__(self, pid: int, send: Callable[[int, bool], None], exit_code: asyncio.Future[int]) -> None:
        self.pid = pid
        self.exit = exit_code
        self._send = send

    def signal(self, number: int, *, everything: bool = False) -> None:
        """Send a signal to the process; with `everything`, first SIGKILL to the whole of its process group."""
        self._send(number, everything)

    async def wait(self) -> int:
        """The exit code, when it ended; may be awaited by several, and cancelled."""
        return await asyncio.shield(self.exit)


class Processes:
    """The handle on the runner. When the runner itself is killed, all it ran died with it (exit code -9) and a new one
    takes its place."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._count = 0
        self._starting: dict[str, asyncio.Future[int]] = {}
        self._running: dict[str, asyncio.Future[int]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._runner: subprocess.Popen[bytes] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Start the runner. Raises: OSError."""
        runner.become_subreaper()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-IS", runner.__file__, str(theirs.fileno())]
            environment = {runner.MARK_VARIABLE: f"{self._mark}/runner", "PATH": os.defpath}
            self._runner = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environment, cwd="/", start_new_session=True,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(reader))

    async def start(self, command: Command) -> Process:
        """Start a program as the leader of a session of its own. Raises: CannotStart."""
        self._count += 1
        identity = str(self._count)
        loop = asyncio.get_running_loop()
        started, ended = loop.create_future(), loop.create_future()
        self._starting[identity], self._running[identity] = started, ended
        self._send({
            "do": "start", "id": identity, "mark": self._mark, "argv": list(command.argv),
            "env": dict(command.environment), "cwd": str(command.directory),
            "log": str(command.log) if command.log else None, "log_limit": LOG_LIMIT_BYTES,
        })  # fmt: skip
        try:
            # Even when nobody waits any more the process may have come to life: it must not be forgotten.
            pid = await asyncio.shield(started)
        except asyncio.CancelledError:
            self._send({"do": "signal", "id": identity, "signal": 9, "all": True})
            raise
        return Process(pid, lambda number, all_of_it: self._signal(identity, number, all_of_it), ended)

    async def close(self) -> None:
        """Kill everything that still runs, and wait until it is gone."""
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
        if self._runner is not None:
            await asyncio.to_thread(self._runner.wait)
        await asyncio.to_thread(runner.kill_descendants)

    def _signal(self, identity: str, number: int, all_of_it: bool) -> None:
        self._send({"do": "signal", "id": identity, "signal": number, "all": all_of_it})

    def _send(self, message: dict[str, object]) -> None:
        if self._writer is not None and not self._closed:
            self._writer.write(runner.encode(message))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (length,) = runner.LENGTH.unpack(await reader.readexactly(runner.LENGTH.size))
                self._handle(json.loads(await reader.readexactly(length)))
        if not self._closed:
            await self._replace_runner()

    def _handle(self, message: dict[str, object]) -> None:
        identity = str(message["id"])
        if message["event"] == "started":
            _resolve(self._starting.pop(identity), message["pid"])
        elif message["event"] == "failed":
            self._running.pop(identity, None)
            _fail(self._starting.pop(identity), str(message["message"]))
        else:
            _resolve(self._running.pop(identity), message["code"])

    async def _replace_runner(self) -> None:
        """The runner was killed: its children died with it, its orphans are ours, and all start anew."""
        if self._runner is not None:
            self._runner.kill()
            await asyncio.to_thread(self._runner.wait)
        await asyncio.to_thread(runner.kill_descendants)
        starting, running = self._starting, self._running
        self._starting, self._running = {}, {}
        await self.open()
        for future in starting.values():
            _fail(future, "the runner of this sub-cluster was killed")
        for future in running.values():
            _resolve(future, KILLED)


def older_log(log: Path) -> Path:
    """Where the older half of a long log is."""
    return log.with_name(log.name + ".1")


def previous_log(log: Path) -> Path:
    """Where the log of the run before is."""
    return log.with_name(f"{log.name.removesuffix('.log')}.previous.log")


def put_log_aside(log: Path) -> None:
    """Make what was logged so far the log of the run before; for between two runs."""
    with contextlib.suppress(OSError):
        log.replace(previous_log(log))
        older_log(previous_log(log)).unlink(missing_ok=True)
        older_log(log).replace(older_log(previous_log(log)))


def _resolve(future: asyncio.Future[int], value: object) -> None:
    if not future.done():
        future.set_result(int(str(value)))


def _fail(future: asyncio.Future[int], message: str) -> None:
    if not future.done():
        future.set_exception(CannotStart(message))
        # Retrieved here in case that nobody waits for it any more.
        future.exception()

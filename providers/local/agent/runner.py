"""The parent of everything that a sub-cluster runs: a small process of one thread and no imports beyond the library.

Why a process of its own: only the parent's thread may fork safely and only its death is noticed by the kernel
(PR_SET_PDEATHSIG); and as a "child subreaper" it inherits every orphan of its children, whatever session or
environment that orphan gave itself. When the agent is gone (end of file on the socket), it kills all of its
descendants, so `kill -9` of the agent leaves nothing behind. Source: prctl(2).

It talks in frames (4 bytes length, then JSON): `start`, `signal` in; `started`, `failed`, `exited` out.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
MARK_VARIABLE: Final = "ROAM_PROCESS"
LENGTH: Final = struct.Struct("!I")
CHUNK_BYTES: Final = 64 * 1024

_libc: Final = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Inherit the orphans among this process's descendants. Raises: OSError."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def encode(message: dict[str, Any]) -> bytes:
    """One frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def children() -> list[int]:
    """The direct children of this process, living or not yet reaped."""
    me, found = os.getpid(), []
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and _parent(entry) == me:
            found.append(int(entry))
    return found


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def kill_descendants() -> None:
    """Kill every descendant and wait until none is left; the caller is a subreaper, so none can escape."""
    while True:
        for pid in children():
            _kill_group(pid)
            _kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _kill_group(pid: int) -> None:
    # Only a group that the process leads: anything else might be our own.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)


@dataclass
class Log:
    """A file of at most `limit_bytes`, and one older one of the same size beside it."""

    path: str
    limit_bytes: int
    size: int = 0
    file: int = -1

    def write(self, data: bytes) -> None:
        """Append; a full disk loses output, never the process that writes."""
        with contextlib.suppress(OSError):
            if self.file < 0:
                self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                self.size = os.fstat(self.file).st_size
            if self.size and self.size + len(data) > self.limit_bytes:
                self.close()
                os.replace(self.path, self.path + ".1")
                self.write(data[-self.limit_bytes :])
                return
            self.size += os.write(self.file, data)

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self.file >= 0:
            os.close(self.file)
            self.file, self.size = -1, 0


@dataclass
class Child:
    """One started process, the leader of its own session."""

    id: str
    mark: str
    process: subprocess.Popen[bytes]
    output: int
    log: Log | None
    ended: bool = field(default=False)


class Runner:
    """The loop: requests from the socket, output of the children, deaths."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._selector = selectors.DefaultSelector()
        self._children: dict[str, Child] = {}
        self._by_pid: dict[int, Child] = {}
        self._pending = bytearray()
        self._sweeping = False

    def run(self) -> None:
        """Serve until the agent is gone, then kill everything."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda: self._reap(wake_read))
        self._selector.register(self._connection, selectors.EVENT_READ, self._receive)
        try:
            while True:
                for key, _ in self._selector.select():
                    act: Callable[[], None] = key.data
                    act()
        except (ConnectionError, EOFError):
            pass
        finally:
            kill_descendants()

    def _receive(self) -> None:
        data = self._connection.recv(1 << 20)
        if not data:
            raise EOFError
        self._pending += data
        for message in self._frames():
            if message["do"] == "start":
                self._start(message)
            elif message["do"] == "signal":
                self._signal(message)

    def _frames(self) -> Iterator[dict[str, Any]]:
        while len(self._pending) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._pending)
            end = LENGTH.size + length
            if len(self._pending) < end:
                return
            body = bytes(self._pending[LENGTH.size : end])
            del self._pending[:end]
            yield json.loads(body)

    def _send(self, message: dict[str, Any]) -> None:
        self._connection.sendall(encode(message))

    def _start(self, message: dict[str, Any]) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        mark = f"{message['mark']}/{message['id']}"
        try:
            process = subprocess.Popen(
                message["argv"],
                env={**message["env"], MARK_VARIABLE: mark},
                cwd=message["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
                # Safe here, and only here: this process has one thread.
                preexec_fn=_die_with(os.getpid()),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            os.close(read_end)
            self._send({"event": "failed", "id": message["id"], "message": _reason(error, message)})
            return
        finally:
            os.close(write_end)
        log = Log(message["log"], message["log_limit"]) if message["log"] else None
        child = Child(message["id"], mark, process, read_end, log)
        self._children[child.id] = self._by_pid[process.pid] = child
        self._selector.register(read_end, selectors.EVENT_READ, lambda: self._copy(child))
        self._send({"event": "started", "id": child.id, "pid": process.pid})

    def _copy(self, child: Child) -> bool:
        """Move output to the log. Returns: whether there may be more right now."""
        if child.output < 0:  # closed by an event of the same round
            return False
        try:
            data = os.read(child.output, CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close_output(child)
            return False
        if child.log:
            child.log.write(data)
        return True

    def _close_output(self, child: Child) -> None:
        if child.output >= 0:
            self._selector.unregister(child.output)
            os.close(child.output)
            child.output = -1
            if child.log:
                child.log.close()

    def _signal(self, message: dict[str, Any]) -> None:
        child = self._children.get(message["id"])
        # Not reaped yet, so the process id can't have been given to another process.
        if child is None or child.ended:
            return
        if message["all"]:
            _kill_group(child.process.pid)
        _kill(child.process.pid, message["signal"])

    def _reap(self, wake: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)
        while True:
            try:
                # Look without reaping first: while it is a zombie, its group can't be somebody else's.
                status = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if status is None:
                break
            child = self._by_pid.pop(status.si_pid, None)
            if child is not None:
                child.ended = self._sweeping = True
                _kill_group(child.process.pid)
            _, code = os.waitpid(status.si_pid, 0)
            if child is not None:
                self._finish(child, os.waitstatus_to_exitcode(code))
        # Each orphan killed may orphan others, whose end brings us here again.
        if self._sweeping:
            self._sweeping = self._kill_orphans()

    def _finish(self, child: Child, code: int) -> None:
        child.process.returncode = code
        for _ in range(64):
            if child.output < 0 or not self._copy(child):
                break
        self._close_output(child)
        del self._children[child.id]
        self._send({"event": "exited", "id": child.id, "code": code})

    def _kill_orphans(self) -> bool:
        """Kill what descends from a process that ended but had left its group (a daemon). Returns: whether any did.

        Its mark tells whose it was; what hides its mark stays as long as anything runs here."""
        living = {child.mark for child in self._children.values()}
        found = False
        for pid in children():
            if pid in self._by_pid:
                continue
            mark = mark_of(pid)
            if mark in living or (mark is None and living):
                continue
            _kill(pid, signal.SIGKILL)
            found = True
        return found


def mark_of(pid: int) -> str | None:
    """The mark in the environment that a process was started with; None when it can't be read or has none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError:
        return None
    prefix = f"{MARK_VARIABLE}=".encode()
    return next((part[len(prefix) :].decode() for part in environment.split(b"\0") if part.startswith(prefix)), None)


def _die_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _reason(error: Exception, message: dict[str, Any]) -> str:
    """Why a start failed, without the arguments: they may hold secrets."""
    program = message["argv"][0]
    if isinstance(error, FileNotFoundError):
        missing = error.filename if error.filename not in (None, program) else program
        return f"{missing}: no such file or directory"
    if isinstance(error, OSError):
        return f"{program[:200]}: {error.strerror}"
    return f"{program[:200]}: can't be started ({type(error).__name__})"


def main() -> None:
    """Run on the inherited socket whose number is the only argument."""
    # Handlers, not SIG_IGN: what is ignored would stay ignored in every child.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    become_subreaper()
    Runner(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()

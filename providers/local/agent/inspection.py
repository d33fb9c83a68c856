"""What pods wrote and what they use, read from their log files and from /proc. Blocking: not for the event loop."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from federation.contracts.driver import LogQuery, Logs, PodLog, PodUsage
from federation.errors import NotFound
from federation.model.meta import Key
from providers.local.agent.processes import older_log, previous_log

ANSWER_LIMIT_BYTES: Final = 4 << 20
LEAST_BYTES: Final = 64 << 10
LINE_LIMIT: Final = 16 << 10
SAMPLE_S: Final = 0.25
"""Two looks at the processor time must lie at least so far apart ..."""
STALE_S: Final = 10.0
"""... and at most so far, to tell what is used now."""
_TICKS_PER_S: Final = float(os.sysconf("SC_CLK_TCK"))
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class PodFiles:
    """Where one pod's containers write. `running`: those whose last line may not be finished yet."""

    name: str
    directory: Path
    containers: tuple[str, ...]
    running: frozenset[str]


Position = tuple[int, int]
"""A file (its inode), and how many of its bytes were read."""


def read_logs(key: Key, pods: Sequence[PodFiles], query: LogQuery) -> Logs:
    """What `query` asks for. Raises: NotFound."""
    pods = [pod for pod in pods if query.pod in ("", pod.name)]
    if not pods:
        raise NotFound(f"{key} has no pod {query.pod}" if query.pod else f"{key} has no pods here")
    known = sorted({name for pod in pods for name in pod.containers})
    if query.container and query.container not in known:
        raise NotFound(f"{key} has no container {query.container!r}; it has {', '.join(known)}")
    after = _positions(query.cursor)
    wanted = [(pod, name) for pod in pods for name in pod.containers if query.container in ("", name)]
    limit = max(LEAST_BYTES, ANSWER_LIMIT_BYTES // max(len(wanted), 1))
    found, positions = [], {}
    for pod, name in wanted:
        slot = f"{pod.name}/{name}"
        file = pod.directory / f"{name}.log"
        if query.previous:
            file = previous_log(file)
            if not file.exists():
                continue
        final = query.previous or name not in pod.running
        data, positions[slot] = _read(file, after.get(slot), limit, final=final)
        lines = [line[:LINE_LIMIT].decode("utf-8", "replace") for line in data.splitlines()]
        if query.tail_lines is not None and query.cursor is None:
            lines = lines[len(lines) - min(query.tail_lines, len(lines)) :]
        found.append(PodLog(pod.name, name, tuple(lines)))
    if query.previous and not found:
        raise NotFound(f"{key} has no earlier run: none of its containers was started again")
    return Logs(tuple(found), json.dumps(positions, separators=(",", ":")))


def _positions(cursor: str | None) -> dict[str, Position]:
    """What was read by slot; of a cursor that is none, nothing."""
    try:
        found = json.loads(cursor) if cursor else {}
        return {slot: (int(inode), int(offset)) for slot, (inode, offset) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _read(file: Path, after: Position | None, limit: int, *, final: bool) -> tuple[bytes, Position]:
    """The whole lines that `file` and its older half hold, the newest `limit` bytes, and the position after them; with
    `after`, what came since: also the end of the run before. `final`: the last line is whole, too."""
    before = previous_log(file)
    found = [(path, *_content(path)) for path in (older_log(before), before, older_log(file), file)]
    found = [part for part in found if part[1]]
    inodes = [inode for _, inode, _ in found]
    if after is not None and after[0] in inodes:
        found, skipped = found[inodes.index(after[0]) :], after[1]
    else:
        found, skipped = [part for part in found if part[0] in (older_log(file), file)], 0
    if not found:
        return b"", after or (0, 0)
    _, inode, last = found[-1]
    end = len(last) if final else last.rfind(b"\n") + 1
    pieces = [(path, content) for path, _, content in found[:-1]] + [(found[-1][0], last[:end])]
    pieces[0] = (pieces[0][0], pieces[0][1][skipped:])
    data = b""
    for path, content in pieces:
        # A run that ended in the middle of a line does not go on in the next one.
        broken = path == older_log(file) or (path == file and older_log(file) not in dict(pieces))
        data += (b"\n" if broken and data and not data.endswith(b"\n") else b"") + content
    return data[-limit:], (inode, max(end, skipped if len(found) == 1 else 0))


def _content(path: Path) -> tuple[int, bytes]:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_ino, file.read()
    except OSError:
        return 0, b""


@dataclass(frozen=True)
class PodProcesses:
    """One pod's containers that run."""

    key: Key
    name: str
    pids: tuple[int, ...]


class Meter:
    """Measures processor time and memory of pods. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = 0.0
        self._ticks: dict[int, int] = {}

    def measure(self, pods: Iterable[PodProcesses]) -> tuple[PodUsage, ...]:
        """What each pod uses: cores since the last look, or over a moment when that is too long ago."""
        pods = sorted(pods, key=lambda pod: (pod.key, pod.name))
        with self._lock:
            age_s = time.monotonic() - self._at
            if not SAMPLE_S <= age_s <= STALE_S:
                self._at, self._ticks = time.monotonic(), {pid: one.ticks for pid, one in _processes().items()}
                time.sleep(SAMPLE_S)
            before, began = self._ticks, self._at
            found = _processes()
            self._at, self._ticks = time.monotonic(), {pid: one.ticks for pid, one in found.items()}
            passed_s = self._at - began
        owners = _owners({pid: index for index, pod in enumerate(pods) for pid in pod.pids}, found)
        cores, memory = [0.0] * len(pods), [0.0] * len(pods)
        for pid, index in owners.items():
            cores[index] += max(0, found[pid].ticks - before.get(pid, 0)) / _TICKS_PER_S / passed_s
            memory[index] += found[pid].pages * _PAGE_BYTES
        return tuple(PodUsage(pod.key, pod.name, round(cores[i], 4), float(memory[i])) for i, pod in enumerate(pods))


@dataclass(frozen=True)
class _Process:
    """A process: its parent, its session, processor time used, memory held."""

    parent: int
    session: int
    ticks: int
    pages: int


def _processes() -> dict[int, _Process]:
    """All processes of the machine. Source: proc(5), /proc/pid/stat."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        found[int(entry)] = _Process(int(fields[1]), int(fields[3]), int(fields[11]) + int(fields[12]), int(fields[21]))
    return found


def _owners(leaders: Mapping[int, int], found: Mapping[int, _Process]) -> dict[int, int]:
    """To which pod each process belongs: by its session, or by a parent's."""
    owners: dict[int, int] = {}
    for pid in found:
        seen = pid
        for _ in range(64):
            if seen in leaders or (seen in found and found[seen].session in leaders):
                owners[pid] = leaders[seen] if seen in leaders else leaders[found[seen].session]
                break
            seen = found[seen].parent if seen in found else 0
            if seen <= 1:
                break
    return owners

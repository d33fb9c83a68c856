"""The audit log: one line for every write that was asked for, chained by hashes, so that what is changed, removed or
put in later shows.

A line is a JSON object. Its `hash` is the SHA-256 over the hash of the line before and the line's own content; `number`
counts from 1 over all files. The first line of a file says in `before` which hash it continues, 64 zeros at the very
beginning. No value that anybody sent is ever in it: only who, what, which object, which fields, and how it ended.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from federation.errors import FederationError, InvalidInput

_LOG = logging.getLogger(__name__)
ORIGIN: Final = "0" * 64
_TAIL_BYTES = 256 * 1024
_ROTATE_BYTES = 32 * 2**20
_RESERVE_BYTES = 256 * 1024
_TROUBLE = (OSError, ValueError, KeyError, TypeError)
"""What a full or broken disk does, or a file that somebody else has written to."""


class AuditFull(FederationError):
    """The log can't be written: the write that was asked for is refused."""

    reason = "AuditLogUnavailable"


@dataclass(frozen=True)
class _End:
    """Where the log ends: the file's identity and size, and the number and hash of the last line."""

    inode: int = 0
    size: int = 0
    number: int = 0
    hash: str = ORIGIN


class AuditLog:
    """The log in the file `path`, mode 0600; older parts stand beside it as `<name>.<number of their first line>`.

    Safe to use from several threads, and by several processes on one file. A small reserve of disk space is kept, so
    that what has been done can still be written down on a full disk; further writes are refused then (`check`).
    Raises: InvalidInput (the file can't be had)."""

    def __init__(self, path: Path, *, rotate_bytes: int = _ROTATE_BYTES):
        self._path = path
        self._reserve = path.with_name(f".{path.name}.reserve")
        self._lock = path.with_name(f".{path.name}.lock")
        self._rotate_bytes = rotate_bytes
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._end = _End()
        self._written = 0
        self._synced = 0
        self._pending: list[Mapping[str, Any]] = []
        try:
            with self._locked() as file:
                self._find_end(file)
            self._keep_reserve()
        except OSError as error:
            raise InvalidInput(f"no audit log can be kept there: {error.strerror}", file=str(path)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                "does not end as an audit log does; look at it (roam audit verify), then move it away", file=str(path)
            ) from error

    def check(self) -> None:
        """Raises: AuditFull, when a write that is made now could not be written down. Call it before the write."""
        try:
            with self._writing:
                if self._pending:
                    self._append([])
                self._keep_reserve()
                os.close(self._open())
        except _TROUBLE as error:
            raise AuditFull(f"the audit log can't be written ({_why(error)}), so nothing else is") from error

    def record(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write entries down, durably when it returns. Threads that come together share one wait for the disk.

        Raises: AuditFull; then they are kept, and written before anything else."""
        try:
            with self._writing:
                self._append(entries)
                mine = self._written
            with self._syncing:
                if self._synced < mine:
                    upto = self._written
                    # A file that another process has put aside meanwhile was synced by it first.
                    with suppress(FileNotFoundError), self._path.open("rb") as file:
                        os.fsync(file.fileno())
                    self._synced = upto
        except _TROUBLE as error:
            _LOG.error("the audit log can't be written: %s", error)
            raise AuditFull(f"done, but the audit log can't be written now ({_why(error)})") from error

    def last(self, count: int) -> list[dict[str, Any]]:
        """The newest lines, oldest first: at most `count`, from the present file only."""
        with self._path.open("rb") as file:
            text = _tail(file.fileno(), os.fstat(file.fileno()).st_size)
        return [json.loads(line) for line in text.splitlines()[-count:]] if count else []

    def _append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self._pending += entries
        with self._locked() as file:
            self._find_end(file)
            if self._end.size >= self._rotate_bytes:
                self._rotate(file)
        with self._locked() as file:
            self._find_end(file)
            end, text = self._end, bytearray()
            for entry in self._pending:
                begins = {"before": end.hash} if end.size == 0 else {}
                line, digest = encode_line({**begins, **entry}, end.number + 1, end.hash)
                text += line
                end = _End(end.inode, end.size + len(line), end.number + 1, digest)
            self._write(file, text)
            self._end = end
            self._written += 1
            self._pending.clear()

    def _write(self, file: int, text: bytes | bytearray) -> None:
        """All of `text` or nothing of it."""
        try:
            _write_all(file, text)
        except OSError:
            os.ftruncate(file, self._end.size)
            # Space that was kept for this moment.
            self._reserve.unlink()
            try:
                _write_all(file, text)
            except OSError:
                os.ftruncate(file, self._end.size)
                raise

    def _find_end(self, file: int) -> None:
        """Where the log ends now: another process may have written. What a crash left half written is removed."""
        found = os.fstat(file)
        if (found.st_ino, found.st_size) == (self._end.inode, self._end.size):
            return
        if found.st_size == 0:
            older = parts(self._path)[:-1]
            number, digest = _last_line(older[-1].read_bytes()) if older else (0, ORIGIN)
            if self._end.number > number:
                # Somebody has taken lines away: what comes goes on from what was last known, so that the gap shows.
                number, digest = self._end.number, self._end.hash
            self._end = _End(found.st_ino, 0, number, digest)
            return
        text = _tail(file, found.st_size)
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            _LOG.warning("removed an unfinished line of %d bytes from the audit log", len(text) - len(whole))
            os.ftruncate(file, found.st_size - (len(text) - len(whole)))
        number, digest = _last_line(whole)
        self._end = _End(found.st_ino, os.fstat(file).st_size, number, digest)

    def _rotate(self, file: int) -> None:
        """Put the present file aside; the next line begins another."""
        first = json.loads(os.pread(file, 65536, 0).partition(b"\n")[0])["number"]
        os.fsync(file)
        self._path.rename(self._path.with_name(f"{self._path.name}.{first:012d}"))

    def _keep_reserve(self) -> None:
        with suppress(FileNotFoundError):
            if self._reserve.stat().st_size == _RESERVE_BYTES:
                return
        descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, b"\n" * _RESERVE_BYTES)
        except OSError:
            with suppress(OSError):
                self._reserve.unlink()
            raise
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The present file, held against other processes."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self._open()
            try:
                yield file
            finally:
                os.close(file)
        finally:
            os.close(lock)


def parts(path: Path) -> list[Path]:
    """The files of a log, oldest first, the present one last."""
    older = sorted(each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdigit())
    return [*older, path]


def encode_line(entry: Mapping[str, Any], number: int, before: str) -> tuple[bytes, str]:
    """A line and its hash. Args: before, the hash of the line before."""
    record = {"number": number, **entry}
    digest = digest_of(record, before)
    return json.dumps({**record, "hash": digest}, separators=(",", ":")).encode() + b"\n", digest


def digest_of(record: Mapping[str, Any], before: str) -> str:
    """The hash of a line, given as data without its hash."""
    content = json.dumps(record, separators=(",", ":"), sort_keys=True).encode()
    return hashlib.sha256(before.encode() + b"\n" + content).hexdigest()


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or "its end is not as it was written; see roam audit verify")


def _last_line(text: bytes) -> tuple[int, str]:
    record = json.loads(text.rstrip(b"\n").rpartition(b"\n")[2])
    return int(record["number"]), str(record["hash"])


def _tail(file: int, size: int) -> bytes:
    """The end of a file, from the beginning of a line on."""
    begin = max(0, size - _TAIL_BYTES)
    text = os.pread(file, _TAIL_BYTES, begin)
    return text if begin == 0 else text.partition(b"\n")[2]


def _write_all(file: int, text: bytes | bytearray) -> None:
    left = memoryview(bytes(text))
    while left:
        left = left[os.write(file, left) :]

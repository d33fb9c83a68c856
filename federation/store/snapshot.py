"""Backups: one file with a store as it was at one moment, and how it becomes a store again.

A backup is a line of JSON (`Head`), then the store's database, compressed with zlib. Secrets stay encrypted in it as
they are in the store; the keys are not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from federation.errors import InvalidInput, Unavailable
from federation.store.schema import VERSION

FORMAT = 1
_PIECE = 256 * 1024
_LONGEST_HEAD = 64 * 1024
_LEVEL = 1
_VERSIONS_AHEAD = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Head:
    """What a backup says of itself. `schema`: of the database; `version`: of the newest change in
    it; `store_id`: whose it is; `keys`: the ids of those that its secrets are encrypted with; `made_at`: seconds since
    1970; `size` and `sha256`: of the database."""

    schema: int
    version: int
    store_id: str
    keys: tuple[str, ...]
    made_at: float
    size: int
    sha256: str


def backup(path: Path, *, now: float) -> Generator[bytes]:
    """A backup of the store in `path` as it is at one moment, piece by piece, while others read and write it.

    Needs as much room beside the store as the store itself. Raises: InvalidInput (no store there), Unavailable."""
    with _working_file(path.parent, path.name) as (name, file):
        head = _copy(path, name, now)
        yield json.dumps({"roam-backup": FORMAT, **asdict(head)}, separators=(",", ":")).encode() + b"\n"
        press = zlib.compressobj(_LEVEL)
        while piece := file.read(_PIECE):
            if packed := press.compress(piece):
                yield packed
        yield press.flush()


def receive(pieces: Iterable[bytes], into: IO[bytes]) -> Head:
    """Write the database in a backup to `into`, checked from beginning to end.

    Raises: InvalidInput (no backup, a newer release's, cut off, or changed)."""
    rest = iter(pieces)
    head, left = _read_head(rest)
    unpack, digest, size = zlib.decompressobj(), hashlib.sha256(), 0
    try:
        for piece in _chain(left, rest):
            while piece:
                plain = unpack.decompress(piece, _PIECE * 4)
                piece = unpack.unconsumed_tail
                size += len(plain)
                digest.update(plain)
                if size > head.size:
                    raise InvalidInput("is damaged: it holds more than it says")
                into.write(plain)
            if unpack.unused_data:
                raise InvalidInput("is damaged: something follows its end")
    except zlib.error as error:
        raise InvalidInput(f"is damaged ({error}); use another backup") from error
    if not unpack.eof or size != head.size:
        raise InvalidInput(f"is cut off: {size} of {head.size} bytes are there; make the backup again")
    if digest.hexdigest() != head.sha256:
        raise InvalidInput("is damaged: its content does not have the SHA-256 that it says; use another backup")
    return head


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """A file, piece by piece."""
    while piece := file.read(_PIECE):
        yield piece


def restore(source: IO[bytes], path: Path, *, now: float, force: bool) -> tuple[Head, Path | None]:
    """Make the backup in `source` the store in `path`; the caller holds it (`hold`).

    Versions go on far above all that the backup's store has given since (as etcd does after a restore): whoever watches
    or pages from before is told to list again, and no version ever names two states.
    Args: force, put a store that is there aside, beside the new one, instead of refusing.
    Returns what the backup says of itself, and where the store that was there is now.
    Raises: InvalidInput (no usable backup; a store is there), Unavailable; then everything is as it was."""
    if path.exists() and path.stat().st_size and not force:
        raise InvalidInput("a store is there already; --force puts it aside and restores", file=str(path))
    with _working_file(path.parent, path.name) as (draft, file):
        head = receive(pieces_of(source), file)
        file.flush()
        _prepare(draft, head, _newest(path))
        os.fsync(file.fileno())
        aside = _put_aside(path, now)
        draft.rename(path)
        _sync_directory(path.parent)
    return head, aside


@contextmanager
def _working_file(folder: Path, name: str) -> Iterator[tuple[Path, IO[bytes]]]:
    """An empty file beside the store, for its owner only, that is gone afterwards unless it was renamed."""
    try:
        handle, found = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    except OSError as error:
        raise Unavailable(f"no room for a copy of the store in {folder}: {error.strerror}") from error
    draft = Path(found)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield draft, file
    except OSError as error:
        raise Unavailable(f"the copy of the store in {folder} can't be written: {error.strerror}") from error
    finally:
        for each in _files(draft):
            each.unlink(missing_ok=True)


def _copy(path: Path, into: Path, now: float) -> Head:
    """A consistent copy of a database that others may be writing to."""
    if not path.exists():
        raise InvalidInput("no store is there", file=str(path))
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10.0)) as raw:
            raw.execute("VACUUM INTO ?", (str(into),))
        with closing(sqlite3.connect(into, isolation_level=None)) as raw:
            schema, version, store_id = raw.execute(
                "SELECT roam_schema.version, state.version, store_id FROM roam_schema, state"
            ).fetchone()
            keys = raw.execute("SELECT key_id FROM seal UNION SELECT sealed FROM revisions WHERE sealed IS NOT NULL")
            used = tuple(row[0] for row in keys)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname.startswith("SQLITE_FULL"):
            raise Unavailable(f"no room for a copy of the store in {path.parent}; free some space") from error
        raise Unavailable(f"the store {path} can't be copied: {error}") from error
    digest = hashlib.sha256()
    with into.open("rb") as file:
        for piece in pieces_of(file):
            digest.update(piece)
    return Head(schema, version, store_id, used, now, into.stat().st_size, digest.hexdigest())


def _read_head(pieces: Iterator[bytes]) -> tuple[Head, bytes]:
    text = b""
    while b"\n" not in text and len(text) < _LONGEST_HEAD:
        piece = next(pieces, b"")
        if not piece:
            break
        text += piece
    line, _, left = text.partition(b"\n")
    try:
        found = json.loads(line)
        made_by = found.pop("roam-backup")
        if made_by == FORMAT:
            head = Head(**{**found, "keys": tuple(found["keys"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput("is not a backup of Roam") from error
    if made_by != FORMAT or head.schema > VERSION:
        raise InvalidInput("is a backup made by a newer release of Roam; restore it with that one")
    return head, left


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _prepare(draft: Path, head: Head, newest: int) -> None:
    """Check the database, and let its versions go on above all others."""
    version = max(head.version, newest) + _VERSIONS_AHEAD
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as raw:
            finding = raw.execute("PRAGMA quick_check(1)").fetchone()[0]
            if finding != "ok":
                raise InvalidInput(f"is damaged ({finding}); use another backup")
            raw.execute("BEGIN")
            raw.execute("DELETE FROM revisions WHERE superseded IS NOT NULL")
            raw.execute("DELETE FROM labels WHERE version NOT IN (SELECT version FROM revisions)")
            raw.execute("UPDATE state SET version = ?, compacted = ?", (version, version))
            raw.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise InvalidInput(f"holds no usable store ({error}); use another backup") from error


def _newest(path: Path) -> int:
    """The newest version of the store that is there, as far as it can be read."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            return int(raw.execute("SELECT version FROM state").fetchone()[0])
    except (sqlite3.DatabaseError, TypeError):
        return 0


def _put_aside(path: Path, now: float) -> Path | None:
    """Give a store that is there another name, and take away what SQLite keeps beside it: it would be taken for part of
    the new one. Under its own name it stays until the new one replaces it, so that there is always one."""
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}.before-{int(now)}")
    for here, there in zip(_files(path)[1:], _files(aside)[1:], strict=True):
        if here.exists():
            here.rename(there)
    aside.unlink(missing_ok=True)
    os.link(path, aside)
    return aside


def _files(path: Path) -> tuple[Path, ...]:
    return path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal"))


def _sync_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

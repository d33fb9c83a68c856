"""Connections to the database, and its errors in Roam's terms."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import QueuePool, StaticPool

from federation.errors import FederationError, InvalidInput, NoRoom, Unavailable
from federation.store import schema, vault
from federation.store.sealing import Keyring

MEMORY = ":memory:"
_MOST_CONNECTIONS = 32
_WAIT_FOR_CONNECTION_S = 30.0
_WAIT_FOR_USERS_S = 10.0
_LEAST_ROOM = 2**20
_JOURNAL_BYTES = 64 * 2**20


class Database:
    """One SQLite database: a file (`path`), or memory (None).

    Everything happens in a transaction that sees one state; changes become durable when it ends, or not at all.
    A file is made readable by its owner only, and so is its directory if that has to be made.
    Safe to use from several threads; several processes may use one file.

    Args: keys, for what is secret in it (see `vault.unlock`); busy_timeout_s, how long to wait for another process that
    is writing.
    Raises: InvalidInput (not a store, a damaged one, a newer release's, or wrong keys), Unavailable (try again)."""

    def __init__(self, path: Path | None, keys: Keyring | None = None, *, busy_timeout_s: float):
        self.name = MEMORY if path is None else str(path)
        self._closed = False
        self._users = 0
        self._left = threading.Condition()
        # A store in memory has a single connection: its users take turns.
        self._turn = threading.RLock() if path is None else nullcontext()
        if path is not None:
            _make_file(path)
        self._engine = _engine(self.name, busy_timeout_s)
        try:
            with self._translated(opening=True):
                self._open(keys)
        except BaseException:
            self.close()
            raise

    def _open(self, keys: Keyring | None) -> None:
        with self._engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None  # noqa: S101 - just connected
            if self.name != MEMORY:
                _check_file(raw, self.name)
        with self.writing() as connection:
            schema.upgrade(connection, self.name)
            unclean = vault.unlock(connection, keys, self.name)
        if unclean:
            self._clean()

    def _clean(self) -> None:
        """Rewrite the file, so that nothing that was replaced is left in it or in its log."""
        if self.name != MEMORY:
            with self._engine.connect() as connection:
                raw = connection.connection.dbapi_connection
                assert raw is not None  # noqa: S101 - just connected
                raw.execute("VACUUM")
                if raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    raise Unavailable(f"the store {self.name} is in use; stop what uses it and try again")
        with self.writing() as connection:
            vault.cleaned(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the database as it is now, to its end, and holds up nobody.

        Raises: Unavailable."""
        with self._translated(), self._turn, self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only writing transaction at its time, in all processes; committed durably at the end of the block, undone
        when the block raises.

        Raises: Unavailable (nothing of it is visible; after an error of the disk it may turn up after a restart)."""
        with (
            self._translated(),
            self._turn,
            self._engine.connect().execution_options(immediate=True) as connection,
            _given_up_when_read_only(connection),
            connection.begin(),
        ):
            yield connection

    def check_room(self) -> None:
        """Raises: NoRoom, when hardly anything is left of the disk."""
        if self.name != MEMORY:
            with suppress(OSError):
                found = os.statvfs(self.name)
                left = found.f_bavail * found.f_frsize
                if found.f_blocks and left < _LEAST_ROOM:
                    raise NoRoom(f"only {left // 1024} KiB are left for the store {self.name}; free some space")

    def close(self) -> None:
        """Wait (up to 10 s) for what is under way and close the connections. Calls from now on raise Unavailable."""
        with self._left:
            self._closed = True
            self._left.wait_for(lambda: self._users == 0, timeout=_WAIT_FOR_USERS_S)
        self._engine.dispose()

    @contextmanager
    def _translated(self, *, opening: bool = False) -> Iterator[None]:
        with self._left:
            if self._closed:
                raise Unavailable(f"the store {self.name} is closed")
            self._users += 1
        try:
            yield
        except exc.DBAPIError as error:
            raise _translate(error.orig, self.name, opening) from error
        except sqlite3.Error as error:
            raise _translate(error, self.name, opening) from error
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{error.object!r} is not text: it has half a surrogate pair") from error
        except exc.TimeoutError as error:
            raise Unavailable(
                f"the store {self.name} has {_MOST_CONNECTIONS} calls under way; try again in a moment"
            ) from error
        finally:
            with self._left:
                self._users -= 1
                self._left.notify_all()


@contextmanager
def _given_up_when_read_only(connection: Connection) -> Iterator[None]:
    """A connection that was made while the file could not be written to stays so: the next one may be better."""
    try:
        yield
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
            connection.invalidate()
        raise


def _engine(name: str, busy_timeout_s: float) -> Engine:
    arguments = {"timeout": busy_timeout_s, "check_same_thread": False}
    url = URL.create("sqlite", database=name)
    if name == MEMORY:
        engine = create_engine(url, connect_args=arguments, poolclass=StaticPool)
    else:
        engine = create_engine(
            url,
            connect_args=arguments,
            poolclass=QueuePool,
            pool_size=8,
            max_overflow=_MOST_CONNECTIONS - 8,
            pool_timeout=_WAIT_FOR_CONNECTION_S,
        )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: object) -> None:  # the driver's connection: SQLAlchemy knows no type for it
    # The driver would begin transactions on its own, and only before writes; `_begin` does it instead.
    connection.isolation_level = None
    for setting in ("synchronous = FULL", "foreign_keys = ON", f"journal_size_limit = {_JOURNAL_BYTES}"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: upgrading a read lock later would fail whenever somebody wrote in between.
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _make_file(path: Path) -> None:
    """Make the file, and its directory, for the owner only. A directory that is there stays as it is: it may be
    somebody else's (`/tmp`)."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"no room for the store {path}; free some space and try again") from error
        raise InvalidInput(
            f"can't be opened for the store ({error.strerror}); name a file in a directory that can be written",
            file=str(path),
        ) from error


def _check_file(connection: Any, name: str) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise InvalidInput(
            f"is on a file system without shared memory (journal mode {mode}); name a file on a local disk", file=name
        )
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        raise InvalidInput(f"is damaged ({finding}); restore a backup or name another file", file=name)


def _translate(error: BaseException | None, name: str, opening: bool) -> FederationError:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable(f"the store {name} is locked by another process; try again")
    if code.startswith("SQLITE_FULL"):
        return NoRoom(f"no room left for the store {name}: nothing was written; free some space and try again")
    if code.startswith("SQLITE_READONLY"):
        return Unavailable(f"the store {name} can't be written (read-only file or file system): nothing was written")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        if opening:
            return InvalidInput(f"is damaged or not a Roam store ({error}); restore a backup", file=name)
        return FederationError(f"the store {name} is damaged ({error}); stop, and restore a backup")
    return Unavailable(f"the store {name} does not answer ({code or type(error).__name__}: {error}); try again")

"""The store on SQLite, through SQLAlchemy Core."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import select, update

from federation.contracts.store import Change, Page, Write
from federation.errors import FederationError, InvalidInput, NotFound, Unavailable
from federation.model.meta import Key, Resource, Selector
from federation.store import history, listing, rows
from federation.store.database import Database
from federation.store.documents import Parsed, Prepared, known, prepare
from federation.store.ledger import Ledger
from federation.store.retention import Retention, compact, surplus_events
from federation.store.schema import REVISIONS, STATE
from federation.store.sealing import Keyring
from federation.store.turns import Bell, Ticket, Turns

R = TypeVar("R", bound=Resource)
_Task = tuple[Sequence[Prepared], float]
_Ticket = Ticket[_Task, tuple[Resource, ...]]
_LOG = logging.getLogger(__name__)
_MOST_WRITES_AT_ONCE = 1_000
_MOST_OF_A_PAGE = 1_000_000
_BUSY_TIMEOUT_S = 5.0
_PROBE_S = 1.0


def open_store(
    path: Path | None,
    *,
    keys: Keyring | None = None,
    retention: Retention | None = None,
    busy_timeout_s: float = _BUSY_TIMEOUT_S,
) -> SqlStore:
    """The store in the file `path`, made if it is not there (mode 0600, a new directory 0700); None: in memory.

    Args: keys, with which objects that hold secrets are encrypted: what the file holds in plain text, or with another
    than the first of them, is encrypted now; without keys nothing is encrypted, and a store in which something is does
    not open. retention, what is kept of changes and events; busy_timeout_s, seconds to wait for another process.
    Raises: InvalidInput (no store, a damaged one, a newer release's, or a missing key: the message says what to do);
    Unavailable."""
    database = Database(path, keys, busy_timeout_s=busy_timeout_s)
    return SqlStore(database, keys, retention or Retention(), shared=path is not None)


class SqlStore:
    """`federation.contracts.store.Store` on an SQL database. Made by `open_store`.

    Besides what the contract promises: writes of several threads that arrive together share one commit; changes made
    by other processes on the same file are seen within half a second; after any error the store goes on working as
    soon as its cause is gone. Objects handed out are shared between callers: like all model values they must not be
    changed, nor the dictionaries in them. uids follow from the store's own id and the version, so in memory the same
    writes give the same uids."""

    def __init__(self, database: Database, keys: Keyring | None, retention: Retention, *, shared: bool):
        self._database = database
        self._keys = keys
        self._retention = retention
        self._parsed = Parsed(keys)
        with database.reading() as connection:
            store_id = uuid.UUID(connection.scalar(select(STATE.c.store_id)))
        self._store_id = store_id
        self._tokens = listing.Tokens(store_id.bytes)
        self._bell = Bell(self.version if shared else None)
        self._turns: Turns[_Task, tuple[Resource, ...]] = Turns(self._commit, _MOST_WRITES_AT_ONCE)
        self._tidy_at = 0
        self._trouble: str | None = None
        self._probed_at_s = -math.inf

    def write(self, writes: Sequence[Write], *, now: float) -> tuple[Resource, ...]:
        """Carry out all of `writes` or none, in order; durable when it returns. `now`: seconds since 1970.

        Returns the objects as stored (for Delete: as they last were). A Replace must carry the version it was read at:
        0 is StaleWrite. One that changes nothing is no write.
        Raises: AlreadyExists, NotFound, StaleWrite, InvalidInput (an object that is not valid, or too large): nothing
        was written. Unavailable: nothing is visible (no room, locked, ...); try again."""
        if not math.isfinite(now):
            raise InvalidInput(f"now={now!r} is not a time; pass seconds since 1970")
        if not writes:
            return ()
        prepared = [prepare(write) for write in writes]
        return self._turns.hand_in((prepared, now), len(prepared))

    def get(self, kind: type[R], key: Key) -> R:
        """The object. Raises: NotFound, Unavailable."""
        id = (known(kind).kind_name, key[0], key[1])
        with self._database.reading() as connection:
            found = rows.heads(connection, [id], self._parsed).get(id)
        if found is None:
            raise NotFound(f"{kind.kind_name} {Key(*key)} does not exist")
        return cast(R, found)

    def list(
        self,
        kind: type[R],
        *,
        namespace: str | None = None,
        selector: Selector | None = None,
        limit: int | None = None,
        more: str | None = None,
    ) -> Page[R]:
        """Objects of a kind, ordered by namespace and name; all pages of a list are as of its first page's version.

        Args: namespace, None for all; limit, at most so many on this page (>= 1), None for all; more, the token of the
        page before, for the same kind, namespace and selector.
        Raises: Expired (`more` is too old: list again from the start), InvalidInput, Unavailable."""
        if limit is not None and limit < 1:
            raise InvalidInput(f"{limit} objects make no page; ask for at least 1", field="limit")
        name = known(kind).kind_name
        question = listing.question(name, namespace, selector)
        cursor = None if more is None else self._tokens.read(more, question)
        query = listing.live(name) if cursor is None else listing.as_of(name, cursor)
        if namespace is not None:
            query = query.where(REVISIONS.c.namespace == namespace)
        if selector is not None:
            query = query.where(*listing.matching(selector))
        if limit is not None:
            query = query.limit(min(limit, _MOST_OF_A_PAGE) + 1)
        with self._database.reading() as connection:
            newest, compacted = rows.state(connection)
            version = newest if cursor is None else cursor.version
            history.check_version(version, newest, compacted)
            found = connection.execute(query).all()
            shown = found if limit is None else found[: min(limit, _MOST_OF_A_PAGE)]
            objects = rows.load(connection, [row.version for row in shown], self._parsed)
        items = tuple(cast(R, objects[row.version]) for row in shown)
        if len(found) == len(shown):
            return Page(items, version)
        last = listing.Cursor(version, shown[-1].namespace, shown[-1].name)
        return Page(items, version, self._tokens.write(last, question))

    def changes(
        self, since: int, *, kinds: Iterable[type[Resource]] = (), wait_s: float = 0.0
    ) -> tuple[tuple[Change, ...], int]:
        """All changes after version `since`, in order, and the version up to which the answer is complete.

        Args: kinds, only of these (none: of all); wait_s, how long to wait for the first when there is none yet.
        Raises: Expired (`since` is forgotten, or newer than this store: list again, go on from the list's version),
        InvalidInput (`since` < 0), Unavailable."""
        if since < 0:
            raise InvalidInput(f"{since} is no version; versions begin at 0", field="since")
        names = sorted({known(kind).kind_name for kind in kinds})
        ends_at_s = time.monotonic() + wait_s
        while True:
            with self._database.reading() as connection:
                found, since = history.changes(connection, since, names, self._parsed)
            remaining_s = ends_at_s - time.monotonic()
            if found or remaining_s <= 0:
                return found, since
            self._bell.wait_beyond(since, remaining_s)
            if self._bell.closed:
                return (), since

    def version(self) -> int:
        """The newest version. Raises: Unavailable."""
        with self._database.reading() as connection:
            return rows.state(connection).version

    def close(self) -> None:
        """Let those who wait go, finish what is under way, and close the file. May be called twice."""
        self._bell.close()
        self._database.close()

    def probe(self) -> None:
        """Make sure that a write would succeed now: makes one that changes nothing, at most once in a second.

        Raises: Unavailable (NoRoom also when less than 1 MiB of the disk is left: a larger write would fail)."""
        self._database.check_room()
        now_s = time.monotonic()
        if self._trouble is None and now_s - self._probed_at_s < _PROBE_S:
            return
        with self._watched(), self._database.writing() as connection:
            connection.execute(update(STATE).values(compacted=STATE.c.compacted))
        self._probed_at_s = now_s

    def written_at(self) -> float:
        """The time that the newest change was made at, seconds since 1970; 0 before any. Raises: Unavailable."""
        newest = select(REVISIONS.c.at).order_by(REVISIONS.c.version.desc()).limit(1)
        with self._database.reading() as connection:
            return connection.scalar(newest) or 0.0

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Tells the log, once each, that writes fail and that they succeed again."""
        try:
            yield
        except Unavailable as error:
            if self._trouble != str(error):
                self._trouble = str(error)
                _LOG.error("%s", error)
            raise
        if self._trouble is not None:
            self._trouble = None
            _LOG.warning("the store takes writes again")

    def _commit(self, tickets: Sequence[_Ticket]) -> None:
        ids = {
            (write.kind.kind_name, write.key.namespace, write.key.name)
            for ticket in tickets
            for write in ticket.task[0]
        }
        with self._watched(), self._database.writing() as connection:
            heads = rows.heads(connection, ids, self._parsed)
            ledger = Ledger(rows.state(connection).version, heads, self._store_id)
            for ticket in tickets:
                try:
                    ticket.answer = ledger.apply(*ticket.task)
                except FederationError as error:
                    ticket.error = error
            account = ledger.account
            if account.revisions:
                rows.save(connection, account, self._keys)
        # Only now: until the commit, another write could still get these versions.
        for revision in account.revisions:
            if revision.text is not None:
                self._parsed.put(revision.version, revision.resource, len(revision.text))
        self._bell.ring(account.version)
        if account.version >= self._tidy_at:
            self._tidy_at = account.version + self._retention.interval
            self._tidy(tickets[-1].task[1])

    def _tidy(self, now: float) -> None:
        """Forget what the retention says. The writes before are committed: trouble here is not theirs, and the next
        round will try again."""
        try:
            with self._database.writing() as connection:
                compact(connection, self._retention, now)
                surplus = surplus_events(connection, self._retention)
            for start in range(0, len(surplus), _MOST_WRITES_AT_ONCE):
                some = [prepare(write) for write in surplus[start : start + _MOST_WRITES_AT_ONCE]]
                with suppress(NotFound):
                    self._commit([Ticket((some, now), len(some))])
        except FederationError as error:
            _LOG.warning("old changes and events stay for now: %s", error)

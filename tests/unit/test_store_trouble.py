"""A full disk, a locked file, a failing write: a clear error, nothing half-written, and work goes on afterwards."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from federation.contracts.store import Create, Replace
from federation.errors import AlreadyExists, FederationError, NoRoom, Unavailable
from federation.model.microservice import Microservice
from federation.store.sql import SqlStore, open_store
from federation.testing.store_model import microservice

NOW = 1_700_000_000.0
Limit = Callable[[int | None], None]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with closing(open_store(tmp_path / "store.db", busy_timeout_s=0.05)) as store:
        yield store


@contextmanager
def _pages() -> Iterator[Limit]:
    """Sets how many pages of 4 KiB a database may have (None: as many as it likes): a full disk, as SQLite sees it."""
    most = [2**30]

    def apply(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most[0]}")

    event.listen(Engine, "begin", apply)
    try:
        yield lambda kib: most.__setitem__(0, 2**30 if kib is None else kib // 4)
    finally:
        event.remove(Engine, "begin", apply)


@contextmanager
def _file_size() -> Iterator[Limit]:
    """Sets how large a file of this process may be: writing beyond fails in the system call."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda kib: resource.setrlimit(resource.RLIMIT_FSIZE, (soft if kib is None else kib * 1024, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _fill(store: SqlStore) -> list[Microservice]:
    """Create pairs of objects until there is no room, for at most 4 MiB."""
    made: list[Microservice] = []
    for number in range(100):
        pair = [microservice(f"s{number:03d}{half}", template={"a": "x" * 20_000}) for half in "ab"]
        try:
            results = store.write([Create(service) for service in pair], now=NOW)
        except Unavailable:
            return made
        made.extend(result for result in results if isinstance(result, Microservice))
    raise AssertionError("the limit was never reached")


@pytest.mark.parametrize("limited", [_pages, _file_size])
def test_no_room(store: SqlStore, limited: Callable[[], AbstractContextManager[Limit]]) -> None:
    (first,) = store.write([Create(microservice("a"))], now=NOW)
    with limited() as limit:
        limit(512)
        made = _fill(store)
        with pytest.raises(Unavailable, match=r"no room left|does not answer"):
            store.write([Create(microservice("large", template={"a": "x" * 600_000}))], now=NOW)
        assert store.list(Microservice).items == (first, *made)
        assert store.version() == len(made) + 1
        limit(None)
        (after,) = store.write([Create(microservice("z"))], now=NOW)
    assert after.metadata.resource_version == len(made) + 2
    assert store.list(Microservice).items == (first, *made, after)
    assert [change.resource for change in store.changes(0)[0]] == [first, *made, after]


def test_no_room_for_one_is_told_to_all_who_wrote_together(store: SqlStore) -> None:
    def attempt(number: int) -> FederationError | None:
        try:
            store.write([Create(microservice(f"s{number}", template={"a": "x" * 200_000}))], now=NOW)
        except FederationError as error:
            return error
        return None

    with _pages() as limit, ThreadPoolExecutor(8) as pool:
        limit(1024)
        errors = list(pool.map(attempt, range(16)))
        limit(None)
        stored = {service.key.name for service in store.list(Microservice).items}
    assert {f"s{number}" for number, error in enumerate(errors) if error is None} == stored
    failed = [error for error in errors if error is not None]
    assert failed
    assert all(isinstance(error, Unavailable) and "no room" in str(error) for error in failed)
    assert len({id(error) for error in failed}) == len(failed)


def test_locked_by_another_process(store: SqlStore, tmp_path: Path) -> None:
    (first,) = store.write([Create(microservice("a"))], now=NOW)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked by another process"):
            store.write([Create(microservice("b"))], now=NOW)
        assert store.list(Microservice).items == (first,)
        assert store.get(Microservice, first.key) == first
        other.execute("ROLLBACK")
    (second,) = store.write([Create(microservice("b"))], now=NOW)
    assert store.list(Microservice).items == (first, second)


def test_trouble_while_tidying_is_not_the_writers(store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    """The commit that would forget old changes fails; the write before it has succeeded."""
    commits = [0]

    def fail_second(connection: Connection) -> None:
        commits[0] += 1
        if commits[0] == 2:
            raise sqlite3.OperationalError("planted")

    event.listen(Engine, "commit", fail_second)
    try:
        (stored,) = store.write([Create(microservice("a"))], now=NOW)
    finally:
        event.remove(Engine, "commit", fail_second)
    assert store.get(Microservice, stored.key) == stored
    assert "stay for now" in caplog.text


def test_a_failed_commit_leaves_nothing_in_memory(store: SqlStore) -> None:
    """The version that failed is given again; nobody may see the object that had it first."""

    def fail(connection: Connection) -> None:
        raise sqlite3.OperationalError("planted")

    (first,) = store.write([Create(microservice("a"))], now=NOW)
    assert isinstance(first, Microservice)
    event.listen(Engine, "commit", fail)
    try:
        with pytest.raises(Unavailable, match="planted"):
            store.write([Create(microservice("lost"))], now=NOW)
        with pytest.raises(Unavailable):
            store.write([Create(microservice("a"))], now=NOW)
    finally:
        event.remove(Engine, "commit", fail)
    spec = first.spec.model_copy(update={"replicas": 2})
    (second,) = store.write([Replace(first.model_copy(update={"spec": spec}))], now=NOW)
    assert second.metadata.resource_version == 2
    assert store.list(Microservice).items == (second,)
    with pytest.raises(AlreadyExists):
        store.write([Create(microservice("a"))], now=NOW)


@contextmanager
def _as_nobody() -> Iterator[Path]:
    """A directory of a user to whom the mode of files matters: to root it does not."""
    folder = Path(tempfile.mkdtemp(prefix="roam-nobody-"))
    user = os.geteuid()
    if user == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


def test_a_file_made_read_only_is_told_and_written_again_when_it_may_be() -> None:
    """What has the file open may go on writing; what opens it meanwhile may not, and is not kept afterwards."""
    with _as_nobody() as folder:
        path = folder / "store.db"
        with closing(open_store(path)) as store:
            (first,) = store.write([Create(microservice("first"))], now=NOW)
            held = [store._database.reading() for _ in range(3)]
            path.chmod(0o400)
            with ExitStack() as stack:
                for reading in held:
                    stack.enter_context(reading)
                results = [_try(store, f"s{number}") for number in range(8)]
            assert any(isinstance(result, Unavailable) and "read-only" in str(result) for result in results)
            kept = {result for result in results if isinstance(result, str)}
            assert {service.key.name for service in store.list(Microservice).items} == {"first", *kept}
            path.chmod(0o600)
            again = [_try(store, f"t{number}") for number in range(8)]
            assert {result for result in again[4:] if isinstance(result, str)} == {"t4", "t5", "t6", "t7"}
            assert store.get(Microservice, first.key) == first


def _try(store: SqlStore, name: str) -> str | Unavailable:
    try:
        store.write([Create(microservice(name))], now=NOW)
    except Unavailable as error:
        return error
    return name


def test_whether_a_write_would_succeed_is_known_and_logged_once(
    store: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.probe()
    version = store.version()
    with _pages() as limit:
        limit(4)
        for _ in range(3):
            with pytest.raises(NoRoom):
                store.write([Create(microservice("large", template={"a": "x" * 200_000}))], now=NOW)
        limit(None)
        store.probe()
    assert store.version() == version
    said = [record.getMessage() for record in caplog.records]
    assert [message.partition(" store")[0] for message in said] == ["no room left for the", "the"]
    assert said[1] == "the store takes writes again"

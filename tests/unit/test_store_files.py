"""The store's file: who may read it, what is refused, how it is upgraded, what closing does."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text

from federation.contracts.store import Create, Delete, Replace
from federation.errors import FederationError, InvalidInput, NotFound, Unavailable
from federation.model.meta import Key, Selector
from federation.model.microservice import Microservice
from federation.store import schema
from federation.store.sql import open_store
from federation.testing.store_model import microservice

NOW = 1_700_000_000.0


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_read_the_file_and_a_new_directory(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    with closing(open_store(path)) as store:
        store.write([Create(microservice("cart"))], now=NOW)
        assert _mode(path.parent) == 0o700
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["store.db", "store.db-shm", "store.db-wal"]
        assert {_mode(file) for file in files} == {0o600}
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


def test_a_directory_that_is_there_is_left_alone_and_the_file_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "store.db"
    path.touch(mode=0o644)
    open_store(path).close()
    assert (_mode(tmp_path), _mode(path)) == (0o755, 0o600)


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        first, second = store.write([Create(microservice("a", labels={"x": "1"})), Create(microservice("b"))], now=NOW)
        store.write([Delete(Microservice, second.key)], now=NOW)
        more = store.list(Microservice, limit=1).more
        told = store.changes(0)
    assert more is None
    with closing(open_store(path)) as store:
        assert store.version() == 3
        assert store.changes(0) == told
        assert store.list(Microservice, selector=Selector(match_labels={"x": "1"})).items == (first,)
        (third,) = store.write([Create(microservice("b"))], now=NOW)
        assert third.metadata.resource_version == 4


def test_pages_go_on_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        store.write([Create(microservice(name)) for name in "abc"], now=NOW)
        page = store.list(Microservice, limit=2)
    with closing(open_store(path)) as store:
        assert [found.key.name for found in store.list(Microservice, more=page.more).items] == ["c"]
    with closing(open_store(tmp_path / "other.db")) as store, pytest.raises(InvalidInput):
        store.list(Microservice, more=page.more)


def test_commits_are_synced_to_the_disk(tmp_path: Path) -> None:
    """What durability rests on: each commit is synced, in the journal mode that lets readers go on."""
    found: list[tuple[str, int, int]] = []

    def look(connection: Connection) -> None:
        settings = ("journal_mode", "synchronous", "foreign_keys")
        mode, synchronous, keys = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in settings)
        found.append((mode, synchronous, keys))

    with closing(open_store(tmp_path / "store.db")) as store:
        event.listen(Engine, "commit", look)
        try:
            store.write([Create(microservice("cart"))], now=NOW)
        finally:
            event.remove(Engine, "commit", look)
    full = 2
    assert set(found) == {("wal", full, 1)}


def test_a_store_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE roam_schema SET version = 99")
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match=rf"\(schema 99; this one knows up to {schema.VERSION}\)") as caught:
        open_store(path)
    assert caught.value.file == str(path)
    assert path.read_bytes() == before


def test_an_older_store_is_upgraded_step_by_step_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        (stored,) = store.write([Create(microservice("cart"))], now=NOW)

    def add_column(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE revisions ADD COLUMN origin TEXT"))

    def break_off(connection: Connection) -> None:
        connection.execute(text("DROP TABLE labels"))
        raise Unavailable("interrupted")

    now = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", now + 2)
    monkeypatch.setattr(schema, "STEPS", {now + 1: add_column, now + 2: break_off})
    with pytest.raises(Unavailable, match="interrupted"):
        open_store(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version FROM roam_schema").fetchall() == [(now,)]
        assert "origin" not in {row[1] for row in raw.execute("PRAGMA table_info(revisions)")}
        assert raw.execute("SELECT count(*) FROM labels").fetchall() == [(0,)]

    monkeypatch.setattr(schema, "STEPS", {now + 1: add_column, now + 2: lambda connection: None})
    with closing(open_store(path)) as store:
        assert store.get(Microservice, stored.key) == stored
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version FROM roam_schema").fetchall() == [(now + 2,)]
        assert "origin" in {row[1] for row in raw.execute("PRAGMA table_info(revisions)")}


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE accounts (name TEXT)")
    with pytest.raises(InvalidInput, match="not a Roam store"):
        open_store(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("accounts",)]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary " * 1000)
    with pytest.raises(InvalidInput, match="damaged or not a Roam store") as caught:
        open_store(path)
    assert caught.value.file == str(path)
    assert path.read_text().startswith("dear diary")


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        store.write([Create(microservice(f"s{number}", template={"a": "x" * 500})) for number in range(200)], now=NOW)
    content = bytearray(path.read_bytes())
    content[4096 * 8 : 4096 * 12] = b"\x5a" * 4096 * 4
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="damaged"):
        open_store(path)


@pytest.mark.parametrize("name", ["", "file/store.db"])
def test_a_place_where_no_file_can_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="can't be opened"):
        open_store(tmp_path / name)


def test_an_object_that_this_release_cannot_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        store.write([Create(microservice("good")), Create(microservice("odd"))], now=NOW)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE revisions SET document = replace(document, 'replicas', 'copies') WHERE name = 'odd'")
    with closing(open_store(path)) as store:
        with pytest.raises(FederationError, match="Microservice shop/odd at version 2 can't be read") as caught:
            store.list(Microservice)
        assert "spec.copies" in str(caught.value)
        with pytest.raises(FederationError, match="shop/odd"):
            store.changes(0)
        assert store.get(Microservice, Key("shop", "good")).spec.replicas == 1


def test_closing_lets_waiters_go_and_ends_use(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    started = threading.Event()

    def follow() -> tuple[object, int] | None:
        started.set()
        # Closed before it began to wait, it is refused like any later call.
        with suppress(Unavailable):
            return store.changes(0, wait_s=600)
        return None

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        assert started.wait(30)
        store.close()
        store.close()
        assert following.result(30) in (((), 0), None)
    with pytest.raises(Unavailable, match="closed"):
        store.version()
    with pytest.raises(Unavailable, match="closed"):
        store.write([Create(microservice("cart"))], now=NOW)


def test_a_store_in_memory_is_its_own_and_gives_the_same_uids_each_time() -> None:
    with closing(open_store(None)) as one, closing(open_store(None)) as other:
        (first,) = one.write([Create(microservice("cart"))], now=NOW)
        with pytest.raises(NotFound):
            other.get(Microservice, first.key)
        assert other.write([Create(microservice("cart"))], now=NOW) == (first,)


def test_two_files_give_different_uids(tmp_path: Path) -> None:
    uids = set()
    for name in ("a.db", "b.db"):
        with closing(open_store(tmp_path / name)) as store:
            (stored,) = store.write([Create(microservice("cart"))], now=NOW)
            uids.add(stored.metadata.uid)
    assert len(uids) == 2


def test_what_a_caller_does_to_its_own_object_afterwards_changes_nothing() -> None:
    asked = microservice("cart", template={"a": {"b": 1}})
    with closing(open_store(None)) as store:
        store.write([Create(asked)], now=NOW)
        asked.spec.template["a"] = "changed"
        stored = store.get(Microservice, asked.key)
        assert stored.spec.template == {"a": {"b": 1}}
        assert store.write([Replace(stored)], now=NOW) == (stored,)


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    gate = threading.Barrier(4)

    def use(number: int) -> int:
        gate.wait(30)
        with closing(open_store(path)) as store:
            (stored,) = store.write([Create(microservice(f"s{number}"))], now=NOW)
            return stored.metadata.resource_version

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(use, range(4))) == [1, 2, 3, 4]

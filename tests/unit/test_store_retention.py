"""What the store forgets, and what it says to those who ask for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from federation.contracts.store import Create, Delete, Replace
from federation.errors import Expired
from federation.model.event import Event, Regarding
from federation.model.meta import Key, Metadata, Resource
from federation.model.microservice import Microservice
from federation.store.retention import Retention
from federation.store.sql import SqlStore, open_store
from federation.testing.store_model import microservice

NOW = 1_700_000_000.0
LITTLE = Retention(changes=20, age_s=60.0, most_changes=100, events=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    with closing(open_store(path, retention=LITTLE)) as store:
        yield store


def _turn(store: SqlStore, times: int, now: float, name: str = "busy") -> None:
    """So many changes of one object."""
    for _ in range(times):
        found = store.get(Microservice, Key("shop", name))
        spec = found.spec.model_copy(update={"replicas": found.spec.replicas + 1})
        store.write([Replace(found.model_copy(update={"spec": spec}))], now=now)


def _event(number: int) -> Event:
    metadata = Metadata(name=f"e{number:04d}", namespace="shop")
    return Event(metadata=metadata, reason="Moved", regarding=Regarding(kind="Microservice", name="cart"))


def test_old_changes_are_forgotten_and_objects_stay(store: SqlStore, path: Path) -> None:
    (quiet, _) = store.write([Create(microservice("quiet")), Create(microservice("busy"))], now=NOW)
    _turn(store, 10, NOW)
    _turn(store, 40, NOW + 120)
    newest = store.version()
    with pytest.raises(Expired, match="forgotten"):
        store.changes(0)
    with pytest.raises(Expired):
        store.changes(quiet.metadata.resource_version)
    changes, complete = store.changes(newest - LITTLE.changes)
    assert [change.version for change in changes] == list(range(newest - LITTLE.changes + 1, newest + 1))
    assert complete == newest
    assert store.list(Microservice).items == (store.get(Microservice, Key("shop", "busy")), quiet)
    with closing(sqlite3.connect(path)) as raw:
        (rows,) = raw.execute("SELECT count(*) FROM revisions").fetchone()
    assert rows < 45


def test_young_changes_stay_until_there_are_far_too_many(store: SqlStore) -> None:
    store.write([Create(microservice("busy"))], now=NOW)
    _turn(store, 80, NOW)
    assert len(store.changes(0)[0]) == 81
    _turn(store, 40, NOW)
    with pytest.raises(Expired):
        store.changes(0)
    assert len(store.changes(store.version() - LITTLE.most_changes)[0]) == LITTLE.most_changes


def test_deleted_objects_are_forgotten_entirely(store: SqlStore, path: Path) -> None:
    for number in range(40):
        store.write([Create(microservice(f"s{number}", labels={"a": "b"}))], now=NOW)
        store.write([Delete(Microservice, Key("shop", f"s{number}"))], now=NOW)
    store.write([Create(microservice("busy"))], now=NOW + 100)
    _turn(store, 30, NOW + 100)
    changes, _ = store.changes(store.version() - LITTLE.changes)
    assert len(changes) == LITTLE.changes
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM revisions WHERE name LIKE 's%'").fetchone() == (0,)
        assert raw.execute("SELECT count(*) FROM labels").fetchone() == (0,)


def test_a_deletion_still_known_shows_the_last_state(store: SqlStore) -> None:
    (first,) = store.write([Create(microservice("cart"))], now=NOW)
    store.write([Create(microservice("busy"))], now=NOW)
    _turn(store, 40, NOW + 100)
    deleted = store.write([Delete(Microservice, first.key)], now=NOW + 100)
    _turn(store, LITTLE.changes - 2, NOW + 200)
    changes, _ = store.changes(store.version() - LITTLE.changes)
    assert [change.resource for change in changes if change.type == "Deleted"] == list(deleted)


def test_a_page_of_a_forgotten_version_is_expired(store: SqlStore) -> None:
    store.write([Create(microservice(name)) for name in ("busy", "c", "d")], now=NOW)
    page = store.list(Microservice, limit=1)
    _turn(store, 15, NOW + 100)
    rest = store.list(Microservice, more=page.more)
    assert [found.key.name for found in rest.items] == ["c", "d"]
    _turn(store, 40, NOW + 200)
    with pytest.raises(Expired, match="list again"):
        store.list(Microservice, more=page.more)


def test_old_events_are_deleted_and_watchers_see_it(store: SqlStore) -> None:
    known: dict[Key, Resource] = {}
    since = 0
    (service,) = store.write([Create(microservice("cart"))], now=NOW)
    for number in range(200):
        store.write([Create(_event(number))], now=NOW)
        changes, since = store.changes(since, kinds=[Event])
        for change in changes:
            if change.type == "Deleted":
                del known[change.resource.key]
            else:
                known[change.resource.key] = change.resource
    kept = store.list(Event).items
    assert LITTLE.events <= len(kept) <= LITTLE.events + LITTLE.events // 10 + LITTLE.interval
    assert kept[-1].key.name == "e0199"
    assert [found.key.name for found in kept] == [f"e{number:04d}" for number in range(200 - len(kept), 200)]
    assert tuple(known[key] for key in sorted(known)) == kept
    assert store.list(Microservice).items == (service,)

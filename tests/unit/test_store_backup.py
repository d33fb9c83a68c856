"""Backups: one moment of a store in use, checked to the last byte; versions never go backwards after a restore."""

from __future__ import annotations

import io
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from federation.contracts.store import Create, Delete, Replace
from federation.errors import Expired, InvalidInput, StaleWrite
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.store.hold import Held, hold
from federation.store.sealing import Keyring
from federation.store.snapshot import backup, receive, restore
from federation.store.sql import SqlStore, open_store
from federation.testing.store_model import microservice

NOW = 1_700_000_000.0
KEYS = Keyring((b"k" * 32,), "test.key")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    with closing(open_store(path, keys=KEYS)) as store:
        yield store


def _backup(path: Path) -> bytes:
    return b"".join(backup(path, now=NOW))


def _changed(service: Microservice, replicas: int) -> Microservice:
    return service.model_copy(update={"spec": service.spec.model_copy(update={"replicas": replicas})})


def test_what_was_there_comes_back_and_versions_go_on_above_all_others(store: SqlStore, path: Path) -> None:
    cart, other = store.write([Create(microservice("cart")), Create(microservice("other"))], now=NOW)
    assert isinstance(cart, Microservice)
    page = store.list(Microservice, limit=1)
    saved = _backup(path)
    (later,) = store.write([Replace(_changed(cart, 5))], now=NOW)
    store.write([Delete(Microservice, other.key), Create(microservice("new"))], now=NOW)
    seen = store.version()
    store.close()
    head, aside = restore(io.BytesIO(saved), path, now=NOW, force=True)
    assert (head.version, head.keys, head.made_at) == (2, KEYS.ids, NOW)
    assert aside is not None
    with closing(open_store(path, keys=KEYS)) as again:
        assert again.list(Microservice).items == (cart, other)
        assert again.version() > seen + 1_000_000
        for since in (0, 1, head.version, seen):
            with pytest.raises(Expired):
                again.changes(since)
        with pytest.raises(Expired):
            again.list(Microservice, more=page.more)
        with pytest.raises(StaleWrite):
            again.write([Replace(later)], now=NOW)
        begun = again.version()
        (made,) = again.write([Replace(_changed(cart, 7))], now=NOW)
        assert again.changes(begun)[0][0].version == made.metadata.resource_version == begun + 1
    with closing(open_store(aside, keys=KEYS)) as old:
        assert old.get(Microservice, Key("shop", "cart")) == later


def test_a_backup_while_others_write_is_of_one_moment(store: SqlStore, path: Path, tmp_path: Path) -> None:
    """Each write creates a pair: a backup has both or none, and all that was acknowledged before it began."""
    stopped, acknowledged = threading.Event(), [0]

    def write() -> None:
        number = 0
        while not stopped.is_set():
            store.write([Create(microservice(f"{half}{number}")) for half in "ab"], now=NOW)
            number += 1
            acknowledged[0] = number

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for turn in range(5):
            while acknowledged[0] < 5 * turn:
                thread.join(0.005)
            before = acknowledged[0]
            saved = _backup(path)
            copy = tmp_path / f"{turn}.db"
            restore(io.BytesIO(saved), copy, now=NOW, force=False)
            with closing(open_store(copy, keys=KEYS)) as found:
                names = [service.key.name for service in found.list(Microservice).items]
            assert len(names) >= 2 * before
            assert {name[1:] for name in names if name[0] == "a"} == {name[1:] for name in names if name[0] == "b"}
    finally:
        stopped.set()
        thread.join()
    assert [file.name for file in path.parent.iterdir() if file.name.endswith(".part")] == []


def test_every_damage_is_found(store: SqlStore, path: Path) -> None:
    store.write([Create(microservice(f"s{number}", template={"a": "x" * number})) for number in range(50)], now=NOW)
    saved = _backup(path)
    whole = io.BytesIO()
    assert receive([saved], whole).version == 50
    for at in range(0, len(saved), 97):
        with pytest.raises(InvalidInput):
            receive([saved[:at]], io.BytesIO())
        damaged, found = bytearray(saved), io.BytesIO()
        damaged[at] ^= 0x40
        with suppress(InvalidInput):
            receive([bytes(damaged)], found)
            # A bit of the file that means nothing.
            assert found.getvalue() == whole.getvalue()
    with pytest.raises(InvalidInput, match="something follows"):
        receive([saved, b"more"], io.BytesIO())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not a backup"),
        (b"diary\n", "not a backup"),
        (b"[]\n", "not a backup"),
        (b'{"roam-backup":2}\n', "newer release"),
        (b'{"roam-backup":1,"schema":1}\n', "not a backup"),
    ],
)
def test_what_is_no_backup_is_refused_and_nothing_changes(store: SqlStore, path: Path, text: bytes, why: str) -> None:
    store.write([Create(microservice("cart"))], now=NOW)
    store.close()
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match=why):
        restore(io.BytesIO(text), path, now=NOW, force=True)
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["store.db"]


def test_a_store_that_is_there_is_kept_unless_forced(store: SqlStore, path: Path) -> None:
    saved = _backup(path)
    store.close()
    with pytest.raises(InvalidInput, match="a store is there already; --force"):
        restore(io.BytesIO(saved), path, now=NOW, force=False)


def test_one_at_a_time(path: Path) -> None:
    with hold(path):
        with pytest.raises(Held, match=r"in use by a controller \(process \d+\); stop that one first"), hold(path):
            pass
        assert stat.S_IMODE(path.with_name(".store.db.lock").stat().st_mode) == 0o600
    with hold(path):
        pass

"""A store as the first release wrote it becomes one of today: everything reads, nothing is left in plain text."""

from __future__ import annotations

import gzip
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from federation.contracts.store import Replace
from federation.errors import InvalidInput
from federation.model.event import Event
from federation.model.kinds import KINDS
from federation.model.meta import Key, Selector
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.subcluster import SubCluster
from federation.store import schema
from federation.store.sealing import Keyring
from federation.store.sql import open_store

FIRST_RELEASE = Path(__file__).parents[1] / "fixtures" / "store-schema-1.db.gz"
PLANTED = (b"planted-old", b"cGxhbnRlZC1vbGQtcGFzc3dvcmQ", b"cGxhbnRlZC1nb25l")
KEYS = Keyring((b"k" * 32,), "test.key")
VERSIONS = 15


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "store.db"
    file.write_bytes(gzip.decompress(FIRST_RELEASE.read_bytes()))
    assert all(value in file.read_bytes() for value in PLANTED)
    return file


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "encrypted"])
def test_everything_reads(path: Path, keys: Keyring | None) -> None:
    with closing(open_store(path, keys=keys)) as store:
        assert store.version() == VERSIONS
        kinds = Counter(type(change.resource).kind_name for change in store.changes(0)[0])
        assert kinds == {
            "SubCluster": 1,
            "Gateway": 1,
            "PlacementPolicy": 1,
            "ClusterPlacementPolicy": 1,
            "Microservice": 5,
            "Placement": 4,
            "Migration": 1,
            "Event": 1,
        }
        assert sum(len(store.list(kind).items) for kind in KINDS) == 9
        cart = store.get(Microservice, Key("shop", "cart"))
        assert (cart.spec.replicas, cart.metadata.generation) == (3, 2)
        assert cart.spec.objects[0]["stringData"] == {"user": "planted-old-user"}
        assert store.list(Microservice, selector=Selector(match_labels={"app": "cart"})).items == (cart,)
        assert store.get(SubCluster, Key("", "onprem")).spec.credentials == {"file": "/etc/roam/onprem.token"}
        assert store.get(Placement, Key("shop", "cart")).metadata.annotations == {"round": "2"}
        assert store.get(Migration, Key("shop", "cart-1")).spec.target == "ec2"
        assert store.get(Event, Key("shop", "e1")).message == "cart runs in onprem"
        spec = cart.spec.model_copy(update={"replicas": 1})
        (changed,) = store.write([Replace(cart.model_copy(update={"spec": spec}))], now=1_780_000_000.0)
        assert changed.metadata.resource_version == VERSIONS + 1


def test_no_secret_is_left_in_plain_text_not_even_in_history(path: Path) -> None:
    with closing(open_store(path, keys=KEYS)):
        for file in path.parent.iterdir():
            assert not any(value in file.read_bytes() for value in PLANTED), file


def test_an_upgraded_store_is_made_like_a_new_one(path: Path, tmp_path: Path) -> None:
    open_store(path).close()
    open_store(tmp_path / "new.db").close()
    assert _columns(path) == _columns(tmp_path / "new.db")


def test_a_store_of_a_newer_release_is_not_touched(path: Path) -> None:
    open_store(path, keys=KEYS).close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE roam_schema SET version = ?", (schema.VERSION + 1,))
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match=rf"newer release of Roam \(schema {schema.VERSION + 1}; this one knows"):
        open_store(path, keys=KEYS)
    assert path.read_bytes() == before


def _columns(path: Path) -> dict[str, set[tuple[str, str, int]]]:
    with closing(sqlite3.connect(path)) as raw:
        names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')")]
        return {name: {(row[1], row[2], row[3]) for row in raw.execute(f"PRAGMA table_info({name})")} for name in names}

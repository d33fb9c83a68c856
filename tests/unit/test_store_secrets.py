"""Secrets in the store's file: encrypted from the first byte on, or when it is opened; only the right key opens it."""

from __future__ import annotations

import base64
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import JsonValue

from federation.contracts.store import Create, Replace
from federation.errors import FederationError, InvalidInput, StaleWrite
from federation.model.meta import Metadata
from federation.model.microservice import Microservice, MicroserviceSpec
from federation.model.subcluster import SubCluster, SubClusterSpec
from federation.store.keyfile import keyring_from, keys_for, new_key
from federation.store.sealing import Keyring
from federation.store.sql import open_store
from federation.testing.store_model import microservice

NOW = 1_700_000_000.0
PLANTED = "planted-in-the-file"
OLD, NEW = Keyring((b"o" * 32,), "old.key"), Keyring((b"n" * 32,), "new.key")


def _secret(name: str, value: str = PLANTED, replicas: int = 1) -> Microservice:
    secret: dict[str, JsonValue] = {"kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": value}}
    metadata = Metadata(name=name, namespace="shop", labels={"app": name})
    return Microservice(metadata=metadata, spec=MicroserviceSpec(replicas=replicas, template={}, objects=(secret,)))


def _place(token: str) -> SubCluster:
    spec = SubClusterSpec(provider="other", connection={"api": {"token": token, "tokenFile": "/etc/token"}})
    return SubCluster(metadata=Metadata(name="place"), spec=spec)


def _on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def _keys_used(path: Path) -> list[str | None]:
    with closing(sqlite3.connect(path)) as raw:
        return [row[0] for row in raw.execute("SELECT sealed FROM revisions ORDER BY version")]


def test_what_is_secret_is_encrypted_and_all_else_is_not(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path, keys=OLD)) as store:
        made = store.write([Create(microservice("plain")), Create(_secret("cart")), Create(_place(PLANTED))], now=NOW)
        assert store.get(Microservice, made[1].key) == made[1]
        assert PLANTED.encode() not in _on_disk(tmp_path)
        assert b'"plain"' in _on_disk(tmp_path)
    assert _keys_used(path) == [None, *OLD.ids * 2]
    with closing(open_store(path, keys=OLD)) as store:
        assert store.get(SubCluster, made[2].key) == made[2]
        assert [change.resource for change in store.changes(0)[0]] == list(made)


def test_equality_and_compare_and_swap_see_through_the_encryption(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "store.db", keys=OLD)) as store:
        (first,) = store.write([Create(_secret("cart"))], now=NOW)
    with closing(open_store(tmp_path / "store.db", keys=OLD)) as store:
        assert isinstance(first, Microservice)
        assert store.write([Replace(first)], now=NOW) == (first,)
        changed = first.model_copy(update={"spec": _secret("cart", "another").spec})
        (second,) = store.write([Replace(changed)], now=NOW)
        assert (second.metadata.generation, second.metadata.resource_version) == (2, 2)
        with pytest.raises(StaleWrite):
            store.write([Replace(changed)], now=NOW)


def test_the_same_secret_never_looks_the_same_and_opens_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path, keys=OLD)) as store:
        store.write([Create(_secret("a")), Create(_secret("b"))], now=NOW)
    with closing(sqlite3.connect(path)) as raw, raw:
        texts = [row[0] for row in raw.execute("SELECT document FROM revisions ORDER BY version")]
        assert texts[0] != texts[1]
        raw.execute("UPDATE revisions SET document = ? WHERE version = 2", (texts[0],))
    with (
        closing(open_store(path, keys=OLD)) as store,
        pytest.raises(FederationError, match="shop/b at version 2 can't"),
    ):
        store.list(Microservice)


def test_a_plain_store_is_encrypted_when_it_is_opened_with_a_key_and_its_file_forgets(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        (first,) = store.write([Create(_secret("cart"))], now=NOW)
        store.write([Create(_secret(f"s{number}")) for number in range(300)], now=NOW)
    assert PLANTED.encode() in _on_disk(tmp_path)
    with closing(open_store(path, keys=OLD)) as store:
        assert PLANTED.encode() not in _on_disk(tmp_path)
        assert store.get(Microservice, first.key) == first
    assert PLANTED.encode() not in _on_disk(tmp_path)


def test_a_clean_up_that_was_cut_off_is_done_at_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as store:
        store.write([Create(_secret("cart"))], now=NOW)
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM revisions").fetchone()
        with pytest.raises(FederationError):
            open_store(path, keys=OLD, busy_timeout_s=0.05)
    open_store(path, keys=OLD).close()
    assert PLANTED.encode() not in _on_disk(tmp_path)


@pytest.mark.parametrize("keys", [None, NEW], ids=["none", "wrong"])
def test_without_the_key_nothing_opens_and_the_message_says_which(tmp_path: Path, keys: Keyring | None) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path, keys=OLD)) as store:
        store.write([Create(microservice("plain"))], now=NOW)
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match=rf"encrypted with the key {OLD.ids[0]}.*put that key back") as caught:
        open_store(path, keys=keys)
    assert caught.value.file == str(path)
    assert path.read_bytes() == before


def test_keys_are_changed_by_putting_a_new_one_first(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path, keys=OLD)) as store:
        (made,) = store.write([Create(_secret("cart"))], now=NOW)
    with closing(open_store(path, keys=Keyring((*NEW.keys, *OLD.keys)))) as store:
        assert store.get(Microservice, made.key) == made
    assert _keys_used(path) == [*NEW.ids]
    with closing(open_store(path, keys=NEW)) as store:
        assert store.get(Microservice, made.key) == made
    with pytest.raises(InvalidInput):
        open_store(path, keys=OLD)


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secrets.key"
    keys = keyring_from(path, {}, may_make=True)
    assert keys is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keyring_from(path, {}, may_make=True) == keys
    assert repr(keys.keys[0]) not in repr(keys)
    assert list(path.parent.iterdir()) == [path]


def test_a_key_file_is_not_made_for_a_store_that_another_key_opens(tmp_path: Path) -> None:
    store, path = tmp_path / "store.db", tmp_path / "secrets.key"
    open_store(store, keys=keys_for(store, path, {})).close()
    path.unlink()
    assert keys_for(store, path, {}) is None
    assert not path.exists()


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    keyring_from(path, {}, may_make=True)
    path.chmod(0o640)
    with pytest.raises(InvalidInput, match=r"others can read or write the keys \(mode 0640\); run: chmod 600"):
        keyring_from(path, {}, may_make=True)


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 31).decode(), "\u00e9" * 44])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.key"
    path.touch(mode=0o600)
    path.write_text(f"# keys\n{text}\n")
    with pytest.raises(InvalidInput, match=r"secrets\.key: holds") as caught:
        keyring_from(path, {}, may_make=True)
    assert not text or text not in str(caught.value)


def test_the_environment_comes_first(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    keys = keyring_from(tmp_path / "none", {"ROAM_SECRETS_KEY": f"{first} {second}"}, may_make=True)
    assert keys is not None
    assert [base64.b64encode(key).decode() for key in keys.keys] == [first, second]
    assert os.listdir(tmp_path) == []
    with pytest.raises(InvalidInput, match=r"\$ROAM_SECRETS_KEY: holds no usable key"):
        keyring_from(tmp_path / "none", {"ROAM_SECRETS_KEY": "nonsense"}, may_make=True)

"""Where the keys of the store's secrets come from: a file that only its owner can read, or the environment."""

from __future__ import annotations

import base64
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from federation.errors import InvalidInput
from federation.store.private import make_private, read_private
from federation.store.sealing import KEY_BYTES, Keyring

KEY_FILE = "secrets.key"
VARIABLE = "ROAM_SECRETS_KEY"
_MOST_BYTES = 64 * 1024
_HEAD = (
    "# Keys of the secrets in Roam's store. Without them the secrets in the store and in its backups can't be read:\n"
    "# keep a copy elsewhere. The first line encrypts, all decrypt: put a new key first, restart, remove the old one.\n"
)


def keys_for(store: Path, path: Path, environment: Mapping[str, str]) -> Keyring | None:
    """The keys of the store in the file `store`: as `keyring_from`, and a key file is only made for a store that is not
    encrypted yet. None: there is no key, and the store, when it is opened, says which one it needs."""
    return keyring_from(path, environment, may_make=not _may_be_sealed(store))


def keyring_from(path: Path, environment: Mapping[str, str], *, may_make: bool) -> Keyring | None:
    """The keys in `ROAM_SECRETS_KEY` if it is set (base64, several separated by spaces), else those in the file `path`.

    Args: may_make, make the file (mode 0600, one random key) when it is not there; else None is returned then.
    Raises: InvalidInput when others could read the file, or when there is something other than keys."""
    given = environment.get(VARIABLE, "")
    if given:
        return _parsed(given.split(), f"${VARIABLE}")
    try:
        return _read(path)
    except FileNotFoundError:
        if not may_make:
            return None
    _make(path)
    return _read(path)


def _may_be_sealed(store: Path) -> bool:
    try:
        with closing(sqlite3.connect(store.absolute().as_uri() + "?mode=ro", uri=True)) as raw:
            tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return "seal" in tables and raw.execute("SELECT count(*) FROM seal").fetchone()[0] > 0
    except sqlite3.DatabaseError:
        # Opening it says more; a file that is not there can't be sealed.
        return store.exists()


def new_key() -> str:
    """A new random key, as base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _read(path: Path) -> Keyring:
    try:
        text = read_private(path, "the keys", _MOST_BYTES).decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidInput("holds something other than keys", file=str(path)) from error
    lines = (line.strip() for line in text.splitlines())
    return _parsed([line for line in lines if line and not line.startswith("#")], str(path))


def _parsed(words: list[str], source: str) -> Keyring:
    keys: list[bytes] = []
    for word in words:
        try:
            keys.append(base64.b64decode(word, validate=True))
        except ValueError:
            keys.append(b"")
    return Keyring(tuple(keys), source)


def _make(path: Path) -> None:
    """Write a new key; one that another process writes at the same time stays."""
    make_private(path, f"{_HEAD}{new_key()}\n", "a key")

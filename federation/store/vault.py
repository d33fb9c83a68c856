"""Opening a store with secrets: whether the keys fit, and encrypting what is not encrypted, or with an older key."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from federation.errors import FederationError, InvalidInput
from federation.model.redact import holds_secrets
from federation.store.schema import REVISIONS, SEAL, STATE
from federation.store.sealing import Keyring

_LOG = logging.getLogger(__name__)
_PROOF = "the keys fit"
_AT_ONCE = 200
_SEALED = (
    update(REVISIONS)
    .where(REVISIONS.c.version == bindparam("at_version"))
    .values(document=bindparam("text"), sealed=bindparam("key_id"))
)


def about(kind: str, namespace: str, name: str, version: int) -> str:
    """What a sealed text belongs to: it opens nowhere else, not even as another state of the same object."""
    return f"{kind} {namespace}/{name} at version {version}"


def is_sealed(connection: Connection) -> bool:
    """Whether the store's secrets are encrypted."""
    return connection.scalar(select(SEAL.c.key_id)) is not None


def unlock(connection: Connection, keys: Keyring | None, name: str) -> bool:
    """Make sure, in a transaction that locks out other writers, that `keys` open every secret in the store, and that
    all are encrypted with the first of them. Without keys a store stays as it is, if nothing in it is encrypted.

    Returns whether plain text may be left in the file's unused parts: then it has to be cleaned (`cleaned` after it).
    Raises: InvalidInput when a key is missing or wrong; then nothing was changed."""
    found = connection.execute(select(SEAL)).one_or_none()
    if keys is None:
        if found is not None:
            raise _missing([found.key_id], "no key was given", name)
        return False
    store_id = connection.scalar(select(STATE.c.store_id)) or ""
    if found is not None:
        used = set(connection.scalars(select(REVISIONS.c.sealed).where(REVISIONS.c.sealed.is_not(None)).distinct()))
        absent = sorted((used | {found.key_id}) - set(keys.ids))
        if absent:
            raise _missing(absent, f"{keys.source} holds {', '.join(keys.ids)}", name)
        try:
            keys.open(found.proof, found.key_id, store_id)
        except FederationError as error:
            raise InvalidInput("is damaged: its seal does not open; restore a backup", file=name) from error
        if found.key_id == keys.ids[0] and used <= {keys.ids[0]}:
            return not found.clean
        count = _seal_again(connection, keys)
        _LOG.warning("encrypted %d secrets anew with the key %s", count, keys.ids[0])
    else:
        count = _seal_plain(connection, keys)
        if count:
            _LOG.warning("encrypted %d objects with secrets that the store %s held in plain text", count, name)
    proof, key_id = keys.seal(_PROOF, store_id)
    clean = bool(found.clean) if found is not None else count == 0
    connection.execute(delete(SEAL))
    connection.execute(insert(SEAL).values(id=1, key_id=key_id, proof=proof, clean=clean))
    return not clean


def cleaned(connection: Connection) -> None:
    """The file holds no plain text any more."""
    connection.execute(update(SEAL).values(clean=True))


def _seal_plain(connection: Connection, keys: Keyring) -> int:
    """Encrypt every state of every object that holds a secret; returns how many."""
    columns = REVISIONS.c
    last, count = 0, 0
    while True:
        rows = connection.execute(
            select(columns.version, columns.kind, columns.namespace, columns.name, columns.document)
            .where(columns.document.is_not(None), columns.sealed.is_(None), columns.version > last)
            .order_by(columns.version)
            .limit(_AT_ONCE)
        ).all()
        if not rows:
            return count
        last = rows[-1].version
        secret = [row for row in rows if holds_secrets({"kind": row.kind, **json.loads(row.document)})]
        _save(connection, keys, [(row.version, row.document, about(row[1], row[2], row[3], row[0])) for row in secret])
        count += len(secret)


def _seal_again(connection: Connection, keys: Keyring) -> int:
    """Encrypt with the first key what is encrypted with another; returns how many."""
    columns = REVISIONS.c
    count = 0
    while True:
        rows = connection.execute(
            select(columns.version, columns.kind, columns.namespace, columns.name, columns.document, columns.sealed)
            .where(columns.sealed != keys.ids[0])
            .order_by(columns.version)
            .limit(_AT_ONCE)
        ).all()
        if not rows:
            return count
        titles = [about(row.kind, row.namespace, row.name, row.version) for row in rows]
        texts = [keys.open(row.document, row.sealed, title) for row, title in zip(rows, titles, strict=True)]
        _save(connection, keys, [(row.version, *rest) for row, *rest in zip(rows, texts, titles, strict=True)])
        count += len(rows)


def _save(connection: Connection, keys: Keyring, found: Sequence[tuple[int, str, str]]) -> None:
    values = []
    for version, text, title in found:
        sealed, key_id = keys.seal(text, title)
        values.append({"at_version": version, "text": sealed, "key_id": key_id})
    if values:
        connection.execute(_SEALED, values)


def _missing(ids: Sequence[str], have: str, name: str) -> InvalidInput:
    return InvalidInput(
        f"its secrets are encrypted with the key {', '.join(ids)}, and {have}; put that key back into the key file "
        "(secrets.key beside the store, or --secrets-key) or into $ROAM_SECRETS_KEY, from where you keep a copy. "
        "Without it the secrets are lost: start with another store and apply everything again",
        file=name,
    )

"""Reading and writing rows: the few statements the store consists of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam, insert, select, update

from federation.errors import FederationError
from federation.model.meta import Key, Resource
from federation.store.collector import making_many
from federation.store.documents import Parsed, parse
from federation.store.ledger import Account, ObjectId, Revision
from federation.store.schema import LABELS, REVISIONS, STATE
from federation.store.sealing import Keyring
from federation.store.vault import about

T = TypeVar("T")
_AT_ONCE = 500
"""How many values one statement names: far below what any database takes."""


# Made once: building a statement costs more than carrying it out.
_STATE = select(STATE.c.version, STATE.c.compacted)
_LIVE = select(REVISIONS.c.version, REVISIONS.c.name).where(
    REVISIONS.c.superseded.is_(None),
    REVISIONS.c.kind == bindparam("kind"),
    REVISIONS.c.namespace == bindparam("namespace"),
    REVISIONS.c.name.in_(bindparam("names", expanding=True)),
)
_DOCUMENTS = select(
    REVISIONS.c.version,
    REVISIONS.c.kind,
    REVISIONS.c.namespace,
    REVISIONS.c.name,
    REVISIONS.c.document,
    REVISIONS.c.sealed,
).where(REVISIONS.c.version.in_(bindparam("versions", expanding=True)))
_SUPERSEDE = update(REVISIONS).where(REVISIONS.c.version == bindparam("ended")).values(superseded=bindparam("by"))
_ADD_REVISIONS = insert(REVISIONS)
_ADD_LABELS = insert(LABELS)
_SET_VERSION = update(STATE).values(version=bindparam("newest"))


class State(NamedTuple):
    """The row of `STATE`."""

    version: int
    compacted: int


def state(connection: Connection) -> State:
    """The newest version, and the version up to which changes are forgotten."""
    row = connection.execute(_STATE).one()
    return State(row.version, row.compacted)


def heads(connection: Connection, ids: Collection[ObjectId], parsed: Parsed) -> dict[ObjectId, Resource | None]:
    """The live objects of `ids`; those that don't exist are absent."""
    versions: dict[int, ObjectId] = {}
    # Names by kind and namespace, instead of triples in one statement: ten times quicker to compile.
    for (kind, namespace), names in _grouped(ids).items():
        for some in _portions(names):
            found = connection.execute(_LIVE, {"kind": kind, "namespace": namespace, "names": some})
            versions |= {version: (kind, namespace, name) for version, name in found}
    if not versions:
        return {}
    objects = load(connection, list(versions), parsed)
    return {versions[version]: resource for version, resource in objects.items()}


def load(connection: Connection, versions: Sequence[int], parsed: Parsed) -> dict[int, Resource]:
    """The objects written at `versions`, parsed only if `parsed` does not have them yet.

    Only for committed rows. Raises: FederationError for one that this release, or these keys, can't read."""
    found = parsed.get(list(versions))
    missing = [version for version in versions if version not in found]
    with making_many() if len(missing) > _AT_ONCE else nullcontext():
        for some in _portions(missing):
            for version, kind, namespace, name, text, sealed in connection.execute(_DOCUMENTS, {"versions": some}):
                if sealed is not None:
                    text = _opened(parsed.keys, text, sealed, about(kind, namespace, name, version))
                resource = parse(kind, text, f"{kind} {Key(namespace, name)} at version {version}")
                found[version] = resource
                parsed.put(version, resource, len(text))
    return found


def save(connection: Connection, account: Account, keys: Keyring | None) -> None:
    """Write down what `account` changed; objects that hold secrets encrypted, where there are keys."""
    mine = {revision.version for revision in account.revisions}
    ended = [{"ended": version, "by": by} for version, by in account.superseded.items() if version not in mine]
    if ended:
        # First, so that no object is live twice, not even between two statements.
        connection.execute(_SUPERSEDE, ended)
    connection.execute(
        _ADD_REVISIONS,
        [
            {
                "version": revision.version,
                "superseded": account.superseded.get(revision.version),
                "kind": revision.id[0],
                "namespace": revision.id[1],
                "name": revision.id[2],
                "change": revision.change,
                "at": revision.at,
                "document": text,
                "sealed": sealed,
            }
            for revision in account.revisions
            for text, sealed in [_sealed(keys, revision)]
        ],
    )
    labels = [
        {"version": revision.version, "label": label, "value": value}
        for revision in account.revisions
        if revision.text is not None
        for label, value in revision.resource.metadata.labels.items()
    ]
    if labels:
        connection.execute(_ADD_LABELS, labels)
    connection.execute(_SET_VERSION, {"newest": account.version})


def _sealed(keys: Keyring | None, revision: Revision) -> tuple[str | None, str | None]:
    if keys is None or revision.text is None or not revision.secret:
        return revision.text, None
    return keys.seal(revision.text, about(*revision.id, revision.version))


def _opened(keys: Keyring | None, text: str, sealed: str, title: str) -> str:
    if keys is None:
        raise FederationError(f"the store's {title} is encrypted, and the store was opened without keys")
    return keys.open(text, sealed, title)


def _grouped(ids: Collection[ObjectId]) -> dict[tuple[str, str], list[str]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for kind, namespace, name in sorted(ids):
        grouped.setdefault((kind, namespace), []).append(name)
    return grouped


def _portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]

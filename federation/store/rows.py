"""Reading and writing rows: the few statements the store consists of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update

from federation.model.kinds import BY_KIND
from federation.model.meta import Key, Resource
from federation.store.documents import Parsed, parse
from federation.store.ledger import Account, ObjectId
from federation.store.schema import LABELS, REVISIONS, STATE

T = TypeVar("T")
_AT_ONCE = 500
"""How many values one statement names: far below what any database takes."""


class State(NamedTuple):
    """The row of `STATE`."""

    version: int
    compacted: int


def state(connection: Connection) -> State:
    """The newest version, and the version up to which changes are forgotten."""
    row = connection.execute(select(STATE.c.version, STATE.c.compacted)).one()
    return State(row.version, row.compacted)


def heads(connection: Connection, ids: Collection[ObjectId], parsed: Parsed) -> dict[ObjectId, Resource | None]:
    """The live objects of `ids`; those that don't exist are absent."""
    columns = REVISIONS.c
    versions: dict[int, ObjectId] = {}
    for some in _portions(list(ids)):
        query = select(columns.version, columns.kind, columns.namespace, columns.name).where(
            columns.superseded.is_(None), tuple_(columns.kind, columns.namespace, columns.name).in_(some)
        )
        for row in connection.execute(query):
            versions[row.version] = (row.kind, row.namespace, row.name)
    objects = load(connection, list(versions), parsed)
    return {versions[version]: resource for version, resource in objects.items()}


def load(connection: Connection, versions: Sequence[int], parsed: Parsed) -> dict[int, Resource]:
    """The objects written at `versions`, parsed only if `parsed` does not have them yet.

    Only for committed rows. Raises: FederationError for one that this release can't read."""
    found = parsed.get(list(versions))
    columns = REVISIONS.c
    missing = [version for version in versions if version not in found]
    for some in _portions(missing):
        query = select(columns.version, columns.kind, columns.namespace, columns.name, columns.document).where(
            columns.version.in_(some)
        )
        for version, kind, namespace, name, text in connection.execute(query):
            resource = parse(BY_KIND[kind], text, f"{kind} {Key(namespace, name)} at version {version}")
            found[version] = resource
            parsed.put(version, resource, len(text))
    return found


def save(connection: Connection, account: Account) -> None:
    """Write down what `account` changed."""
    mine = {revision.version for revision in account.revisions}
    ended = [{"ended": version, "by": by} for version, by in account.superseded.items() if version not in mine]
    if ended:
        # First, so that no object is live twice, not even between two statements.
        connection.execute(
            update(REVISIONS).where(REVISIONS.c.version == bindparam("ended")).values(superseded=bindparam("by")), ended
        )
    connection.execute(
        insert(REVISIONS),
        [
            {
                "version": revision.version,
                "superseded": account.superseded.get(revision.version),
                "kind": revision.id[0],
                "namespace": revision.id[1],
                "name": revision.id[2],
                "change": revision.change,
                "at": revision.at,
                "document": revision.text,
            }
            for revision in account.revisions
        ],
    )
    labels = [
        {"version": revision.version, "label": label, "value": value}
        for revision in account.revisions
        if revision.text is not None
        for label, value in revision.resource.metadata.labels.items()
    ]
    if labels:
        connection.execute(insert(LABELS), labels)
    connection.execute(update(STATE).values(version=account.version))


def _portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]

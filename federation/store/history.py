"""Changes since a version, and which versions can still be asked for."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, bindparam, select

from federation.contracts.store import Change
from federation.errors import Expired
from federation.store import rows
from federation.store.documents import Parsed
from federation.store.schema import REVISIONS


def _since() -> Select[tuple[int, str, int]]:
    columns = REVISIONS.c
    before = REVISIONS.alias("before")
    # A deleted object's document is that of the row which its deletion superseded.
    last = (
        (columns.change == "Deleted") & (before.c.superseded == columns.version) & (before.c.version != columns.version)
    )
    return (
        select(columns.version, columns.change, before.c.version.label("last"))
        .join_from(REVISIONS, before, last, isouter=True)
        .where(columns.version > bindparam("since"))
        .order_by(columns.version)
    )


_ALL = _since()
_OF_KINDS = _ALL.where(REVISIONS.c.kind.in_(bindparam("kinds", expanding=True)))


def changes(connection: Connection, since: int, kinds: Sequence[str], parsed: Parsed) -> tuple[tuple[Change, ...], int]:
    """The changes after `since` of `kinds` (none: of all), in order, and the newest version.

    Raises: Expired."""
    newest, compacted = rows.state(connection)
    check_version(since, newest, compacted)
    if since == newest:
        return (), newest
    query, parameters = (_OF_KINDS, {"since": since, "kinds": kinds}) if kinds else (_ALL, {"since": since})
    found = [(row.version, row.change, row.last or row.version) for row in connection.execute(query, parameters)]
    objects = rows.load(connection, [shown for _, _, shown in found], parsed)
    return tuple(Change(change, objects[shown], version) for version, change, shown in found), newest


def check_version(version: int, newest: int, compacted: int) -> None:
    """Raises: Expired when nothing is known any more of what came after `version`, or when it is yet to come."""
    if version < compacted:
        raise Expired(f"version {version} is forgotten (the oldest known is {compacted}); list again from the start")
    if version > newest:
        raise Expired(f"version {version} is newer than this store ({newest}): was it restored? List again")

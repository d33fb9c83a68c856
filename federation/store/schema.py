"""The tables, and how a store of an older release becomes one of this release.

There is one table of objects in all their states: each write adds a row under the next version and marks the row it
replaces as `superseded`. A row that is not superseded is a live object; the rows above a version are the changes after
it; and the state as of a version is what was written up to it and not superseded by then. So lists, watches and pages
read the same rows, no text is stored twice, and forgetting is one DELETE. (kine, the SQL store of k3s, works so too.)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from federation.errors import InvalidInput

METADATA = MetaData()
# Order and comparison of names must be those of Python, whatever the locale of a server is.
_NAME = String().with_variant(String(collation="C"), "postgresql")
# SQLite makes only an INTEGER PRIMARY KEY the row's own number.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

SCHEMA = Table("roam_schema", METADATA, Column("version", Integer, nullable=False))
"""One row: the number of the last step taken."""

STATE = Table(
    "state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("store_id", String(36), nullable=False),
    Column("version", _NUMBER, nullable=False),
    Column("compacted", _NUMBER, nullable=False),
)
"""One row: this store's name for itself, the newest version, and the version up to which changes are forgotten."""

REVISIONS = Table(
    "revisions",
    METADATA,
    Column("version", _NUMBER, primary_key=True, autoincrement=False),
    Column("superseded", _NUMBER),
    Column("kind", _NAME, nullable=False),
    Column("namespace", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("change", String(8), nullable=False),
    Column("at", Double, nullable=False),
    Column("document", Text),
    Column("sealed", String(16)),
)
"""Objects in all their states. `change` is Added, Modified or Deleted; a Deleted row has no document (it is that of the
row it supersedes) and supersedes itself, so that it is never live. `at`: when, in seconds since 1970. `sealed`: the id
of the key that the document is encrypted with, None where it is plain JSON."""

SEAL = Table(
    "seal",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key_id", String(16), nullable=False),
    Column("proof", Text, nullable=False),
    Column("clean", Boolean, nullable=False),
)
"""At most one row, where secrets are encrypted: the key that encrypts, a known text encrypted with it, and whether the
file's unused parts are free of plain text."""

LABELS = Table(
    "labels",
    METADATA,
    Column("version", _NUMBER, ForeignKey("revisions.version", ondelete="CASCADE"), primary_key=True),
    Column("label", _NAME, primary_key=True),
    Column("value", _NAME, nullable=False),
    sqlite_with_rowid=False,
)
"""The labels of each revision."""

_ALIVE = REVISIONS.c.superseded.is_(None)
Index(
    "revisions_live",
    REVISIONS.c.kind,
    REVISIONS.c.namespace,
    REVISIONS.c.name,
    unique=True,
    sqlite_where=_ALIVE,
    postgresql_where=_ALIVE,
)
Index("revisions_by_name", REVISIONS.c.kind, REVISIONS.c.namespace, REVISIONS.c.name, REVISIONS.c.superseded)
Index("revisions_by_end", REVISIONS.c.superseded, sqlite_where=~_ALIVE, postgresql_where=~_ALIVE)
Index(
    "revisions_sealed",
    REVISIONS.c.sealed,
    sqlite_where=REVISIONS.c.sealed.is_not(None),
    postgresql_where=REVISIONS.c.sealed.is_not(None),
)
Index("labels_by_value", LABELS.c.label, LABELS.c.value, LABELS.c.version)


VERSION = 2
"""The schema of this release."""


def _add_seals(connection: Connection) -> None:
    """Documents may be encrypted. Those that hold secrets are, as soon as there are keys (`vault.unlock`)."""
    for statement in (
        "ALTER TABLE revisions ADD COLUMN sealed VARCHAR(16)",
        "CREATE INDEX revisions_sealed ON revisions (sealed) WHERE sealed IS NOT NULL",
        "CREATE TABLE seal (id INTEGER NOT NULL, key_id VARCHAR(16) NOT NULL, proof TEXT NOT NULL, "
        "clean BOOLEAN NOT NULL, PRIMARY KEY (id))",
    ):
        connection.exec_driver_sql(statement)


STEPS: dict[int, Callable[[Connection], None]] = {2: _add_seals}
"""STEPS[n] makes schema n out of schema n-1. A released step never changes; a new store starts at `VERSION` at once."""


def upgrade(connection: Connection, name: str) -> None:
    """Bring the database of `connection` (in a transaction that locks out other writers) to this release's schema.

    Raises: InvalidInput when it belongs to a newer release or to something else; then nothing was changed."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=VERSION))
        connection.execute(insert(STATE).values(id=1, store_id=_store_id(name), version=0, compacted=0))
        return
    found = connection.scalar(select(SCHEMA.c.version)) if SCHEMA.name in tables else None
    if found is None:
        raise InvalidInput("is a database, but not a Roam store; name another file", file=name)
    if found > VERSION:
        raise InvalidInput(
            f"was written by a newer release of Roam (schema {found}; this one knows up to {VERSION}); "
            "use that release, or restore a backup made by this one",
            file=name,
        )
    for number in range(found + 1, VERSION + 1):
        STEPS[number](connection)
        connection.execute(update(SCHEMA).values(version=number))


def _store_id(name: str) -> str:
    # A store in memory serves tests and simulations, where the same run must give the same uids.
    return str(uuid.UUID(int=0) if name == ":memory:" else uuid.uuid4())

"""What a write means: a pure account of objects, versions and refusals, without SQL, locks or clock."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from federation.contracts.store import Create
from federation.errors import AlreadyExists, NotFound, StaleWrite
from federation.model.meta import Key, Metadata, Resource
from federation.model.redact import holds_secrets
from federation.store.documents import Document, Prepared, canonical, dump, text_of

ObjectId = tuple[str, str, str]
"""Kind, namespace, name."""


class Revision(NamedTuple):
    """One object in one state, to be stored: a row of `schema.REVISIONS`, the object for whoever asks next, and
    whether it holds secrets."""

    version: int
    id: ObjectId
    change: Literal["Added", "Modified", "Deleted"]
    at: float
    text: str | None
    resource: Resource
    secret: bool = False


@dataclass(slots=True)
class Account:
    """What some batches change: `heads`, the objects as they are after them (None: not there); `revisions`, in order;
    and by which version each older version is superseded."""

    version: int
    heads: dict[ObjectId, Resource | None] = field(default_factory=dict)
    revisions: list[Revision] = field(default_factory=list)
    superseded: dict[int, int] = field(default_factory=dict)


class Ledger:
    """Applies batches one after the other, each wholly or not at all.

    Args: version, the newest so far; heads, all objects that the batches name (None or absent: not there); store_id
    makes uids: they follow from it and the version, so the same writes give the same uids."""

    def __init__(self, version: int, heads: Mapping[ObjectId, Resource | None], store_id: uuid.UUID):
        self.account = Account(version, dict(heads))
        self._store_id = store_id

    def apply(self, batch: Sequence[Prepared], now: float) -> tuple[Resource, ...]:
        """Carry out `batch`; returns the objects as they are then (for a Delete: as it last was).

        Raises: AlreadyExists, NotFound, StaleWrite; then nothing of the batch counts."""
        mine = _Batch(self.account, self._store_id, now)
        results = tuple(mine.apply(write) for write in batch)
        own = mine.own
        self.account.version = own.version
        self.account.heads.update(own.heads)
        self.account.revisions.extend(own.revisions)
        self.account.superseded.update(own.superseded)
        return results


class _Batch:
    def __init__(self, base: Account, store_id: uuid.UUID, now: float):
        self.own = Account(base.version)
        self._base = base
        self._store_id = store_id
        self._now = now

    def apply(self, write: Prepared) -> Resource:
        found = self._head(write)
        if write.resource is None or write.document is None:
            return self._delete(write, found)
        if isinstance(write.write, Create):
            return self._create(write, write.resource, write.document, found)
        return self._replace(write, write.resource, write.document, found)

    def _head(self, write: Prepared) -> Resource | None:
        id = _id(write.kind, write.key)
        return self.own.heads[id] if id in self.own.heads else self._base.heads.get(id)

    def _create(self, write: Prepared, resource: Resource, document: Document, found: Resource | None) -> Resource:
        if found is not None:
            raise AlreadyExists(f"{_title(write)} exists already, at version {found.metadata.resource_version}")
        version = self.own.version + 1
        uid = str(uuid.uuid5(self._store_id, f"{version}/{write.kind.kind_name}/{write.key}"))
        metadata = resource.metadata.model_copy(
            update={"uid": uid, "creation_timestamp": self._now, "generation": 1, "resource_version": version}
        )
        return self._put("Added", resource, document, metadata)

    def _replace(self, write: Prepared, resource: Resource, document: Document, found: Resource | None) -> Resource:
        old = self._current(write, found)
        before = dump(old)
        kept = old.metadata
        metadata = resource.metadata.model_copy(
            update={
                "uid": kept.uid,
                "creation_timestamp": kept.creation_timestamp,
                "deletion_timestamp": kept.deletion_timestamp or resource.metadata.deletion_timestamp,
                "generation": kept.generation,
                "resource_version": kept.resource_version,
            }
        )
        after = {**document, "metadata": _metadata(metadata)}
        if canonical(after) == canonical(before):
            return old
        counts = "spec" not in document or canonical(document["spec"]) != canonical(before["spec"])
        version = self.own.version + 1
        self.own.superseded[kept.resource_version] = version
        changed = {"generation": kept.generation + counts, "resource_version": version}
        return self._put("Modified", resource, document, metadata.model_copy(update=changed))

    def _delete(self, write: Prepared, found: Resource | None) -> Resource:
        old = self._current(write, found)
        version = self.own.version + 1
        id = _id(write.kind, write.key)
        self.own.superseded[old.metadata.resource_version] = version
        self.own.superseded[version] = version
        self.own.revisions.append(Revision(version, id, "Deleted", self._now, None, old))
        self.own.heads[id] = None
        self.own.version = version
        return old

    def _current(self, write: Prepared, found: Resource | None) -> Resource:
        """The object that `write` is about, if it is at the version that `write` expects."""
        if found is None:
            raise NotFound(f"{_title(write)} does not exist")
        actual = found.metadata.resource_version
        if write.expected_version is None or write.expected_version == actual:
            return found
        if write.expected_version == 0:
            raise StaleWrite(f"{_title(write)}: no resourceVersion given; it is at version {actual}: read it first")
        raise StaleWrite(
            f"{_title(write)} was read at version {write.expected_version} and is at version {actual} now; "
            "read it again and decide again"
        )

    def _put(
        self, change: Literal["Added", "Modified"], resource: Resource, document: Document, metadata: Metadata
    ) -> Resource:
        stored = resource.model_copy(update={"metadata": metadata})
        text = text_of({**document, "metadata": _metadata(metadata)})
        version = metadata.resource_version
        id = _id(type(resource), resource.key)
        secret = holds_secrets({"kind": id[0], **document})
        self.own.revisions.append(Revision(version, id, change, self._now, text, stored, secret))
        self.own.heads[id] = stored
        self.own.version = version
        return stored


def _id(kind: type[Resource], key: Key) -> ObjectId:
    return (kind.kind_name, key.namespace, key.name)


def _metadata(metadata: Metadata) -> Document:
    return metadata.model_dump(by_alias=True, warnings=False)


def _title(write: Prepared) -> str:
    return f"{write.kind.kind_name} {write.key}"

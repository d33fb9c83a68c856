"""One stream that tells of several kinds: a browser keeps only six connections to a server for all its windows."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence

from federation.contracts.store import Change, Store
from federation.errors import FederationError
from federation.model.kinds import BY_PLURAL
from federation.model.meta import Resource
from federation.server.access import Caller, refuse
from federation.server.answers import Refused, encode, refusal, wire
from federation.server.extras import Lines
from federation.server.requests import Request

_STEP_S = 0.4
_TYPES = {"Added": "ADDED", "Modified": "MODIFIED", "Deleted": "DELETED"}


def open_feed(store: Store, request: Request, caller: Caller) -> Lines:
    """The changes after `resourceVersion` of `kinds` (plurals, with commas), in `namespace` or in all: as in a watch, a
    line of JSON each, with a BOOKMARK now and then, and an ERROR of code 410 when the version is forgotten.

    Objects of the fleet's own kinds come whatever the namespace. Raises: Refused (400, 403)."""
    since = request.number("resourceVersion")
    if not since:
        raise Refused(400, "resourceVersion: say from where on, as a list says it in metadata.resourceVersion")
    namespace = request.query.get("namespace") or None
    kinds = [_kind(plural) for plural in request.query.get("kinds", "").split(",")]
    for kind in kinds:
        inside = namespace if kind.namespaced else None
        if why_not := refuse(caller, "watch", kind.plural, namespaced=kind.namespaced, namespace=inside):
            raise Refused(403, why_not)
    asked_s = request.number("timeoutSeconds")
    lasts_s = min(asked_s or request.limits.watch_s, request.limits.watch_s)
    return Lines(_lines(store, kinds, namespace, since, lasts_s, request.limits.bookmark_s))


def _kind(plural: str) -> type[Resource]:
    found = BY_PLURAL.get(plural)
    if found is None:
        raise Refused(400, f"kinds: {plural[:80]!r} is none of {', '.join(BY_PLURAL)}")
    return found


def _lines(
    store: Store, kinds: Sequence[type[Resource]], namespace: str | None, since: int, lasts_s: float, bookmark_s: float
) -> Generator[bytes | None]:
    ends_at = time.monotonic() + lasts_s
    mark_at = 0.0
    try:
        while (now := time.monotonic()) < ends_at:
            if now >= mark_at:
                mark_at = now + bookmark_s
                yield _bookmark(since)
            changes, since = store.changes(since, kinds=kinds, wait_s=min(_STEP_S, ends_at - now))
            for change in changes:
                if namespace in (None, change.resource.key.namespace) or not change.resource.namespaced:
                    yield _line(change)
            yield None
        yield _bookmark(since)
    except FederationError as error:
        yield encode({"type": "ERROR", "object": refusal(error).body}) + b"\n"


def _line(change: Change) -> bytes:
    document = wire(change.resource)
    # A deleted object carries the version of its deletion: a client can go on from it.
    document["metadata"] = {**document["metadata"], "resourceVersion": str(change.version)}
    return encode({"type": _TYPES[change.type], "object": document}) + b"\n"


def _bookmark(version: int) -> bytes:
    return encode({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}) + b"\n"

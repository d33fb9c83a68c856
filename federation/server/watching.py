"""Watches: what changes, as one JSON line each, without gaps."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.contracts.store import Change, Store
from federation.errors import FederationError
from federation.model.meta import API_VERSION, Key, Resource, Selector
from federation.server.answers import encode, refusal, wire
from federation.server.extras import Lines
from federation.server.objects import fields_of, selector_of
from federation.server.requests import Limits, Request
from federation.server.routes import Route
from federation.server.selectors import FieldSelector

_STEP_S = 0.5
"""How soon a watch notices that its client has hung up or that the server stops."""
_PAGE = 500
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass
class _Filter:
    """Tells what a change means to one client. A change that takes an object out of the selection is a DELETED; as a
    watch does not know what was in it before, that is told once for each object not known to be outside."""

    namespace: str | None
    selector: Selector | None
    fields: FieldSelector
    outside: set[Key] = field(default_factory=set)

    def kind_of(self, change: Change) -> str | None:
        key = change.resource.key
        if self.namespace is not None and key.namespace != self.namespace:
            return None
        # What these ask for never changes during an object's life.
        if not self.fields.matches(change.resource.metadata):
            return None
        matches = self.selector is None or self.selector.matches(change.resource.metadata.labels)
        was_outside = key in self.outside
        if change.type == "Deleted":
            self.outside.discard(key)
            return None if was_outside else "DELETED"
        if not matches:
            self.outside.add(key)
            return None if was_outside or change.type == "Added" else "DELETED"
        self.outside.discard(key)
        return "ADDED" if change.type == "Added" or was_outside else "MODIFIED"


@dataclass(frozen=True)
class _Wanted:
    """What one client watches. `since` None: what is there first; `initial`: a bookmark says where that ends."""

    route: Route
    selector: Selector | None
    fields: FieldSelector
    since: int | None
    ends_at: float
    bookmarks: bool
    initial: bool


class Watches:
    """Makes the lines of watches on a store. Safe to use from several threads. `stopping` ends them."""

    def __init__(self, store: Store, limits: Limits, stopping: threading.Event):
        self._store = store
        self._limits = limits
        self._stopping = stopping

    def open(self, route: Route, request: Request) -> Lines:
        """The lines of a watch.

        With `resourceVersion`: everything after it. Without (or 0), or with `sendInitialEvents`: first all that is
        there, as ADDED. Raises: Refused (400)."""
        since = request.number("resourceVersion") or None
        initial = request.flag("sendInitialEvents")
        asked_s = request.number("timeoutSeconds")
        lasts_s = min(asked_s or self._limits.watch_s, self._limits.watch_s)
        wanted = _Wanted(
            route,
            selector_of(request),
            fields_of(request),
            since=None if initial else since,
            ends_at=time.monotonic() + lasts_s,
            bookmarks=request.flag("allowWatchBookmarks"),
            initial=initial,
        )
        return Lines(self._lines(wanted))

    def _lines(self, wanted: _Wanted) -> Generator[bytes | None]:
        """Lines, and None now and then, while nothing happens."""
        route, since = wanted.route, wanted.since
        seen = _Filter(route.namespace, wanted.selector, wanted.fields)
        try:
            if since is None:
                since = yield from self._present(wanted)
                if wanted.initial and wanted.bookmarks:
                    yield _bookmark(route, since, _INITIAL_END)
            marked_at = time.monotonic()
            while not self._stopping.is_set() and (left_s := wanted.ends_at - time.monotonic()) > 0:
                changes, since = self._store.changes(since, kinds=[route.kind], wait_s=min(_STEP_S, left_s))
                for change in changes:
                    if kind := seen.kind_of(change):
                        yield _line(kind, change.resource, change.version)
                if wanted.bookmarks and time.monotonic() - marked_at >= self._limits.bookmark_s:
                    marked_at = time.monotonic()
                    yield _bookmark(route, since)
                else:
                    yield None
            if wanted.bookmarks:
                yield _bookmark(route, since)
        except FederationError as error:
            yield encode({"type": "ERROR", "object": refusal(error, route.details).body}) + b"\n"

    def _present(self, wanted: _Wanted) -> Generator[bytes | None, None, int]:
        """All that is there now; returns the version as of which."""
        route, more = wanted.route, None
        while True:
            page = self._store.list(
                route.kind, namespace=route.namespace, selector=wanted.selector, limit=_PAGE, more=more
            )
            for item in page.items:
                if wanted.fields.matches(item.metadata):
                    yield _line("ADDED", item, item.metadata.resource_version)
            more = page.more
            if more is None:
                return page.version


def _line(kind: str, resource: Resource, version: int) -> bytes:
    document = wire(resource)
    # As in Kubernetes a deleted object carries the version of its deletion: a client can go on from it.
    document["metadata"] = {**document["metadata"], "resourceVersion": str(version)}
    return encode({"type": kind, "object": document}) + b"\n"


def _bookmark(route: Route, version: int, annotations: Mapping[str, str] | None = None) -> bytes:
    metadata = {"resourceVersion": str(version), **({"annotations": annotations} if annotations else {})}
    item: dict[str, Any] = {"apiVersion": API_VERSION, "kind": route.kind.kind_name, "metadata": metadata}
    return encode({"type": "BOOKMARK", "object": item}) + b"\n"

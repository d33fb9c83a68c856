"""Watches: what changes, as one JSON line each, without gaps, for a bounded number of clients at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from federation.contracts.store import Change, Store
from federation.errors import FederationError
from federation.model.meta import API_VERSION, Key, Resource, Selector
from federation.server.answers import Refused, encode, refusal, wire
from federation.server.objects import selector_of
from federation.server.requests import Limits, Request
from federation.server.routes import Route

_STEP_S = 0.5
"""How soon a watch notices that its client has hung up or that the server stops."""
_PAGE = 500


@dataclass
class _Filter:
    """Tells what a change means to one client. A change that takes an object out of the selection is a DELETED; as a
    watch does not know what was in it before, that is told once for each object not known to be outside."""

    namespace: str | None
    selector: Selector | None
    outside: set[Key] = field(default_factory=set)

    def kind_of(self, change: Change) -> str | None:
        key = change.resource.key
        if self.namespace is not None and key.namespace != self.namespace:
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


class Watches:
    """Opens watches on a store. Safe to use from several threads."""

    def __init__(self, store: Store, limits: Limits):
        self._store = store
        self._limits = limits
        self._slots = threading.BoundedSemaphore(limits.watchers)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End all watches within half a second, and open no more."""
        self._stopping.set()

    def open(self, route: Route, request: Request) -> Iterable[bytes]:
        """The lines of a watch; close the iterator when the client is gone.

        With `resourceVersion`: everything after it. Without (or 0): first all that is there, as ADDED.
        Raises: Refused (400, 429)."""
        selector = selector_of(request)
        since = request.number("resourceVersion") or None
        asked_s = request.number("timeoutSeconds")
        lasts_s = min(asked_s or self._limits.watch_s, self._limits.watch_s)
        bookmarks = request.flag("allowWatchBookmarks")
        ends_at = time.monotonic() + lasts_s
        if self._stopping.is_set() or not self._slots.acquire(blocking=False):
            raise Refused(
                429,
                f"{self._limits.watchers} watches are open already; close one or try again later",
                headers=(("Retry-After", "5"),),
            )
        lines = self._lines(route, selector, since, ends_at, bookmarks=bookmarks)
        return _Stream(self._guarded(lines, request), self._slots)

    def _guarded(self, lines: Generator[bytes | None], request: Request) -> Generator[bytes]:
        for line in lines:
            if request.is_gone():
                return
            if line is not None:
                # Between here and the next turn the server sends the line: a client that doesn't read is cut off.
                with request.patience(self._limits.send_s):
                    yield line

    def _lines(
        self, route: Route, selector: Selector | None, since: int | None, ends_at: float, *, bookmarks: bool
    ) -> Generator[bytes | None]:
        """Lines, and None now and then, while nothing happens."""
        seen = _Filter(route.namespace, selector)
        try:
            if since is None:
                since = yield from self._present(route, selector)
            marked_at = time.monotonic()
            while not self._stopping.is_set() and (left_s := ends_at - time.monotonic()) > 0:
                changes, since = self._store.changes(since, kinds=[route.kind], wait_s=min(_STEP_S, left_s))
                for change in changes:
                    if kind := seen.kind_of(change):
                        yield _line(kind, change.resource, change.version)
                if bookmarks and time.monotonic() - marked_at >= self._limits.bookmark_s:
                    marked_at = time.monotonic()
                    yield _bookmark(route, since)
                else:
                    yield None
            if bookmarks:
                yield _bookmark(route, since)
        except FederationError as error:
            yield encode({"type": "ERROR", "object": refusal(error, route.details).body}) + b"\n"

    def _present(self, route: Route, selector: Selector | None) -> Generator[bytes | None, None, int]:
        """All that is there now; returns the version as of which."""
        more: str | None = None
        while True:
            page = self._store.list(route.kind, namespace=route.namespace, selector=selector, limit=_PAGE, more=more)
            for item in page.items:
                yield _line("ADDED", item, item.metadata.resource_version)
            more = page.more
            if more is None:
                return page.version


class _Stream:
    """The lines of one watch, and its slot, given back once when it is closed or at its end."""

    def __init__(self, lines: Generator[bytes], slots: threading.Semaphore):
        self._lines = lines
        self._slots: threading.Semaphore | None = slots

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._lines)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the watch."""
        slots, self._slots = self._slots, None
        try:
            self._lines.close()
        finally:
            if slots is not None:
                slots.release()


def _line(kind: str, resource: Resource, version: int) -> bytes:
    document = wire(resource)
    # As in Kubernetes a deleted object carries the version of its deletion: a client can go on from it.
    document["metadata"] = {**document["metadata"], "resourceVersion": str(version)}
    return encode({"type": kind, "object": document}) + b"\n"


def _bookmark(route: Route, version: int) -> bytes:
    metadata = {"resourceVersion": str(version)}
    item: dict[str, Any] = {"apiVersion": API_VERSION, "kind": route.kind.kind_name, "metadata": metadata}
    return encode({"type": "BOOKMARK", "object": item}) + b"\n"

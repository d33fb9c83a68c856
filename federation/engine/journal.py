"""All writes of the engine: intents at once, status and events gathered and written together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal

from federation.contracts.meter import Meter
from federation.contracts.runtime import Runtime
from federation.contracts.store import Change, Create, Replace, Store, Write
from federation.engine.cache import Cache
from federation.errors import AlreadyExists, FederationError, NotFound, StaleWrite, Unavailable
from federation.model.event import Event, Regarding
from federation.model.meta import Key, Metadata, Resource
from federation.model.migration import Migration

_LOG = logging.getLogger(__name__)
FLUSH_BATCH = 200
"""Status writes per transaction: large enough to amortise the disk's sync, small enough not to hold the store."""


class Journal:
    """Writes to the store and keeps the cache up to date with what was written.

    `failing` says why the store takes no writes at present, "" when it does; `refused` counts writes that it did not
    take for that reason."""

    def __init__(
        self, store: Store, runtime: Runtime, cache: Cache, changed: Callable[[Change], None], meter: Meter
    ) -> None:
        self._store, self._runtime, self._cache, self._changed, self._meter = store, runtime, cache, changed, meter
        self._pending: dict[tuple[type[Resource], Key], Resource] = {}
        self._events: list[Event] = []
        self._last_event: dict[tuple[str, Key], tuple[str, str]] = {}
        self.failing = ""
        self.refused = 0

    def write(self, writes: Sequence[Write]) -> bool:
        """Write all or nothing, now. False when the cache was behind (the change comes in by itself) or when the store
        does not take writes at present (`failing` says why; try again later)."""
        try:
            stored = self._store.write(writes, now=self._runtime.now())
        except (StaleWrite, AlreadyExists, NotFound):
            return False
        except Unavailable as error:
            self.failing = str(error)
            self.refused += 1
            return False
        self.failing = ""
        for write, resource in zip(writes, stored, strict=True):
            self._pending.pop((type(resource), resource.key), None)
            change = self._change(write, resource)
            if isinstance(resource, Migration):
                self._measure(resource)
            if self._cache.apply(change):
                self._changed(change)
        return True

    def _measure(self, new: Migration) -> None:
        old = self._cache.of(Migration).get(new.key)
        if old is not None and old.status.phase != new.status.phase:
            self._meter.phase(old.status.phase, new.status.phase, self._runtime.now() - old.status.since)

    @staticmethod
    def _change(write: Write, resource: Resource) -> Change:
        kind: Literal["Added", "Modified", "Deleted"] = "Deleted"
        if isinstance(write, Create):
            kind = "Added"
        elif isinstance(write, Replace):
            kind = "Modified"
        return Change(kind, resource, resource.metadata.resource_version)

    def update(self, resource: Resource) -> None:
        """Write a new status with the next `flush`; a later one for the same object takes its place."""
        self._pending[type(resource), resource.key] = resource

    def pending(self, resource: Resource) -> Resource:
        """The object as it will be after the next `flush`."""
        return self._pending.get((type(resource), resource.key), resource)

    def event(
        self, about: Resource, reason: str, message: str, *, warning: bool = False, key: Key | None = None
    ) -> None:
        """Record what happened with the next `flush`. Said twice in a row about an object, it is recorded once."""
        key = key or about.key
        slot = (type(about).kind_name, key)
        if self._last_event.get(slot) == (reason, message):
            return
        self._last_event[slot] = (reason, message)
        self._events.append(self.make_event(about, reason, message, warning=warning))

    def make_event(self, about: Resource, reason: str, message: str, *, warning: bool = False) -> Event:
        """The event, for writing it in one transaction with what it tells of."""
        now = self._runtime.now()
        _LOG.info("%s: %s", reason, message, extra={"about": (type(about).kind_name, *about.key)})
        return Event(
            metadata=Metadata(
                name=f"{about.metadata.name}.{self._runtime.uid()}",
                namespace=about.metadata.namespace or "default",
            ),
            type="Warning" if warning else "Normal",
            reason=reason,
            message=message,
            regarding=Regarding(
                kind=type(about).kind_name, namespace=about.metadata.namespace, name=about.metadata.name
            ),
            event_time=now,
        )

    def flush(self) -> None:
        """Write what was gathered. What lost a compare-and-swap is dropped: the newer object is reconciled anyway."""
        writes: list[Write] = [Replace(resource) for resource in self._pending.values()]
        writes += [Create(event) for event in self._events]
        done = 0
        while done < len(writes):
            batch = writes[done : done + FLUSH_BATCH]
            if not self._write_batch(batch):
                break
            done += len(batch)
        rest = writes[done:]
        self._pending = {(type(w.resource), w.resource.key): w.resource for w in rest if isinstance(w, Replace)}
        self._events = [w.resource for w in rest if isinstance(w, Create) and isinstance(w.resource, Event)]

    def _write_batch(self, batch: Sequence[Write]) -> bool:
        """Whether the batch is dealt with; False only when the store is unavailable."""
        if self.write(batch):
            return True
        if self.failing:
            return False
        return all(self.write([write]) or not self.failing for write in batch)

    @property
    def waiting(self) -> int:
        """How many objects wait to be written."""
        return len(self._pending) + len(self._events)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._pending and not self._events


def explain(error: BaseException) -> str:
    """One line for a condition or an event; what is not ours is named by its type only, so that no vendor's text with
    a secret in it gets into the store."""
    return str(error) if isinstance(error, FederationError) else f"unexpected {type(error).__name__}"

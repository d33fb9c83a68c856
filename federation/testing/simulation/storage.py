"""The real store in memory, which may be out of reach for a while; the controller may die before or after a write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

from federation.contracts.store import Change, Delete, Page, Store, Write
from federation.errors import Unavailable
from federation.model.event import Event
from federation.model.meta import Key, Resource, Selector
from federation.testing.simulation.runtime import EPOCH_S, Bell, Parked, SimRuntime, Timeline

R = TypeVar("R", bound=Resource)


class SimStore:
    """`federation.contracts.store.Store` around another one, as the engine sees it.

    Args: kill, called before and after each write. `acknowledged`: what writes returned last, by kind and key (None:
    deleted), so that checks need not ask the store all the time; `written_at`: when a person wrote an object last;
    `writes` and `events` count those of the engine."""

    def __init__(self, inner: Store, timeline: Timeline, kill: Callable[[str], None]) -> None:
        self.inner = inner
        self._timeline, self._kill = timeline, kill
        self._bell = Bell()
        self._newest = inner.version()
        self.down_until_s = 0.0
        self.acknowledged: dict[type[Resource], dict[Key, Resource | None]] = {}
        self.written_at: dict[tuple[type[Resource], Key], float] = {}
        self.writes = 0
        self.events = 0

    @property
    def down(self) -> bool:
        """Whether it is out of reach now."""
        return self._timeline.now < self.down_until_s

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the store does not answer")

    def write(self, writes: Sequence[Write], *, now: float) -> tuple[Resource, ...]:
        """As the inner store; a place to die before and after."""
        self._kill("before a write")
        self._reach()
        stored = self._write(writes, now)
        self.writes += 1
        self.events += sum(isinstance(resource, Event) for resource in stored)
        self._kill("after a write")
        return stored

    def write_as_user(self, writes: Sequence[Write]) -> tuple[Resource, ...]:
        """A write by a person, who outlives the controller. Raises: Unavailable; what the store raises."""
        self._reach()
        for write in writes:
            if not isinstance(write, Delete):
                self.written_at[type(write.resource), write.resource.key] = self._timeline.now
        return self._write(writes, EPOCH_S + self._timeline.now + self._timeline.wall_offset_s)

    def _write(self, writes: Sequence[Write], now: float) -> tuple[Resource, ...]:
        stored = self.inner.write(writes, now=now)
        deleted = False
        for write, resource in zip(writes, stored, strict=True):
            gone = isinstance(write, Delete)
            deleted |= gone
            if not isinstance(resource, Event):
                self.acknowledged.setdefault(type(resource), {})[resource.key] = None if gone else resource
        newest = self.inner.version() if deleted else max(r.metadata.resource_version for r in stored)
        self._newest = max(self._newest, newest)
        self._bell.ring()
        return stored

    def known(self, kind: type[R]) -> dict[Key, R]:
        """All objects of a kind (no events), as acknowledged, by key."""
        found = cast("dict[Key, R | None]", self.acknowledged.get(kind, {}))
        return {key: found[key] for key in sorted(found) if found[key] is not None}  # type: ignore[misc]

    def find(self, kind: type[R], key: Key) -> R | None:
        """One object as acknowledged, or None."""
        return cast("R | None", self.acknowledged.get(kind, {}).get(key))

    def get(self, kind: type[R], key: Key) -> R:
        """As the inner store."""
        self._reach()
        return self.inner.get(kind, key)

    def list(
        self,
        kind: type[R],
        *,
        namespace: str | None = None,
        selector: Selector | None = None,
        limit: int | None = None,
        more: str | None = None,
    ) -> Page[R]:
        """As the inner store."""
        self._reach()
        return self.inner.list(kind, namespace=namespace, selector=selector, limit=limit, more=more)

    def changes(
        self, since: int, *, kinds: Iterable[type[Resource]] = (), wait_s: float = 0.0
    ) -> tuple[tuple[Change, ...], int]:
        """As the inner store; waiting is left to virtual time."""
        self._reach()
        flight = SimRuntime.current
        if since >= self._newest and flight is not None and self._timeline.now < flight.effect_at + wait_s:
            raise Parked(self._bell, flight.effect_at + wait_s)
        if since >= self._newest:
            return (), since
        return self.inner.changes(since, kinds=kinds)

    def version(self) -> int:
        """As the inner store."""
        self._reach()
        return self.inner.version()

    def close(self) -> None:
        """Close the inner store."""
        self.inner.close()

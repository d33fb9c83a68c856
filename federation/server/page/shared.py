"""Something computed from the store, shared by all who ask: reloading a page must not keep the controller busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from federation.contracts.store import Store
from federation.errors import Expired, FederationError, Unavailable
from federation.model.meta import Resource

T = TypeVar("T")


@dataclass(frozen=True)
class Made(Generic[T]):
    """A value, the store's version it was made from, and whether that is still what the store says."""

    value: T
    version: int
    fresh: bool


@dataclass(frozen=True)
class _Last(Generic[T]):
    outcome: T | FederationError
    version: int
    ended_at: float
    took_s: float


class Shared(Generic[T]):
    """Computes `make()` once for all who ask, again only when one of `kinds` changed or after `keep_s`.

    One computation runs at a time, and after one of n seconds none begins for `rest` times n: what is asked for
    meanwhile is answered with the last value, marked as not fresh. So it takes at most 1 / (1 + rest) of a core,
    however many ask. Safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        kinds: Iterable[type[Resource]],
        make: Callable[[], T],
        *,
        rest: float = 10.0,
        keep_s: float = 30.0,
        wait_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._store = store
        self._kinds = tuple(kinds)
        self._make = make
        self._rest = rest
        self._keep_s = keep_s
        self._wait_s = wait_s
        self._clock = clock
        self._busy = threading.Lock()
        self._last: _Last[T] | None = None

    def get(self) -> Made[T]:
        """The value. Raises: what `make` raises; Unavailable when the first computation takes too long."""
        last = self._last
        if last is not None:
            since = self._clock() - last.ended_at
            fresh = since <= self._keep_s and not self._changed(last.version)
            if fresh or since < self._rest * last.took_s:
                return _made(last, fresh=fresh)
        if not self._busy.acquire(timeout=self._wait_s if last is None else 0.0):
            if last is None:
                raise Unavailable("this is being computed and takes long; ask again soon")
            return _made(last, fresh=False)
        try:
            if self._last is last:
                self._last = self._compute()
            assert self._last is not None  # noqa: S101 - it was just set, by us or by who went before
            return _made(self._last, fresh=True)
        finally:
            self._busy.release()

    def _compute(self) -> _Last[T]:
        version = self._store.version()
        began = self._clock()
        outcome: T | FederationError
        try:
            outcome = self._make()
        except FederationError as error:
            outcome = error
        ended = self._clock()
        return _Last(outcome, version, ended, ended - began)

    def _changed(self, since: int) -> bool:
        try:
            return bool(self._store.changes(since, kinds=self._kinds)[0])
        except Expired:
            return True


def _made(last: _Last[T], *, fresh: bool) -> Made[T]:
    if isinstance(last.outcome, FederationError):
        raise last.outcome
    return Made(last.outcome, last.version, fresh)

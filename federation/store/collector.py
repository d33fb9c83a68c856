"""Python's collector of cyclic garbage, held off where it would do harm."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


class _Pause:
    """Holds the cyclic garbage collector off while any thread is within `held`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._within = 0
        self._was_enabled = False

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if self._within == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._within += 1
        try:
            yield
        finally:
            with self._lock:
                self._within -= 1
                if self._within == 0 and self._was_enabled:
                    gc.enable()


_PAUSE = _Pause()


def making_many() -> AbstractContextManager[None]:
    """To be held while so many objects are made that the collector, woken again and again to look at them all, would
    take longer than making them; they should have no cycles. Any thread may hold it, also several at a time."""
    return _PAUSE.held()

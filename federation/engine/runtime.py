"""The real `Runtime`: wall clock, bounded pools of threads, one queue of results for the engine's thread."""

from __future__ import annotations

import queue
import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")
LANE_WIDTH = 4
"""Calls at once per lane: enough to keep a sub-cluster busy, few enough not to trouble it."""


class ThreadRuntime:
    """Lanes are thread pools of `LANE_WIDTH`, made on first use, so a slow lane delays no other.

    Args: clock, seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._results: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        self._closed = False

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def submit(self, lane: str, call: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Queue `call` on the lane's pool; `done` runs on the thread that calls `wait`."""
        with self._lock:
            if self._closed:
                return
            pool = self._lanes.get(lane)
            if pool is None:
                pool = self._lanes[lane] = ThreadPoolExecutor(LANE_WIDTH, thread_name_prefix=lane)
            pool.submit(self._run, call, done)

    def _run(self, call: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        try:
            result = call()
        except BaseException as error:  # handed over, not swallowed: `done` decides on the engine's thread
            self._results.put(partial(done, None, error))
        else:
            self._results.put(partial(done, result, None))

    def wait(self, timeout_s: float) -> None:
        """Hand over what came in; block up to `timeout_s` for the first result, then take all that are there."""
        try:
            result = self._results.get(timeout=max(timeout_s, 0.0)) if timeout_s > 0 else self._results.get_nowait()
            while True:
                if result is not None:
                    result()
                result = self._results.get_nowait()
        except queue.Empty:
            return

    def wake(self) -> None:
        """End a `wait`."""
        self._results.put(None)

    def uid(self) -> str:
        """Ten characters, random."""
        return secrets.token_hex(5)

    def random(self) -> float:
        """A number in [0, 1)."""
        return random.random()  # noqa: S311 - jitter, no secret

    def close(self, timeout_s: float) -> None:
        """Refuse new calls, drop queued ones, and wait up to `timeout_s` for those under way."""
        with self._lock:
            self._closed = True
            lanes = list(self._lanes.values())
        for pool in lanes:
            pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + timeout_s
        for thread in threading.enumerate():
            if any(thread in pool._threads for pool in lanes):
                thread.join(max(0.0, deadline - time.monotonic()))

"""How much one caller may ask for: a token bucket and a bound on what is under way at once, each by name."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from federation.server.answers import Refused


@dataclass
class _Account:
    left: float
    at: float
    under_way: int = 0


class Rates:
    """Accounts of callers. Safe to use from several threads.

    Args: per_s, requests that each caller may make per second in the long run; burst, how many at once after a rest;
    most_at_once, how many may be under way; clock, seconds that only go forward."""

    def __init__(self, *, per_s: float, burst: int, most_at_once: int, clock: Callable[[], float] = time.monotonic):
        self._per_s = per_s
        self._burst = burst
        self._most = most_at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    @contextmanager
    def request(self, name: str) -> Iterator[None]:
        """One request of a caller, while it is answered. Raises: Refused (429, with the seconds after which to try)."""
        with self._lock:
            now = self._clock()
            account = self._accounts.setdefault(name, _Account(float(self._burst), now))
            account.left = min(self._burst, account.left + (now - account.at) * self._per_s)
            account.at = now
            if account.under_way >= self._most:
                raise _too_much(f"{name} has {self._most} requests under way already", 1)
            if account.left < 1.0:
                wait_s = math.ceil((1.0 - account.left) / self._per_s)
                raise _too_much(f"{name} asks more than {self._per_s:g} times per second", wait_s)
            account.left -= 1.0
            account.under_way += 1
        try:
            yield
        finally:
            with self._lock:
                account.under_way -= 1


def _too_much(message: str, wait_s: int) -> Refused:
    return Refused(429, f"{message}; try again in {wait_s} s", headers=(("Retry-After", str(max(1, wait_s))),))

"""A clock that never jumps: what waits and graces are measured with, whatever somebody does to the machine's clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_LOG = logging.getLogger(__name__)
_JUMP_S = 2.0
"""What differs by more between two looks is no drift."""
_RATE = 0.1
_FUTURE_S = 86_400.0


def _elapsed() -> float:
    """Seconds since the machine started, also while it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _wall() -> float:
    return time.time()


class SteadyClock:
    """Seconds since 1970 that only go forward, and never in jumps: begins as the machine's clock, goes on evenly when
    that one is set to another time, and approaches it by at most a tenth of the time that passes. A jump is logged.
    Safe to use from several threads.

    Args: at_least, where it begins when the machine's clock says an earlier time, such as that of the last record: one
    that is more than a day ahead is not believed."""

    def __init__(
        self, at_least: float = 0.0, *, wall: Callable[[], float] = _wall, elapsed: Callable[[], float] = _elapsed
    ):
        self._wall, self._elapsed = wall, elapsed
        self._lock = threading.Lock()
        self._seen, self._at = wall(), elapsed()
        ahead = at_least - self._seen
        if ahead > _FUTURE_S:
            _LOG.warning("the last record is of a time %.0f s ahead of this machine's clock; not believed", ahead)
        elif ahead > _JUMP_S:
            _LOG.warning("this machine's clock is %.0f s behind the last record; going on from that", ahead)
        self._now = self._seen if ahead > _FUTURE_S else max(self._seen, at_least)

    def __call__(self) -> float:
        """The time."""
        with self._lock:
            wall, at = self._wall(), self._elapsed()
            passed = max(at - self._at, 0.0)
            jump = wall - self._seen - passed
            if abs(jump) > _JUMP_S:
                _LOG.warning("this machine's clock jumped by %+.0f s; times go on evenly and approach it", jump)
            self._seen, self._at = wall, at
            self._now += passed
            self._now += min(max(wall - self._now, -_RATE * passed), _RATE * passed)
            return self._now

"""Answers that last: a bounded number at once, each ended when its client is gone or does not read."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator

from federation.server.access import Caller
from federation.server.answers import Refused
from federation.server.extras import Lines
from federation.server.requests import Limits, Request


class Streams:
    """The places for answers that last. Safe to use from several threads."""

    def __init__(self, limits: Limits):
        self.stopping = threading.Event()
        self._limits = limits
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def stop(self) -> None:
        """Open no more; those that are open end at their next turn."""
        self.stopping.set()

    @property
    def count(self) -> int:
        """How many are open."""
        with self._lock:
            return self._open.total()

    def open(self, lines: Lines, request: Request, caller: Caller) -> Body:
        """What is to be sent. Raises: Refused (429): all places are taken, or `caller` has as many as one may have."""
        with self._lock:
            mine, all_open = self._open[caller.name], self._open.total()
            why = ""
            if self.stopping.is_set() or all_open >= self._limits.watchers:
                why = f"{self._limits.watchers} watches are open already"
            elif mine >= self._limits.watchers_per_caller:
                why = f"{caller.name} has {mine} watches open already"
            if not why:
                self._open[caller.name] += 1
        if why:
            lines.pieces.close()
            raise Refused(429, f"{why}; close one or try again later", headers=(("Retry-After", "5"),))
        return Body(self._guarded(lines.pieces, request), lambda: self._give_back(lines, caller))

    def _give_back(self, lines: Lines, caller: Caller) -> None:
        lines.pieces.close()
        with self._lock:
            self._open[caller.name] -= 1

    def _guarded(self, pieces: Generator[bytes | None], request: Request) -> Generator[bytes]:
        for piece in pieces:
            if self.stopping.is_set() or request.is_gone():
                return
            if piece is not None:
                # Between here and the next turn the server sends it: a client that doesn't read is cut off.
                with request.patience(self._limits.send_s):
                    yield piece


class Body:
    """Pieces of an answer, and what is to be done once, when it is sent, given up or closed."""

    def __init__(self, pieces: Generator[bytes], at_end: Callable[[], None]):
        self._pieces = pieces
        self._at_end: Callable[[], None] | None = at_end

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """No more is wanted."""
        at_end, self._at_end = self._at_end, None
        try:
            self._pieces.close()
        finally:
            if at_end is not None:
                at_end()

"""Answers that last: a bounded number at once, each ended when its client is gone or does not read."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator

from federation.server.answers import Refused
from federation.server.extras import Lines
from federation.server.requests import Limits, Request


class Streams:
    """The places for answers that last. Safe to use from several threads."""

    def __init__(self, limits: Limits):
        self.stopping = threading.Event()
        self._limits = limits
        self._slots = threading.BoundedSemaphore(limits.watchers)

    def stop(self) -> None:
        """Open no more; those that are open end at their next turn."""
        self.stopping.set()

    def open(self, lines: Lines, request: Request) -> Iterable[bytes]:
        """What is to be sent; close the iterator when the client is gone. Raises: Refused (429)."""
        if self.stopping.is_set() or not self._slots.acquire(blocking=False):
            lines.pieces.close()
            raise Refused(
                429,
                f"{self._limits.watchers} watches are open already; close one or try again later",
                headers=(("Retry-After", "5"),),
            )
        return _Stream(self._guarded(lines.pieces, request), self._slots)

    def _guarded(self, pieces: Generator[bytes | None], request: Request) -> Generator[bytes]:
        for piece in pieces:
            if self.stopping.is_set() or request.is_gone():
                return
            if piece is not None:
                # Between here and the next turn the server sends it: a client that doesn't read is cut off.
                with request.patience(self._limits.send_s):
                    yield piece


class _Stream:
    """What one client gets, and its slot, given back once when it is closed or at its end."""

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

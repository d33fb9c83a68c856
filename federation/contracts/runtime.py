"""Time, threads and chance as the engine sees them: real, or simulated on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Runtime(Protocol):
    """What the engine may not do by itself."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; for intervals."""
        ...

    def submit(self, lane: str, call: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Run `call` on the bounded pool of `lane` (one per sub-cluster or gateway); hand its result or its error to
        `done` on the engine's thread, during `wait`."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return once something was handed to `done`, `wake` was called, or after `timeout_s`."""
        ...

    def wake(self) -> None:
        """End a `wait` from any thread."""
        ...

    def uid(self) -> str:
        """A new unique name part: lower-case letters and digits."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        ...

    def close(self, timeout_s: float) -> None:
        """Take no more calls and wait for the running ones."""
        ...

"""How threads share one commit, and how they wait for one."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from federation.errors import Unavailable

_LONGEST_WAIT_S = 3600.0
"""Of one wait among several: the platform takes no arbitrary numbers."""

T = TypeVar("T")
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class Ticket(Generic[T, A]):
    """Something to be carried out, and, once `done`, its answer or its error. `size`: how much work it is."""

    task: T
    size: int
    done: bool = False
    answer: A | None = None
    error: Exception | None = None


class Turns(Generic[T, A]):
    """Threads hand in tasks; one of them carries out all that have gathered, in order, while the others wait.

    So the tasks that arrive during a commit share the next one, and no thread of its own has to be kept.

    Args: carry_out, sets `answer` or `error` of each ticket, or raises: then no ticket has been carried out;
    most, the size of the tasks carried out together (a single larger one goes alone)."""

    def __init__(self, carry_out: Callable[[Sequence[Ticket[T, A]]], None], most: int):
        self._carry_out = carry_out
        self._most = most
        self._waiting: deque[Ticket[T, A]] = deque()
        self._gathering = threading.Lock()
        self._turn = threading.Lock()

    def hand_in(self, task: T, size: int) -> A:
        """The answer to `task`. Raises: its error."""
        ticket: Ticket[T, A] = Ticket(task, size)
        with self._gathering:
            self._waiting.append(ticket)
        with self._turn:
            while not ticket.done:
                self._carry_out_some()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.answer is not None  # noqa: S101 - what `carry_out` promises
        return ticket.answer

    def _carry_out_some(self) -> None:
        tickets = self._gather()
        try:
            self._carry_out(tickets)
        except BaseException as error:
            for ticket in tickets:
                # One exception object each: threads that raise the same one would tangle their tracebacks.
                ticket.error = _again(error)
            if not isinstance(error, Exception):
                raise
        finally:
            for ticket in tickets:
                ticket.done = True

    def _gather(self) -> list[Ticket[T, A]]:
        taken: list[Ticket[T, A]] = []
        size = 0
        with self._gathering:
            while self._waiting and (not taken or size + self._waiting[0].size <= self._most):
                size += self._waiting[0].size
                taken.append(self._waiting.popleft())
        return taken


def _again(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        try:
            copy = type(error)(*error.args)
        except TypeError:
            copy = Unavailable(str(error))
    else:
        copy = Unavailable("the write was interrupted; whether it took effect is unknown")
    copy.__cause__ = error
    return copy


class Bell:
    """Wakes those who wait for a version. What happens in this process rings at once; another process is asked every
    `poll_s` seconds, by one of those who wait for all of them.

    Args: read_version, what another process may have made newer; None when there can be no other process."""

    def __init__(self, read_version: Callable[[], int] | None, poll_s: float = 0.25):
        self._read_version = read_version
        self._poll_s = poll_s
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        self._polled_at_s = -math.inf

    def ring(self, version: int) -> None:
        """`version` has been committed."""
        with self._changed:
            if version > self._version:
                self._version = version
                self._changed.notify_all()

    def close(self) -> None:
        """Let everybody go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nobody waits any more."""
        return self._closed

    def wait_beyond(self, version: int, timeout_s: float) -> None:
        """Return once there is a version newer than `version`, or after `timeout_s`, or when closed."""
        ends_at_s = time.monotonic() + timeout_s
        while True:
            remaining_s = ends_at_s - time.monotonic()
            slice_s = min(remaining_s, self._poll_s if self._read_version else _LONGEST_WAIT_S)
            with self._changed:
                if self._changed.wait_for(lambda: self._closed or self._version > version, timeout=max(slice_s, 0.0)):
                    return
            if time.monotonic() >= ends_at_s:
                return
            self._poll()

    def _poll(self) -> None:
        if self._read_version is None:
            return
        with self._changed:
            now_s = time.monotonic()
            if self._closed or now_s - self._polled_at_s < self._poll_s * 0.8:
                return
            self._polled_at_s = now_s
        try:
            self.ring(self._read_version())
        except Unavailable:
            if not self._closed:
                raise

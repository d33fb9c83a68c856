"""What runs, numbered by change, so that whoever watches is told only what is new. Safe from several threads."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Final

from federation.contracts.driver import Observation, WorkloadState
from federation.model.meta import Key

REMEMBERED_GONE: Final = 10_000


class Journal:
    """The newest state of each workload, in order of change. `boot` tells one life of the agent from another."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._version = 0
        # Oldest known removal; a cursor from before it is told everything.
        self._floor = 0
        self._states: OrderedDict[Key, tuple[int, WorkloadState]] = OrderedDict()
        self._gone: OrderedDict[Key, int] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False

    def publish(self, state: WorkloadState) -> None:
        """Take in a state; one that is equal to the last is no change."""
        with self._changed:
            known = self._states.get(state.key)
            if known is not None and known[1] == state:
                return
            self._version += 1
            self._states[state.key] = (self._version, state)
            self._states.move_to_end(state.key)
            self._gone.pop(state.key, None)
            self._changed.notify_all()

    def remove(self, key: Key) -> None:
        """The workload is no more."""
        with self._changed:
            if self._states.pop(key, None) is None:
                return
            self._version += 1
            self._gone[key] = self._version
            while len(self._gone) > REMEMBERED_GONE:
                self._floor = self._gone.popitem(last=False)[1]
            self._changed.notify_all()

    def read(self, cursor: str | None, wait_s: float) -> Observation:
        """What changed since `cursor`, waiting up to `wait_s` for it; everything at once for a cursor not from here.

        Costs as much as what changed, not as what is there."""
        since = self._position(cursor)
        with self._changed:
            if since is None or since < self._floor or since > self._version:
                everything = tuple(state for _, state in self._states.values())
                return Observation(self._cursor(), complete=True, workloads=everything)
            until = time.monotonic() + wait_s
            while self._version == since and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return Observation(
                self._cursor(),
                complete=False,
                workloads=tuple(self._newer(since)),
                gone=tuple(self._gone_after(since)),
            )

    def states(self) -> tuple[WorkloadState, ...]:
        """All states, least recently changed first."""
        with self._changed:
            return tuple(state for _, state in self._states.values())

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _newer(self, since: int) -> list[WorkloadState]:
        found = []
        for version, state in reversed(self._states.values()):
            if version <= since:
                break
            found.append(state)
        return found

    def _gone_after(self, since: int) -> list[Key]:
        found = []
        for key, version in reversed(self._gone.items()):
            if version <= since:
                break
            found.append(key)
        return found

    def _cursor(self) -> str:
        return f"{self._boot}:{self._version}"

    def _position(self, cursor: str | None) -> int | None:
        boot, _, version = (cursor or "").partition(":")
        return int(version) if boot == self._boot and version.isdecimal() and len(version) < 19 else None

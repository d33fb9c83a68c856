"""Virtual time, and the engine's `Runtime` on it: calls take effect and are answered later, as the seed says."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
TICK_S = 0.02
"""Moments are whole multiples of this, so that what is due together is handed over together."""
EPOCH_S = 1_767_225_600.0
"""The wall clock at virtual time 0: 2026-01-01."""
SPIN_LIMIT = 400
"""So many waits in a row without time passing mean that the engine turns in a circle."""


class ControllerKilled(BaseException):
    """The controller dies here; whatever it was doing is left as it is."""


class Spinning(BaseException):
    """The engine does not let time pass any more."""


class Parked(BaseException):
    """Raised by a scripted call that has nothing to say yet: call again when `bell` rings, or at `until_s`."""

    def __init__(self, bell: Bell, until_s: float) -> None:
        super().__init__()
        self.bell, self.until_s = bell, until_s


class Delayed(BaseException):
    """Raised by a scripted call that ends with `error`, but only after `delay_s`."""

    def __init__(self, error: Exception, delay_s: float) -> None:
        super().__init__()
        self.error, self.delay_s = error, delay_s


@dataclass
class Bell:
    """Whoever waits for a change."""

    waiting: list[Callable[[], None]] = field(default_factory=list)

    def ring(self) -> None:
        """Let all that wait go on."""
        waiting, self.waiting = self.waiting, []
        for go_on in waiting:
            go_on()


class Timeline:
    """Virtual seconds since the start, and what is due when. What is due at the same moment happens in the order in
    which it was asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wall_offset_s = 0.0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._tick = 0
        self._count = 0

    def after(self, delay_s: float, happen: Callable[[], None]) -> None:
        """Let `happen` be called `delay_s` seconds from now."""
        self._count += 1
        heapq.heappush(self._due, (self._tick + max(round(delay_s / TICK_S), 0), self._count, happen))

    def happen_before(self, end_s: float, enough: Callable[[], bool]) -> None:
        """Let time pass until `end_s`, or until `enough()` after all that is due at one moment happened."""
        end_tick = math.ceil(end_s / TICK_S - 1e-6)
        while not enough() and self._due and self._due[0][0] <= end_tick:
            self._set(self._due[0][0])
            while self._due and self._due[0][0] == self._tick:
                heapq.heappop(self._due)[2]()
        if not enough():
            self._set(max(end_tick, self._tick))

    def _set(self, tick: int) -> None:
        self._tick, self.now = tick, tick * TICK_S


@dataclass(eq=False)
class _Flight:
    """One call under way. `lost_if_killed`: it has not left the controller yet, should that die."""

    lane: str
    call: Callable[[], Any]
    done: Callable[[Any, BaseException | None], None]
    submitted_at: float
    effect_at: float
    lost_if_killed: bool
    answer_delay_s: float


class SimRuntime:
    """`federation.contracts.runtime.Runtime` for one life of the controller.

    Args: delays, lane -> seconds to the call's effect and from there to its answer; kill, called at every step: it
    raises ControllerKilled when the controller is to die there."""

    current: _Flight | None = None
    """The call that takes effect at this moment, of whatever life: a scripted driver may ask when it was sent."""

    def __init__(
        self,
        timeline: Timeline,
        chance: random.Random,
        delays: Callable[[str], tuple[float, float]],
        kill: Callable[[str], None],
    ) -> None:
        self._timeline, self._chance, self._delays, self._kill = timeline, chance, delays, kill
        self._inbox: list[Callable[[], None]] = []
        self._woken = False
        self._dead = False
        self._still = 0
        self.waits = 0

    def die(self) -> None:
        """Answers under way reach nobody any more; calls that left the controller take effect nevertheless."""
        self._dead = True

    def now(self) -> float:
        """Seconds since 1970 on the wall clock, which may have been set."""
        return EPOCH_S + self._timeline.now + self._timeline.wall_offset_s

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._timeline.now

    def submit(self, lane: str, call: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        """Let `call` take effect after a while, and its answer arrive after another."""
        self._kill(f"before {lane}")
        effect_s, answer_s = self._delays(lane)
        now = self._timeline.now
        flight = _Flight(lane, call, done, now, now + effect_s, self._chance.random() < 0.5, answer_s)
        self._timeline.after(effect_s, partial(self._take_effect, flight))
        self._kill(f"after {lane}")

    def _take_effect(self, flight: _Flight) -> None:
        if self._dead and flight.lost_if_killed:
            return
        result, error, delay_s = None, None, flight.answer_delay_s
        SimRuntime.current = flight
        try:
            result = flight.call()
        except Parked as parked:
            self._park(flight, parked)
            return
        except Delayed as delayed:
            error, delay_s = delayed.error, delayed.delay_s
        except Exception as failure:  # handed to the engine as its own runtime would
            error = failure
        finally:
            SimRuntime.current = None
        self._timeline.after(delay_s, partial(self._arrive, flight, result, error))

    def _park(self, flight: _Flight, parked: Parked) -> None:
        if self._dead:
            return
        woken = False

        def go_on() -> None:
            nonlocal woken
            if not woken:
                woken = True
                self._take_effect(flight)

        parked.bell.waiting.append(lambda: self._timeline.after(0.0, go_on))
        self._timeline.after(max(parked.until_s - self._timeline.now, 0.0) + TICK_S, go_on)

    def _arrive(self, flight: _Flight, result: object, error: BaseException | None) -> None:
        if not self._dead:
            self._inbox.append(partial(self._deliver, flight, result, error))

    def _deliver(self, flight: _Flight, result: object, error: BaseException | None) -> None:
        self._kill(f"answer of {flight.lane}")
        flight.done(result, error)

    def wait(self, timeout_s: float) -> None:
        """Let virtual time pass until an answer arrives, or for `timeout_s`."""
        before = self._timeline.now
        if timeout_s > 0:
            timeout_s = max(timeout_s, TICK_S)
        self._timeline.happen_before(before + timeout_s, lambda: bool(self._inbox) or self._woken)
        self._woken = False
        self.waits += 1
        self._still = self._still + 1 if self._timeline.now == before else 0
        if self._still > SPIN_LIMIT:
            raise Spinning
        inbox, self._inbox = self._inbox, []
        for deliver in inbox:
            deliver()

    def wake(self) -> None:
        """End a `wait`."""
        self._woken = True

    def uid(self) -> str:
        """Ten characters from the seed."""
        return f"{self._chance.getrandbits(40):010x}"

    def random(self) -> float:
        """A number in [0, 1) from the seed."""
        return self._chance.random()

    def close(self, timeout_s: float) -> None:
        """Nothing to wait for on one thread."""
        del timeout_s
        self.die()

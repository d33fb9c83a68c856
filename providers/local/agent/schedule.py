"""When to probe and when to restart. Pure: times are seconds, on any clock that does not jump."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from providers.local.agent.template import Probe

QUICK_S: Final = 0.05
QUICK_SHARE: Final = 0.1
# Regular questions are asked on full tenths of a second: those of many pods then share one awakening of the agent.
GRID_S: Final = 0.1

FIRST_RESTART_S: Final = 0.05
LONGEST_RESTART_S: Final = 30.0
HEALTHY_S: Final = 60.0


@dataclass
class ProbeState:
    """Counts the results of one probe of one run of a container.

    Until the first success it asks quickly: at once, then with growing gaps of a tenth of the time waited so far, so
    that readiness is seen at most that much too late; then with its period. An initial delay is kept as given."""

    probe: Probe
    kind: Literal["readiness", "liveness", "startup"]
    started: float
    successes: int = 0
    failures: int = 0
    passed: bool = False

    def next_at(self, now: float, asked: float | None) -> float:
        """When to ask next; `asked` is when it was last asked, None at first."""
        if asked is None:
            return max(now, self.started + self.probe.initial_delay_seconds)
        period = float(self.probe.period_seconds)
        if not self.passed and self.kind != "liveness" and self.probe.initial_delay_seconds == 0:
            return max(now, asked + min(period, max(QUICK_S, (now - self.started) * QUICK_SHARE)))
        return math.ceil(max(now, asked + period - GRID_S) / GRID_S) * GRID_S

    def record(self, success: bool, now: float) -> bool | None:
        """Take one result. Returns: True or False once the threshold for it is reached, None before."""
        if success:
            self.successes, self.failures = self.successes + 1, 0
            if self.successes < self.probe.success_threshold:
                return None
            self.passed = True
            return True
        self.failures, self.successes = self.failures + 1, 0
        if self.kind == "startup":
            # Quick questions must not shorten the time that failureThreshold periods give.
            patience = self.probe.initial_delay_seconds + self.probe.failure_threshold * self.probe.period_seconds
            return False if now - self.started >= patience else None
        return False if self.failures >= self.probe.failure_threshold else None


@dataclass
class Backoff:
    """How long to wait before the next start: almost nothing at first, doubling with each restart up to half a minute,
    and from the beginning again after a minute of running."""

    restarts: int = 0
    streak: int = 0

    def after_run(self, ran_s: float) -> float:
        """A run of `ran_s` seconds ended: the seconds to wait now."""
        if ran_s >= HEALTHY_S:
            self.streak = 0
        delay = min(LONGEST_RESTART_S, FIRST_RESTART_S * 2.0 ** min(self.streak, 30))
        self.restarts += 1
        self.streak += 1
        return delay

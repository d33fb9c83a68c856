"""What the health pages ask of the engine."""

from __future__ import annotations

import time

from federation.engine.core import Engine
from federation.server.health import Check

LONGEST_TURN_S = 60.0
"""The engine turns every few seconds at rest; one that has not for so long hangs, and only a restart helps."""


def engine_checks(engine: Engine) -> tuple[Check, ...]:
    """`engine`: it turns; `fleet`: every sub-cluster was heard, or given up, so that decisions rest on what runs."""

    def turns() -> str:
        age_s = engine.vitals.step_age_s(time.monotonic())
        return f"no turn for {age_s:.0f} s" if age_s > LONGEST_TURN_S else ""

    def has_observed() -> str:
        return "" if engine.vitals.observed else "not every sub-cluster was heard yet"

    return (Check("engine", turns, live=True), Check("fleet", has_observed))

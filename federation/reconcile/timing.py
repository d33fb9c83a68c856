"""When something may move for cost alone: what the saving has to be worth, how long it rests, and in which windows."""

from __future__ import annotations

from federation.model.meta import format_time
from federation.model.policy import MigrationRules
from federation.model.quantity import parse_duration_s
from federation.model.windows import parse_window

HOUR_S = 3600.0
TOLERANCE = 1e-9
"""Relative slack in comparisons of products of floats."""


def may_move_for_cost(
    rules: MigrationRules,
    now: float,
    last_move_at: float | None,
    saving_usd_per_hour: float,
    cost_usd_per_hour: float,
    move_usd: float = 0.0,
) -> str:
    """Why a service may not move for cost now; "" when it may. `mode` is not looked at.

    Args: now and last_move_at, seconds since 1970, None for one that never moved; saving_usd_per_hour, of
    cost_usd_per_hour where it runs; move_usd, what moving costs once. What `rules` leave unset restricts nothing.
    The cheapest reason first: what will not change soon comes before what waits for a time."""
    return (
        _too_little(rules, saving_usd_per_hour, cost_usd_per_hour)
        or _too_late(rules, saving_usd_per_hour, move_usd)
        or _too_early(rules, now, last_move_at)
        or _outside(rules, now)
    )


def may_move_at(rules: MigrationRules, now: float, last_move_at: float | None) -> float:
    """The earliest time from `now` on at which neither cooldown nor windows are against a move for cost."""
    rested = now
    if rules.cooldown is not None and last_move_at is not None:
        rested = max(now, last_move_at + parse_duration_s(rules.cooldown))
    windows = [parse_window(text) for text in rules.windows]
    if not windows or any(window.is_open(rested) for window in windows):
        return rested
    return min(window.opens_at(rested) for window in windows)


def _too_little(rules: MigrationRules, saving: float, cost: float) -> str:
    if saving <= 0:
        return "it saves nothing"
    if rules.min_savings is None or saving >= rules.min_savings * cost * (1 - TOLERANCE):
        return ""
    share = f"{saving / cost:.1%}; minSavings is {rules.min_savings:.1%}"
    return f"it saves {saving:.5g} of {cost:.5g} USD per hour, {share}"


def _too_late(rules: MigrationRules, saving: float, move_usd: float) -> str:
    if rules.payback is None or move_usd <= saving * parse_duration_s(rules.payback) / HOUR_S * (1 + TOLERANCE):
        return ""
    hours = move_usd / saving
    return f"the move costs {move_usd:.5g} USD, repaid in {hours:.3g} h; payback is {rules.payback}"


def _too_early(rules: MigrationRules, now: float, last_move_at: float | None) -> str:
    if rules.cooldown is None or last_move_at is None:
        return ""
    until = last_move_at + parse_duration_s(rules.cooldown)
    return f"it moved less than its cooldown of {rules.cooldown} ago; wait until {_clock(until)}" if now < until else ""


def _outside(rules: MigrationRules, now: float) -> str:
    windows = [parse_window(text) for text in rules.windows]
    if not windows or any(window.is_open(now) for window in windows):
        return ""
    opens = min(window.opens_at(now) for window in windows)
    return f"outside the windows {', '.join(rules.windows)}; the next opens at {_clock(opens)}"


def _clock(seconds: float) -> str:
    return format_time(seconds)[:19] + "Z"

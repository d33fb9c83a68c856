"""By how much a number would have to change for a service to stand elsewhere, all other services where they are.

Each amount is the least that is enough, and says nothing of what else is against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.obstacles import open_rows, worst_route
from federation.planner.problem import TOLERANCE
from federation.planner.request import PlanRequest
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints

MARGIN = 1e-6
"""By what part an amount is beyond the point where it makes no difference: of two that cost the same the first by name
is taken."""


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A call whose hard limit would be broken: by index of the view's edges, its limit now and what it would take."""

    edge: int
    limit_s: float
    needed_s: float


def price_factor(request: PlanRequest, state: State, service: int, subcluster: int) -> float | None:
    """To what part of its present price (0 to 1) compute would have to fall in the sub-cluster for the service to
    choose it; None when no price would do, or where it stands there already."""
    rows = open_rows(state, service, state.options.rows(service))
    if not len(rows) or state.counts[service, subcluster]:
        return None
    if request.ranks is not None:
        depth = rows @ request.ranks[service] / rows.sum(axis=1)
        rows = rows[depth <= depth.min() + TOLERANCE]
    using = rows[:, subcluster] > 0
    if not using.any():
        return None
    costs = state.option_costs(service, rows)
    share = rows[using, subcluster] / rows[using].sum(axis=1)
    falls = share * _compute(request, service, subcluster)
    excess = costs[using] - (costs[~using].min() if not using.all() else np.inf)
    possible = falls > np.maximum(excess, 0.0)
    if not possible.any():
        return None
    factor = float((1.0 - excess[possible] / falls[possible]).max())
    return min(factor, 1.0) * (1.0 - MARGIN)


def _compute(request: PlanRequest, service: int, subcluster: int) -> float:
    """What of the service's cost there goes with the price of cores and memory, USD per hour."""
    compute = request.prices.get("compute")
    own = 0.0 if compute is None else float(np.nan_to_num(compute[service, subcluster]))
    row = request.moves.rows.get(service)
    if row is None:
        return own
    return own + float(request.moves.overlap_usd[row, subcluster] / request.moves.payback_s[row] * 3600.0)


def more_room(request: PlanRequest, state: State, service: int, subcluster: int) -> list[tuple[float, float]]:
    """The cores and bytes that lack there, for each number of replicas that it could take; fewest first."""
    problem = request.problem
    left = state.slack[subcluster] + state.counts[service, subcluster] * problem.demand[service]
    found = []
    for count in sorted({int(row[subcluster]) for row in _rows(request, state, service, subcluster)}):
        short = np.maximum(count * problem.demand[service] - left, 0.0)
        short[short <= TOLERANCE * np.maximum(request.problem.capacity[subcluster], 1.0)] = 0.0
        if short.any():
            found.append((float(short[0]), float(short[1])))
    return found


def more_money(request: PlanRequest, state: State, service: int, subcluster: int) -> dict[str, float]:
    """What each spending limit that is in the way would have to be at least, USD per hour, by the limit's name."""
    limits = request.problem.limits
    if not limits:
        return {}
    rows = _rows(request, state, service, subcluster)
    open_ = state.rows_fit(service, rows) & state.rows_unblocked(service, rows)
    after = np.array([state.spent_with(service, row) for row in (rows[open_] if open_.any() else rows)])
    # Each option overruns its own limits: the one that lacks least counts.
    over = after - np.maximum([limit.max_usd_per_hour for limit in limits], state.spent) * (1 + TOLERANCE)
    best = int(np.argmin(np.maximum(over, 0.0).sum(axis=1)))
    return {
        limit.name: float(needed) * (1 + MARGIN)
        for limit, needed, excess in zip(limits, after[best], over[best], strict=True)
        if excess > 0
    }


def slow_calls(request: PlanRequest, state: State, service: int, subcluster: int) -> tuple[SlowCall, ...]:
    """The calls whose own `maxLatency` the service would break there; those of which nobody knows how long they would
    take are left out."""
    row = _rows(request, state, service, subcluster)[0]
    share: Floats = row / row.sum()
    found = []
    for limit in request.limits:
        for edge, most in zip(limit.calls.tolist(), limit.limit.tolist(), strict=True):
            call = request.view.edges[edge]
            if service in (call.caller, call.callee):
                caller = share if call.caller == service else state.share[call.caller]
                callee = share if call.callee == service else state.share[call.callee]
                worst = worst_route(limit.value, caller, callee)
                if most < worst < np.inf:
                    found.append(SlowCall(edge, most, worst))
    return tuple(found)


def _rows(request: PlanRequest, state: State, service: int, subcluster: int) -> Ints:
    """[O, C] the service's options there, whether or not there is room; where no rule allows one, all of it there."""
    rows = state.options.rows(service)
    rows = rows[rows[:, subcluster] > 0]
    if len(rows):
        return np.asarray(rows)
    whole = np.zeros((1, request.problem.shape[1]), dtype=np.int64)
    whole[0, subcluster] = max(int(request.problem.replicas[service]), 1)
    return whole

"""A quick lower bound on what any plan costs that places the same services: capacity relaxed, calls at their cheapest.

Each service alone at its cheapest place, half of each call counted at either end by the least it can cost there; where
a whole part of the call graph was solved exactly with room to spare, its cost instead. `prices` has a tighter one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.prices import dense
from federation.planner.problem import Problem
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats


SINGLE_PRECISION = 1e-6
"""What rounding may add to a cost, of its size."""


def star_bound(state: State, services: Bools | None = None) -> Floats:
    """[S] a lower bound on each placed service's cost, half of each of its calls included; zero for the unplaced.

    Those of `services` only if these are given [S], and zero for the others."""
    problem = state.problem
    asked = np.ones(problem.shape[0], dtype=bool) if services is None else services
    # What has only a part of its replicas may cost less than any of its options.
    placed: Bools = np.asarray(state.counts.sum(axis=1) >= np.maximum(problem.replicas, 1)) | problem.fixed
    placed &= state.counts.any(axis=1)
    # A fixed service stands where it stands, allowed or not.
    allowed = np.where(problem.fixed[:, None], state.counts > 0, problem.allowed)
    least = np.where(allowed, problem.unary, np.inf)
    counted = placed[problem.caller] & placed[problem.callee] & (asked[problem.caller] | asked[problem.callee])
    both = np.flatnonzero(counted)
    single = ~state.options.listed
    caller, callee = problem.caller[both], problem.callee[both]
    weight = np.stack([problem.weight[:, both].T, np.zeros((len(both), len(problem.price)))], axis=1)
    free = np.where(allowed, 0.0, np.inf)
    row = dense.least(free[callee].T, None, weight, problem.price, to_first=True)
    column = dense.least(free[caller].T, None, weight, problem.price, to_first=False)
    # The near-first routes of a divided callee are not a weighted mean of its places: only the least holds.
    flat = np.where(allowed[callee], column, np.inf).min(axis=1)
    column = np.where(single[callee][:, None], column, flat[:, None])
    exact = 1.0 - SINGLE_PRECISION
    np.add.at(least, caller, 0.5 * exact * row)
    np.add.at(least, callee, 0.5 * exact * column)
    result = np.zeros(len(placed))
    placed &= asked
    whole = placed & single
    result[whole] = least[whole].min(axis=1)
    for service in np.flatnonzero(placed & ~single).tolist():
        parts = state.options.parts(service)
        finite = np.where(np.isfinite(least[service]), least[service], 0.0)
        result[service] = (parts.shares() * finite[parts.places]).sum(axis=1).min()
    return result


def slack_for_staying(problem: Problem, services: list[int]) -> float:
    """By how much the searched objective can exceed the plan's cost: what moves have to be worth."""
    return float(problem.stay_usd()[services].sum())


def part_cost(state: State, services: list[int]) -> float:
    """What a whole part of the call graph costs in the searched objective: its services and all their calls."""
    problem = state.problem
    total = 0.0
    for service in services:
        total += state.cost_now(service)
    calls = np.concatenate([state.calls_of(service)[0] for service in services])
    if not len(calls):
        return total
    callee = state.share[problem.callee[calls]]
    caller = state.share[problem.caller[calls]]
    for term in range(len(problem.price)):
        route = np.where(callee > 0, state.diagonal[term], callee @ problem.price[term].T)
        # Each call stands in both of its ends' costs: once too often.
        total -= float((problem.weight[term, calls] * (caller * route).sum(axis=1)).sum())
    return total

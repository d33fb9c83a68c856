"""Preferences as an order apart from money: first each service's best place in its order, then the cheapest of those.

Two stages. In the first a step down the order weighs more than all money in the problem together, and moving what
runs and may stay to a place that is no better more than all steps: so a preference never pushes out what runs. Only
how far down each service had to go is taken from it. In the second nobody may go further down, and only money counts;
what it leaves free further up is taken, and it is repeated.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, log2
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.options import Options
from federation.planner.problem import TOLERANCE, Problem
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints


def by_preference(problem: Problem, ranks: Ints) -> Problem:
    """The first stage's problem: `ranks` [S, C] as costs beside the money."""
    step = 2.0 ** ceil(log2(1.0 + _all_money(problem)))
    most = int(ranks.max(initial=0))
    ordinal: Floats = ranks.astype(np.float64) * step
    there: Bools = problem.current > 0
    now: Ints = np.where(there, ranks, 0).max(axis=1, initial=0)
    away = problem.stands()[:, None] & ~there & (ranks >= now[:, None])
    ordinal = ordinal + away * (step * (most * len(ranks) + 1))
    ordinal[problem.fixed] = 0.0
    return replace(problem, ordinal=ordinal, ranks=ranks, rank_limit=_divided_limit(problem, ranks))


def _divided_limit(problem: Problem, ranks: Ints) -> Floats:
    """[S] how far down what runs divided may stand: no further than it does, so that no part of it is pushed out."""
    limit = np.full(len(ranks), np.inf)
    options = Options(problem)
    for service in np.flatnonzero((problem.current > 0).sum(axis=1) > 1).tolist():
        stay = options.stay(service) if service not in problem.growth else None
        if stay is not None:
            limit[service] = stay @ ranks[service] / stay.sum()
    return limit


def within_preference(problem: Problem, ranks: Ints, counts: Ints) -> Problem:
    """The second stage's problem: no service goes further down its order than in `counts` [S, C]."""
    placed: Bools = np.asarray(counts.any(axis=1))
    lowest = np.where(counts > 0, ranks, 0).max(axis=1, initial=0)
    allowed = problem.allowed & (~placed[:, None] | (ranks <= lowest[:, None]))
    limit = np.where(placed, _depth(counts, ranks), np.inf)
    return replace(problem, allowed=allowed, ranks=ranks, rank_limit=limit)


def climb(state: State, ranks: Ints) -> bool:
    """Move everything up that has room further up its order; whether anything moved."""
    moved = False
    depth = _depth(state.counts, ranks)
    for service in np.flatnonzero((depth > TOLERANCE) & ~state.problem.fixed).tolist():
        rows = state.options.rows(service)
        deep = rows @ ranks[service] / np.maximum(rows.sum(axis=1), 1)
        better = (deep < depth[service] - TOLERANCE) & state.rows_fit(service, rows)
        better &= state.rows_unblocked(service, rows)
        costs = state.option_costs(service, rows)
        order = [o for o in np.lexsort((costs, deep)).tolist() if better[o]]
        row = next((rows[o] for o in order if state.spend_allows(service, rows[o])), None)
        if row is not None:
            state.put(service, row)
            moved = True
    return moved


def _depth(counts: Ints, ranks: Ints) -> Floats:
    """[S] how far down its order a service's replicas stand on average."""
    return np.asarray((counts * ranks).sum(axis=1) / np.maximum(counts.sum(axis=1), 1))


def _all_money(problem: Problem) -> float:
    """USD per hour that no two placements can differ by more than."""
    high = np.where(problem.allowed, problem.unary, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(problem.allowed, problem.unary, np.inf).min(axis=1, initial=np.inf)
    own = float(np.where(problem.allowed.any(axis=1), high - low, 0.0).sum())
    price: Floats = problem.price.reshape(len(problem.price), -1)
    calls = float((problem.weight.sum(axis=1) * price.max(axis=1, initial=0.0)).sum())
    return own + calls + float(problem.stay_usd().sum())

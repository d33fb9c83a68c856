"""A first placement: what runs stays as it runs, then the more important first, of these the hardest to place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.options import Options
from federation.planner.problem import TOLERANCE, Problem
from federation.planner.room import hardest_first, lacking, make_room, may
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Ints


def construct(problem: Problem, options: Options) -> State:
    """A placement that breaks nothing. Tries the large first, then the small; keeps what leaves fewer out."""
    first = _construct(problem, options, largest_first=True)
    if not lacking(first).any():
        return first
    second = _construct(problem, options, largest_first=False)
    return second if _left_out(second) < _left_out(first) else first


def _left_out(state: State) -> tuple[int, ...]:
    """How many have no place, the first class first."""
    classes = state.problem.classes[0]
    return tuple(np.bincount(classes[~state.counts.any(axis=1)], minlength=int(classes.max(initial=0)) + 1).tolist())


def _construct(problem: Problem, options: Options, *, largest_first: bool) -> State:
    state = as_it_runs(problem, options)
    asking, left = problem.classes[1], lacking(state)
    for each in np.unique(asking[left]).tolist():
        for service in hardest_first(state, np.flatnonzero(left & (asking == each)), largest_first=largest_first):
            found = state.best(service)
            if found is not None:
                state.put(service, found[1])
    make_room(state)
    return state


def as_it_runs(problem: Problem, options: Options) -> State:
    """Everything that runs left where it is, as far as its own rules and all limits let it, and not yet grown."""
    state = State(problem, options)
    stay = _staying(problem, options)
    state.load(stay)
    if _holds(state):
        return state
    state = State(problem, options)
    state.load(np.where(problem.fixed[:, None], stay, 0))
    left = np.flatnonzero(stay.any(axis=1) & ~problem.fixed)
    important = np.zeros(len(stay), dtype=np.int64) if problem.importance is None else problem.importance
    for service in left[np.argsort(-important[left], kind="stable")].tolist():
        row = stay[service][None]
        if may(state, service, row):
            state.put(service, row[0])
    return state


def with_growth(problem: Problem) -> Problem:
    """The problem with the rows open to services that are growing: scaling up only adds.

    One grows where it runs if there is room for all of it; else what is missing goes to one more sub-cluster."""
    growing = np.flatnonzero(problem.grows())
    if not len(growing):
        return problem
    options = Options(problem)
    state = as_it_runs(problem, options)
    growth: dict[int, Ints] = {}
    asking = problem.classes[1]
    for service in growing[np.argsort(asking[growing], kind="stable")].tolist():
        rows = options.grown(service)
        stay = options.stay(service)
        if stay is not None and may(state, service, stay[None]):
            rows = stay[None]
            state.put(service, stay)
        growth[service] = rows
    return replace(problem, growth=growth)


def _staying(problem: Problem, options: Options) -> Ints:
    """[S, C] everything that runs, left where it is as far as its own rules let it; zeros for the rest."""
    stay = np.zeros_like(problem.current)
    runs, grows = problem.held(), problem.grows()
    plain = runs & ~options.listed & ~grows
    rows = np.flatnonzero(plain)
    places = problem.current[rows].argmax(axis=1)
    good = problem.allowed[rows, places]
    stay[rows[good], places[good]] = np.maximum(problem.replicas[rows[good]], 1)
    for service in np.flatnonzero(runs & ~plain).tolist():
        row = problem.current[service] if grows[service] else options.stay(service)
        if row is not None:
            stay[service] = row
    return stay


def _holds(state: State) -> bool:
    """Whether the whole placement keeps every limit."""
    room = np.where(np.isfinite(state.problem.capacity), state.problem.capacity * TOLERANCE, 0.0)
    if (state.slack + room < 0).any():
        return False
    if any(
        used > limit.max_usd_per_hour * (1 + TOLERANCE)
        for used, limit in zip(state.spent, state.problem.limits, strict=True)
    ):
        return False
    if not (state.problem.barrier >= 0).any():
        return True
    placed = np.flatnonzero(state.counts.any(axis=1) & ~state.problem.fixed).tolist()
    return all(bool(state.rows_unblocked(s, state.counts[s][None])[0]) for s in placed)

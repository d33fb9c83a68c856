"""A first placement, and room for those that found none: what runs stays, then the hardest to place goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.options import Options
from federation.planner.problem import TOLERANCE, Problem
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

CHAIN_DEPTH = 3
"""How many services may have to move on, one for another, so that one more finds room."""
CHAIN_PUTS = 4000
"""How many placements may be tried in all to find room."""
TRIED_OPTIONS = 8
"""How many of a service's options are tried by force."""


def construct(problem: Problem, options: Options) -> State:
    """A placement that breaks nothing. Tries the large first, then the small; keeps what leaves fewer out."""
    first = _construct(problem, options, largest_first=True)
    make_room(first)
    if not len(_unplaced(first)):
        return first
    second = _construct(problem, options, largest_first=False)
    make_room(second)
    return second if _left_out(second) < _left_out(first) else first


def _left_out(state: State) -> tuple[int, int]:
    """How many that run now, and how many in all, have no place."""
    out = ~state.counts.any(axis=1)
    return int((out & state.problem.held()).sum()), int(out.sum())


def _construct(problem: Problem, options: Options, *, largest_first: bool) -> State:
    state = State(problem, options)
    stay = _staying(problem, options)
    state.load(stay)
    if not _holds(state):
        state = State(problem, options)
        state.load(np.where(problem.fixed[:, None], stay, 0))
        for service in np.flatnonzero(stay.any(axis=1) & ~problem.fixed).tolist():
            row = stay[service][None]
            if _may(state, service, row):
                state.put(service, row[0])
    for service in _hardest_first(state, largest_first=largest_first):
        found = state.best(service)
        if found is not None:
            state.put(service, found[1])
    return state


def _staying(problem: Problem, options: Options) -> Ints:
    """[S, C] everything that runs, left where it is as far as its own rules let it; zeros for the rest."""
    stay = np.zeros_like(problem.current)
    runs = problem.held()
    plain = runs & ~options.listed
    rows = np.flatnonzero(plain)
    places = problem.current[rows].argmax(axis=1)
    good = problem.allowed[rows, places]
    stay[rows[good], places[good]] = np.maximum(problem.replicas[rows[good]], 1)
    for service in np.flatnonzero(runs & options.listed).tolist():
        row = options.stay(service)
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


def _may(state: State, service: int, row: Ints) -> bool:
    return bool(
        state.rows_fit(service, row)[0]
        and state.rows_unblocked(service, row)[0]
        and state.spend_allows(service, row[0])
    )


def _size(problem: Problem) -> Floats:
    """[S] the largest part of a finite capacity that the service takes."""
    finite = np.where(np.isfinite(problem.capacity), problem.capacity, 0.0).sum(axis=0)
    whole = problem.demand * np.maximum(problem.replicas, 1)[:, None]
    return np.asarray((whole / np.where(finite > 0, finite, np.inf)).max(axis=1, initial=0.0))


def _hardest_first(state: State, *, largest_first: bool) -> list[int]:
    problem = state.problem
    size = _size(problem)
    choices = problem.allowed.sum(axis=1)
    left = _unplaced(state)
    sign = -1.0 if largest_first else 1.0
    held = problem.held()
    return sorted(
        left.tolist(), key=lambda s: (not held[s], int(choices[s]) if largest_first else 0, sign * size[s], s)
    )


def _unplaced(state: State) -> Ints:
    """Services without a place that have an option at all."""
    problem = state.problem
    none = ~state.counts.any(axis=1) & ~problem.fixed
    return np.array([s for s in np.flatnonzero(none).tolist() if len(state.options.rows(s))], dtype=np.int64)


def make_room(state: State) -> int:
    """Move placed services on so that those left out find room; returns for how many that worked."""
    chain = _Chain(state)
    placed = 0
    for service in _hardest_first(state, largest_first=False):
        found = state.best(service)
        if found is not None:
            state.put(service, found[1])
            placed += 1
        elif chain.place(service, frozenset(), CHAIN_DEPTH):
            placed += 1
        chain.log.clear()
    return placed


class _Chain:
    """One service by force into a place, what stands in its way elsewhere, and so on; undone if it comes to nothing."""

    def __init__(self, state: State):
        self._state = state
        self._puts = CHAIN_PUTS
        self.log: list[tuple[int, Ints]] = []

    def place(self, service: int, standing: frozenset[int], depth: int) -> bool:
        """Whether the service found a place, those in `standing` left where they are."""
        state = self._state
        rows = state.options.rows(service)
        order = np.argsort(state.option_costs(service, rows), kind="stable")[:TRIED_OPTIONS]
        for row in rows[order]:
            mark = len(self.log)
            if self._force(service, row, standing | {service}, depth):
                return True
            self._undo(mark)
        return False

    def _force(self, service: int, row: Ints, standing: frozenset[int], depth: int) -> bool:
        state = self._state
        victims = self._limited(service, row)
        if any(v in standing or state.problem.fixed[v] for v in victims):
            return False
        for victim in victims:
            self._put(victim, np.zeros_like(row))
        short = self._short(service, row)
        while short.any():
            leaving = self._cheapest_victim(short, standing)
            if leaving is None or self._puts <= 0:
                return False
            self._put(leaving, np.zeros_like(row))
            victims.append(leaving)
            short = self._short(service, row)
        if not _may(state, service, row[None]):
            return False
        self._put(service, row)
        return all(self._replace(victim, standing, depth) for victim in victims)

    def _replace(self, victim: int, standing: frozenset[int], depth: int) -> bool:
        found = self._state.best(victim)
        if found is not None:
            self._put(victim, found[1])
            return True
        return depth > 1 and self._puts > 0 and self.place(victim, standing, depth - 1)

    def _limited(self, service: int, row: Ints) -> list[int]:
        """The neighbours whose place does not go together with this one."""
        state = self._state
        if state.rows_unblocked(service, row[None])[0]:
            return []
        result = []
        for other in state.neighbours(service):
            if not state.placed(other) or other == service:
                continue
            there = state.counts[other].copy()
            state.put(service, row)
            bad = not state.rows_unblocked(other, there[None])[0]
            state.put(service, np.zeros_like(row))
            if bad:
                result.append(other)
        return result

    def _short(self, service: int, row: Ints) -> Floats:
        """[C, R] what is missing for the row."""
        problem = self._state.problem
        room = np.where(np.isfinite(problem.capacity), problem.capacity * TOLERANCE, 0.0)
        need = row[:, None] * problem.demand[service]
        return np.where(need > 0, np.maximum(need - self._state.slack - room, 0.0), 0.0)

    def _cheapest_victim(self, short: Floats, standing: frozenset[int]) -> int | None:
        """Who leaves: the one that alone makes the room at least loss, else the one that loses least for the room."""
        state = self._state
        problem = state.problem
        place = int(np.flatnonzero(short.any(axis=1))[0])
        there = np.flatnonzero((state.counts[:, place] > 0) & ~problem.fixed)
        there = np.array([s for s in there.tolist() if s not in standing], dtype=np.int64)
        gives = state.counts[there, place][:, None] * problem.demand[there]
        part = np.where(short[place] > 0, np.minimum(gives, short[place]) / np.maximum(short[place], 1e-300), 0.0)
        helps = part.max(axis=1, initial=0.0) > 0
        there, gives, part = there[helps], gives[helps], part[helps]
        if not len(there):
            return None
        alone = (gives >= short[place]).all(axis=1)
        loss = self._loss(there, place)
        gone = ~np.isfinite(loss)
        cost = np.where(gone, 0.0, loss)
        rank = np.where(alone, cost, cost / np.maximum(part.sum(axis=1), 1e-12))
        return int(there[np.lexsort((there, gives.sum(axis=1), rank, ~alone, gone))[0]])

    def _loss(self, services: Ints, place: int) -> Floats:
        """[n] what each would lose by its best other place; infinite where it finds none at once."""
        state = self._state
        good: Bools = state.problem.allowed[services] & (state.blocked[services] == 0) & state.fits(services)
        good[:, place] = False
        there = np.where(good, state.cost_at[services], np.inf).min(axis=1)
        return np.asarray(there - state.cost_at[services, place])

    def _put(self, service: int, row: Ints) -> None:
        self.log.append((service, self._state.counts[service].copy()))
        self._state.put(service, row)
        self._puts -= 1

    def _undo(self, mark: int) -> None:
        while len(self.log) > mark:
            service, row = self.log.pop()
            self._state.put(service, row)

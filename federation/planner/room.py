"""Room for those that found none: others move on, and where that is not enough, less important ones give up theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.problem import TOLERANCE, Problem
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

CHAIN_DEPTH = 3
"""How many services may have to move on, one for another, so that one more finds room."""
CHAIN_PUTS = 4000
"""How many placements may be tried in all to find room."""
NEAR_PER_PUT = 8
"""How many looks at a neighbour count as one placement."""
TRIED_OPTIONS = 8
"""How many of a service's options are tried by force."""


def may(state: State, service: int, row: Ints) -> bool:
    """Whether the service may take that row [1, C] of counts now, all others where they are."""
    return bool(
        state.rows_fit(service, row)[0]
        and state.rows_unblocked(service, row)[0]
        and state.spend_allows(service, row[0])
    )


def lacking(state: State) -> Bools:
    """[S] services that have not all their replicas placed, though there is an option for them at all."""
    problem = state.problem
    short = (state.counts.sum(axis=1) < np.maximum(problem.replicas, 1)) & ~problem.fixed
    for service in np.flatnonzero(short).tolist():
        short[service] = state.options.count(service) > 0
    return np.asarray(short)


def hardest_first(state: State, services: Ints, *, largest_first: bool) -> list[int]:
    """Services of one class in the order in which they are best placed."""
    problem = state.problem
    size = _size(problem)
    choices = problem.allowed.sum(axis=1)
    sign = -1.0 if largest_first else 1.0
    return sorted(services.tolist(), key=lambda s: (int(choices[s]) if largest_first else 0, sign * size[s], s))


def _size(problem: Problem) -> Floats:
    """[S] the largest part of a finite capacity that the service takes."""
    finite = np.where(np.isfinite(problem.capacity), problem.capacity, 0.0).sum(axis=0)
    whole = problem.demand * np.maximum(problem.replicas, 1)[:, None]
    return np.asarray((whole / np.where(finite > 0, finite, np.inf)).max(axis=1, initial=0.0))


def make_room(state: State, puts: int = CHAIN_PUTS) -> int:
    """Move placed services on so that those left out find room, the first class first; where that does not do, those
    of later classes give up their place. Returns for how many that worked; nothing of an earlier class, and nothing
    that runs and may stay, loses its place for it. Tries no more than so many placements by force."""
    asking = state.problem.classes[1]
    chain = _Chain(state, puts)
    placed = 0
    for each in np.unique(asking).tolist() if lacking(state).any() else ():
        for yielding in (False, True):
            left = np.flatnonzero(lacking(state) & (asking == each))
            for service in hardest_first(state, left, largest_first=False):
                placed += chain.find(service, yielding=yielding)
    # Who gave up its place may still find another one.
    for service in np.flatnonzero(lacking(state)).tolist() if chain.evicted else ():
        placed += chain.find(service, yielding=False)
    return placed


class _Chain:
    """One service by force into a place, what stands in its way elsewhere, and so on; undone if it comes to nothing.

    Yielding, those of a later class than the first service's need not find another place."""

    def __init__(self, state: State, puts: int):
        self._state = state
        self._puts = puts
        self._classes, self._asking = state.problem.classes
        self._yields: Bools = np.zeros(len(self._classes), dtype=bool)
        self.log: list[tuple[int, Ints]] = []
        self.evicted = False

    def find(self, service: int, *, yielding: bool) -> bool:
        """Whether the service got a place, by right or by force."""
        found = self._state.best(service)
        if found is not None:
            self._state.put(service, found[1])
            return True
        self._yields = (self._classes > self._asking[service]) & yielding
        if yielding and not (self._yields & self._state.counts.any(axis=1)).any():
            return False
        self.log.clear()
        before = self._state.counts[service].copy()
        if before.any():
            self._put(service, np.zeros_like(before))
        done = self.place(service, frozenset(), 1 if yielding else CHAIN_DEPTH)
        if not done:
            self._undo(0)
        self.log.clear()
        return done

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
        self._puts -= 1
        if self._puts <= 0:
            return False
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
        if not may(state, service, row[None]):
            return False
        self._put(service, row)
        return all(self._replace(victim, standing, depth) or self._gives_up(victim) for victim in victims)

    def _gives_up(self, victim: int) -> bool:
        yields = bool(self._yields[victim])
        self.evicted = self.evicted or yields
        return yields

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
        near = [other for other in state.neighbours(service) if state.placed(other) and other != service]
        state.put(service, row)
        result = [other for other in near if not state.rows_unblocked(other, state.counts[other][None])[0]]
        state.put(service, np.zeros_like(row))
        self._puts -= len(near) // NEAR_PER_PUT
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
        if self._yields.any():
            there = there[self._yields[there]]
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
        least = -self._classes[there] * self._yields[there]
        return int(there[np.lexsort((there, gives.sum(axis=1), rank, ~alone, gone, least))[0]])

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

"""Planning again after a change: what it touches, and a search around that only.

A plan that no single step improves stays so where nothing is new. New is a service that lost its place, or for which
some other place became cheaper beside its own, and whoever calls it or is called by it; and a place that has more room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.bound import star_bound
from federation.planner.exact import solve_group
from federation.planner.problem import TOLERANCE, Problem
from federation.planner.search import exchanges, moves
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

MOST_TOUCHED = 0.3
"""Beyond this part of all services a search everywhere is as good."""
ROUNDS = 5
HOODS = 200
HOOD_SERVICES, HOOD_NODES = 6, 200
"""How many small neighbourhoods are solved exactly, of how many services, looking at how much."""


def touched(before: Problem, counts: Ints, now: Problem) -> Bools | None:
    """[S] for which services of `now` something is new, beside the problem `before` and the placement made for it.

    None when everything may be: other services, places or prices of calls, another order of who gives way, or too many
    touched."""
    if before.shape != now.shape or before.price.shape != now.price.shape or not _same_calls(before, now):
        return None
    if now.limits or before.limits or now.ranks is not None or before.ranks is not None:
        return None
    if not np.array_equal(before.classes[1], now.classes[1]) and not counts.any(axis=1).all():
        return None  # Who has no place may have one now, at another's cost.
    new = (before.replicas != now.replicas) | (before.fixed != now.fixed) | (before.demand != now.demand).any(axis=1)
    new |= (now.current != counts).any(axis=1) | (now.allowed & ~before.allowed).any(axis=1)
    new |= ((counts > 0) & ~now.allowed).any(axis=1)
    change = now.unary - before.unary
    here = (change * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    best = np.where(now.allowed, change, np.inf).min(axis=1, initial=np.inf)
    new |= best < here - TOLERANCE * (1.0 + np.abs(here))
    for service in before.spread.keys() | now.spread.keys():
        new[service] |= _rules(before, service) != _rules(now, service)
    other = (before.weight != now.weight).any(axis=0) | (before.barrier != now.barrier)
    new[now.caller[other]] = True
    new[now.callee[other]] = True
    return None if new.mean() > MOST_TOUCHED else new


def _same_calls(before: Problem, now: Problem) -> bool:
    pairs = ((before.caller, now.caller), (before.callee, now.callee), (before.price, now.price))
    same = all(a.shape == b.shape and bool((a == b).all()) for a, b in pairs)
    return same and before.forbidden.shape == now.forbidden.shape and bool((before.forbidden == now.forbidden).all())


def _rules(problem: Problem, service: int) -> list[tuple[object, ...]]:
    rules = problem.spread.get(service, ())
    return [(r.topology, r.min_domains, r.max_share, r.domain.tobytes()) for r in rules]


def improve_near(state: State, new: Bools, before: Problem) -> None:
    """Search until nothing around the new services, or into places with more room than before, saves anything."""
    problem = state.problem
    near = new | (state.counts != problem.current).any(axis=1)
    roomier = _roomier(state, before)
    for _ in range(ROUNDS):
        scope = _with_neighbours(problem, near)
        changed = moves(state, scope)
        freed = roomier | (state.counts < problem.current).any(axis=0)
        places = np.flatnonzero(freed & np.isfinite(problem.capacity).any(axis=1))
        if len(places):
            changed += exchanges(state, places)
        changed += _hoods(state, np.flatnonzero(near)[:HOODS].tolist())
        if not changed:
            return
        near = state.touched.copy()
        roomier[:] = False


def _roomier(state: State, before: Problem) -> Bools:
    """[C] places that offer more than they did, or of which less is asked."""
    less = (state.problem.demand < before.demand).any(axis=1) | (state.problem.replicas < before.replicas)
    more = (state.problem.capacity > before.capacity).any(axis=1)
    return np.asarray(more | (state.counts[less] > 0).any(axis=0))


def _with_neighbours(problem: Problem, near: Bools) -> Bools:
    found = near.copy()
    found[problem.callee[near[problem.caller]]] = True
    found[problem.caller[near[problem.callee]]] = True
    return found


def _hoods(state: State, services: list[int]) -> int:
    """The services with some of their neighbours, solved exactly one by one; how many that improved."""
    improved = 0
    for service in services:
        if state.placed(service):
            hood = [service, *state.neighbours(service)[: HOOD_SERVICES - 1]]
            hood = [each for each in hood if state.placed(each)]
            improved += solve_group(state, hood, HOOD_NODES).improved
    return improved


def least_again(state: State, new: Bools, before: Problem, least: Floats) -> Floats:
    """[S] the `star_bound` of a placement, looked at anew only where it may be another than `least`, that of the
    placement before."""
    problem = state.problem
    other = new | (problem.unary != before.unary).any(axis=1) | ~state.counts.any(axis=1)
    scope = _with_neighbours(problem, other)
    return np.where(scope, star_bound(state, scope), least)

"""Planning again after a change looks only at what is new, and what it says holds as if it had looked at everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planning import SEEDS, judge, random_problem

from federation.planner.near import touched
from federation.planner.options import Options
from federation.planner.problem import Problem
from federation.planner.solve import Solution, solve
from federation.planner.state import State


def standing(seed: int, services: int = 13, places: int = 4) -> tuple[Problem, Solution]:
    """A problem whose plan runs already, and its solution."""
    problem = replace(random_problem(seed, services, places), limits=())
    settled = replace(problem, current=solve(problem, certify=False).counts)
    for _ in range(5):
        solution = solve(settled, certify=False)
        if (solution.counts == settled.current).all():
            return settled, solution
        settled = replace(settled, current=solution.counts)
    assume(False)
    raise AssertionError


def objective(problem: Problem, counts: np.ndarray) -> float:
    state = State(problem, Options(problem))
    state.load(counts)
    return state.objective()


def changed(problem: Problem, seed: int, kind: str) -> Problem:
    draw = np.random.default_rng(seed)
    service, place = int(draw.integers(problem.shape[0])), int(draw.integers(problem.shape[1]))
    if kind == "dearer":
        unary = problem.unary.copy()
        unary[service] *= draw.uniform(0.3, 3.0, problem.shape[1])
        return replace(problem, unary=unary)
    if kind == "larger":
        demand = problem.demand.copy()
        demand[service] *= draw.uniform(0.2, 3.0)
        return replace(problem, demand=demand)
    if kind == "lost":
        allowed = problem.allowed.copy()
        allowed[:, place] = False
        return replace(problem, allowed=allowed)
    if kind == "room":
        capacity = problem.capacity.copy()
        capacity[place] *= draw.uniform(0.7, 1.5)
        return replace(problem, capacity=capacity)
    weight = problem.weight.copy()
    if weight.shape[1]:
        weight[:, int(draw.integers(weight.shape[1]))] *= draw.uniform(0.0, 5.0)
    return replace(problem, weight=weight)


KINDS = st.sampled_from(("dearer", "larger", "lost", "room", "calls"))


@given(SEEDS, KINDS)
@settings(max_examples=20)
def test_it_breaks_nothing_and_its_bound_holds(seed: int, kind: str) -> None:
    problem, before = standing(seed)
    now = changed(problem, seed, kind)
    again = solve(now, certify=False, after=before)
    cost = judge(now, again.counts)
    assert cost is not None
    assert again.bound_usd_per_hour <= cost + 1e-9
    moving = ~now.fixed
    assert not (again.counts[moving] > 0)[~now.allowed[moving]].any()
    placed = again.counts.sum(axis=1)
    assert set(np.flatnonzero(placed != now.replicas)) == set(np.flatnonzero(placed == 0))


@given(SEEDS, KINDS)
@settings(max_examples=20)
def test_what_moves_pays(seed: int, kind: str) -> None:
    """Beside leaving everything where it is, where that is possible at all."""
    problem, before = standing(seed)
    now = changed(problem, seed, kind)
    again = solve(now, certify=False, after=before)
    runs = (before.counts > 0).any(axis=1)
    legal = not ((before.counts > 0) & ~now.allowed).any() and judge(now, before.counts) is not None
    assume(legal and runs.all())
    assert objective(now, again.counts) <= objective(now, before.counts) + 1e-9


@given(SEEDS)
@settings(max_examples=20)
def test_where_nothing_is_new_nothing_moves(seed: int) -> None:
    problem, before = standing(seed)
    again = solve(problem, certify=False, after=before)
    assert (again.counts == before.counts).all()


@given(SEEDS, KINDS)
@settings(max_examples=20)
def test_leaving_out_nobody_more_than_a_search_everywhere(seed: int, kind: str) -> None:
    problem, before = standing(seed)
    now = changed(problem, seed, kind)
    near, everywhere = solve(now, certify=False, after=before), solve(now, certify=False)
    assume((everywhere.counts.sum(axis=1) > 0).all())
    assert (near.counts.sum(axis=1) > 0).all()


def test_what_is_new() -> None:
    problem, before = standing(7)
    fresh = touched(problem, before.counts, problem)
    assert fresh is not None
    assert not fresh.any()
    torn = (problem.allowed.sum(axis=1) > 1) & ((before.counts > 0).sum(axis=1) == 1) & ~problem.fixed
    service = int(np.flatnonzero(torn)[0])
    unary = problem.unary.copy()
    unary[service, before.counts[service].argmax()] += 1.0
    fresh = touched(problem, before.counts, replace(problem, unary=unary))
    assert fresh is not None
    assert np.flatnonzero(fresh).tolist() == [service]
    assert touched(problem, before.counts, replace(problem, price=problem.price * 2.0)) is None

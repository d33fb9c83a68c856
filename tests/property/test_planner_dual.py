"""The dual's bound holds for every placement, and is near the cost of good ones."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planning import PROBLEMS, SEEDS, brute_force, judge, random_problem

from federation.app import plan_request
from federation.planner.dual import dual_bound
from federation.planner.labels import Labels
from federation.planner.messages import Messages, colours
from federation.planner.options import Options
from federation.planner.problem import Problem
from federation.planner.solve import solve
from federation.planner.state import State

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from fleets import fleet


def placed(problem: Problem, counts: np.ndarray) -> State:
    state = State(problem, Options(problem))
    state.load(counts)
    return state


@given(SEEDS, st.booleans(), st.booleans())
@settings(max_examples=40)
def test_the_bound_is_below_the_best_of_all_placements(seed: int, scarce: bool, hard: bool) -> None:
    problem = random_problem(seed, 5, 3, scarce=scarce, hard=hard)
    out, best = brute_force(problem)
    assume(out == 0)
    bound = dual_bound(placed(problem, solve(problem, certify=False).counts))
    assert 0.0 <= bound <= best + 1e-9


@given(PROBLEMS)
@settings(max_examples=60)
def test_the_bound_is_below_the_cost_of_the_plan(problem: Problem) -> None:
    counts = solve(problem, certify=False).counts
    cost = judge(problem, counts)
    assert cost is not None
    assert dual_bound(placed(problem, counts)) <= cost + 1e-9


@given(SEEDS)
@settings(max_examples=20)
def test_any_messages_and_prices_bound_from_below(seed: int) -> None:
    """However bad they are: that is what makes rounding in them harmless."""
    problem = random_problem(seed, 12, 4)
    counts = solve(problem, certify=False).counts
    cost = judge(problem, counts)
    labels, draw = Labels(placed(problem, counts)), np.random.default_rng(seed)
    messages = Messages(labels)
    messages.price = draw.uniform(0.0, 0.1, len(labels.capacity))
    for given_ in messages.given:
        for vector in given_:
            vector += draw.normal(0.0, 0.05, vector.shape)
    assert cost is not None
    assert messages.bound() <= cost + 1e-9
    before = messages.bound()
    messages.sweep()
    assert messages.bound() >= before - 1e-9


@given(PROBLEMS)
@settings(max_examples=20)
def test_the_order_of_services_is_no_matter_to_its_truth(problem: Problem) -> None:
    """Turned around it may be a little tighter or looser, and holds all the same."""
    turn = np.arange(len(problem.replicas))[::-1]
    where = np.argsort(turn)
    turned = replace(
        problem,
        replicas=problem.replicas[turn],
        demand=problem.demand[turn],
        allowed=problem.allowed[turn],
        unary=problem.unary[turn],
        caller=where[problem.caller],
        callee=where[problem.callee],
        current=problem.current[turn],
        fixed=problem.fixed[turn],
        spread={int(where[service]): rules for service, rules in problem.spread.items()},
        limits=(),
    )
    counts = solve(replace(problem, limits=()), certify=False).counts
    cost = judge(replace(problem, limits=()), counts)
    assert cost is not None
    assert dual_bound(placed(turned, counts[turn])) <= cost + 1e-9


@pytest.mark.parametrize(("scarce", "spread", "most"), [(False, False, 0.005), (True, False, 0.05), (True, True, 0.05)])
def test_plans_of_fleets_are_certified(scarce: bool, spread: bool, most: float) -> None:
    problem = plan_request(fleet(144, 14, 0, scarce=scarce, spread=spread), 1.8e9).problem
    quick, thorough = solve(problem, certify=False), solve(problem)
    assert (quick.counts == thorough.counts).all()
    cost = judge(problem, thorough.counts)
    assert cost is not None
    assert thorough.bound_usd_per_hour >= quick.bound_usd_per_hour
    assert (cost - thorough.bound_usd_per_hour) / thorough.bound_usd_per_hour <= most


@given(SEEDS, st.integers(1, 30), st.integers(0, 60))
def test_pairs_have_two_colours(seed: int, nodes: int, pairs: int) -> None:
    draw = np.random.default_rng(seed)
    first, second = draw.integers(0, nodes, pairs), draw.integers(0, nodes, pairs)
    first, second = first[first != second], second[first != second]
    number = colours(nodes, first, second)
    assert (number[first] != number[second]).all()
    assert len(number) == nodes
    assert (number >= 0).all()

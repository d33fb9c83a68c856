"""Prices' bounds hold for every placement, and are near the cost of good ones; their plans break nothing."""

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
from federation.planner.options import Options
from federation.planner.prices import choices, stars
from federation.planner.prices.choices import Nodes, choose, near_costs, placeable
from federation.planner.prices.full import Full
from federation.planner.prices.messages import Messages
from federation.planner.prices.network import Network
from federation.planner.prices.order import colours, levels
from federation.planner.prices.plan import Prices
from federation.planner.problem import Problem
from federation.planner.solve import solve
from federation.planner.state import State

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from fleets import fleet

FEW = pytest.mark.parametrize("few", [False, True])
"""Whether only a few choices of every service are looked at before all of them are."""


@pytest.fixture
def short_sighted(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if few:
        for module, name, value in (
            (choices, "FEW", 0), (choices, "FREE_PLACES", 1), (choices, "SCARCE_PLACES", 2), (choices, "OPTIONS", 2),
            (stars, "EXACT", 2), (stars, "MOST_EXACT", 2), (stars, "MOST_CLOSE", 4), (stars, "TELLING", 1),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, value)


def placed(problem: Problem, counts: np.ndarray) -> State:
    state = State(problem, Options(problem))
    state.load(counts)
    return state


def bound(problem: Problem, counts: np.ndarray) -> float:
    state = placed(problem, counts)
    return Prices(problem, state.options).bound(state, np.inf)


@FEW
@pytest.mark.usefixtures("short_sighted")
class TestBounds:
    @given(SEEDS, st.booleans(), st.booleans())
    @settings(max_examples=40)
    def test_they_are_below_the_best_of_all_placements(self, seed: int, scarce: bool, hard: bool) -> None:
        problem = random_problem(seed, 5, 3, scarce=scarce, hard=hard)
        out, best = brute_force(problem)
        assume(out == 0)
        assert bound(problem, solve(problem, certify=False).counts) <= best + 1e-9

    @given(PROBLEMS)
    @settings(max_examples=60)
    def test_they_are_below_the_cost_of_the_plan(self, problem: Problem) -> None:
        counts = solve(problem, certify=False).counts
        cost = judge(problem, counts)
        assert cost is not None
        assert bound(problem, counts) <= cost + 1e-9

    @given(SEEDS)
    @settings(max_examples=20)
    def test_any_messages_and_prices_bound_from_below(self, seed: int) -> None:
        """However bad they are: that is what makes rounding in them harmless."""
        problem = random_problem(seed, 12, 4)
        counts = solve(problem, certify=False).counts
        cost = judge(problem, counts)
        state, draw = placed(problem, counts), np.random.default_rng(seed)
        nodes = Nodes(state, np.flatnonzero(counts.sum(axis=1) == np.maximum(problem.replicas, 1)))
        network = Network(nodes, *choose(nodes, near_costs(nodes)), chained=bool(seed % 2))
        messages = Messages(network, draw.uniform(0.0, 0.1, network.capacity.shape))
        for group in network.groups:
            group.given += draw.normal(0.0, 0.05, group.given.shape).astype(np.float32)
        assert cost is not None
        if network.complete:
            assert messages.bound() <= cost + 1e-6
            before = messages.bound()
            messages.sweep()
            assert messages.bound() >= before - 1e-5
        full = Full(messages)
        for _ in range(3):
            assert full.bound() <= cost + 1e-6
            full.sweep()

    @given(PROBLEMS)
    @settings(max_examples=20)
    def test_the_order_of_services_is_no_matter_to_their_truth(self, problem: Problem) -> None:
        """Turned around they may be a little tighter or looser, and hold all the same."""
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
        assert bound(turned, counts[turn]) <= cost + 1e-9


@given(PROBLEMS)
@settings(max_examples=60)
def test_plans_from_prices_break_nothing(problem: Problem) -> None:
    problem = replace(problem, limits=())
    state = Prices(problem, Options(problem)).plan()
    assert judge(problem, state.counts) is not None
    moving = ~problem.fixed
    assert not (state.counts[moving] > 0)[~problem.allowed[moving]].any()


@pytest.mark.parametrize(
    ("scarce", "spread", "most"), [(False, False, 0.001), (True, False, 0.008), (True, True, 0.015)]
)
def test_plans_of_fleets_are_certified(scarce: bool, spread: bool, most: float) -> None:
    problem = plan_request(fleet(144, 14, 0, scarce=scarce, spread=spread), 1.8e9).problem
    thorough = solve(problem)
    cost = judge(problem, thorough.counts)
    assert cost is not None
    assert (cost - thorough.bound_usd_per_hour) / thorough.bound_usd_per_hour <= most


@given(PROBLEMS)
def test_services_worked_on_together_do_not_call_each_other(problem: Problem) -> None:
    state = State(problem, Options(problem))
    nodes = Nodes(state, placeable(state))
    for numbers in (colours(nodes), levels(nodes)):
        assert (numbers[nodes.pairs.first] != numbers[nodes.pairs.second]).all()
        assert (numbers >= 0).all()

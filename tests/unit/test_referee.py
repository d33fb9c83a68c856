"""The referee of the planner is right: it finds what trying every combination finds, and says when there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import SEEDS, brute_force, judge, placeable, random_problem, with_every_limit
from referee import referee, relaxation

from federation.planner.options import Options
from federation.planner.problem import Problem

FEW = st.builds(
    random_problem,
    SEEDS,
    st.integers(1, 5),
    st.integers(1, 4),
    scarce=st.booleans(),
    spread=st.booleans(),
    hard=st.booleans(),
    running=st.booleans(),
)
PAIR_TABLES = st.sampled_from([0, 30, 4000])
"""Calls by places where a divided service is an end, by options where there are few of these, by options."""


def agrees(problem: Problem, pair_table: int) -> None:
    out, best = brute_force(problem)
    verdict = referee(problem, pair_table=pair_table)
    if out:
        assert verdict.status == "infeasible"
        assert verdict.counts is None
        return
    assert verdict.status == "optimal"
    assert verdict.counts is not None
    assert judge(problem, verdict.counts) == verdict.usd_per_hour == pytest.approx(best, abs=1e-7)
    assert verdict.bound_usd_per_hour <= best + 1e-7
    assert relaxation(problem, pair_table=pair_table) <= best + 1e-7


@given(FEW, PAIR_TABLES)
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_trying_everything(problem: Problem, pair_table: int) -> None:
    agrees(problem, pair_table)


@given(SEEDS, PAIR_TABLES)
@settings(max_examples=30, deadline=None)
def test_it_agrees_where_services_are_tied_and_money_is_short(seed: int, pair_table: int) -> None:
    agrees(with_every_limit(placeable(random_problem(seed, 5, 3, scarce=seed % 2 == 0)), seed), pair_table)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_what_is_fixed_stays_and_a_call_to_itself_counts(seed: int) -> None:
    problem = random_problem(seed, 5, 3, running=True)
    caller, callee = problem.caller.copy(), problem.callee.copy()
    callee[:1] = caller[:1]
    agrees(replace(problem, caller=caller, callee=callee, fixed=problem.held()), 4000)


def test_time_that_is_up_is_said() -> None:
    problem = placeable(random_problem(7, 40, 8, hard=False))
    verdict = referee(problem, time_limit_s=1e-9)
    assert verdict.status in ("feasible", "unknown")
    assert (verdict.counts is None) == (verdict.usd_per_hour is None)


def test_nobody_costs_nothing() -> None:
    problem = random_problem(0, 3, 2, spread=False, hard=False)
    nobody = placeable(replace(problem, allowed=np.zeros_like(problem.allowed)))
    verdict = referee(nobody)
    assert (verdict.status, verdict.usd_per_hour, relaxation(nobody)) == ("optimal", 0.0, 0.0)


def test_problems_with_preferences_are_refused() -> None:
    problem = random_problem(0, 3, 2)
    with pytest.raises(ValueError, match="orders of preference"):
        referee(replace(problem, ranks=np.zeros(problem.shape, dtype=np.int64)))


@given(FEW)
@settings(max_examples=30, deadline=None)
def test_the_placeable_are_those_that_have_an_option(problem: Problem) -> None:
    kept = placeable(problem)
    options, before = Options(kept), Options(problem)
    assert all(options.count(service) for service in range(kept.shape[0]))
    assert kept.shape[0] == sum(before.count(service) > 0 for service in range(problem.shape[0]))

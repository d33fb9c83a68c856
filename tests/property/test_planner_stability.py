"""What must never happen to what runs, and who gets room first: for any problem."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import judge, random_problem

from federation.planner.options import Options
from federation.planner.solve import solve
from federation.planner.state import State

SEEDS = st.integers(0, 2**32 - 1)
PROBLEMS = st.builds(
    random_problem,
    SEEDS,
    st.integers(1, 14),
    st.integers(1, 5),
    scarce=st.booleans(),
    spread=st.booleans(),
    hard=st.booleans(),
    running=st.booleans(),
)


def important(problem, seed):
    drawn = np.random.default_rng(seed).integers(-1, 3, problem.shape[0])
    return dataclasses.replace(problem, importance=drawn)


@given(PROBLEMS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_room_is_for_the_important_first(problem, seed):
    problem = important(problem, seed)
    counts = solve(problem).counts
    assert judge(problem, counts) is not None
    places, asking = problem.classes
    if problem.limits:
        return
    for service in np.flatnonzero(~counts.any(axis=1) & ~problem.fixed):
        if service in problem.spread:
            continue
        left = np.where((places > asking[service])[:, None], 0, counts)
        state = State(problem, Options(problem))
        state.load(left)
        assert state.best(int(service)) is None


@given(PROBLEMS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_nothing_that_runs_and_may_stay_is_left_out_for_anything(problem, seed):
    current = solve(problem).counts
    draw = np.random.default_rng(seed)
    # Half of it is new now, and a whole sub-cluster is gone: those that lost their place compete with the new ones.
    current[draw.random(len(current)) < 0.5] = 0
    allowed = problem.allowed.copy()
    allowed[:, draw.integers(problem.shape[1])] = False
    after = important(dataclasses.replace(problem, current=current, allowed=allowed), seed)
    counts = solve(after).counts
    stands = after.stands()
    assert (counts[stands].sum(axis=1) == problem.replicas[stands]).all()
    assert judge(after, counts) is not None


@given(PROBLEMS, SEEDS, st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_scaling_up_only_adds_and_takes_nothing_away_elsewhere(problem, seed, more):
    current = solve(problem).counts
    grown = np.random.default_rng(seed).random(len(current)) < 0.4
    replicas = problem.replicas + np.where(grown, more, 0)
    after = dataclasses.replace(problem, current=current, replicas=replicas)
    counts = solve(after).counts
    assert judge(after, counts) is not None
    runs = current.any(axis=1)
    assert (counts[runs].sum(axis=1) >= current[runs].sum(axis=1)).all()
    for service in np.flatnonzero(runs & grown):
        added = counts[service] - current[service]
        rules = problem.spread.get(int(service), ())
        if not rules:
            assert (added >= 0).all()
            assert (added > 0).sum() <= 1
        elif counts[service].sum() == replicas[service]:
            assert all(rule.holds(counts[service][None])[0] for rule in rules)
    full = counts.sum(axis=1)
    assert ((full == replicas) | (full == 0) | ((counts == current).all(axis=1) & grown)).all()


@given(SEEDS, st.integers(1, 14), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_scaling_down_leaves_nobody_out(seed, services, subclusters, fewer):
    problem = random_problem(seed, services, subclusters, spread=False)
    current = solve(problem).counts
    replicas = np.maximum(problem.replicas - fewer, 1)
    counts = solve(dataclasses.replace(problem, current=current, replicas=replicas)).counts
    runs = current.any(axis=1)
    assert (counts[runs].sum(axis=1) == replicas[runs]).all()

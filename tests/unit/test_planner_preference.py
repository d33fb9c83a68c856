"""Preferences: the first group that has room and is allowed, whatever it costs; down the list and back up."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import judge, placement, planned, policy, random_problem, request, service, subcluster, where
from pydantic import ValidationError

from federation.model.meta import Key
from federation.planner.decide import Judgement, decide
from federation.planner.solve import solve
from policies.prefer import PreferSection

WEB = Key("shop", "web")
ONPREM = {"matchLabels": {"tier": "onprem"}}
PUBLIC = {"matchLabels": {"tier": "public"}}
PREFER = policy("order", prefer=[ONPREM, PUBLIC])


def place(name, tier, price, **more):
    made = subcluster(name, "gce", "europe-west1", price=(price, 0.0), **more)
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"labels": {"tier": tier}})})


HOME = place("home", "onprem", 0.05, capacity={"cpu": "2"})
CLOUD = place("cloud", "public", 0.02)
OTHER = place("other", "public", 0.03)
ODD = place("odd", "odd", 0.001)
FLEET = [HOME, CLOUD, OTHER, ODD]


def test_the_order_counts_before_the_price_and_costs_stay_money():
    plan = decide(request([service("web", cpu="1")], [PREFER], FLEET))
    assert where(plan, "web") == {"home": 1}
    assert plan.total_usd_per_hour == plan.bound_usd_per_hour == 0.05
    assert planned(plan, "web").reasons == (
        "home: 0.050 compute; next best cloud: 0.020 (-0.030: -0.030 compute), 2nd choice",
        "preferred: 1st choice",
    )


@pytest.mark.parametrize(
    ("fleet", "expected", "said"),
    [
        ([HOME, CLOUD, OTHER, ODD], "cloud", "preferred: 2nd choice, 1st is full"),
        ([CLOUD, OTHER, ODD], "cloud", "preferred: 2nd choice, 1st matches no sub-cluster"),
        ([HOME, ODD], "odd", "preferred: 3rd choice, 1st is full, 2nd matches no sub-cluster"),
        ([place("home", "onprem", 0.1, unschedulable=True), CLOUD], "cloud", "preferred: 2nd choice, 1st is cordoned"),
        ([place("home", "onprem", 0.1, drain={}), CLOUD], "cloud", "preferred: 2nd choice, 1st is being drained"),
        (
            [place("home", "onprem", 0.1, taints=[{"key": "x", "effect": "NoSchedule"}]), CLOUD],
            "cloud",
            "preferred: 2nd choice, 1st is denied",
        ),
    ],
)
def test_failover_goes_down_the_list(fleet, expected, said):
    plan = decide(request([service("web", 3, cpu="1")], [PREFER], fleet))
    assert where(plan, "web") == {expected: 3}
    assert said in planned(plan, "web").reasons


def test_and_back_up_when_there_is_room_again():
    running = {WEB: placement("web", cloud=2)}
    judgement = Judgement(request([service("web", 2, cpu="1")], [PREFER], FLEET, placements=running))
    assert where(judgement.plan, "web") == {"home": 2}
    assert [judgement.rank(WEB, name) for name in ("home", "cloud", "other", "odd", "nowhere")] == [0, 1, 1, 2, 0]
    assert judgement.rank(Key("shop", "unknown"), "home") == 0
    assert judgement.stands(WEB)


def test_a_preference_pushes_nothing_out_that_runs():
    running = {WEB: placement("web", home=2), Key("shop", "api"): placement("api", cloud=1)}
    services = [service("web", 2, cpu="1"), service("api", cpu="1", labels={"app": "api"}), service("new", cpu="1")]
    only = policy("order", prefer=[ONPREM], selector={"app": "api"})
    plan = decide(request(services, [only], [HOME, place("cloud", "public", 0.05)], placements=running))
    assert (where(plan, "web"), where(plan, "api")) == ({"home": 2}, {"cloud": 1})
    plan = decide(request(services, [PREFER], FLEET, placements=running))
    assert [where(plan, name) for name in ("web", "api", "new")] == [{"home": 2}, {"cloud": 1}, {"cloud": 1}]


def test_who_competes_for_the_first_choice_is_settled_by_money():
    fleet = [place("home", "onprem", 0.05, capacity={"cpu": "3"}), place("cloud", "public", 0.2)]
    plan = decide(request([service("a", cpu="1"), service("b", cpu="3")], [PREFER], fleet))
    assert (where(plan, "a"), where(plan, "b")) == ({"cloud": 1}, {"home": 1})


def test_a_pinned_service_says_its_choice_and_nothing_of_the_others():
    running = {WEB: placement("web", pinned="cloud", cloud=1)}
    plan = decide(request([service("web")], [PREFER], FLEET, placements=running))
    assert "preferred: 2nd choice" in planned(plan, "web").reasons


def test_a_divided_service_takes_the_preferred_first():
    spread = policy("two", spread={"topology": "subcluster", "minDomains": 2})
    plan = decide(request([service("web", 4, cpu="0.5")], [PREFER, spread], FLEET))
    assert where(plan, "web") == {"home": 2, "cloud": 2}
    assert "preferred: 1st and 2nd choice" in planned(plan, "web").reasons


def test_the_highest_precedence_wins_and_a_tie_names_both():
    first = policy("first", prefer=[PUBLIC], precedence=2)
    assert where(decide(request([service("web")], [PREFER, first], FLEET)), "web") == {"cloud": 1}
    asked = request([service("web")], [PREFER, policy("rival", prefer=[PUBLIC])], FLEET)
    (messages,) = asked.conflicts.values()
    assert messages == (
        "prefer: ClusterPlacementPolicy order says [tier=onprem, tier=public] and ClusterPlacementPolicy rival says "
        "[tier=public], both with precedence 0; give one of them a higher precedence",
    )


@pytest.mark.parametrize("value", [[], {}, [{"matchLabel": {}}], ["onprem"], [{"matchLabels": {"a b": "c"}}]])
def test_orders_that_make_no_sense(value):
    with pytest.raises(ValidationError):
        PreferSection.model_validate(value)


SEEDS = st.integers(0, 2**32 - 1)
PROBLEMS = st.builds(
    random_problem,
    SEEDS,
    st.integers(1, 14),
    st.integers(1, 6),
    scarce=st.booleans(),
    spread=st.booleans(),
    hard=st.booleans(),
    running=st.booleans(),
)


@given(PROBLEMS, SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_preference_moves_nothing_that_runs_further_down(problem, seed):
    ranks = np.random.default_rng(seed).integers(0, 3, problem.shape)
    current = solve(problem).counts
    placed = np.flatnonzero(current.any(axis=1))
    depth = {index: current[index] @ ranks[index] / current[index].sum() for index in placed}
    # Someone without a place may still have others make room.
    alone = dataclasses.replace(problem, allowed=problem.allowed & current.any(axis=1)[:, None])
    counts = solve(dataclasses.replace(alone, current=current, ranks=ranks)).counts
    assert all(counts[index] @ ranks[index] / counts[index].sum() <= depth[index] + 1e-9 for index in placed)


@given(PROBLEMS, SEEDS)
@settings(max_examples=40, deadline=None)
def test_nobody_could_go_further_up(problem, seed):
    ranks = np.random.default_rng(seed).integers(0, 3, problem.shape)
    preferring = dataclasses.replace(problem, ranks=ranks)
    solution = solve(preferring)
    counts = solution.counts
    cost = judge(problem, counts)
    assert cost is not None
    assert solution.bound_usd_per_hour <= cost + 1e-9
    assert not (counts[~problem.allowed] > 0).any()
    state = solution.state
    for index, row in enumerate(counts):
        if not row.any():
            continue
        depth = float(row @ ranks[index]) / row.sum()
        rows = state.options.rows(index)
        better = rows[rows @ ranks[index] / rows.sum(axis=1) < depth - 1e-9]
        possible = state.rows_fit(index, better) & state.rows_unblocked(index, better)
        assert not any(state.spend_allows(index, each) for each in better[possible])

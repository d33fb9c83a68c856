"""What holds for every plan: no rule broken, nothing depends on order, amounts add up, and it is as good as can be."""

from __future__ import annotations

import dataclasses
import random
from math import fsum

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planning import (
    BELGIUM,
    FLEET,
    FRANKFURT,
    PROBLEMS,
    SEEDS,
    VIRGINIA,
    brute_force,
    judge,
    placements_of,
    policy,
    random_problem,
    request,
    service,
    subcluster,
)

from federation.model.meta import Key
from federation.planner.decide import Judgement, decide
from federation.planner.explain import explain
from federation.planner.options import Options
from federation.planner.solve import solve
from federation.planner.state import State


@given(PROBLEMS)
@example(random_problem(3010, 15, 1, spread=False, hard=False, running=True)).via(
    "a bound proven for services left out"
)
@settings(max_examples=60, deadline=None)
def test_no_rule_is_broken_and_the_bound_holds(problem):
    solution = solve(problem)
    cost = judge(problem, solution.counts)
    assert cost is not None
    assert solution.bound_usd_per_hour <= cost + 1e-9
    assert not (solution.counts[~problem.allowed] > 0).any()
    placed = solution.counts.sum(axis=1)
    assert set(np.flatnonzero(placed != problem.replicas)) == set(np.flatnonzero(placed == 0))
    for index, rules in problem.spread.items():
        assert not placed[index] or all(rule.holds(solution.counts[index][None])[0] for rule in rules)
    single = [s for s in range(len(placed)) if s not in problem.spread and placed[s]]
    assert all((solution.counts[s] > 0).sum() == 1 for s in single)


@given(PROBLEMS)
@settings(max_examples=30, deadline=None)
def test_the_state_kept_up_to_date_is_the_state_made_anew(problem):
    solution = solve(problem)
    anew = State(problem, Options(problem))
    anew.load(solution.counts)
    assert np.allclose(anew.cost_at, solution.state.cost_at)
    assert (anew.blocked == solution.state.blocked).all()
    assert np.allclose(anew.spent, solution.state.spent)


@pytest.mark.parametrize("seed", range(24))
def test_small_problems_are_solved_as_brute_force_solves_them(seed):
    problem = random_problem(seed, 4 + seed % 2, 3 + seed % 2)
    counts = solve(problem).counts
    found = (int((counts.sum(axis=1) == 0).sum()), judge(problem, counts))
    assert found == pytest.approx(brute_force(problem), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_search_without_the_exact_part_is_near_brute_force(seed, monkeypatch):
    monkeypatch.setattr("federation.planner.solve.TOTAL_NODES", 0)
    monkeypatch.setattr("federation.planner.solve.WHOLE_SERVICES", 0)
    problem = random_problem(100 + seed, 6, 4, scarce=False, hard=False)
    counts = solve(problem).counts
    assert judge(problem, counts) <= 1.05 * brute_force(problem)[1]


@given(SEEDS, st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_taking_a_denial_away_never_costs(seed, which):
    problem = random_problem(seed, 7, 4, scarce=False)
    before = solve(problem)
    denied = np.argwhere(~problem.allowed)
    if not len(denied) or not before.counts.any(axis=1).all():
        return
    row, column = denied[which % len(denied)]
    allowed, unary = problem.allowed.copy(), problem.unary.copy()
    allowed[row, column], unary[row, column] = True, 0.05
    after = solve(dataclasses.replace(problem, allowed=allowed, unary=unary))
    assert after.counts.any(axis=1).all()
    assert after.state.objective() <= before.state.objective() + 1e-9


@given(PROBLEMS)
@settings(max_examples=25, deadline=None)
def test_what_runs_and_may_stay_is_never_left_out_for_something_new(problem):
    solution = solve(problem)
    committed = solution.counts
    again = solve(dataclasses.replace(problem, current=committed))
    ran = committed.any(axis=1)
    assert again.counts[ran].any(axis=1).all()


PERSONAL = policy("personal", selector={"data": "personal"}, compliance={"residency": {"allow": ["EU", "CH"]}})
USERS = policy(
    "users",
    namespace="shop",
    selector={"tier": "front"},
    locality={"users": [{"country": "DE", "share": 0.7}, {"country": "US", "share": "30%"}], "latencyWorth": 0.002},
)
SPREAD = policy("spread", selector={"tier": "front"}, spread={"topology": "provider", "minDomains": 2})
BUDGET = policy("budget", selector={"data": "personal"}, cost={"maxHourly": "0.2 USD"})


@st.composite
def worlds(draw):
    count = draw(st.integers(1, 9))
    services = []
    for index in range(count):
        calls = [
            {"service": f"s{other}", "gibPerHour": draw(st.sampled_from([0.1, 1.0, 5.0]))}
            for other in draw(st.sets(st.integers(0, count), max_size=3))
        ]
        if calls and draw(st.booleans()):
            calls[0]["maxLatency"] = "20ms"
        labels = {}
        if draw(st.booleans()):
            labels["data"] = "personal"
        if draw(st.booleans()):
            labels["tier"] = "front"
        cpu = draw(st.sampled_from(["100m", "1", "4"]))
        services.append(service(f"s{index}", draw(st.integers(0, 4)), cpu=cpu, calls=calls, labels=labels))
    policies = draw(st.sets(st.sampled_from(range(4))))
    return services, [(PERSONAL, USERS, SPREAD, BUDGET)[index] for index in policies]


@given(worlds())
@settings(max_examples=40, deadline=None)
def test_terms_add_up_to_costs_and_costs_to_the_total(world):
    services, policies = world
    plan = decide(request(services, policies))
    for each in plan.placements:
        assert round(fsum(each.terms.values()), 9) == each.cost_usd_per_hour
        assert (each.verdict == "placed") == bool(each.targets)
        assert each.targets or (not each.terms and each.reasons)
    assert round(fsum(each.cost_usd_per_hour for each in plan.placements), 9) == plan.total_usd_per_hour
    pairs = fsum(each.terms.get("transfer", 0.0) + each.terms.get("call-latency", 0.0) for each in plan.placements)
    assert fsum(call.cost_usd_per_hour for call in plan.calls) == pytest.approx(pairs, abs=1e-7)
    assert plan.bound_usd_per_hour <= plan.total_usd_per_hour


@given(worlds(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_input_changes_nothing(world, shuffler: random.Random):
    services, policies = world
    plan = decide(request(services, policies))
    fleet = list(FLEET)
    for items in (services, policies, fleet):
        shuffler.shuffle(items)
    assert decide(request(services, policies, fleet)) == plan


@given(worlds())
@settings(max_examples=30, deadline=None)
def test_a_committed_plan_is_kept(world):
    services, policies = world
    plan = decide(request(services, policies))
    again = decide(request(services, policies, placements=placements_of(plan)))
    assert [each.targets for each in again.placements] == [each.targets for each in plan.placements]


@given(worlds())
@settings(max_examples=20, deadline=None)
def test_candidates_agree_with_the_plan(world):
    services, policies = world
    asked = request(services, policies)
    plan = decide(asked)
    judgement = Judgement(asked, plan)
    for each in plan.placements:
        key = Key(each.namespace, each.service)
        told = explain(asked, plan, key)
        assert [c.subcluster for c in told.candidates] == sorted(c.metadata.name for c in FLEET)
        chosen = {c.subcluster for c in told.candidates if c.verdict == "chosen"}
        assert chosen == {target.subcluster for target in each.targets}
        for candidate in told.candidates:
            if candidate.cost_usd_per_hour is not None:
                assert round(fsum(candidate.terms.values()), 9) == candidate.cost_usd_per_hour
            if candidate.verdict in ("denied", "full"):
                assert candidate.reasons
                assert judgement.objection(key, candidate.subcluster)
            if candidate.verdict == "chosen":
                assert candidate.cost_usd_per_hour == each.cost_usd_per_hour
                assert not judgement.objection(key, candidate.subcluster)
        if not each.targets:
            full = any(c.verdict == "full" for c in told.candidates)
            assert each.verdict == ("full" if full else "denied")


@given(worlds(), st.integers(0, 8), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_a_candidates_cost_is_what_the_plan_would_cost_with_it(world, which, column):
    services, policies = world
    asked = request(services, policies)
    plan = decide(asked)
    index = which % len(plan.placements)
    each = plan.placements[index]
    if len(each.targets) != 1 or index in asked.problem.spread:
        return
    candidate = explain(asked, plan, Key(each.namespace, each.service)).candidates[column]
    if candidate.verdict != "feasible":
        return
    counts = np.zeros(asked.problem.shape, dtype=np.int64)
    for row, other in enumerate(plan.placements):
        for target in other.targets:
            counts[row, asked.subcluster_index[target.subcluster]] = max(target.replicas, 1)
    before = judge(asked.problem, counts)
    counts[index] = 0
    counts[index, column] = max(services_replicas(asked, index), 1)
    after = judge(asked.problem, counts)
    delta = candidate.cost_usd_per_hour - each.cost_usd_per_hour
    assert delta == pytest.approx(after - before, abs=1e-7)


def services_replicas(asked, index):
    return asked.view.services[index].spec.replicas


@given(st.integers(2, 4), st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_scaling_a_spread_service_up_only_adds(replicas, more):
    rules = [SPREAD]
    front = {"tier": "front"}
    first = decide(request([service("web", replicas, labels=front, cpu="100m")], rules))
    scaled = [service("web", replicas + more, labels=front, cpu="100m")]
    second = decide(request(scaled, rules, placements=placements_of(first)))
    before = {target.subcluster: target.replicas for target in first.placements[0].targets}
    after = {target.subcluster: target.replicas for target in second.placements[0].targets}
    assert set(after) == set(before)
    assert all(after[name] >= count for name, count in before.items())
    assert sum(after.values()) == replicas + more


@given(st.integers(0, 2))
@settings(max_examples=3, deadline=None)
def test_a_lost_subcluster_is_left_and_nothing_else_moves(which):
    fleet = (BELGIUM, FRANKFURT, VIRGINIA)
    services = [service(f"s{index}", 2, calls=[f"s{(index + 1) % 6}"]) for index in range(6)]
    away = policy("away", compliance={"residency": {"deny": ["BE"]}}, selector={"at": "home"})
    services.append(service("other", labels={"at": "home"}))
    plan = decide(request(services, [away], fleet))
    lost = fleet[which].metadata.name
    left = tuple(
        each
        if each.metadata.name != lost
        else subcluster(lost, each.spec.provider, each.spec.region, status={"health": "Lost"})
        for each in fleet
    )
    again = decide(request(services, [away], left, placements=placements_of(plan)))
    for before, after in zip(plan.placements, again.placements, strict=True):
        assert after.verdict == "placed"
        assert lost not in {target.subcluster for target in after.targets}
        if lost not in {target.subcluster for target in before.targets}:
            assert after.targets == before.targets or after.cost_usd_per_hour < before.cost_usd_per_hour

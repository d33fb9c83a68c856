"""The planner from outside: random fleets, services and policies in, plans out, judged by the manifests alone."""

from __future__ import annotations

import random
from math import fsum

from hypothesis import given, settings
from hypothesis import strategies as st
from planning import placements_of, places, policy, request, service, subcluster

from federation.atlas.distance import latency_matrix
from federation.atlas.lookup import members
from federation.model.plan import MOVING
from federation.model.quantity import parse_duration_s, parse_quantity
from federation.planner.decide import decide

GROUND = [
    ("ec2", "eu-central-1"),
    ("gce", "europe-west1"),
    ("azure", "eastus"),
    ("ec2", "us-east-1"),
    ("gce", "europe-west3"),
]
CPU = {"100m": 0.1, "1": 1.0, "3": 3.0}
EU = policy("eu", selector={"data": "personal"}, compliance={"residency": {"allow": ["EU"]}})
NO_AMAZON = policy("attested", selector={"tier": "front"}, compliance={"attestations": ["iso27001"]})
TWO = policy("two", selector={"tier": "front"}, spread={"topology": "provider", "minDomains": 2, "maxShare": "75%"})
BUDGET = policy("limit", selector={"data": "personal"}, cost={"maxHourly": "0.15 USD"})
APART = policy("apart", selector={"name": "s0"}, locality={"apart": ["s1"]})
TOGETHER = policy("together", selector={"name": "s2"}, locality={"with": ["s3"]})
CEL = policy("cel", rules=[{"expression": "subcluster.region != 'eastus' || service.replicas < 3", "message": "small"}])
POLICIES = (EU, NO_AMAZON, TWO, BUDGET, APART, TOGETHER, CEL)


@st.composite
def subclusters(draw, name):
    provider, region = draw(st.sampled_from(GROUND))
    spec = {}
    if draw(st.booleans()):
        spec["capacity"] = {"cpu": draw(st.sampled_from(["1", "4", "9"])), "memory": "64Gi"}
    if draw(st.integers(0, 3)) == 0:
        spec["budget"] = {"hourly": draw(st.sampled_from(["0.02 USD", "0.1 USD"]))}
    if draw(st.integers(0, 4)) == 0:
        spec["taints"] = [{"key": "k", "effect": draw(st.sampled_from(["NoSchedule", "PreferNoSchedule"]))}]
    if draw(st.booleans()):
        spec["attestations"] = ["iso27001"]
    core = draw(st.sampled_from([0.02, 0.03, 0.05]))
    return subcluster(name, provider, region, price=(core, core / 8), **spec)


@st.composite
def worlds(draw):
    fleet = [draw(subclusters(f"c{index}")) for index in range(draw(st.integers(1, 4)))]
    services = []
    for index in range(draw(st.integers(1, 6))):
        calls = [
            {"service": f"s{other}", "gibPerHour": draw(st.sampled_from([0.1, 3.0])), **more}
            for other in sorted(draw(st.sets(st.integers(0, 5), max_size=2)))
            for more in [draw(st.sampled_from([{}, {"maxLatency": "15ms"}]))]
        ]
        labels = {"name": f"s{index}"}
        labels |= {"data": "personal"} if draw(st.booleans()) else {}
        labels |= {"tier": "front"} if draw(st.booleans()) else {}
        cpu = draw(st.sampled_from(sorted(CPU)))
        services.append(service(f"s{index}", draw(st.integers(1, 4)), cpu=cpu, calls=calls, labels=labels))
    rules = [POLICIES[index] for index in sorted(draw(st.sets(st.integers(0, len(POLICIES) - 1), max_size=4)))]
    return fleet, services, rules


def counts(plan):
    return {each.service: {target.subcluster: target.replicas for target in each.targets} for each in plan.placements}


def broken(fleet, services, rules, plan):
    """What of the plan is not as the manifests want it, found from the manifests alone."""
    there, found, where = {each.metadata.name: each for each in fleet}, [], counts(plan)
    names = {each.metadata.name for each in rules}
    ground = places(fleet)
    for name, at in there.items():
        used = fsum(_cores(one) * where[one.metadata.name].get(name, 0) for one in services)
        if at.spec.capacity.cpu is not None and used > parse_quantity(at.spec.capacity.cpu) * (1 + 1e-9):
            found.append(f"{name} is overfull")
    for one in services:
        name, labels = one.metadata.name, one.metadata.labels
        mine = where[name]
        if not mine:
            continue
        if sum(mine.values()) != one.spec.replicas:
            found.append(f"{name} has {mine} of {one.spec.replicas}")
        for place in mine:
            if "eu" in names and "data" in labels and ground[place].country not in members("EU"):
                found.append(f"{name} outside the EU")
            if "attested" in names and "tier" in labels and "iso27001" not in there[place].spec.attestations:
                found.append(f"{name} where nothing is attested")
            if any(taint.effect == "NoSchedule" for taint in there[place].spec.taints):
                found.append(f"{name} in spite of a taint")
            if "cel" in names and there[place].spec.region == "eastus" and one.spec.replicas >= 3:
                found.append(f"{name} against a rule")
        if "two" in names and "tier" in labels:
            clouds = {}
            for place, count in mine.items():
                clouds[ground[place].cloud] = clouds.get(ground[place].cloud, 0) + count
            if len(clouds) < 2 or max(clouds.values()) > 0.75 * one.spec.replicas + 1e-9:
                found.append(f"{name} is not spread: {clouds}")
        if "apart" in names and name == "s0" and mine.keys() & where.get("s1", {}).keys():
            found.append("s0 beside s1")
        if "together" in names and name == "s2" and where.get("s3") and mine.keys() - where["s3"].keys():
            found.append("s2 without s3")
        found += _slow(one, mine, where, ground)
    return found


def _slow(one, mine, where, ground):
    for call in one.spec.calls:
        callee = where.get(call.service)
        if call.max_latency is None or not callee or call.service == one.metadata.name:
            continue
        for place in mine:
            for end in [place] if place in callee else callee:
                pair = [ground[place], ground[end]]
                taken = 0.0 if place == end else float(latency_matrix(pair)[0, 1]) / 1000
                if taken > parse_duration_s(call.max_latency):
                    yield f"{one.metadata.name} calls {call.service} over {taken} s"


def _cores(one):
    return CPU[one.spec.template["spec"]["containers"][0]["resources"]["requests"]["cpu"]]


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_no_plan_breaks_a_rule_or_a_capacity(world):
    fleet, services, rules = world
    plan = decide(request(services, rules, fleet))
    assert broken(fleet, services, rules, plan) == []
    again = decide(request(services, rules, fleet, placements=placements_of(plan)))
    assert broken(fleet, services, rules, again) == []


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_no_ceiling_is_overrun(world):
    fleet, services, rules = world
    asked = request(services, rules, fleet)
    plan = decide(asked)
    cost = {each.service: each.terms.get("compute", 0.0) + each.terms.get("transfer", 0.0) for each in plan.placements}
    if BUDGET in rules:
        marked = [one.metadata.name for one in services if "data" in one.metadata.labels]
        assert fsum(cost[name] for name in marked) <= 0.15 + 1e-8
    for there in fleet:
        if there.spec.budget is not None:
            whole = [each for each in plan.placements if [t.subcluster for t in each.targets] == [there.metadata.name]]
            assert fsum(cost[each.service] for each in whole) <= there.spec.budget.hourly + 1e-8


@given(worlds(), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_order_of_anything_changes_nothing(world, shuffler: random.Random, runs):
    fleet, services, rules = world
    running = placements_of(decide(request(services, rules[1:], fleet[::-1]))) if runs else {}
    plan = decide(request(services, rules, fleet, placements=running))
    for items in (fleet, services, rules):
        shuffler.shuffle(items)
    backwards = dict(reversed(running.items()))
    assert decide(request(services, rules, fleet, placements=backwards)) == plan


# Not a spread rule: it lets a service be divided that would stand in one place without it, which may be cheaper.
@given(worlds(), st.sampled_from([each for each in POLICIES if each is not TWO]))
@settings(max_examples=60, deadline=None)
def test_one_more_rule_never_makes_it_cheaper_than_the_bound_before(world, added):
    fleet, services, rules = world
    rules = [each for each in rules if each is not added]
    before, after = decide(request(services, rules, fleet)), decide(request(services, [*rules, added], fleet))
    placed = {each.service for each in before.placements if each.targets}
    if {each.service for each in after.placements if each.targets} == placed:
        assert after.total_usd_per_hour >= before.bound_usd_per_hour - 1e-8


@given(worlds(), st.data())
@settings(max_examples=60, deadline=None)
def test_one_more_place_never_makes_a_running_plan_dearer(world, data):
    fleet, services, rules = world
    before = decide(request(services, rules, fleet))
    more = [*fleet, data.draw(subclusters("added"))]
    after = decide(request(services, rules, more, placements=placements_of(before)))
    had = {each.service: each for each in before.placements if each.targets}
    now = {each.service: each for each in after.placements if each.targets}
    assert now.keys() >= had.keys()
    if now.keys() == had.keys():
        assert after.total_usd_per_hour <= before.total_usd_per_hour + 1e-8


@given(worlds(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_terms_add_up_to_the_total_to_the_cent(world, moves):
    fleet, services, rules = world
    running = placements_of(decide(request(services, (), fleet))) if moves else {}
    plan = decide(request(services, rules, fleet, placements=running))
    for each in plan.placements:
        assert round(fsum(each.terms.values()), 9) == each.cost_usd_per_hour
        assert round(each.running_usd_per_hour + each.terms.get(MOVING, 0.0), 9) == each.cost_usd_per_hour
    assert round(fsum(plan.terms().values()), 9) == plan.total_usd_per_hour
    assert round(fsum(each.cost_usd_per_hour for each in plan.placements), 9) == plan.total_usd_per_hour
    assert plan.bound_usd_per_hour <= plan.total_usd_per_hour

"""`with` and `apart`: never broken by a plan, told in reasons, and what goes when a rule overtakes what runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import (
    BELGIUM,
    ENGINES,
    FLEET,
    FRANKFURT,
    VIRGINIA,
    ZURICH,
    placement,
    placements_of,
    places,
    planned,
    policy,
    request,
    service,
    where,
)

from federation.model.meta import Key
from federation.model.placement import Target
from federation.planner.decide import Judgement, decide
from federation.planner.explain import explain
from federation.planner.request import prepare
from federation.planner.world import World

WEB, DB = Key("shop", "web"), Key("shop", "db")
APP = {"app": "web"}


def near(*names, name="near", selector=APP, **more):
    return policy(name, selector=selector, locality={"with": list(names)}, **more)


def far(*names, name="far", selector=APP, **more):
    return policy(name, selector=selector, locality={"apart": list(names)}, **more)


HOME = policy("home", selector={"app": "db"}, compliance={"residency": {"allow": ["CH"]}})
SERVICES = [service("web", cpu="1", labels=APP), service("db", cpu="1", labels={"app": "db"})]


def stateful(one):
    return one.model_copy(update={"spec": one.spec.model_copy(update={"stateful": True})})


def test_a_service_goes_where_its_partner_is():
    fleet = [ZURICH, VIRGINIA]
    away = policy("away", selector={"app": "db"}, compliance={"residency": {"deny": ["CH"]}})
    plan = decide(request(SERVICES, [near("db"), away], fleet))
    assert where(plan, "web") == where(plan, "db") == {"azure-virginia": 1}
    assert planned(plan, "web").reasons == (
        "azure-virginia: 0.030 compute",
        "with shop/db (ClusterPlacementPolicy near)",
        "1/2 sub-clusters: 1 not with shop/db",
    )


def test_and_never_where_it_must_not_be():
    plan = decide(request(SERVICES, [far("shop/db"), HOME], [ZURICH, VIRGINIA]))
    assert (where(plan, "web"), where(plan, "db")) == ({"azure-virginia": 1}, {"onprem-zurich": 1})
    assert "apart from shop/db (ClusterPlacementPolicy far)" in planned(plan, "web").reasons
    asked = request(SERVICES, [far("shop/db"), HOME], [ZURICH, VIRGINIA])
    told = explain(asked, plan, WEB)
    assert [each.reasons for each in told.candidates if each.verdict == "denied"] == [
        ("has to run apart from shop/db, which runs in onprem-zurich (ClusterPlacementPolicy far)",)
    ]
    asked = request(SERVICES, [far("shop/db")], [ZURICH, VIRGINIA])
    plan = decide(asked)
    (there,) = where(plan, "web")
    told = {each.subcluster: each for each in explain(asked, plan, DB).candidates}
    text = f"shop/web, which runs in {there}, has to run apart from it (ClusterPlacementPolicy far)"
    assert told[there].reasons == (text,)


def test_a_divided_service_has_its_partner_in_each_of_its_places():
    two = policy("two", spread={"topology": "provider", "minDomains": 2})
    services = [service("web", 2, labels=APP), service("db", 3)]
    plan = decide(request(services, [near("db"), two]))
    assert where(plan, "web").keys() == where(plan, "db").keys()
    plan = decide(request(services, [far("db"), two]))
    assert not where(plan, "web").keys() & where(plan, "db").keys()
    alone = policy("two", selector=APP, spread={"topology": "provider", "minDomains": 2})
    (db, web) = decide(request(services, [near("db"), alone])).placements
    assert [bool(each.targets) for each in (db, web)].count(True) == 1


@pytest.mark.parametrize(("rule", "together"), [(near("db"), True), (far("db"), False)])
def test_of_two_that_run_against_a_new_rule_one_goes_and_one_stays(rule, together):
    spots = ("gce_belgium", "ec2_frankfurt") if together else ("gce_belgium", "gce_belgium")
    running = {WEB: placement("web", **{spots[0]: 1}), DB: placement("db", **{spots[1]: 1})}
    asked = request(SERVICES, [rule], [BELGIUM, FRANKFURT], placements=running)
    judgement = Judgement(asked)
    plan = judgement.plan
    assert (where(plan, "web") == where(plan, "db")) == together
    stays = [key for key in (WEB, DB) if judgement.stands(key)]
    assert len(stays) == 1
    for key, spot in zip((WEB, DB), spots, strict=True):
        found = judgement.violation(key, spot.replace("_", "-"))
        assert (found is None) == (key in stays)
        assert found is None or (found.cause == "Policy" and "shop/" in found.message)


@pytest.mark.parametrize("keeper", ["web", "db"])
def test_what_keeps_data_stays(keeper):
    running = {WEB: placement("web", gce_belgium=1), DB: placement("db", ec2_frankfurt=1)}
    services = [stateful(each) if each.metadata.name == keeper else each for each in SERVICES]
    judgement = Judgement(request(services, [near("db")], [BELGIUM, FRANKFURT], placements=running))
    assert [judgement.stands(key) for key in (WEB, DB)] == [keeper == "web", keeper == "db"]


def test_one_that_is_held_keeps_its_place_against_the_rule_and_says_so():
    fixed = {
        WEB: (Target(subcluster="gce-belgium", replicas=1),),
        DB: (Target(subcluster="ec2-frankfurt", replicas=1),),
    }
    plan = decide(request(SERVICES, [near("db")], fixed=fixed))
    text = "has to run with shop/db, which runs in ec2-frankfurt (ClusterPlacementPolicy near)"
    assert f"out of place: {text}" in planned(plan, "web").reasons


def test_who_is_not_there_is_told_and_left_out():
    plan = request(SERVICES, [near("nobody", "web", "other/db")])
    assert [text for text in plan.notices if "has" in text] == [
        f"ClusterPlacementPolicy near has shop/web run with {name}, which is no microservice here; that is left out"
        for name in ("nobody", "other/db")
    ]
    assert plan.ties == ()
    idle = [SERVICES[0], service("db", 0)]
    assert request(idle, [near("db")]).ties == ()


def test_contradictions_name_both_sides():
    asked = request(SERVICES, [near("db"), far("shop/db")])
    assert asked.conflicts == {
        WEB: (
            "locality: ClusterPlacementPolicy near would have shop/web run with shop/db, and ClusterPlacementPolicy "
            "far has shop/web run apart from shop/db",
        )
    }
    services = [service(name, labels={"app": name}) for name in "abc"]
    rules = [
        near("b", name="ab", selector={"app": "a"}),
        near("c", name="bc", selector={"app": "b"}),
        far("a", name="ca", selector={"app": "c"}),
    ]
    (messages,) = request(services, rules).conflicts.values()
    assert messages == (
        "locality: ClusterPlacementPolicy ab and ClusterPlacementPolicy bc would have shop/a run with shop/c, and "
        "ClusterPlacementPolicy ca has shop/c run apart from shop/a",
    )


@st.composite
def tied_worlds(draw):
    count = draw(st.integers(2, 7))
    names = [f"s{index}" for index in range(count)]
    rules = []
    for index in draw(st.lists(st.integers(0, count - 1), max_size=5)):
        partner = draw(st.sampled_from(names))
        make = draw(st.sampled_from([near, far]))
        rules.append(make(partner, name=f"r{len(rules)}", selector={"app": names[index]}))
    if draw(st.booleans()):
        rules.append(policy("two", selector={"two": "yes"}, spread={"topology": "provider", "minDomains": 2}))
    services = [
        service(
            name,
            draw(st.integers(1, 4)),
            cpu=draw(st.sampled_from(["100m", "1", "3"])),
            labels={"app": name, "two": draw(st.sampled_from(["yes", "no"]))},
            calls=[draw(st.sampled_from(names))],
        )
        for name in names
    ]
    return services, rules


def broken(asked, plan):
    sets = [{target.subcluster for target in each.targets} for each in plan.placements]
    return {
        (tie.first, tie.second)
        for tie in asked.ties
        if sets[tie.first]
        and sets[tie.second]
        and (sets[tie.first] - sets[tie.second] if tie.together else sets[tie.first] & sets[tie.second])
    }


@given(tied_worlds(), st.data())
@settings(max_examples=50, deadline=None)
def test_no_plan_breaks_them_except_by_what_is_held(world, data):
    services, rules = world
    asked = request(services, rules)
    plan = decide(asked)
    assert not broken(asked, plan)
    # What runs by other rules, some of it held: only pairs of held ones may still break the new rules.
    before = decide(request(services, rules[:1]))
    running = placements_of(before)
    held = data.draw(st.sets(st.sampled_from(sorted(running)))) if running else set()
    fixed = {key: running[key].spec.targets for key in held}
    asked = request(services, rules, placements=running, fixed=fixed)
    judgement = Judgement(asked)
    keys = asked.view.keys()
    for first, second in broken(asked, judgement.plan):
        assert {keys[first], keys[second]} <= held
    for each in judgement.plan.placements:
        key = Key(each.namespace, each.service)
        left = {target.subcluster for target in running[key].spec.targets} if key in running else set()
        left -= {target.subcluster for target in each.targets}
        assert not (judgement.stands(key) and any(judgement.violation(key, name) for name in left))
    assert len(FLEET) == asked.problem.shape[1]


def test_nobody_follows_a_partner_that_is_on_the_move_nor_makes_way_for_it():
    """Else two that set out for each other's place would do so for ever."""
    fleet = [ZURICH, VIRGINIA]
    there = {WEB: placement("web", azure_virginia=1), DB: placement("db", onprem_zurich=1)}
    resting = decision(SERVICES, [near("db")], fleet, there, ())
    assert [resting.stands(key) for key in (WEB, DB)].count(False) == 1
    moving = decision(SERVICES, [near("db")], fleet, there, (WEB,))
    assert moving.stands(DB)
    assert moving.violation(DB, "onprem-zurich") is None


def decision(services, policies, fleet, placements, moving):
    world = World(tuple(fleet), tuple(services), tuple(policies), placements, moving=frozenset(moving))
    fixed = {key: placements[key].spec.targets for key in moving}
    return Judgement(prepare(world, ENGINES, places(fleet), 0.0, fixed=fixed))

"""The table "What moves and why" of the README, row by row: the plan, what may stay and what has to leave."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import placement, placements_of, planned, policy, request, service, subcluster, where

from federation.model.meta import Key
from federation.planner.decide import Judgement, decide
from federation.reconcile.moves import Keep, plan_change

WEB, API = Key("shop", "web"), Key("shop", "api")
ORDER = policy("order", prefer=[{"matchLabels": {"tier": "gold"}}, {"matchLabels": {"tier": "silver"}}])
TAINT = {"key": "batch"}


def place(name, region="europe-west1", tier=None, price=(0.03, 0.0), **spec):
    made = subcluster(name, "gce", region, price=price, **spec)
    labels = {"tier": tier} if tier else {}
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"labels": labels})})


HERE, THERE = place("here"), place("there", "us-east1")
RUNNING = {WEB: placement("web", here=2), API: placement("api", here=1)}
SERVICES = [service("web", 2, cpu="1"), service("api", cpu="1", labels={"app": "api"})]


def judged(fleet, policies=(), services=SERVICES, running=RUNNING):
    return Judgement(request([*services, service("new", cpu="1")], policies, fleet, placements=running))


STAYS = [
    ("cordon", place("here", unschedulable=True), ()),
    ("NoSchedule", place("here", taints=[{**TAINT, "effect": "NoSchedule"}]), ()),
    ("PreferNoSchedule", place("here", taints=[{**TAINT, "effect": "PreferNoSchedule"}]), ()),
]


@pytest.mark.parametrize(("_what", "here", "policies"), STAYS, ids=lambda each: each if isinstance(each, str) else "")
def test_what_keeps_new_copies_away_leaves_what_runs(_what, here, policies):
    judgement = judged([here, THERE], policies)
    assert [where(judgement.plan, name) for name in ("web", "api", "new")] == [{"here": 2}, {"here": 1}, {"there": 1}]
    for key in (WEB, API):
        assert judgement.stands(key)
        assert judgement.violation(key, "here") is None


LEAVES = [
    ("NoExecute", "Taint", place("here", taints=[{**TAINT, "effect": "NoExecute"}]), ()),
    ("drain", "Drain", place("here", drain={}), ()),
    ("rule", "Policy", HERE, (policy("rule", compliance={"residency": {"deny": ["BE"]}, "grace": "10m"}),)),
]


@pytest.mark.parametrize(("what", "cause", "here", "policies"), LEAVES, ids=[row[0] for row in LEAVES])
def test_what_makes_everything_leave(what, cause, here, policies):
    judgement = judged([here, THERE], policies)
    assert [where(judgement.plan, name) for name in ("web", "api", "new")] == [{"there": n} for n in (2, 1, 1)]
    for key in (WEB, API):
        assert not judgement.stands(key)
        found = judgement.violation(key, "here")
        assert (found.cause, found.delay_s, found.stop) == (cause, 0.0, False)
        assert found.grace_s == (600.0 if what == "rule" else None)
    # With nowhere to go the plan has nothing for them, and an empty plan empties nothing.
    stuck = judged([here], policies)
    for name, key in (("web", WEB), ("api", API)):
        found = planned(stuck.plan, name)
        assert (found.targets, found.reasons != ()) == ((), True)
        assert plan_change(RUNNING[key].spec.targets, found.targets, None) == Keep()


def test_a_lost_place_is_left_and_nothing_else_moves():
    running = {**RUNNING, Key("shop", "other"): placement("other", there=1)}
    lost = place("here", status={"health": "Lost"})
    judgement = judged([lost, THERE], services=[*SERVICES, service("other")], running=running)
    assert where(judgement.plan, "web") == {"there": 2}
    assert judgement.stands(Key("shop", "other"))
    assert judgement.violation(WEB, "here") is None


def test_a_label_that_comes_or_goes_is_followed_by_the_order_of_preference():
    gold, silver = place("here", tier="gold"), place("there", "us-east1", tier="silver")
    judgement = judged([gold, silver], [ORDER])
    assert where(judgement.plan, "web") == {"here": 2}
    judgement = judged([place("here"), silver], [ORDER])
    assert judgement.stands(WEB)
    assert judgement.violation(WEB, "here") is None
    assert (judgement.rank(WEB, "here"), judgement.rank(WEB, "there")) == (2, 1)
    assert where(judgement.plan, "web") == {"there": 2}
    full = place("there", "us-east1", tier="silver", capacity={"cpu": "1"})
    assert where(judged([place("here"), full], [ORDER]).plan, "web") == {"here": 2}


def test_a_rule_that_goes_moves_nothing():
    rule = policy("rule", selector={"app": "api"}, compliance={"residency": {"allow": ["BE"]}})
    here, there = place("here"), place("there", "us-east1", price=(0.02999, 0.0))
    assert where(judged([here, there], [rule]).plan, "api") == {"here": 1}
    unlabelled = [SERVICES[0], service("api", cpu="1")]
    judgement = judged([here, there], [rule], services=unlabelled)
    assert judgement.stands(API)
    assert judgement.violation(API, "here") is None


@pytest.mark.parametrize(("cpu", "web"), [("9", {"here": 4}), ("3", {"here": 2, "there": 2})])
def test_more_replicas_go_where_it_runs_or_to_one_more_place(cpu, web):
    here = place("here", capacity={"cpu": cpu})
    judgement = judged([here, THERE], services=[service("web", 4, cpu="1"), SERVICES[1]])
    assert where(judgement.plan, "web") == web
    assert where(judgement.plan, "api") == {"here": 1}


def test_more_replicas_without_room_wait_and_fewer_are_taken_away():
    here = place("here", capacity={"cpu": "3"})
    judgement = judged([here], services=[service("web", 3, cpu="1"), SERVICES[1]])
    found = planned(judgement.plan, "web")
    assert (found.verdict, where(judgement.plan, "web")) == ("full", {"here": 2})
    assert plan_change(RUNNING[WEB].spec.targets, found.targets, None) == Keep()
    plan = judged([here, THERE], services=[service("web", 1, cpu="1"), SERVICES[1]]).plan
    assert where(plan, "web") == {"here": 1}


def test_a_more_important_service_waits():
    vital = policy("vital", selector={"app": "vital"}, importance=1000)
    here = place("here", capacity={"cpu": "3"})
    judgement = judged([here], [vital], services=[*SERVICES, service("big", cpu="3", labels={"app": "vital"})])
    assert (where(judgement.plan, "web"), where(judgement.plan, "api")) == ({"here": 2}, {"here": 1})
    assert planned(judgement.plan, "big").verdict == "full"


NAMES = ["a", "b", "c"]
SPOTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "unschedulable": st.just(value=True),
            "drain": st.just({}),
            "capacity": st.sampled_from([{"cpu": "1"}, {"cpu": "3"}, {"cpu": "6"}]),
            "taints": st.lists(
                st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"]).map(
                    lambda effect: {"key": "k", "effect": effect}
                ),
                max_size=2,
                unique_by=lambda taint: taint["effect"],
            ),
        },
    ),
    min_size=3,
    max_size=3,
)
TIERS = st.lists(st.sampled_from(["gold", "silver", None]), min_size=3, max_size=3)


@given(SPOTS, TIERS, st.lists(st.integers(0, 4), min_size=5, max_size=5), st.sets(st.integers(0, 3)), SPOTS, TIERS)
@settings(max_examples=40, deadline=None)
def test_whatever_changes_what_may_stay_is_never_left_without_its_place(before, tiers, replicas, which, after, later):
    rules = [
        ORDER,
        policy("vital", selector={"n": "1"}, importance=5),
        policy("near", selector={"n": "0"}, locality={"with": ["s1"]}),
        policy("away", selector={"n": "2"}, compliance={"residency": {"deny": ["US"]}}),
    ]
    rules = [rules[index] for index in sorted(which)]
    services = [
        service(f"s{index}", 1 + count, cpu="500m", labels={"n": str(index)}) for index, count in enumerate(replicas)
    ]
    regions = ["europe-west1", "us-east1", "europe-west3"]

    def fleet(specs, labels):
        rows = zip(NAMES, regions, labels, specs, strict=True)
        return [place(name, region, tier, **spec) for name, region, tier, spec in rows]

    running = placements_of(decide(request(services, rules[1:], fleet(before, tiers))))
    judgement = Judgement(request(services, rules, fleet(after, later), placements=running))
    overfull = not _fits(services, running, after)
    for key, committed in running.items():
        counts = {target.subcluster: target.replicas for target in committed.spec.targets}
        found = where(judgement.plan, key.name)
        left = [name for name in counts if name not in found]
        if judgement.stands(key) and not overfull:
            assert sum(found.values()) >= sum(counts.values())
        assert not any(judgement.violation(key, name) for name in found if name in counts)
        if not found:
            told = planned(judgement.plan, key.name)
            assert told.verdict in ("denied", "full")
            assert told.reasons
            assert isinstance(plan_change(committed.spec.targets, told.targets, None), Keep)
        assert all(judgement.objection(key, name) == "" for name in found)
        assert left == [] or found or not judgement.stands(key) or overfull


def _fits(services, running, specs):
    """Whether what runs has room in the fleet as it is after the change."""
    for name, spec in zip(NAMES, specs, strict=True):
        used = sum(
            0.5 * target.replicas
            for one in services
            if one.key in running
            for target in running[one.key].spec.targets
            if target.subcluster == name
        )
        if used > float(spec.get("capacity", {}).get("cpu", "inf")):
            return False
    return True

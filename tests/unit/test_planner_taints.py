"""Taints, tolerations, drains and grace: who may start, who may stay, for how long, and what is said of it."""

import pytest
from planning import BELGIUM, VIRGINIA, ZURICH, placement, planned, policy, request, service, subcluster, where
from pydantic import ValidationError

from federation.model.meta import Key
from federation.model.plan import Violation
from federation.model.policy import Toleration
from federation.planner.decide import Judgement, decide

WEB = Key("shop", "web")


def tainted(*effects, name="place", **spec):
    taints = [{"key": "dedicated", "value": "batch", "effect": effect} for effect in effects]
    return subcluster(name, "gce", "europe-west1", price=(0.001, 0.001), taints=taints, **spec)


def tolerating(*tolerations):
    return policy("tolerant", tolerations=list(tolerations))


def web(*tolerations):
    made = service("web")
    if not tolerations:
        return made
    template = {"spec": {**made.spec.template["spec"], "tolerations": list(tolerations)}}
    return made.model_copy(update={"spec": made.spec.model_copy(update={"template": template})})


def running(since=None, cause="Taint"):
    found = placement("web", place=1)
    if since is None:
        return {WEB: found}
    seen = [{"subcluster": "place", "cause": cause, "message": "", "since": since, "due": since}]
    status = type(found.status).model_validate({"overtaken": seen})
    return {WEB: found.model_copy(update={"status": status})}


EXISTS = {"key": "dedicated", "operator": "Exists"}
EQUAL = {"key": "dedicated", "value": "batch", "effect": "NoSchedule"}
OTHER = {"key": "dedicated", "value": "web"}
EVERY = {"operator": "Exists"}


@pytest.mark.parametrize(
    ("effect", "toleration", "starts"),
    [
        ("NoSchedule", None, False),
        ("NoSchedule", EXISTS, True),
        ("NoSchedule", EQUAL, True),
        ("NoSchedule", EVERY, True),
        ("NoSchedule", OTHER, False),
        ("NoExecute", None, False),
        ("NoExecute", EQUAL, False),
        ("NoExecute", EXISTS, True),
        ("NoExecute", {**EXISTS, "tolerationSeconds": 300}, False),
        ("PreferNoSchedule", None, True),
    ],
)
@pytest.mark.parametrize("by_policy", [True, False])
def test_who_may_start_there(effect, toleration, starts, by_policy):
    policies = [tolerating(toleration)] if toleration and by_policy else []
    one = web(toleration) if toleration and not by_policy else web()
    plan = decide(request([one], policies, [tainted(effect)]))
    assert bool(planned(plan, "web").targets) == starts
    assert starts or "tainted dedicated=batch" in planned(plan, "web").reasons[0]


def test_what_only_prefers_to_be_left_alone_is_dearer_for_new_copies():
    fleet = [tainted("PreferNoSchedule"), BELGIUM]
    assert where(decide(request([web()], fleet=fleet)), "web") == {"gce-belgium": 1}
    (alone,) = decide(request([web()], fleet=fleet[:1])).placements
    assert alone.terms["taint"] == 0.02
    assert where(decide(request([web()], fleet=fleet, placements=running())), "web") == {"place": 1}
    assert where(decide(request([web()], [tolerating(EXISTS)], fleet)), "web") == {"place": 1}


def test_new_work_is_kept_away_and_what_runs_stays():
    asked = request([web()], fleet=[tainted("NoSchedule"), BELGIUM], placements=running())
    judgement = Judgement(asked)
    assert where(judgement.plan, "web") == {"place": 1}
    assert judgement.stands(WEB)
    assert judgement.violation(WEB, "place") is None
    assert judgement.forbidden(WEB, "place") == ""


def test_what_does_not_bear_the_taint_leaves_at_once():
    judgement = Judgement(request([web()], fleet=[tainted("NoExecute"), BELGIUM], placements=running()))
    assert where(judgement.plan, "web") == {"gce-belgium": 1}
    assert not judgement.stands(WEB)
    text = "has the taint dedicated=batch:NoExecute, which the service does not tolerate (spec.taints)"
    assert judgement.violation(WEB, "place") == Violation("Taint", text)
    assert judgement.forbidden(WEB, "place") == text


@pytest.mark.parametrize(
    ("since", "stays"), [(None, True), (0.0, True), (-299.0, True), (-300.0, False), (-9999.0, False)]
)
def test_what_bears_it_for_a_while_leaves_then(since, stays):
    rule = tolerating({**EXISTS, "tolerationSeconds": 300})
    fleet = [tainted("NoExecute", "NoSchedule"), VIRGINIA]
    judgement = Judgement(request([web()], [rule], fleet, placements=running(since)))
    assert judgement.stands(WEB) == stays
    assert where(judgement.plan, "web") == ({"place": 1} if stays else {"azure-virginia": 1})
    found = judgement.violation(WEB, "place")
    assert (found.cause, found.delay_s, found.grace_s) == ("Taint", 300.0, None)
    assert "tolerates for 300 s only" in found.message
    assert bool(judgement.forbidden(WEB, "place")) != stays


@pytest.mark.parametrize("how", ["drain", "removal"])
def test_a_drained_place_takes_nothing_and_everything_leaves(how):
    there = tainted(**({"drain": {}} if how == "drain" else {}))
    if how == "removal":
        metadata = there.metadata.model_copy(update={"deletion_timestamp": 1.0})
        there = there.model_copy(update={"metadata": metadata})
    judgement = Judgement(request([web(), service("new")], fleet=[there, ZURICH], placements=running()))
    assert where(judgement.plan, "web") == where(judgement.plan, "new") == {"onprem-zurich": 1}
    assert not judgement.stands(WEB)
    assert judgement.violation(WEB, "place").cause == "Drain"
    assert judgement.forbidden(WEB, "place") == ""
    assert "is being" in judgement.objection(Key("shop", "new"), "place")
    (stuck, _) = decide(request([web(), service("new")], fleet=[there], placements=running())).placements[::-1]
    assert (stuck.verdict, stuck.targets) == ("full", ())


def test_the_strictest_broken_rule_gives_the_grace_and_what_comes_after():
    rules = [
        policy("slow", compliance={"residency": {"allow": ["CH"]}, "grace": "1h"}),
        policy("quick", compliance={"residency": {"deny": ["BE"]}, "grace": "10m", "onViolation": "stop"}),
        policy("kept", compliance={"residency": {"allow": ["EU", "CH"]}, "grace": "1s"}),
    ]
    judgement = Judgement(request([web()], rules, [tainted(drain={}), ZURICH], placements=running()))
    found = judgement.violation(WEB, "place")
    assert (found.cause, found.delay_s, found.grace_s, found.stop) == ("Policy", 0.0, 600.0, True)
    assert "ClusterPlacementPolicy slow" in found.message
    assert "being drained" in found.message
    assert judgement.violation(WEB, "onprem-zurich") is None
    at_once = policy("at-once", compliance={"residency": {"deny": ["BE"]}, "onViolation": "stop"})
    found = Judgement(request([web()], [at_once], [tainted()], placements=running())).violation(WEB, "place")
    assert (found.grace_s, found.stop) == (0.0, True)
    unlimited = policy("unlimited", compliance={"residency": {"deny": ["BE"]}})
    found = Judgement(request([web()], [unlimited], [tainted()], placements=running())).violation(WEB, "place")
    assert (found.grace_s, found.stop) == (None, False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"key": "a", "operator": "Exists", "value": "b"}, "looks at no value"),
        ({"value": "b"}, "without a key"),
        ({"key": "a", "effect": "NoSchedule", "tolerationSeconds": 3}, "NoExecute only"),
        ({"key": "a", "tolerationSeconds": -3}, "greater than or equal to 0"),
    ],
)
def test_tolerations_that_make_no_sense(value, message):
    with pytest.raises(ValidationError, match=message):
        Toleration.model_validate(value)


def test_a_template_is_read_as_kubernetes_reads_it():
    odd = [
        {"key": "", "operator": "Exists", "effect": ""},
        7,
        {"operator": "Never"},
        {"key": "x", "tolerationSeconds": -1},
    ]
    assert where(decide(request([web(*odd)], fleet=[tainted("NoExecute")])), "web") == {"place": 1}
    assert not planned(decide(request([web(*odd[1:])], fleet=[tainted("NoExecute")])), "web").targets

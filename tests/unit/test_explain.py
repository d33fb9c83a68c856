"""What the planner says: golden sentences, and each kind of obstacle by its name."""

import pytest
from planning import (
    BELGIUM,
    FLEET,
    FRANKFURT,
    VIRGINIA,
    ZURICH,
    placement,
    placements_of,
    planned,
    policy,
    request,
    service,
    subcluster,
    where,
)

from federation.errors import InvalidInput
from federation.model.meta import API_VERSION, Key
from federation.model.migration import Migration
from federation.model.placement import Target
from federation.planner.decide import Judgement, decide
from federation.planner.explain import explain
from federation.planner.wording import difference, equation, parts, tally

PERSONAL = policy(
    "personal",
    selector={"data": "personal"},
    compliance={"residency": {"allow": ["EU", "CH"]}, "operators": {"deny": ["US"]}},
)
PCI = policy("pci", namespace="shop", selector={"data": "card"}, compliance={"attestations": ["pci-dss"]})
USERS = policy(
    "users",
    selector={"tier": "front"},
    locality={"users": [{"country": "DE", "share": 0.7}, {"country": "US", "share": 0.3}], "latencyWorth": 0.002},
)
TWO = policy("two", selector={"tier": "front"}, spread={"topology": "provider", "minDomains": 2})


def reasons(services, policies=(), fleet=FLEET, **more):
    plan = decide(request(services, policies, fleet, **more))
    return {each.service: list(each.reasons) for each in plan.placements}


def obstacles(services, policies=(), fleet=FLEET, name="web", **more):
    asked = request(services, policies, fleet, **more)
    told = explain(asked, decide(asked), Key("shop", name))
    return {each.subcluster: (each.verdict, *each.reasons) for each in told.candidates if each.verdict != "chosen"}


def test_the_choice_against_the_next_best():
    found = reasons([service("cart", 6, calls=[{"service": "ads", "gibPerHour": 1}]), service("ads", 3, cpu="4")])
    assert found["cart"] == ["onprem-zurich: 0.051 compute; next best azure-virginia: 0.096 (+0.045: +0.045 compute)"]
    assert found["ads"] == [
        "azure-virginia: 0.342 compute; next best gce-belgium: 0.378 (+0.036: +0.036 compute)",
        "3/4 sub-clusters: 1 has 3 of 6 CPU left",
    ]


def test_terms_of_a_choice_and_what_it_changes_for_callers():
    services = [
        service("web", 2, cpu="2", calls=[{"service": "db", "gibPerHour": 2}], labels={"tier": "front"}),
        service("db", 1, labels={"data": "personal"}),
    ]
    found = reasons(services, [PERSONAL, USERS], [BELGIUM, FRANKFURT, ZURICH])
    assert found["web"] == [
        "onprem-zurich: 0.129 = 0.062 compute + 0.067 latency; next best ec2-frankfurt: 0.383 "
        "(+0.254: +0.078 compute, -0.007 latency, +0.180 transfer, +0.003 call-latency)"
    ]
    assert found["db"] == [
        "onprem-zurich: 0.00850 compute",
        "1/3 sub-clusters: 2 operated from [US]",
    ]


def test_a_divided_service_names_all_its_places():
    found = reasons([service("web", 3, labels={"tier": "front"}, cpu="100m")], [TWO])
    assert found["web"] == [
        "1 in azure-virginia, 2 in onprem-zurich: 0.00980 compute; "
        "next best 1 in gce-belgium, 2 in onprem-zurich: 0.01020 (+0.00040: +0.00040 compute)"
    ]


def test_the_summary_of_a_service_that_nobody_may_take():
    assert reasons([service("pay", labels={"data": "card"})], [PCI])["pay"] == ["0/4 sub-clusters: 4 lack pci-dss"]
    mixed = policy("mixed", compliance={"residency": {"allow": ["CH", "DE"]}, "attestations": ["iso27001"]})
    plan = decide(request([service("big", cpu="8")], [mixed]))
    assert planned(plan, "big").verdict == "full"
    assert planned(plan, "big").reasons == (
        "0/4 sub-clusters: 3 lack iso27001, 2 outside [CH, DE], 1 has 6 of 6 CPU left",
    )


def test_candidates_in_full():
    asked = request([service("cart", 2, labels={"data": "personal"}), service("web", 4, cpu="2")], [PERSONAL])
    told = explain(asked, decide(asked), Key("shop", "cart"))
    assert [(each.subcluster, each.verdict, each.reasons) for each in told.candidates] == [
        (
            "azure-virginia",
            "denied",
            (
                "outside [EU, CH]: runs in US (ClusterPlacementPolicy personal)",
                "operated by Microsoft (US), operators deny [US] (ClusterPlacementPolicy personal)",
            ),
        ),
        (
            "ec2-frankfurt",
            "denied",
            ("operated by Amazon (US), operators deny [US] (ClusterPlacementPolicy personal)",),
        ),
        ("gce-belgium", "denied", ("operated by Google (US), operators deny [US] (ClusterPlacementPolicy personal)",)),
        ("onprem-zurich", "chosen", ("onprem-zurich: 0.01700 compute",)),
    ]
    assert told.candidates[3].terms == {"compute": 0.017}
    told = explain(asked, decide(asked), Key("shop", "web"))
    by_name = {each.subcluster: each for each in told.candidates}
    assert by_name["onprem-zurich"].reasons == ("has 5 of 6 CPU left, 4 x 2 needed (spec.capacity)",)
    assert by_name["gce-belgium"].reasons == ("gce-belgium: 0.256 (+0.024: +0.024 compute)",)


LOST = subcluster("lost", "gce", "europe-west1", status={"health": "Lost"})
CORDONED = subcluster("cordoned", "gce", "europe-west1", unschedulable=True)
TAINTED = subcluster(
    "tainted", "gce", "europe-west1", taints=[{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}]
)
EVICTING = subcluster("evicting", "gce", "europe-west1", taints=[{"key": "broken", "effect": "NoExecute"}])
BARE = subcluster("bare", "gce", "europe-west1", status={"runsImages": False})
PRICELESS = subcluster("priceless", "gce", "europe-west1", price=None)
POOR = subcluster("poor", "gce", "europe-west1", budget={"hourly": "0.01 USD"})


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (LOST, ("full", "is lost: nothing was heard of it for longer than its detection window")),
        (CORDONED, ("full", "is cordoned and takes no new work; uncordon it (spec.unschedulable)")),
        (
            TAINTED,
            (
                "denied",
                "has the taint dedicated=batch:NoSchedule, which the service does not tolerate (spec.taints)",
            ),
        ),
        (EVICTING, ("denied", "has the taint broken:NoExecute, which the service does not tolerate (spec.taints)")),
        (BARE, ("denied", "runs no images, and the service's containers have no command of their own (spec.template)")),
        (
            PRICELESS,
            (
                "denied",
                "no compute price is known there, and unknown is not free; state spec.pricing (spec.pricing)",
            ),
        ),
        (POOR, ("full", "would overrun the budget of poor: 0.02200 of 0.01000 USD per hour (budget of poor)")),
    ],
)
def test_obstacles_by_name(there, expected):
    name = there.metadata.name
    assert obstacles([service("web", cpu="0.6", memory="1Gi", command=())], fleet=[VIRGINIA, there])[name] == expected


def test_what_only_takes_no_new_work_keeps_what_runs():
    for there in (CORDONED, TAINTED):
        name = there.metadata.name
        asked = request([service("web")], fleet=[there], placements={Key("shop", "web"): placement("web", **{name: 1})})
        assert where(decide(asked), "web") == {name: 1}
        assert Judgement(asked).forbidden(Key("shop", "web"), name) == ""
    name = "evicting"
    asked = request([service("web")], fleet=[EVICTING], placements={Key("shop", "web"): placement("web", evicting=1)})
    assert planned(decide(asked), "web").verdict == "denied"
    assert "NoExecute" in Judgement(asked).forbidden(Key("shop", "web"), name)


def test_images_as_the_provider_says_and_commands_that_need_none():
    fleet = [BELGIUM, VIRGINIA]
    images = {"gce-belgium": False, "azure-virginia": False}
    plan = decide(request([service("image", command=()), service("process")], fleet=fleet, images=images))
    assert (planned(plan, "image").verdict, planned(plan, "process").verdict) == ("denied", "placed")


def test_a_spread_that_too_few_providers_allow():
    rule = policy("three", spread={"topology": "provider", "minDomains": 3})
    found = obstacles([service("web", 3)], [rule], [ZURICH, BELGIUM])
    assert set(found.values()) == {("denied", "spread needs 3 providers, and only 2 may be used (spread)")}
    share = policy("share", spread={"topology": "provider", "minDomains": 2, "maxShare": "60%"})
    found = obstacles([service("web", 3)], [share], [ZURICH, BELGIUM])
    text = "spread needs 3 providers (at most 60% of 3 replicas in one), and only 2 may be used (spread)"
    assert set(found.values()) == {("denied", text)}


def test_a_call_that_would_take_too_long():
    services = [
        service("web", calls=[{"service": "db", "maxLatency": "5ms"}]),
        service("db", labels={"data": "personal"}),
    ]
    found = obstacles(services, [PERSONAL])
    assert found["azure-virginia"][0] == "denied"
    assert found["azure-virginia"][1].startswith("its call to shop/db would take ")
    assert found["azure-virginia"][1].endswith(", maxLatency is 5 ms (calls.maxLatency)")


def test_a_budget_of_a_policy_leaves_out_what_it_cannot_pay():
    rule = policy("limit", cost={"maxHourly": "0.05 USD"})
    plan = decide(request([service("a", cpu="1"), service("b", cpu="1")], [rule], [VIRGINIA]))
    assert sorted(each.verdict for each in plan.placements) == ["full", "placed"]
    (unplaced,) = [each for each in plan.placements if not each.targets]
    assert unplaced.reasons == ("0/1 sub-clusters: 1 over the maxHourly of ClusterPlacementPolicy limit",)


def test_fixed_services_stay_and_use_their_room():
    fixed = {Key("shop", "web"): (Target(subcluster="onprem-zurich", replicas=2),)}
    asked = request([service("web", 2, cpu="2"), service("api", 2, cpu="2")], [PERSONAL], fixed=fixed)
    plan = decide(asked)
    assert where(plan, "web") == {"onprem-zurich": 2}
    assert planned(plan, "web").reasons[0].endswith("held there: it is pinned, or on the move")
    assert "onprem-zurich" not in where(plan, "api")
    judgement = Judgement(asked, plan)
    assert judgement.objection(Key("shop", "web"), "gce-belgium") == ""
    assert judgement.objection(Key("shop", "nobody"), "gce-belgium")


def test_a_pin_holds_until_a_rule_forbids_its_place():
    services = [service("web", 2, labels={"data": "personal"}), service("api", 3)]
    pinned = {
        Key("shop", "web"): placement("web", pinned="gce-belgium", gce_belgium=2),
        Key("shop", "api"): placement("api", pinned="gce-belgium", gce_belgium=2),
    }
    assert where(decide(request(services, placements=pinned)), "web") == {"gce-belgium": 2}
    plan = decide(request(services, [PERSONAL], placements=pinned))
    assert where(plan, "web") == {"onprem-zurich": 2}
    assert where(plan, "api") == {"gce-belgium": 3}


def test_an_open_migration_holds_its_service_and_keeps_room_at_its_target():
    move = Migration.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "Migration",
            "metadata": {"name": "m", "namespace": "shop"},
            "spec": {"service": "web", "source": "gce-belgium", "target": "onprem-zurich", "replicas": 2},
        }
    )
    running = {Key("shop", "web"): placement("web", gce_belgium=2)}
    services = [service("web", 2, cpu="2"), service("api", 2, cpu="2")]
    asked = request(services, placements=running, migrations=[move])
    plan = decide(asked)
    assert where(plan, "web") == {"gce-belgium": 2}
    assert "onprem-zurich" not in where(plan, "api")
    assert Judgement(asked, plan).objection(Key("shop", "web"), "onprem-zurich") == ""


def test_a_running_service_moves_only_for_what_is_worth_it():
    near = subcluster("near", "gce", "europe-west1", price=(0.03, 0.004))
    hardly = subcluster("hardly", "gce", "europe-west1", price=(0.02999, 0.004))
    cheaper = subcluster("cheaper", "gce", "europe-west1", price=(0.02, 0.003))
    running = {Key("shop", "web"): placement("web", near=4)}
    assert where(decide(request([service("web", 4)], fleet=[near, hardly], placements=running)), "web") == {"near": 4}
    assert where(decide(request([service("web", 4)], fleet=[near, cheaper], placements=running)), "web") == {
        "cheaper": 4
    }


def test_what_runs_stays_when_something_new_wants_its_room():
    first = decide(request([service("old", 3, cpu="1", labels={"data": "personal"})], [PERSONAL]))
    both = [service("old", 3, cpu="1", labels={"data": "personal"})]
    both += [service(f"new{i}", 1, cpu="2", labels={"data": "personal"}) for i in range(3)]
    plan = decide(request(both, [PERSONAL], placements=placements_of(first)))
    assert [planned(plan, name).verdict for name in ("old", "new0", "new1", "new2")].count("placed") == 2
    assert planned(plan, "old").verdict == "placed"


def test_notices_of_what_was_assumed():
    asked = request([service("web", calls=["nobody", "web", "other/db"])], fleet=[ZURICH, BELGIUM])
    assert asked.notices == (
        "shop/web calls nobody, which is no microservice here; the call is left out",
        "shop/web calls other/db, which is no microservice here; the call is left out",
        "gce-belgium: cores and memory unknown, taken as unlimited",
    )


def test_policies_that_nobody_understands():
    with pytest.raises(InvalidInput) as caught:
        request([service("web")], [policy("p", complience={}, cost={"maxHourly": "free"}, spread={"topology": "x"})])
    text = str(caught.value)
    assert "no policy engine reads `complience`; did you mean `compliance`?" in text
    assert "spec.cost.maxHourly" in text
    assert "spec.spread.topology" in text


def test_nothing_at_all():
    assert decide(request([], fleet=[])).placements == ()
    (alone,) = decide(request([service("web")], fleet=[])).placements
    assert (alone.verdict, alone.targets) == ("denied", ())
    assert alone.reasons == ("0/0 sub-clusters: the fleet has none",)


def test_words():
    assert equation(0.412, {"compute": 0.38, "transfer": 0.032}, 3) == "0.412 = 0.380 compute + 0.032 transfer"
    assert difference(0.108, {"compute": 0.12, "latency": -0.012}, 3) == "+0.108: +0.120 compute, -0.012 latency"
    assert tally(["lacks pci-dss", "outside [EU]", "outside [EU]"]) == "2 outside [EU], 1 lacks pci-dss"
    shown = parts({"a": 0.0004, "b": 0.0004, "c": 0.0004}, 3)
    assert sum(amount for _, amount in shown) == pytest.approx(0.001)

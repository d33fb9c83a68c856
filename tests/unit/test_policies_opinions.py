"""What each policy engine denies, prices and limits, and what it says of it."""

import numpy as np
import pytest
from planning import (
    BELGIUM,
    COMPLIANCE,
    COST,
    FLEET,
    FRANKFURT,
    LOCALITY,
    SPREAD,
    VIRGINIA,
    ZURICH,
    policy,
    request,
    service,
    subcluster,
)

from federation.planner.world import conflicts

NOWHERE = subcluster("nowhere", "kubernetes")
NAMES = ["azure-virginia", "ec2-frankfurt", "gce-belgium", "onprem-zurich"]
EU = ["EU", "CH"]


def denied(engine, sections, fleet=FLEET, **more):
    """Sub-cluster to the messages of its denials by one engine."""
    view = request([service("web", **more)], [policy(f"p{i}", **each) for i, each in enumerate(sections)], fleet).view
    opinion = engine.opine(view)
    found = {}
    for column, each in enumerate(view.subclusters):
        reasons = engine.explain(view, 0, column)
        assert bool(reasons) == (opinion.denied is not None and bool(opinion.denied[0, column]))
        if reasons:
            found[each.metadata.name] = [reason.message for reason in reasons]
    return found


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"residency": {"allow": EU}}, {"azure-virginia": ["outside [EU, CH]: runs in US"]}),
        (
            {"residency": {"deny": ["US", "BE"]}},
            {
                "azure-virginia": ["runs in US, residency denies [US, BE]"],
                "gce-belgium": ["runs in BE, residency denies [US, BE]"],
            },
        ),
        (
            {"residency": {"allow": ["EU"], "deny": ["DE"]}},
            {
                "azure-virginia": ["outside [EU]: runs in US"],
                "ec2-frankfurt": ["runs in DE, residency denies [DE]"],
                "onprem-zurich": ["outside [EU]: runs in CH"],
            },
        ),
        (
            {"operators": {"deny": ["US"]}},
            {
                "azure-virginia": ["operated by Microsoft (US), operators deny [US]"],
                "ec2-frankfurt": ["operated by Amazon (US), operators deny [US]"],
                "gce-belgium": ["operated by Google (US), operators deny [US]"],
            },
        ),
        (
            {"operators": {"allow": ["US"]}},
            {"onprem-zurich": ["operated by Example AG (CH), operators allow only [US]"]},
        ),
        (
            {"attestations": ["ISO27001", "c5"]},
            {
                "azure-virginia": ["lacks ISO27001", "lacks c5"],
                "ec2-frankfurt": ["lacks ISO27001", "lacks c5"],
                "gce-belgium": ["lacks ISO27001", "lacks c5"],
                "onprem-zurich": ["lacks c5"],
            },
        ),
    ],
)
def test_compliance(section, expected):
    assert denied(COMPLIANCE, [{"compliance": section}]) == expected


@pytest.mark.parametrize(
    "rule", [{"residency": {"allow": EU}}, {"residency": {"deny": ["US"]}}, {"operators": {"deny": ["US"]}}]
)
def test_what_is_unknown_is_never_permitted(rule):
    (messages,) = denied(COMPLIANCE, [{"compliance": rule}], [NOWHERE]).values()
    assert "is unknown" in messages[0]
    assert "spec.location" in messages[0]


def test_hard_rules_of_several_policies_add_up():
    sections = [{"compliance": {"residency": {"allow": EU}}}, {"compliance": {"residency": {"deny": ["DE"]}}}]
    assert set(denied(COMPLIANCE, sections)) == {"azure-virginia", "ec2-frankfurt"}


def test_compute_is_replicas_times_cores_and_memory_at_the_places_price():
    view = request(
        [service("web", 3, cpu="500m", memory="2Gi")], fleet=[ZURICH, subcluster("free", "x", price=None)]
    ).view
    price = COST.opine(view).prices["compute"][0]
    assert price[1] == pytest.approx(3 * (0.5 * 0.015 + 2 * 0.002))
    assert np.isnan(price[0]), "an unknown price is never zero"


def test_transfer_costs_the_declared_volume_by_the_senders_tariff():
    calls = [{"service": "db", "gibPerHour": 2.0}]
    view = request([service("web", calls=calls), service("db", calls=["web"])], fleet=[FRANKFURT, ZURICH]).view
    (pair,) = COST.opine(view).pairs
    assert pair.weight.tolist() == [0.05, 2.0]
    assert pair.price.diagonal().tolist() == [0.0, 0.0]
    assert pair.price[0, 1] == pytest.approx(0.09)
    assert pair.price[1, 0] == 0.0


def test_ceilings_of_policies_and_budgets():
    fleet = [FRANKFURT, subcluster("cheap", "gce", "europe-west1", budget={"hourly": "2 USD"})]
    rule = policy("limit", selector={"a": "b"}, cost={"maxHourly": "12 USD"})
    view = request([service("web"), service("x", labels={"a": "b"})], [rule], fleet).view
    limit, budget = COST.opine(view).ceilings
    assert (limit.max_usd_per_hour, limit.services.tolist(), limit.subclusters.all()) == (12.0, [False, True], True)
    assert (budget.max_usd_per_hour, budget.services.all(), budget.subclusters.tolist()) == (2.0, True, [True, False])


def test_latency_is_worth_money_and_weighs_users_by_share():
    both = [{"country": "DE", "share": 0.6}, {"country": "US", "share": 0.2}]
    view = request([service("web")], [policy("p", locality={"users": both, "latencyWorth": 0.01})]).view
    price = dict(zip(NAMES, LOCALITY.opine(view).prices["latency"][0], strict=True))
    assert price["ec2-frankfurt"] < price["gce-belgium"] < price["azure-virginia"]
    only = [{"country": "US"}]
    view = request([service("web")], [policy("p", locality={"users": only, "latencyWorth": 0.01})]).view
    price = dict(zip(NAMES, LOCALITY.opine(view).prices["latency"][0], strict=True))
    assert price["azure-virginia"] == min(price.values())


def test_too_far_from_users():
    rule = {"locality": {"users": [{"country": "DE"}], "maxLatency": "60ms"}}
    messages = denied(LOCALITY, [rule])
    assert list(messages) == ["azure-virginia"]
    assert messages["azure-virginia"][0].endswith("ms from its users on average, at most 60 ms")
    assert "unknown" in denied(LOCALITY, [rule], [NOWHERE])["nowhere"][0]


def test_the_strictest_latency_holds_and_the_highest_precedence_says_who_the_users_are():
    rules = [
        {"locality": {"users": [{"country": "DE"}], "maxLatency": "500ms"}, "precedence": 5},
        {"locality": {"users": [{"country": "US"}], "maxLatency": "60ms"}},
    ]
    assert list(denied(LOCALITY, rules)) == ["azure-virginia"]


def test_calls_of_a_service_whose_latency_is_worth_something_cost_latency():
    rule = policy("p", selector={"tier": "front"}, locality={"latencyWorth": 0.01})
    view = request([service("web", calls=["db"], labels={"tier": "front"}), service("db", calls=["web"])], [rule]).view
    (pair,) = LOCALITY.opine(view).pairs
    assert (pair.term, pair.calls.tolist(), pair.weight.tolist()) == ("call-latency", [1], [0.0025])


def test_a_calls_limit_is_hard_and_unknown_is_beyond_it():
    view = request(
        [service("web", calls=[{"service": "db", "maxLatency": "5ms"}]), service("db")], fleet=[NOWHERE, FRANKFURT]
    ).view
    (limit,) = LOCALITY.opine(view).limits
    assert limit.limit.tolist() == [0.005]
    assert limit.value[0, 1] == np.inf
    assert limit.value[0, 0] == 0.0


def test_spread_takes_a_cloud_for_a_provider_whatever_drives_it():
    drives = [subcluster(n, "local", r) for n, r in (("a", "europe-west1"), ("b", "us-east1"), ("c", "eu-central-1"))]
    view = request([service("web", 4)], [policy("p", spread={"topology": "provider", "minDomains": 2})], drives).view
    (term,) = SPREAD.opine(view).spread
    assert term.domain[0] == term.domain[1] != term.domain[2]


@pytest.mark.parametrize(
    ("rule", "replicas", "message"),
    [
        (
            {"topology": "provider", "minDomains": 3},
            2,
            "spread asks for at least 3 providers, 2 replicas are too few: give it 3",
        ),
        (
            {"topology": "region", "maxShare": "30%"},
            3,
            "spread asks for at most 30% in one region, 3 replicas are too few: give it 4",
        ),
    ],
)
def test_too_few_replicas_for_a_spread(rule, replicas, message):
    found = denied(SPREAD, [{"spread": rule}], replicas=replicas)
    assert found == {name: [message] for name in NAMES}


def test_a_place_of_no_known_domain_is_of_no_use_to_a_spread():
    found = denied(SPREAD, [{"spread": {"topology": "region", "minDomains": 2}}], [*FLEET, NOWHERE], replicas=2)
    assert set(found) == {"nowhere", "onprem-zurich"}
    assert "its region is unknown" in found["nowhere"][0]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            {"compliance": {"residency": {"allow": ["EU"]}}},
            {"compliance": {"residency": {"allow": ["US"]}}},
            "leave no country",
        ),
        ({"locality": {"latencyWorth": 1}}, {"locality": {"latencyWorth": 2}}, "locality.latencyWorth"),
        ({"locality": {"users": [{"country": "DE"}]}}, {"locality": {"users": [{"country": "FR"}]}}, "[DE]"),
    ],
)
def test_conflicts_name_both_policies(first, second, message):
    asked = request([service("web")], [policy("one", **first), policy("two", **second)])
    (found,) = conflicts(asked.view, asked.engines).values()
    assert message in found[0]
    assert "ClusterPlacementPolicy one" in found[0]
    assert "ClusterPlacementPolicy two" in found[0]


@pytest.mark.parametrize(("precedence", "value"), [(1, {"latencyWorth": 2}), (0, {"latencyWorth": 1})])
def test_precedence_or_agreement_settles_it(precedence, value):
    rules = [policy("one", locality={"latencyWorth": 1}), policy("two", locality=value, precedence=precedence)]
    asked = request([service("web")], rules)
    assert conflicts(asked.view, asked.engines) == {}


def test_a_limit_without_users_is_a_conflict():
    asked = request([service("web")], [policy("far", locality={"maxLatency": "60ms"})])
    (found,) = conflicts(asked.view, asked.engines).values()
    assert "needs users" in found[0]


def test_engines_give_no_opinion_on_nothing():
    for fleet, services in (([], [service("web")]), (FLEET, []), ([BELGIUM, VIRGINIA], [service("web")])):
        view = request(services, fleet=fleet).view
        for engine in (COMPLIANCE, COST, LOCALITY, SPREAD):
            denials = engine.opine(view).denied
            assert denials is None or not denials.any()

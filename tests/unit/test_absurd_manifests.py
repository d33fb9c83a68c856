"""Manifests that contradict themselves, say nothing, or ask for what cannot be: each is refused with its field by
`roam validate` and by the API, and nothing is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import Roam, a_policy
from serving import BASE, Served, a_microservice, a_subcluster

INF, NAN = float("inf"), float("nan")


def sub(**spec: Any) -> dict[str, Any]:
    return a_subcluster("there", **spec)


def ms(**spec: Any) -> dict[str, Any]:
    return a_microservice("web", **spec)


def pp(**spec: Any) -> dict[str, Any]:
    return {**a_policy("rules", **spec), "kind": "PlacementPolicy", "metadata": {"name": "rules", "namespace": "shop"}}


def rule(expression: str, **more: Any) -> dict[str, Any]:
    return pp(rules=[{"expression": expression, "message": "no", **more}])


def locality(**section: Any) -> dict[str, Any]:
    return pp(locality=section)


def migration(**section: Any) -> dict[str, Any]:
    return pp(migration=section)


def pod(**requests: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "x", "resources": {"requests": requests}}
    return ms(template={"spec": {"containers": [container]}})


DE = {"country": "DE"}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    # What is no number at all is told of before anything is known of fields.
    # --- what a sub-cluster is said to be
    (sub(pricing={"cpuHour": -0.01}), "spec.pricing.cpuHour", "is not an amount"),
    (sub(pricing={"cpuHour": "2 EUR"}), "spec.pricing.cpuHour", "US dollars"),
    (sub(pricing={"memoryGiBHour": INF}), "", "finite"),
    (sub(pricing={"cpuHour": NAN}), "", "finite"),
    (sub(pricing={"cpuHour": 1e300}), "spec.pricing.cpuHour", "billion"),
    (sub(pricing={"cpuHour": True}), "spec.pricing.cpuHour", "is not an amount"),
    (sub(budget={"hourly": -1}), "spec.budget.hourly", "is not an amount"),
    (sub(budget={}), "spec.budget.hourly", "missing"),
    (sub(capacity={"cpu": "-1"}), "spec.capacity.cpu", "is not a quantity"),
    (sub(capacity={"memory": "much"}), "spec.capacity.memory", "is not a quantity"),
    (sub(capacity={"cpu": INF}), "", "finite"),
    (sub(provider="gcee"), "spec.provider", "unknown provider"),
    (sub(region="eu-central-99", location={"cloud": "aws"}), "spec.region", "eu-central"),
    (sub(location={"country": "XX"}), "spec.location.country", "unknown country"),
    (sub(location={"country": "EU"}), "spec.location.country", "unknown country"),
    (sub(location={"country": "DE", "operatorCountry": "YY"}), "spec.location.operatorCountry", "unknown country"),
    (sub(location={"country": "DE", "latitude": 91.0}), "spec.location.latitude", "90"),
    (sub(location={"country": "DE", "longitude": NAN}), "", "finite"),
    (sub(location={"country": "DE", "latencies": {"FR": "-1ms"}}), "spec.location.latencies.FR", "is not a duration"),
    (sub(detection={"window": "0s"}), "spec.detection.window", "longer than nothing"),
    (sub(detection={"window": "10000d"}), "spec.detection.window", "at most"),
    (sub(drain={"parallel": 0}), "spec.drain.parallel", "1"),
    (sub(taints=[{"key": "k", "effect": "Never"}]), "spec.taints[0].effect", "NoSchedule"),
    (sub(taints=[{"key": "k", "effect": "NoSchedule"}] * 2), "spec.taints", "twice"),
    # --- what a microservice asks for
    (ms(replicas=-1), "spec.replicas", "0"),
    (ms(replicas=1.5), "spec.replicas", "whole number"),
    (ms(replicas="2"), "spec.replicas", "whole number"),
    (ms(replicas=10**9), "spec.replicas", "1000000"),
    (ms(disruption={"minAvailable": -1}), "spec.disruption.minAvailable", "0"),
    (ms(calls=[{"service": "db", "gibPerHour": -1}]), "spec.calls[0].gibPerHour", "0"),
    (ms(calls=[{"service": "db", "gibPerHour": INF}]), "", "finite"),
    (ms(calls=[{"service": "db", "gibPerHour": NAN}]), "", "finite"),
    (ms(calls=[{"service": "db", "maxLatency": "0ms"}]), "spec.calls[0].maxLatency", "longer than nothing"),
    (ms(calls=[{"service": "db", "maxLatency": "-5ms"}]), "spec.calls[0].maxLatency", "is not a duration"),
    (ms(calls=[{"service": "db", "gibPerHour": 1e30}]), "spec.calls[0].gibPerHour", "1000000"),
    (ms(ports=[{"port": 0}]), "spec.ports[0].port", "1"),
    (pod(cpu="-1"), "spec.template.spec.containers[0].resources.requests.cpu", "is not a quantity"),
    (pod(memory="lots"), "spec.template.spec.containers[0].resources.requests.memory", "is not a quantity"),
    # --- a policy as a whole
    (pp(), "spec", "says nothing"),
    (pp(precedence=3), "spec", "says nothing"),
    (pp(migration={}), "spec.migration", "says nothing"),
    (pp(tolerations=[]), "spec", "says nothing"),
    (pp(complience={}), "spec.complience", "compliance"),
    (pp(importance=1, precedence=10**12), "spec.precedence", "1000000000"),
    (pp(importance=1, precedence=True), "spec.precedence", "whole number"),
    (
        pp(importance=1, selector={"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}),
        "spec.selector.matchExpressions[0]",
        "values",
    ),
    (
        pp(importance=1, selector={"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
        "spec.selector.matchExpressions[0]",
        "values",
    ),
    (
        pp(importance=1, selector={"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}),
        "spec.selector.matchExpressions[0].operator",
        "NotIn",
    ),
    # --- compliance
    (pp(compliance={}), "spec.compliance", "says nothing"),
    (pp(compliance={"grace": "10m"}), "spec.compliance", "says nothing"),
    (pp(compliance={"residency": {}}), "spec.compliance.residency", "says nothing"),
    (pp(compliance={"residency": {"allow": ["EUU"]}}), "spec.compliance.residency.allow[0]", "did you mean EU"),
    (pp(compliance={"residency": {"allow": [False]}}), "spec.compliance.residency.allow[0]", '"NO"'),
    (pp(compliance={"residency": {"allow": []}}), "spec.compliance.residency.allow", "1"),
    (
        pp(compliance={"residency": {"allow": ["DE"], "deny": ["EU"]}}),
        "spec.compliance.residency",
        "denies all that it allows",
    ),
    (pp(compliance={"operators": {"deny": ["Atlantis"]}}), "spec.compliance.operators.deny[0]", "unknown"),
    (
        pp(compliance={"operators": {"allow": ["US"], "deny": ["US"]}}),
        "spec.compliance.operators",
        "denies all that it allows",
    ),
    (pp(compliance={"attestations": ["a b"]}), "spec.compliance.attestations[0]", ""),
    (
        pp(compliance={"attestations": ["soc2"], "grace": "-1h"}),
        "spec.compliance.grace",
        "is not a duration",
    ),
    (
        pp(compliance={"attestations": ["soc2"], "grace": f"{'9' * 400}d"}),
        "spec.compliance.grace",
        "100 years",
    ),
    # --- cost
    (pp(cost={}), "spec.cost", "says nothing"),
    (pp(cost={"maxHourly": 0}), "spec.cost.maxHourly", "must be > 0"),
    (pp(cost={"maxHourly": -12}), "spec.cost.maxHourly", "is not an amount"),
    (pp(cost={"maxHourly": NAN}), "", "finite"),
    (pp(cost={"maxHourly": "2e9 USD"}), "spec.cost.maxHourly", "is not an amount"),
    (pp(cost={"maxHourly": "2000000000 USD"}), "spec.cost.maxHourly", "more than a billion"),
    # --- locality
    (locality(), "spec.locality", "says nothing"),
    (locality(users=[DE], latencyWorth=-1), "spec.locality.latencyWorth", "0"),
    (locality(users=[DE], latencyWorth=NAN), "", "finite"),
    (locality(users=[DE], latencyWorth=1e300), "spec.locality.latencyWorth", "1000000"),
    (locality(users=[DE], maxLatency="0ms"), "spec.locality.maxLatency", "longer than nothing"),
    (locality(users=[DE], maxLatency="-3ms"), "spec.locality.maxLatency", "is not a duration"),
    (locality(users=[{"region": "mars-1"}]), "spec.locality.users[0].region", "unknown region"),
    (locality(users=[{"country": "ZZ"}]), "spec.locality.users[0].country", "unknown country"),
    (locality(users=[{**DE, "share": "120%"}]), "spec.locality.users[0].share", "between 0% and 100%"),
    (locality(users=[{**DE, "share": -0.2}]), "spec.locality.users[0].share", "between 0% and 100%"),
    (locality(users=[{**DE, "share": NAN}]), "", "finite"),
    (
        locality(users=[{**DE, "share": 0.7}, {"country": "FR", "share": 0.6}]),
        "spec.locality",
        "130%, more than 100%",
    ),
    ({**locality(**{"with": ["db"], "apart": ["db"]})}, "spec.locality", "cannot be both"),
    (locality(apart=["Not A Name"]), "spec.locality.apart[0]", "name or namespace/name"),
    # --- spread
    (pp(spread={"topology": "provider"}), "spec.spread", "says nothing"),
    (pp(spread={"topology": "planet", "minDomains": 2}), "spec.spread.topology", "provider"),
    (pp(spread={"topology": "provider", "minDomains": 0}), "spec.spread.minDomains", "1"),
    (pp(spread={"topology": "provider", "minDomains": -2}), "spec.spread.minDomains", "1"),
    (pp(spread={"topology": "provider", "minDomains": 1.5}), "spec.spread.minDomains", "whole number"),
    (pp(spread={"topology": "subcluster", "minDomains": 10**7}), "spec.spread.minDomains", "1000"),
    (pp(spread={"topology": "country", "minDomains": 900}), "spec.spread", "countries"),
    (pp(spread={"topology": "provider", "maxShare": "0%"}), "spec.spread.maxShare", "must be > 0"),
    (pp(spread={"topology": "provider", "maxShare": "160%"}), "spec.spread.maxShare", "between 0% and 100%"),
    # --- prefer, importance
    (pp(prefer=[]), "spec.prefer", "says nothing"),
    (pp(prefer=[{"matchLabels": {"a": "b"}}] * 2), "spec.prefer", "twice"),
    (pp(importance=10**12), "spec.importance", "1000000000"),
    (pp(importance=1.5), "spec.importance", "whole number"),
    # --- rules
    (pp(rules=[]), "spec.rules", "1"),
    (rule("subcluster.labels.tier =="), "spec.rules[0].expression", ""),
    (rule("service.nonsense == 1"), "spec.rules[0].expression", "nonsense"),
    (rule("service.replicas + 1"), "spec.rules[0].expression", "not true or false"),
    (rule(" && ".join(["service.replicas < 3"] * 5000)), "spec.rules[0].expression", "more than 2000"),
    (rule("(" * 400 + "true" + ")" * 400), "spec.rules[0].expression", ""),
    (
        rule("fleet.names.all(a, fleet.names.all(b, fleet.names.all(c, fleet.names.all(d, a != b))))"),
        "spec.rules[0].expression",
        "",
    ),
    (rule("true", message=" "), "spec.rules[0].message", "one line"),
    (rule("true", enforcement="maybe"), "spec.rules[0].enforcement", "deny"),
    # --- migration
    (migration(mode="sometimes"), "spec.migration.mode", "automatic"),
    (migration(payback="0h"), "spec.migration.payback", "no time"),
    (migration(payback="-72h"), "spec.migration.payback", "is not a duration"),
    (migration(minSavings="100%"), "spec.migration.minSavings", "must be < 1"),
    (migration(minSavings="-5%"), "spec.migration.minSavings", "is not a share"),
    (migration(cooldown="soon"), "spec.migration.cooldown", "is not a duration"),
    (migration(cooldown="1000000d"), "spec.migration.cooldown", "100 years"),
    (migration(windows=["Mon 25:00-26:00"]), "spec.migration.windows[0]", ""),
    (migration(windows=["Mon 20:00-21:00 Mars/Olympus"]), "spec.migration.windows[0]", "Mars/Olympus"),
    (migration(windows=["Xyz 20:00-21:00"]), "spec.migration.windows[0]", "Xyz"),
    (migration(strategy={"canary": {"steps": []}}), "spec.migration.strategy.canary.steps", "100"),
    (migration(strategy={"canary": {"steps": [50]}}), "spec.migration.strategy.canary.steps", "100"),
    (migration(strategy={"canary": {"steps": [50, 25, 100]}}), "spec.migration.strategy.canary.steps", "rising"),
    (migration(strategy={"canary": {"steps": [0, 100]}}), "spec.migration.strategy.canary.steps[0]", "1"),
    (migration(strategy={"canary": {"maxErrorRate": "101%"}}), "spec.migration.strategy.canary.maxErrorRate", "100%"),
    (migration(strategy={"canary": {"interval": "400d"}}), "spec.migration.strategy.canary.interval", "at most"),
    (migration(strategy={"canary": {"maxP99": "1s"}}), "spec.migration.strategy.canary.maxP99", "unknown field"),
    # --- tolerations
    (pp(tolerations=[{"operator": "Equal"}]), "spec.tolerations[0]", "without a key"),
    (pp(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]), "spec.tolerations[0]", "looks at no value"),
    (
        pp(tolerations=[{"key": "a", "effect": "NoExecute", "tolerationSeconds": -1}]),
        "spec.tolerations[0].tolerationSeconds",
        "0",
    ),
]
LEGAL = [
    ms(replicas=0),
    sub(pricing={"cpuHour": 0, "memoryGiBHour": 0}),
    pp(compliance={"residency": {"allow": ["EU"], "deny": ["DE"]}}),
    pp(spread={"topology": "country", "minDomains": 2}, compliance={"residency": {"allow": ["CH", "DE"]}}),
    pp(tolerations=[{"operator": "Exists"}]),
    migration(strategy={"canary": {"steps": [100], "interval": "0s"}}),
]


def _title(case: tuple[dict[str, Any], str, str]) -> str:
    return f"{case[0]['kind']} {case[1]} {case[2]}"[:70]


@pytest.mark.parametrize("case", REFUSED, ids=_title)
def test_validate_refuses_it_with_its_field(case: tuple[dict[str, Any], str, str], roam: Roam, tmp_path: Path) -> None:
    document, field, fragment = case
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(document))
    code, out, _ = roam("validate", "-f", path, "-o", "json")
    found = json.loads(out)["findings"]
    errors = [one for one in found if one["severity"] == "error"]
    assert (code, [one["field"] for one in errors]) == (64, [field or None]), errors
    assert fragment in errors[0]["message"]
    assert errors[0]["line"]


@pytest.mark.parametrize("case", REFUSED, ids=_title)
def test_the_api_stores_nothing_of_it(case: tuple[dict[str, Any], str, str], api: Served) -> None:
    document, field, fragment = case
    good = {**a_policy("good", importance=1), "metadata": {"name": "good"}, "kind": "ClusterPlacementPolicy"}
    before = api.store.version()
    answer = api.call("POST", f"{BASE}/apply", [good, document])
    assert 400 <= answer.code < 500
    if field:
        causes = answer.body["details"]["causes"]
        assert [cause["field"].rpartition(" ")[2] for cause in causes] == [field], causes
        assert fragment in causes[0]["message"]
    assert api.store.version() == before


@pytest.mark.parametrize("document", LEGAL, ids=lambda each: each["kind"])
def test_what_only_looks_absurd_is_legal(document: dict[str, Any], roam: Roam, tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(yaml.safe_dump(document))
    assert json.loads(roam("validate", "-f", path, "-o", "json")[1])["errors"] == 0


def named(name: str, document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "metadata": {**document["metadata"], "name": name}}


TOGETHER = [
    (locality(users=[DE], latencyWorth=0.1), locality(latencyWorth=0.2), "spec.locality.latencyWorth"),
    (
        pp(compliance={"residency": {"allow": ["EU"]}}),
        pp(compliance={"residency": {"allow": ["CH"]}}),
        "spec.compliance.residency",
    ),
    (pp(importance=1), pp(importance=2), "spec.importance"),
    (pp(importance=1), locality(maxLatency="60ms"), "spec.locality.maxLatency"),
    (locality(**{"with": ["db"]}), locality(apart=["shop/db"]), "spec.locality"),
]


@pytest.mark.parametrize(("one", "other", "field"), TOGETHER, ids=[row[2] for row in TOGETHER])
def test_validate_tells_which_policies_contradict_each_other(
    one: dict[str, Any], other: dict[str, Any], field: str, roam: Roam, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump_all([ms(), a_microservice("db"), named("one", one), named("two", other)]))
    code, out, _ = roam("validate", "-f", path, "-o", "json")
    (found,) = [each for each in json.loads(out)["findings"] if each["severity"] == "error"]
    assert (code, found["field"], bool(found["line"])) == (64, field, True)
    assert "shop/two" in found["message"]
    assert "shop/one" in found["message"] or field == "spec.locality.maxLatency"


@pytest.mark.parametrize(("one", "other", "field"), TOGETHER, ids=[row[2] for row in TOGETHER])
def test_policies_that_contradict_each_other_are_not_stored(
    one: dict[str, Any], other: dict[str, Any], field: str, api: Served
) -> None:
    first, second = named("one", one), named("two", other)
    services = [ms(), a_microservice("db")]
    before = api.store.version()
    assert api.call("POST", f"{BASE}/apply", [*services, first, second]).code == 422
    assert api.store.version() == before
    assert api.call("POST", f"{BASE}/apply", [*services, first]).code == 200
    before = api.store.version()
    for method, path, body in (
        ("POST", f"{BASE}/apply", [second]),
        ("POST", f"{BASE}/apply?dryRun=All", [second]),
        ("POST", f"{BASE}/namespaces/shop/placementpolicies", second),
    ):
        answer = api.call(method, path, body)
        assert answer.code == 422
        assert [cause["field"].rpartition(" ")[2] for cause in answer.body["details"]["causes"]] == [field]
        assert "shop/two" in answer.body["message"]
        assert "shop/one" in answer.body["message"] or field == "spec.locality.maxLatency"
    assert api.store.version() == before
    # With a precedence of their own there is nothing to contradict, where a single setting is at stake.
    higher = {**second, "spec": {**second["spec"], "precedence": 1}}
    settled = field in ("spec.locality.latencyWorth", "spec.importance")
    assert api.call("POST", f"{BASE}/apply", [higher]).code == (200 if settled else 422)

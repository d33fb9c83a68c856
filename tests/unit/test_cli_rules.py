"""Rules on the command line and in the API: a bad one is refused where it stands, a good one says why it denies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from commandline import WIDTH, Roam, a_policy, golden, transcript
from serving import BASE, Served, a_microservice, a_subcluster

from federation.cli.describing.settings import settings_of

EXAMPLES = Path(__file__).parents[2] / "examples"
BAD = """\
apiVersion: roam.federation/v1alpha1
kind: PlacementPolicy
metadata: {name: gold, namespace: shop}
spec:
  rules:
  - expression: "subcluster.labels.tier == 'gold' || service.replicas < 3"
    message: large services need gold
  - expression: >-
      subcluster.lables.tier == 'gold'
    message: gold for all
  - expression: fleet.names.all(a, fleet.names.all(b, fleet.names.all(c, a != b)))
    message: this one never ends
  - expression: service.replicas
    mesage: how many
    enforcement: shrug
"""
GOLD = {
    "expression": "subcluster.labels.tier == 'gold' || service.replicas < 3",
    "message": "large services need gold",
}
EU = {"expression": "subcluster.continent == 'EU'", "message": "Europe is home", "enforcement": "warn"}


def _fleet(path: Path) -> Path:
    """A golden place, a silver one, one without labels, one far away."""
    gold, silver, far = a_subcluster("gold"), a_subcluster("silver"), a_subcluster("far")
    gold["metadata"]["labels"] = {"tier": "gold"}
    silver["metadata"]["labels"] = {"tier": "silver"}
    far["metadata"]["labels"] = {"tier": "gold"}
    far["spec"] |= {"pricing": {"cpuHour": 0.01, "memoryGiBHour": 0.002}, "attestations": ["iso27001"]}
    far["spec"]["location"] = {**far["spec"]["location"], "country": "US"}
    documents = [
        a_microservice("cart", replicas=4),
        gold,
        silver,
        a_subcluster("plain"),
        far,
        a_policy("shop/gold", rules=[GOLD, EU]),
        a_policy("one", rules=[{"expression": "subcluster.name != 'silver'", "message": "not silver"}]),
    ]
    path.write_text(yaml.safe_dump_all(documents))
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("ROAM_HOME", str(tmp_path))


def test_validate_refuses_a_bad_one_where_it_stands(roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAM_SERVER", "http://127.0.0.1:1")
    Path("gold.yaml").write_text(BAD)
    code, out, _ = roam("validate", "-f", "gold.yaml")
    assert code == 64
    assert "gold.yaml:8: error: spec.rules[1].expression: column 12 of the expression: unknown field" in out
    golden("rules-refused", transcript(roam, ("validate", "-f", "gold.yaml")))


def test_plan_and_why_say_which_rule(roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAM_SERVER", "http://127.0.0.1:1")
    _fleet(Path("fleet.yaml"))
    shop = ("-n", "shop", "-f", "fleet.yaml", "--offline")
    golden(
        "rules",
        transcript(
            roam,
            ("why", "cart", *shop),
            ("plan", "-f", "fleet.yaml", "--offline"),
            ("why-not", "cart", "silver", "-n", "shop", "-f", "fleet.yaml"),
        ),
    )


def test_the_api_stores_no_bad_one(api: Served) -> None:
    policies = f"{BASE}/namespaces/shop/placementpolicies"
    bad = a_policy("shop/gold", rules=[{**GOLD, "expression": "service.replica < 3"}])
    said = api.call("POST", policies, bad)
    assert said.code == 422
    assert "unknown field `service.replica`; did you mean `replicas`?" in str(said.body)
    assert "spec.rules[0].expression" in str(said.body)
    assert api.call("POST", f"{BASE}/apply", [bad]).code == 422
    assert api.call("GET", f"{policies}/gold").code == 404
    assert api.call("POST", policies, a_policy("shop/gold", rules=[GOLD])).code == 201
    assert api.patch(f"{policies}/gold", {"spec": {"rules": [{**GOLD, "expression": "1"}]}}).code == 422
    assert api.call("GET", f"{policies}/gold").body["spec"]["rules"] == [GOLD]


def test_apply_refuses_a_bad_one_with_file_and_line(api: Served, roam: Roam) -> None:
    Path("gold.yaml").write_text(BAD)
    code, _, err = roam("apply", "-f", "gold.yaml")
    assert code == 64
    assert "gold.yaml:8: spec.rules[1].expression: column 12" in err
    assert api.call("GET", f"{BASE}/namespaces/shop/placementpolicies/gold").code == 404


def test_the_example_is_sound_and_changes_nothing_in_the_shop(roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAM_SERVER", "http://127.0.0.1:1")
    shop = [word for name in ("shop", "policies", "fleet.yaml") for word in ("-f", EXAMPLES / name)]
    rules = ("-f", EXAMPLES / "rules" / "large-services.yaml")
    assert roam("validate", *shop, *rules)[0] == 0
    before, after = (roam("plan", "--offline", "-o", "json", *words)[1] for words in (shop, (*shop, *rules)))
    targets = [{one["service"]: one["targets"] for one in json.loads(each)["placements"]} for each in (before, after)]
    assert targets[0] == targets[1]


def test_describe_shows_each_rule_with_its_policy() -> None:
    service = {"metadata": {"namespace": "shop", "labels": {}}}
    policies = []
    for name in ("shop/gold", "one"):
        policy = a_policy(name, rules=[GOLD, EU], selector={}, precedence=0)
        policies.append(policy)
    found = [one for one in settings_of(service, policies) if one.name.startswith("rules")]
    gold, home = f"{GOLD['message']}: {GOLD['expression']}", f"{EU['message']}: {EU['expression']}"
    assert [tuple(one) for one in found] == [
        ("rules.deny", gold, "clusterplacementpolicy/one", False),
        ("rules.deny", gold, "placementpolicy/gold", False),
        ("rules.warn", home, "clusterplacementpolicy/one", False),
        ("rules.warn", home, "placementpolicy/gold", False),
    ]

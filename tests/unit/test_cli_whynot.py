"""`roam why-not`: what is against a place, and changes of which each was tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import Roam, a_policy, golden, transcript
from serving import BASE, Served, a_microservice, a_subcluster

IOWA = {"country": "US", "latitude": 41.0, "longitude": -93.0, "operator": "Cloud", "operatorCountry": "US"}


def _write(path: Path, documents: list[dict[str, Any]]) -> Path:
    path.write_text(yaml.safe_dump_all(documents))
    return path


def _fleet(**changes: Any) -> list[dict[str, Any]]:
    """A small cheap place, a full one and a far one; a service under two rules, and two beside it."""
    cart = a_microservice("cart", replicas=2, calls=[{"service": "db", "gibPerHour": 0.1}])
    cart["metadata"]["labels"] = {"app": "cart"}
    big = {"spec": {"containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "3"}}}]}}
    far = {"location": IOWA, "pricing": {"cpuHour": 0.05, "memoryGiBHour": 0.006}, **changes.pop("far", {})}
    return [
        cart,
        a_microservice("db"),
        a_microservice("big", template=big),
        a_subcluster("onprem", pricing={"cpuHour": 0.01, "memoryGiBHour": 0.001}, capacity={"cpu": "2"}),
        a_subcluster("near"),
        a_subcluster("iowa", **far),
        a_policy(
            "rules",
            selector={"matchLabels": {"app": "cart"}},
            compliance={"residency": {"allow": ["EU"]}, "attestations": ["iso27001"], **changes.pop("compliance", {})},
        ),
    ]


def test_each_kind_of_answer(api: Served, roam: Roam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    documents = _fleet()
    for document in documents:
        if document["metadata"]["name"] in ("onprem", "near"):
            document["spec"]["attestations"] = ["iso27001"]
    _write(Path("fleet.yaml"), documents)
    documents[5]["spec"] |= {"attestations": ["iso27001"], "unschedulable": True}
    documents[5]["spec"]["taints"] = [{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}]
    _write(Path("closed.yaml"), documents)
    shop = ("-n", "shop", "-f")
    golden(
        "why-not",
        transcript(
            roam,
            ("why-not", "cart", "iowa", *shop, "fleet.yaml"),
            ("why-not", "cart", "iowa", *shop, "closed.yaml"),
            ("why-not", "db", "iowa", *shop, "closed.yaml"),
            ("why-not", "big", "onprem", *shop, "fleet.yaml"),
            ("why-not", "db", "near", *shop, "fleet.yaml"),
            ("why-not", "db", "onprem", *shop, "fleet.yaml"),
            ("why-not", "db", "iwa", *shop, "fleet.yaml"),
            ("why-not", "dv", "iowa", *shop, "fleet.yaml"),
        ),
    )


def test_what_it_says_comes_true(api: Served, roam: Roam, tmp_path: Path) -> None:
    """One rule stands against it: without that rule the place is feasible at the price it told."""
    documents = _fleet(far={"attestations": ["iso27001"]})
    path = _write(tmp_path / "a.yaml", documents)
    code, out, _ = roam("why-not", "cart", "iowa", "-n", "shop", "-f", path, "-o", "json")
    found = json.loads(out)
    assert (code, found["verdict"]) == (4, "denied")
    assert [one["change"] for one in found["alone"]] == [
        "ClusterPlacementPolicy rules without spec.compliance.residency"
    ]
    del documents[-1]["spec"]["compliance"]["residency"]
    code, out, _ = roam("why", "cart", "-n", "shop", "-f", _write(tmp_path / "b.yaml", documents), "-o", "json")
    then = next(one for one in json.loads(out)["candidates"] if one["subcluster"] == "iowa")
    assert then["verdict"] in ("feasible", "chosen")
    assert then["cost_usd_per_hour"] == found["alone"][0]["cost_usd_per_hour"]


def test_at_which_price_it_becomes_the_choice(api: Served, roam: Roam, tmp_path: Path) -> None:
    documents = _fleet()
    path = _write(tmp_path / "a.yaml", documents)
    found = json.loads(roam("why-not", "db", "near", "-n", "shop", "-f", path, "-o", "json")[1])
    assert (found["verdict"], found["alone"][0]["verdict"]) == ("feasible", "chosen")
    core = float(found["alone"][0]["change"].partition("at most ")[2].partition(" ")[0])
    for factor, chosen in ((0.99, True), (1.01, False)):
        scaled = {"cpuHour": core * factor, "memoryGiBHour": core * factor * 0.003 / 0.02}
        near = [
            {**one, "spec": {**one["spec"], "pricing": scaled}}
            for one in documents
            if one["metadata"]["name"] == "near"
        ]
        others = [one for one in documents if one["metadata"]["name"] != "near"]
        again = _write(tmp_path / "b.yaml", [*others, *near])
        verdict = json.loads(roam("why-not", "db", "near", "-n", "shop", "-f", again, "-o", "json")[1])["verdict"]
        assert (verdict == "chosen") == chosen


def test_at_which_price_of_whole_machines_it_becomes_the_choice(api: Served, roam: Roam, tmp_path: Path) -> None:
    """A quarter of the cores of two machines: what it would cost in fractions elsewhere is what they may cost."""

    def verdict(hourly: float) -> dict[str, Any]:
        types = [{"type": "mine", "cpu": "1", "memory": "4Gi", "hourly": hourly}]
        documents = [a_microservice("db", replicas=2), a_subcluster("near"), a_subcluster("vms", instances=types)]
        path = _write(tmp_path / "a.yaml", documents)
        found: dict[str, Any] = json.loads(roam("why-not", "db", "vms", "-n", "shop", "-f", path, "-o", "json")[1])
        return found

    found = verdict(0.2)
    assert (found["verdict"], found["terms"]) == ("feasible", {"compute": 0.2})
    assert "buys 1x mine on demand" in found["reasons"]
    change = found["alone"][0]["change"]
    assert change.startswith("its machines for at most "), change
    factor = float(change.removeprefix("its machines for at most ").partition(" ")[0])
    assert verdict(0.2 * factor * 0.98)["verdict"] == "chosen"
    assert verdict(0.2 * factor * 1.02)["verdict"] == "feasible"


def test_against_a_server_a_pin_is_one_of_the_changes(shop: Served, roam: Roam) -> None:
    assert shop.patch(f"{BASE}/namespaces/shop/placements/cart", {"spec": {"pinned": "onprem"}}).code == 200
    found = json.loads(roam("why-not", "shop/cart", "cloud", "-o", "json")[1])
    assert [one["change"] for one in found["alone"]] == ["roam unpin shop/cart"]

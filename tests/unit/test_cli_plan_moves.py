"""`roam plan` of what runs: what each move costs once, how long it is down, and when it has repaid itself."""

from __future__ import annotations

import json
from math import fsum

import pytest
from commandline import Roam, golden, transcript
from serving import BASE, NOW, Served, a_microservice

from federation.contracts.store import Replace
from federation.model.meta import Key
from federation.model.placement import Placement, PlacementSpec, Target


@pytest.fixture
def moving_shop(shop: Served) -> Served:
    """`cart` and `db` run in the dearer sub-cluster; `db` has a volume, `new` runs nowhere yet."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"resources": {"requests": {"storage": "10Gi"}}},
    }
    template = a_microservice("db")["spec"]["template"]
    template["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    db = a_microservice("db", template=template, stateful=True, objects=[claim])
    assert shop.call("POST", f"{BASE}/apply", [db, a_microservice("new")]).code == 200
    for name, replicas in (("cart", 2), ("db", 1)):
        there = shop.store.get(Placement, Key("shop", name))
        spec = PlacementSpec(targets=(Target(subcluster="cloud", replicas=replicas),))
        shop.store.write([Replace(there.model_copy(update={"spec": spec}))], now=NOW)
    return shop


def test_the_tables(moving_shop: Served, roam: Roam) -> None:
    golden("plan-moves", transcript(roam, ("plan",), ("plan", "-o", "markdown")))


def test_the_document_adds_up(moving_shop: Served, roam: Roam) -> None:
    plan = json.loads(roam("plan", "-o", "json")[1])
    moves = {change["service"]: change["move"] for change in plan["changes"]}
    assert moves["new"] is None
    assert moves["cart"]["downtime_s"] == 0.0
    assert (moves["db"]["volume_bytes"], moves["db"]["downtime_s"]) == (10 * 2**30, None)
    assert any("how long it is down" in each for each in moves["db"]["unknown"])
    for move in (moves["cart"], moves["db"]):
        assert move["image_bytes"] is None
        assert move["once_usd"] == pytest.approx(move["transfer_usd"] + move["overlap_usd"])
        assert move["payback_hours"] == pytest.approx(move["once_usd"] / move["saving_usd_per_hour"], abs=1e-5)
    assert plan["once_usd"] == pytest.approx(moves["cart"]["once_usd"] + moves["db"]["once_usd"])
    assert plan["total_usd_per_hour"] == pytest.approx(fsum(plan["terms"].values()))
    assert plan["terms"]["moving"] == pytest.approx(plan["once_usd"] / 72, abs=1e-8)
    assert plan["running_usd_per_hour"] == pytest.approx(plan["total_usd_per_hour"] - plan["terms"]["moving"])
    saved = fsum(move["saving_usd_per_hour"] for move in (moves["cart"], moves["db"]))
    new = next(one["cost_usd_per_hour"] for one in plan["placements"] if one["service"] == "new")
    assert plan["present_usd_per_hour"] - saved + new == pytest.approx(plan["running_usd_per_hour"])

"""`roam cost`: sums that add up to the last digit, however they are grouped."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from commandline import Roam, golden, transcript
from hypothesis import given
from hypothesis import strategies as st
from serving import BASE, NOW, Served, a_microservice

from federation.cli.spending import amount, divided
from federation.contracts.store import Create, Replace
from federation.model.meta import Key, Metadata
from federation.model.offers import Offer
from federation.model.placement import Placement, PlacementSpec, Target
from federation.model.subcluster import SubCluster

BY = ("service", "subcluster", "provider", "namespace", "kind")


@pytest.fixture
def spending_shop(shop: Served) -> Served:
    """Both sub-clusters answer; `db` runs in the dearer one, `web` of another namespace in both."""
    web = a_microservice("web", replicas=3, calls=[{"service": "shop/cart", "gibPerHour": 2.0}])
    web["metadata"]["namespace"] = "front"
    assert shop.call("POST", f"{BASE}/apply", [web]).code == 200
    cloud = shop.store.get(SubCluster, Key("", "cloud"))
    offer = Offer(name="all", cpu_cores=8.0, memory_bytes=2.0**34, cpu_hour_usd=0.05, memory_gib_hour_usd=0.006)
    status = cloud.status.model_copy(update={"health": "Healthy", "offers": (offer,)})
    onprem = shop.store.get(SubCluster, Key("", "onprem"))
    priced = onprem.status.offers[0].model_copy(update={"memory_gib_hour_usd": 0.003})
    onprem = onprem.model_copy(update={"status": onprem.status.model_copy(update={"offers": (priced,)})})
    db = shop.store.get(Placement, Key("shop", "db"))
    db = db.model_copy(update={"spec": PlacementSpec(targets=(Target(subcluster="cloud", replicas=1),))})
    both = (Target(subcluster="cloud", replicas=1), Target(subcluster="onprem", replicas=2))
    placed = Placement(metadata=Metadata(name="web", namespace="front"), spec=PlacementSpec(targets=both))
    writes = [Replace(cloud.model_copy(update={"status": status})), Replace(onprem), Replace(db), Create(placed)]
    shop.store.write(writes, now=NOW)
    return shop


def test_the_tables(spending_shop: Served, roam: Roam) -> None:
    commands = [("cost", "-A", "--by", by) for by in BY]
    golden("cost", transcript(roam, *commands, ("cost", "-n", "shop"), ("cost",), ("cost", "-A", "--by", "colour")))


@pytest.mark.parametrize("by", BY)
def test_every_sum_is_exact(spending_shop: Served, roam: Roam, by: str) -> None:
    out = roam("cost", "-A", "--by", by)[1]
    lines = out.split("\n\n")[0].splitlines()[1:]
    rows = [
        [Decimal(cell.replace("-", "0")) for cell in re.findall(r"(?<= )(?:\d+\.\d{6}|-)(?= |$)", line)]
        for line in lines
    ]
    *parts, total = rows
    assert [sum(column) for column in zip(*parts, strict=True)] == total
    assert all(sum(row[:-1]) == row[-1] for row in rows) or by == "kind"
    found = json.loads(roam("cost", "-A", "--by", by, "-o", "json")[1], parse_float=Decimal)
    assert sum(row["usd_per_hour"] for row in found["rows"]) == found["total_usd_per_hour"] == total[-1]
    for row in found["rows"]:
        assert sum(row["terms"].values()) == row["usd_per_hour"]
    saving = found["total_usd_per_hour"] - found["proposed_total_usd_per_hour"]
    assert saving == found["saving_usd_per_hour"] > 0
    assert [one["service"] for one in found["proposed"]] == ["web", "db"]


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any))
def test_parts_add_up_to_the_whole(whole: int, weights: list[int]) -> None:
    parts = divided(whole, weights)
    assert sum(parts) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - whole * weight / sum(weights)) <= 1.001


def test_amounts() -> None:
    assert [amount(n) for n in (0, 1, -1, 1_234_567_890_123)] == [
        "0.000000",
        "0.000001",
        "-0.000001",
        "1,234,567.890123",
    ]

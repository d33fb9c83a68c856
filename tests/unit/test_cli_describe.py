"""`roam describe` and `roam events`: what a person reads, kept in tests/golden/cli."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from commandline import Roam, a_policy, an_event, golden, transcript
from serving import BASE, NOW, SECRET, Served, a_subcluster

from federation.cli.describing.settings import settings_of
from federation.cli.kinds import KINDS
from federation.cli.main import main
from federation.contracts.store import Create, Replace
from federation.model.event import Event, Regarding
from federation.model.meta import Key, Metadata
from federation.model.migration import Migration, MigrationSpec, MigrationStatus, PhaseEntry
from federation.model.offers import Offer
from federation.model.placement import Overtaken, Placement, Rollout, Running
from federation.model.subcluster import SubCluster


@pytest.fixture
def moving(shop: Served) -> Served:
    """The shop, with `cart` on its way from onprem, where a rule overtakes it and a drain goes on, to cloud."""
    documents = [
        a_policy(
            "shop/carts",
            selector={"matchLabels": {"app": "cart"}},
            precedence=5,
            compliance={"residency": {"deny": ["US"]}},
            migration={"mode": "automatic", "strategy": {"canary": {"steps": [10, 100], "interval": "1m"}}},
            tolerations=[{"key": "dedicated", "operator": "Exists", "tolerationSeconds": 300}],
        ),
        a_policy("moves", migration={"mode": "manual"}, locality={"latencyWorth": 0.002}),
        a_policy("nobody", selector={"matchLabels": {"app": "none"}}, importance=3),
    ]
    assert shop.call("POST", f"{BASE}/apply", documents).code == 200
    assert (
        shop.patch(f"{BASE}/namespaces/shop/microservices/cart", {"metadata": {"labels": {"app": "cart"}}}).code == 200
    )
    taint = {"key": "dedicated", "value": "batch", "effect": "NoExecute"}
    spec = {"taints": [taint], "drain": {"parallel": 3}, "budget": {"hourly": "20 USD"}}
    assert shop.patch(f"{BASE}/subclusters/onprem", {"spec": spec}).code == 200
    placement = shop.store.get(Placement, Key("shop", "cart"))
    status = placement.status.model_copy(
        update={
            "running": (
                Running(subcluster="cloud", replicas=1, ready=0, message="starting"),
                Running(subcluster="onprem", replicas=2, ready=2),
            ),
            "overtaken": (
                Overtaken(
                    subcluster="onprem",
                    cause="Policy",
                    message="operated from [US]",
                    since=NOW + 60,
                    due=NOW + 60,
                    deadline=NOW + 660,
                    stop=True,
                ),
            ),
        }
    )
    history = (
        PhaseEntry(phase="Checked", at=NOW + 70, message="checking the target"),
        PhaseEntry(phase="Prepared", at=NOW + 71, message="starting 2 replicas in cloud"),
        PhaseEntry(phase="Shifting", at=NOW + 95, message="10 % of the traffic to cloud"),
    )
    move = Migration(
        metadata=Metadata(name="cart-x7k2p", namespace="shop"),
        spec=MigrationSpec(
            service="cart", source="onprem", target="cloud", replicas=2, reason="Policy", deadline=NOW + 660
        ),
        status=MigrationStatus(phase="Shifting", weight=10, since=NOW + 95, message="10 %", history=history),
    )
    about = Regarding(kind="Migration", namespace="shop", name="cart-x7k2p")
    happened = Event(
        metadata=Metadata(name="e2", namespace="shop"),
        reason="Shifting",
        message="10 % of the traffic to cloud",
        regarding=about,
        event_time=NOW + 95,
        count=3,
    )
    writes = [Replace(placement.model_copy(update={"status": status})), Create(move), Create(happened)]
    shop.store.write(writes, now=NOW + 60)
    return shop


@pytest.mark.parametrize("what", ["ms/cart", "pl/cart", "sub/onprem", "mig/cart-x7k2p", "pp/carts", "ev/e2", "ms/db"])
def test_each_kind_has_a_page(moving: Served, roam: Roam, what: str) -> None:
    code, out, err = roam("describe", what, "-n", "shop")
    assert (code, err) == (0, "")
    assert SECRET not in out
    assert max(map(len, out.splitlines())) <= 110
    golden(f"describe-{what.replace('/', '-')}", f"$ roam describe {what} -n shop\n{out}")


def test_machines_that_are_bought_whole(shop: Served, roam: Roam, price_file: Path) -> None:
    instances = [{"type": "t3.medium", "spotHourly": 0.0165}, {"type": "t3.small"}, {"type": "t3.large"}]
    t3 = [Offer(name=one["type"], instance_type=one["type"], cpu_cores=2, memory_bytes=2.0**32) for one in instances]
    quoted = {"usd_per_hour": 0.02, "spot_usd_per_hour": 0.007, "origin": "EC2 price list", "as_of": NOW - 600}
    there = a_subcluster("vms", region="eu-central-1", location={}, pricing={}, instances=instances)
    assert shop.call("POST", f"{BASE}/apply", [there]).code == 200
    record = shop.store.get(SubCluster, Key("", "vms"))
    offers = (t3[0], t3[1].model_copy(update=quoted))
    shop.store.write(
        [Replace(record.model_copy(update={"status": record.status.model_copy(update={"offers": offers})}))],
        now=NOW,
    )
    golden("describe-machines", transcript(roam, ("describe", "sub", "vms"), ("get", "sub")))


def test_several_and_what_is_not_there(moving: Served, roam: Roam) -> None:
    code, out, err = roam("describe", "cpp")
    assert (code, out.count("Selects:"), err) == (0, 3, "")
    code, out, err = roam("describe", "ms", "crt", "db", "-n", "shop")
    assert (code, out.count("Workload:")) == (1, 1)
    assert err == "roam: error: microservice shop/crt does not exist; did you mean `cart`?\n"
    assert roam("describe", "gw")[2] == "No gateways found in namespace default.\n"
    assert roam("describe", "ms", "-A", "-l", "app=cart")[1].count("Workload:") == 1


def test_a_rollout_under_way_and_its_revision(moving: Served, roam: Roam) -> None:
    placement = moving.store.get(Placement, Key("shop", "cart"))
    running = (Running(subcluster="onprem", replicas=3, ready=2, updated=1),)
    rollout = Rollout(generation=2, replicas=2, updated=1, ready=1, old=1, since=NOW + 100)
    status = placement.status.model_copy(update={"running": running, "rollout": rollout})
    moving.store.write([Replace(placement.model_copy(update={"status": status}))], now=NOW)
    out = roam("describe", "ms", "cart", "-n", "shop")[1]
    assert "50%  1/2 ready with the new template, 1 old left, last step 50s ago" in out
    assert "2/2     1/2" in out
    for kind in KINDS:
        assert roam("describe", kind.plural, "-A")[0] == 0
        assert roam("get", kind.plural, "-A")[0] == 0


def test_pages_fit_narrow_terminals(moving: Served, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for what in ("ms/cart", "sub/onprem", "mig/cart-x7k2p"):
        out = roam("describe", what, "-n", "shop")[1]
        assert max(map(len, out.splitlines())) <= 80, out


def test_colours_are_for_people(moving: Served, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("describe", "ms", "cart", "-n", "shop")
    plain, coloured = roam(*words)[1], roam(*words, "--color", "always")[1]
    assert "\x1b[" not in plain
    assert "\x1b[1mPlacement\x1b[0m" in coloured
    assert "\x1b[" not in roam(*words, "--color=never")[1]
    assert roam(*words, "--color", "sometimes")[0] == 64
    # What an object holds never steers a terminal.
    assert "\x1b[31m" not in roam("describe", "ev/e1", "-n", "shop")[1]


def test_of_single_values_the_highest_precedence_holds() -> None:
    def policy(name: str, precedence: int, **spec: Any) -> dict[str, Any]:
        everything = {"matchLabels": {}, "matchExpressions": []}
        return {
            "kind": "ClusterPlacementPolicy",
            "metadata": {"name": name},
            "spec": {"selector": everything, "precedence": precedence, **spec},
        }

    service = {"metadata": {"name": "a", "namespace": "x", "labels": {}}}
    weak = policy("weak", 0, locality={"users": ["DE"], "maxLatency": "60ms"}, migration={"mode": "manual"})
    strong = policy("strong", 9, locality={"users": ["US"], "maxLatency": "90ms"})
    found = {(one.name, one.value): (one.origin, one.overridden) for one in settings_of(service, [weak, strong])}
    assert found == {
        ("locality.users", "US"): ("clusterplacementpolicy/strong (9)", False),
        ("locality.users", "DE"): ("clusterplacementpolicy/weak", True),
        ("locality.maxLatency", "60ms"): ("clusterplacementpolicy/weak", False),
        ("locality.maxLatency", "90ms"): ("clusterplacementpolicy/strong (9)", False),
        ("migration.mode", "manual"): ("clusterplacementpolicy/weak", False),
    }
    assert {one.origin for one in settings_of(service, [])} == {"default"}


def test_events(moving: Served, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    commands = (
        ("events", "-n", "shop"),
        ("events", "-A", "-o", "wide"),
        ("events", "cart", "-n", "shop"),
        ("events", "shop/db"),
        ("events", "--for", "mig/cart-x7k2p", "-n", "shop"),
        ("events", "--for", "sub/onprem"),
        ("events", "-n", "shop", "--since", "52s"),
        ("events", "-n", "shop", "--type", "Warning", "-o", "name"),
        ("events", "cat", "-n", "shop"),
        ("events", "--for", "cart"),
        ("events", "cart", "-A"),
        ("events",),
    )
    golden("events", transcript(roam, *commands))
    found = json.loads(roam("events", "-n", "shop", "-o", "json")[1])
    assert [one["metadata"]["name"] for one in found["items"]] == ["e2", "e1"]


def test_events_are_followed(moving: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Each new one is a line, also of a move that began meanwhile."""

    class Enough(Exception):
        pass

    def happen() -> None:
        ends_at = time.monotonic() + 20
        number = 0
        while not done.wait(0.05) and time.monotonic() < ends_at:
            number += 1
            moving.store.write([Create(an_event(f"w{number}", "cart", f"number {number}"))], now=NOW)

    seen: list[dict[str, Any]] = []

    def line(document: dict[str, Any]) -> None:
        seen.append(document)
        if len(seen) > 3:
            raise Enough

    done = threading.Event()
    thread = threading.Thread(target=happen)
    thread.start()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("federation.cli.events.print_json_line", line)
        with pytest.raises(Enough):
            main(["events", "cart", "-n", "shop", "-w", "-o", "json", "--debug"])
    done.set()
    thread.join()
    assert seen[0]["metadata"]["name"] == "e2"
    assert all(one["regarding"]["name"] == "cart" for one in seen[1:])

"""`get`, `apply`, `migrate`, `unpin` and `plan` against a real server; what they print stands in tests/golden/cli."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import Roam, a_placement, golden, transcript
from serving import BASE, NOW, SECRET, Served, a_microservice, a_secret, a_subcluster

from federation.cli.main import main
from federation.contracts.store import Create, Replace
from federation.model.migration import Migration
from federation.model.placement import Placement, Rollout, Running


def _file(folder: Path, *documents: object) -> Path:
    path = folder / f"{time.monotonic_ns()}.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


@pytest.mark.parametrize("output", ["table", "wide", "name"])
def test_get_shows_every_kind(shop: Served, roam: Roam, output: str) -> None:
    parts = []
    for kind in ("ms", "pl", "sub", "mig", "cpp", "pp", "ev", "gw"):
        code, out, err = roam("get", kind, "-n", "shop", "-o", output)
        assert code == 0
        parts.append(f"$ roam get {kind} -n shop -o {output}\n{out}{err}")
    golden(f"get-{output}", "\n".join(parts))


def test_get_several_kinds_namespaces_and_names(shop: Served, roam: Roam) -> None:
    words = (
        ("get", "ms,pl", "-A"),
        ("get", "ms/cart", "pl/cart", "-n", "shop"),
        ("get", "ms", "-n", "shop", "cart", "nope"),
        ("get", "ms"),
        ("get", "ms", "-A", "-l", "app=nothing"),
        ("get", "svc", "db", "-n", "shop"),
        ("get", "all", "-n", "shop"),
        ("get", "ms", "crt", "-n", "shop"),
        ("get", "ms", "cart"),
        ("get", "sub", "onpremm", "cloud", "--no-headers"),
        ("get", "pl", "-A", "--show-labels"),
    )
    golden("get-many", transcript(roam, *words))


def test_get_as_data(shop: Served, roam: Roam) -> None:
    _, out, _ = roam("get", "ms", "cart", "-n", "shop", "-o", "json")
    one = json.loads(out)
    assert (one["kind"], one["metadata"]["name"]) == ("Microservice", "cart")
    assert SECRET not in out
    _, text, _ = roam("get", "ms", "cart", "-n", "shop", "-o", "yaml")
    assert yaml.safe_load(text) == one
    _, out, _ = roam("get", "ms", "-A", "-o", "json")
    found = json.loads(out)
    assert (found["kind"], [item["metadata"]["name"] for item in found["items"]]) == ("List", ["cart", "db"])
    assert json.loads(roam("get", "pp", "-A", "-o", "json")[1])["items"] == []
    assert roam("get", "ms", "-l", "a in (b", "-A")[0] == 64


def test_what_get_prints_can_be_applied_again(shop: Served, roam: Roam, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(roam("get", "ms,sub,cpp,pl", "-A", "-o", "yaml")[1])
    code, out, err = roam("apply", "-f", path)
    assert (code, err) == (0, "")
    assert all(line.endswith(" unchanged") for line in out.splitlines())
    assert len(out.splitlines()) == 7


def test_get_watches(shop: Served, roam: Roam) -> None:
    """Ends with the server; until then every change is a line."""

    def change() -> None:
        path = f"{BASE}/namespaces/shop/microservices/cart"
        shop.call("DELETE", f"{BASE}/namespaces/shop/microservices/db")
        ends_at = time.monotonic() + 10
        for replicas in itertools.cycle((2, 3, 4)):
            assert shop.patch(path, {"spec": {"replicas": replicas}}).code == 200
            if done.wait(0.05) or time.monotonic() > ends_at:
                return

    done = threading.Event()
    thread = threading.Thread(target=change)
    thread.start()
    seen: list[str] = []

    class Enough(Exception):
        pass

    def row(_table: object, rows: Any) -> None:
        seen.extend(cells[1] for cells in rows)
        if {"2", "3", "4"} <= set(seen):
            raise Enough

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("federation.cli.table.TableWriter.write", row)
        with pytest.raises(Enough):
            main(["get", "ms", "cart", "-n", "shop", "-w", "--debug"])
    done.set()
    thread.join()
    assert seen[:1] == ["2"]


def test_apply_is_checked_here_first_and_stored_as_a_whole(api: Served, roam: Roam, tmp_path: Path) -> None:
    good = _file(tmp_path, a_microservice("cart"), a_subcluster("onprem"))
    assert roam("apply", "-f", good) == (0, "microservice/cart created\nsubcluster/onprem created\n", "")
    assert roam("apply", "-f", good)[1] == "microservice/cart unchanged\nsubcluster/onprem unchanged\n"
    changed = _file(tmp_path, a_microservice("cart", replicas=3))
    assert roam("apply", "-f", changed, "--dry-run")[1] == "microservice/cart configured (dry run)\n"
    assert roam("apply", "-f", changed, "-o", "name")[1] == "microservice/cart\n"
    out = json.loads(roam("apply", "-f", changed, "-o", "json")[1])
    assert out["items"][0]["spec"]["replicas"] == 3
    version = api.store.version()
    bad = _file(tmp_path, a_microservice("a"), a_microservice("b", replics=3), {"kind": "Nope", "apiVersion": "x/v1"})
    code, out, err = roam("apply", "-f", bad)
    assert (code, out) == (64, "")
    assert "replics" in err
    assert str(bad) in err
    assert api.store.version() == version
    empty = _file(tmp_path)
    assert roam("apply", "-f", empty)[0] == 64


def test_apply_waits_until_all_is_ready(api: Served, roam: Roam, tmp_path: Path) -> None:
    files = _file(tmp_path, a_microservice("cart", replicas=2))

    def controller() -> None:
        ends_at = time.monotonic() + 20
        while not api.call("GET", f"{BASE}/microservices").body["items"] and time.monotonic() < ends_at:
            time.sleep(0.02)  # the test's own controller polls; what is tested waits by itself
        made = api.store.write([Create(a_placement("cart", Running(subcluster="a", replicas=2, ready=0)))], now=NOW)[0]
        assert isinstance(made, Placement)
        old = Running(subcluster="a", replicas=2, ready=2)
        # With two pods of an older template ready, nothing of what was applied runs yet.
        for running in (old, old.model_copy(update={"updated": 1}), old.model_copy(update={"updated": 2})):
            rollout = Rollout(generation=1, replicas=2, updated=running.updated, ready=running.updated)
            status = made.status.model_copy(update={"running": (running,), "rollout": rollout})
            made = made.model_copy(update={"status": status})
            made = api.store.write([Replace(made)], now=NOW)[0]
            assert isinstance(made, Placement)
            time.sleep(0.3)  # what is tested looks now and then

    thread = threading.Thread(target=controller)
    thread.start()
    code, out, err = roam("apply", "-f", files, "--wait", "--timeout", "20s")
    thread.join()
    assert (code, out) == (0, "microservice/cart created\n")
    assert "1 of 1 services ready" in err
    assert "0/2 ready" in err


def test_apply_tells_why_something_is_not_ready(shop: Served, roam: Roam, tmp_path: Path) -> None:
    denied = _file(tmp_path, a_microservice("db", ports=[{"port": 5432}]))
    code, _, err = roam("apply", "-f", denied, "--wait", "--timeout", "300ms")
    assert (code, "shop/db: 0/2 allowed" in err) == (4, True)
    late = _file(tmp_path, a_microservice("cart", replicas=2, objects=[a_secret()]))
    code, _, err = roam("apply", "-f", late, "--wait", "--timeout", "300ms")
    assert (code, "shop/cart: the controller has not looked at it yet" in err) == (5, True)


def test_plan_and_why_ask_the_server(shop: Served, roam: Roam, tmp_path: Path) -> None:
    code, out, err = roam("plan")
    assert (code, err) == (0, "")
    golden("plan-server", out)
    code, out, _ = roam("why", "shop/cart")
    assert code == 0
    golden("why", out)
    assert roam("plan", "--detailed-exitcode")[0] == 2
    code, _, err = roam("why", "crt", "-n", "shop")
    assert (code, err) == (1, "roam: error: microservice shop/crt does not exist; did you mean `cart`?\n")
    code, _, err = roam("why", "cart")
    assert (code, "there is one in shop" in err) == (1, True)
    more = _file(tmp_path, a_microservice("new"))
    _, out, _ = roam("plan", "-f", more, "-o", "json")
    plan = json.loads(out)
    assert [one["service"] for one in plan["placements"]] == ["cart", "db", "new"]
    assert {one["service"]: one["type"] for one in plan["changes"]} == {"db": "new", "new": "new"}


def test_migrate_checks_before_it_starts(shop: Served, roam: Roam) -> None:
    words = (
        ("migrate", "crt", "-n", "shop", "--to", "cloud"),
        ("migrate", "cart", "--to", "cloud"),
        ("migrate", "shop/cart", "--to", "clod"),
        ("migrate", "shop/cart", "--to", "onprem"),
        ("migrate", "shop/cart", "--to", "cloud", "--from", "cloud"),
        ("migrate", "shop/db", "--to", "cloud"),
        ("migrate", "shop/cart", "--to", "cloud", "--dry-run"),
        ("unpin", "shop/cart"),
        ("unpin", "shop/nope"),
    )
    golden("migrate-refusals", transcript(roam, *words))
    assert shop.store.list(Migration).items == ()


def test_migrate_starts_nothing_where_a_rule_forbids_it(shop: Served, roam: Roam, tmp_path: Path) -> None:
    residency = {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "ClusterPlacementPolicy",
        "metadata": {"name": "at-home"},
        "spec": {"compliance": {"residency": {"allow": ["DE"]}}},
    }
    abroad = a_subcluster("abroad", location={"country": "US", "latitude": 40.7, "longitude": -74.0})
    assert roam("apply", "-f", _file(tmp_path, residency, abroad))[0] == 0
    said = "roam: error: shop/cart can't move to abroad: outside [DE]: runs in US (ClusterPlacementPolicy at-home)\n"
    assert roam("migrate", "shop/cart", "--to", "abroad") == (4, "", said)
    assert roam("migrate", "--all", "--from", "onprem", "--to", "abroad", "--wait")[0] == 4
    assert shop.store.list(Migration).items == ()
    assert roam("delete", "cpp", "at-home", "--yes")[0] == 0
    assert roam("migrate", "shop/cart", "--to", "abroad")[0] == 0
    assert len(shop.store.list(Migration).items) == 1


@pytest.mark.parametrize(
    ("phase", "code", "said"),
    [
        ("Succeeded", 0, "shop/cart moved from onprem to cloud"),
        ("RolledBack", 1, "was rolled back: too many errors"),
        ("Failed", 1, "failed: too many errors"),
        ("Shifting", 5, "has not ended after"),
    ],
)
def test_migrate_waits_for_the_end(shop: Served, roam: Roam, phase: Any, code: int, said: str) -> None:
    def controller() -> None:
        found: tuple[Migration, ...] = ()
        ends_at = time.monotonic() + 20
        while not found and time.monotonic() < ends_at:
            time.sleep(0.02)  # as above
            found = shop.store.list(Migration).items
        for step, weight in (("Prepared", 0), ("Shifting", 50), (phase, 100)):
            moved = shop.store.get(Migration, found[0].key)
            status = moved.status.model_copy(update={"phase": step, "weight": weight, "message": "too many errors"})
            shop.store.write([Replace(moved.model_copy(update={"status": status}))], now=NOW)

    thread = threading.Thread(target=controller)
    thread.start()
    words = ("migrate", "shop/cart", "--to", "cloud", "--canary", "50,100", "--interval", "2", "--wait")
    got, out, err = roam(*words, "--timeout", "1s" if code == 5 else "20s")
    thread.join()
    assert got == code
    assert said in out + err
    assert out.startswith("migration/cart-")
    made = shop.store.list(Migration).items[0]
    assert (made.spec.source, made.spec.target, made.spec.replicas) == ("onprem", "cloud", 2)
    assert (made.spec.strategy.canary.steps, made.spec.strategy.canary.interval) == ((50, 100), "2s")


def test_unpin_clears_the_pin(shop: Served, roam: Roam) -> None:
    path = f"{BASE}/namespaces/shop/placements/cart"
    shop.patch(path, {"spec": {"pinned": "onprem"}})
    assert roam("unpin", "cart", "-n", "shop") == (0, "placement/cart unpinned: was held in onprem\n", "")
    assert shop.call("GET", path).body["spec"]["pinned"] is None
    assert roam("unpin", "cart", "-n", "shop")[:2] == (0, "placement/cart unchanged: not pinned\n")


def test_a_wrong_token_is_told(shop: Served, roam: Roam, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("x" * 20)
    code, _, err = roam("get", "ms", "--token-file", tmp_path / "other")
    assert (code, "does not take this token" in err) == (1, True)

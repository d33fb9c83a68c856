"""Verbs that change what runs: `delete`, `label`, `taint`, `cordon`, `drain`, and those for moves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import Roam, a_policy, golden, transcript
from serving import BASE, NOW, Served, a_microservice

from federation.cli import emptying
from federation.contracts.store import Create, Delete, Replace
from federation.model.meta import Key, Metadata
from federation.model.microservice import Microservice
from federation.model.migration import Migration, MigrationSpec, MigrationStatus, Phase
from federation.model.placement import Placement, Running, Target
from federation.model.subcluster import SubCluster


@contextmanager
def controller(work: Callable[[], object]) -> Iterator[None]:
    """Does `work` again and again meanwhile, as the real one would. What is tested waits by itself."""
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(0.03):
            work()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def place(served: Served, name: str, **replicas: int) -> None:
    """Commit the service there, and let it run there."""
    old = served.store.get(Placement, Key("shop", name))
    targets = tuple(Target(subcluster=place, replicas=count) for place, count in replicas.items())
    running = tuple(Running(subcluster=place, replicas=count, ready=count) for place, count in replicas.items())
    new = old.model_copy(
        update={
            "spec": old.spec.model_copy(update={"targets": targets}),
            "status": old.status.model_copy(update={"running": running}),
        }
    )
    served.store.write([Replace(new)], now=NOW)


def move(served: Served, name: str, phase: Phase, weight: int = 0, *, service: str = "cart", message: str = "") -> None:
    """A migration of `service` from onprem to cloud that is so far."""
    spec = MigrationSpec(service=service, source="onprem", target="cloud", replicas=2)
    status = MigrationStatus(phase=phase, weight=weight, since=NOW, message=message)
    metadata = Metadata(name=name, namespace="shop")
    served.store.write([Create(Migration(metadata=metadata, spec=spec, status=status))], now=NOW)


# Labels and taints


def test_labels_are_set_and_removed_and_show_what_follows(shop: Served, roam: Roam) -> None:
    policy = a_policy("no-acme", selector={"matchLabels": {"class": "own"}}, compliance={"operators": {"deny": ["DE"]}})
    assert shop.call("POST", f"{BASE}/apply", [policy]).code == 200
    text = transcript(
        roam,
        ("label", "ms", "cart", "tier=front", "-n", "shop"),
        ("label", "ms", "cart", "tier=front", "gone-", "-n", "shop"),
        ("label", "ms/cart", "ms/db", "tier=back", "-n", "shop"),
        ("label", "ms", "--all", "tier=back", "x/y=z", "--overwrite", "-n", "shop"),
        ("label", "ms", "-l", "tier=back", "tier-", "-A"),
        ("label", "ms", "cart", "class=own", "--dry-run", "-n", "shop"),
        ("label", "sub", "cloud", "tier=public"),
        ("annotate", "ms", "cart", "note=two words", "-n", "shop"),
        ("label", "ms", "crt", "a=b", "-n", "shop"),
        ("label", "ms", "cart", "a=b c", "-n", "shop"),
        ("label", "ms", "cart", "-n", "shop"),
        ("label", "ms", "a=b", "-n", "shop"),
        ("label", "ms", "cart", "a=b", "a-", "-n", "shop"),
        ("label", "ms", "a=b", "cart", "-n", "shop"),
        ("label", "ms", "-l", "no=body", "a=b", "-n", "shop"),
    )
    golden("label", text)
    cart = shop.store.get(Microservice, Key("shop", "cart"))
    assert cart.metadata.labels == {"x/y": "z"}
    assert cart.metadata.annotations == {"note": "two words"}


def test_taints_say_who_has_to_move(shop: Served, roam: Roam) -> None:
    place(shop, "db", onprem=1)
    commands = (
        ("taint", "onprem", "outage:NoExecute", "--dry-run"),
        ("taint", "onprem", "dedicated=batch:NoSchedule"),
        ("taint", "onprem", "dedicated=batch:NoSchedule"),
        ("taint", "onprem", "dedicated=web:NoSchedule"),
        ("taint", "onprem", "dedicated=web:NoSchedule", "slow:PreferNoSchedule", "--overwrite"),
        ("taint", "onprem", "nope-"),
        ("taint", "onprem", "dedicated:NoSchedule-", "slow-"),
        ("taint", "onprem", "a=b:NoExecut"),
        ("taint", "onprem", "a=b"),
        ("taint", "onprem", "a key=b:NoExecute"),
        ("taint", "onprem", "a=b:NoExecute-"),
        ("taint", "onprm", "a=b:NoExecute"),
        ("taint", "onprem", "outage:NoExecute"),
    )
    golden("taint", transcript(roam, *commands))
    taints = shop.store.get(SubCluster, Key("", "onprem")).spec.taints
    assert [(each.key, each.value, each.effect) for each in taints] == [("outage", "", "NoExecute")]


def test_a_taint_that_strands_a_service_is_told_before(shop: Served, roam: Roam) -> None:
    assert shop.call("DELETE", f"{BASE}/subclusters/cloud", {"gracePeriodSeconds": 0}).code == 200
    code, out, _ = roam("taint", "onprem", "outage:NoExecute", "--dry-run")
    assert (code, "nowhere" in out) == (3, True)
    code, out, _ = roam("taint", "onprem", "outage:NoExecute", "--dry-run", "-o", "json")
    found = json.loads(out)
    assert (code, found["departures"][0]["verdict"], found["taints"][0]["key"]) == (3, "full", "outage")


def test_a_taint_that_is_tolerated_for_a_while_says_for_how_long(shop: Served, roam: Roam) -> None:
    policy = a_policy("patient", tolerations=[{"key": "outage", "operator": "Exists", "tolerationSeconds": 300}])
    assert shop.call("POST", f"{BASE}/apply", [policy]).code == 200
    code, out, _ = roam("taint", "onprem", "outage:NoExecute")
    assert (code, "leaves after 300 s" in out) == (0, True)


# Cordon and drain


def test_cordon_uncordon_and_drain(shop: Served, roam: Roam) -> None:
    commands = (
        ("cordon", "onprem", "cloud"),
        ("cordon", "onprem"),
        ("uncordon", "onprem", "cloud"),
        ("uncordon", "onprem"),
        ("cordon", "onpem"),
        ("drain", "onprem", "--dry-run"),
        ("drain", "cloud"),
        ("drain", "onprem"),
        ("drain", "onprem", "--parallel", "5"),
        ("cordon", "onprem"),
        ("uncordon", "onprem", "cloud"),
        ("drain", "onprem", "--parallel", "0"),
        ("drain", "onprem", "-o", "json"),
    )
    golden("drain", transcript(roam, *commands))
    spec = shop.store.get(SubCluster, Key("", "onprem")).spec
    assert (spec.unschedulable, spec.drain) == (False, None)
    found = json.loads(roam("drain", "onprem", "--dry-run", "-o", "json")[1])
    assert [one["service"] for one in found["departures"]] == ["cart"]
    assert found["departures"][0]["to"] == [{"subcluster": "cloud", "replicas": 2}]
    assert found["after_usd_per_hour"] > found["before_usd_per_hour"]


def test_drain_follows_each_move_to_its_end(shop: Served, roam: Roam) -> None:
    steps = iter([(5, "Shifting"), (50, "Shifting"), (100, "Retired")])

    def work() -> None:
        if shop.store.get(SubCluster, Key("", "onprem")).spec.drain is None:
            return
        found = shop.store.list(Migration).items
        if not found:
            move(shop, "cart-1", "Prepared")
        elif (step := next(steps, None)) is not None:
            status = found[0].status.model_copy(update={"weight": step[0], "phase": step[1]})
            shop.store.write([Replace(found[0].model_copy(update={"status": status}))], now=NOW)
        elif found[0].open:
            status = found[0].status.model_copy(update={"phase": "Succeeded"})
            shop.store.write([Replace(found[0].model_copy(update={"status": status}))], now=NOW)
            place(shop, "cart", cloud=2)

    with controller(work):
        code, out, err = roam("drain", "onprem", "--parallel", "3", "--wait", "--timeout", "20s")
    assert (code, out.splitlines()) == (
        0,
        [
            "subcluster/onprem draining: 1 service has to leave, 3 at a time",
            "subcluster/onprem drained: nothing runs there any more",
        ],
    )
    assert "shop/cart  [##########] 100%  left: now in cloud 2" in err
    spec = shop.store.get(SubCluster, Key("", "onprem")).spec
    assert spec.unschedulable
    assert spec.drain is not None
    assert spec.drain.parallel == 3


@pytest.mark.parametrize(("denied", "code"), [(True, 4), (False, 3)])
def test_drain_names_what_cannot_leave(
    shop: Served, roam: Roam, monkeypatch: pytest.MonkeyPatch, denied: bool, code: int
) -> None:
    monkeypatch.setattr(emptying, "_PATIENCE_S", 0.0)
    if denied:
        policy = a_policy("here", compliance={"attestations": ["iso27001"]})
        assert shop.call("POST", f"{BASE}/apply", [policy]).code == 200
        assert shop.patch(f"{BASE}/subclusters/onprem", {"spec": {"attestations": ["iso27001"]}}).code == 200
    else:
        assert shop.patch(f"{BASE}/subclusters/cloud", {"spec": {"capacity": {"cpu": "1m"}}}).code == 200
        containers = [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "1"}}}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
        assert shop.patch(f"{BASE}/namespaces/shop/microservices/cart", body).code == 200
    assert roam("drain", "onprem", "--dry-run")[0] == code
    got, _, err = roam("drain", "onprem", "--wait", "--timeout", "20s")
    assert got == code
    assert "shop/cart can't leave: 0/2 sub-clusters" in err


def test_drain_leaves_data_and_says_so_in_time(shop: Served, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.patch(f"{BASE}/namespaces/shop/microservices/cart", {"spec": {"stateful": True}}).code == 200
    code, _, err = roam("drain", "onprem", "--wait", "--timeout", "300ms")
    assert (code, "waits for its turn" in err) == (5, True)
    monkeypatch.setattr(emptying, "_PATIENCE_S", 0.0)
    code, _, err = roam("drain", "onprem", "--wait", "--timeout", "20s")
    assert (code, "keeps its data with it" in err) == (3, True)


# Deleting


def test_delete_says_what_it_would_do(shop: Served, roam: Roam, tmp_path: Path) -> None:
    move(shop, "cart-1", "Shifting", 50)
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump_all([a_microservice("db"), a_policy("eu", importance=1), a_microservice("cart")]))
    monkeys = (
        ("delete", "ms", "cart", "db", "nope", "-n", "shop", "--dry-run"),
        ("delete", "ms", "nope", "-n", "shop", "--ignore-not-found"),
        ("delete", "all", "--all", "-n", "shop", "--dry-run"),
        ("delete", "sub", "onprem", "--dry-run"),
        ("delete", "ms", "-l", "a=b", "-A"),
        ("delete", "ms", "-n", "shop"),
        ("delete", "ms", "cart", "--all", "-n", "shop"),
        ("delete",),
        ("delete", "pl", "cart", "-n", "shop"),
        ("delete", "mig", "cart-1", "-n", "shop"),
        ("delete", "sub", "onprem", "--force"),
        ("delete", "ms", "cart", "--force", "-n", "shop"),
    )
    golden("delete", transcript(roam, *monkeys))
    code, out, _ = roam("delete", "-f", path, "--dry-run")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (
        0,
        ["microservice/cart", "microservice/db", "clusterplacementpolicy/eu"],
    )
    assert len(shop.store.list(Microservice).items) == 2


def test_delete_stops_callers_before_those_they_call(shop: Served, roam: Roam) -> None:
    seen: list[str] = []

    def work() -> None:
        """Removes the placement of a service that is gone."""
        left = {each.key for each in shop.store.list(Microservice).items}
        for each in shop.store.list(Placement).items:
            if each.key not in left:
                seen.append(f"{each.key.name} while {sorted(key.name for key in left)}")
                shop.store.write([Delete(Placement, each.key)], now=NOW)

    with controller(work):
        code, out, err = roam("delete", "ms", "--all", "-n", "shop", "--timeout", "20s")
    assert (code, out.splitlines()) == (0, ["microservice/cart deleted", "microservice/db deleted"])
    assert seen == ["cart while ['db']", "db while []"]
    assert "stopping shop/cart" in err


def test_delete_without_waiting_and_in_vain(shop: Served, roam: Roam) -> None:
    code, _, err = roam("delete", "ms", "cart", "-n", "shop", "--timeout", "200ms")
    assert (code, "not gone after 0 s: stopping shop/cart" in err) == (5, True)
    assert roam("delete", "ms", "db", "-n", "shop", "--no-wait") == (0, "microservice/db deleted\n", "")


def test_a_subcluster_is_emptied_before_it_is_gone(shop: Served, roam: Roam) -> None:
    def work() -> None:
        for each in shop.store.list(SubCluster).items:
            if each.metadata.deletion_timestamp is None:
                continue
            if shop.store.get(Placement, Key("shop", "cart")).replicas_in("onprem"):
                place(shop, "cart", cloud=2)
            else:
                shop.store.write([Delete(SubCluster, each.key)], now=NOW)

    with controller(work):
        code, out, err = roam("delete", "sub", "onprem", "--timeout", "20s")
    assert (code, out.splitlines()) == (
        0,
        ["subcluster/onprem leaves the fleet, after the 1 service that runs there", "subcluster/onprem deleted"],
    )
    assert "onprem: 0 left, 1 moved away" in err
    assert [each.key.name for each in shop.store.list(SubCluster).items] == ["cloud"]


def test_what_leaves_the_fleet_cannot_be_uncordoned_and_a_lost_one_is_forced(shop: Served, roam: Roam) -> None:
    assert roam("delete", "sub", "onprem", "--no-wait")[0] == 0
    code, _, err = roam("uncordon", "onprem")
    assert (code, "can't be taken back" in err) == (64, True)
    lost = shop.store.get(SubCluster, Key("", "onprem"))
    status = lost.status.model_copy(update={"health": "Lost"})
    shop.store.write([Replace(lost.model_copy(update={"status": status}))], now=NOW)
    assert roam("delete", "sub", "onprem", "--force") == (0, "subcluster/onprem deleted\n", "")


@pytest.mark.parametrize(("typed", "deleted"), [("y\n", True), ("\n", False), ("no\n", False)])
def test_on_a_terminal_it_asks_before_it_changes_the_fleet(
    shop: Served, roam: Roam, monkeypatch: pytest.MonkeyPatch, typed: str, deleted: bool
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return typed

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    code, _, err = roam("delete", "cpp", "eu")
    assert (code, "delete clusterplacementpolicy/eu? [y/N]" in err) == (0 if deleted else 1, True)
    assert (shop.call("GET", f"{BASE}/clusterplacementpolicies/eu").code == 404) == deleted
    if not deleted:
        assert roam("delete", "cpp", "eu", "--yes")[0] == 0


# Moves


def test_moves_are_shown_and_steered(shop: Served, roam: Roam) -> None:
    move(shop, "db-1", "RolledBack", service="db", message="too many errors")
    move(shop, "cart-1", "Succeeded", 100, message="source is gone")
    move(shop, "cart-2", "Shifting", 25, message="25 % of the traffic to cloud")
    commands = (
        ("migrations", "-n", "shop"),
        ("migrations", "-A", "--open"),
        ("migrations", "cart", "-n", "shop", "-o", "name"),
        ("migrations", "shop/cart", "-A"),
        ("migrations",),
        ("pause", "cart", "-n", "shop"),
        ("pause", "shop/cart-2"),
        ("migrations", "cart", "-n", "shop", "--open"),
        ("resume", "cart-2", "-n", "shop"),
        ("resume", "cart", "-n", "shop"),
        ("rollback", "cart", "-n", "shop"),
        ("rollback", "cart", "-n", "shop"),
        ("pause", "cart", "-n", "shop"),
        ("rollback", "cart-1", "-n", "shop"),
        ("rollback", "db", "-n", "shop"),
        ("pause", "crt", "-n", "shop"),
    )
    golden("migrations", transcript(roam, *commands))
    spec = shop.store.get(Migration, Key("shop", "cart-2")).spec
    assert (spec.rollback, spec.paused) == (True, False)
    assert "RollingBack" in roam("migrations", "cart", "-n", "shop", "--open")[1]
    assert json.loads(roam("migrations", "cart", "-n", "shop", "-o", "json")[1])["kind"] == "List"


@pytest.mark.parametrize(
    ("phase", "code", "said"),
    [("RolledBack", 0, "shop/cart is back in onprem"), ("Succeeded", 1, "too late"), ("Failed", 1, "failed: no")],
)
def test_rollback_waits_for_the_end(shop: Served, roam: Roam, phase: Phase, code: int, said: str) -> None:
    move(shop, "cart-1", "Shifting", 50)

    def work() -> None:
        found = shop.store.get(Migration, Key("shop", "cart-1"))
        if found.spec.rollback and found.open:
            status = found.status.model_copy(update={"phase": phase, "message": "no" if phase == "Failed" else ""})
            shop.store.write([Replace(found.model_copy(update={"status": status}))], now=NOW)

    with controller(work):
        got, out, err = roam("rollback", "cart", "-n", "shop", "--wait", "--timeout", "20s")
    assert (got, said in out + err) == (code, True)


def test_moves_are_followed(shop: Served, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    move(shop, "cart-1", "Shifting", 5)
    seen: list[str] = []

    class Enough(Exception):
        pass

    def write(_: object, rows: Any) -> None:
        seen.extend(row[4] for row in rows)
        if len(set(seen)) >= 3:
            raise Enough

    monkeypatch.setattr("federation.cli.migrations.TableWriter.write", write)

    def work() -> None:
        found = shop.store.get(Migration, Key("shop", "cart-1"))
        status = found.status.model_copy(update={"weight": (found.status.weight + 20) % 100})
        shop.store.write([Replace(found.model_copy(update={"status": status}))], now=NOW)

    with controller(work), pytest.raises(Enough):
        roam("migrations", "-n", "shop", "-w", "--debug")
    assert seen[0] == "[..........]   5%"


def test_several_services_move_at_once(shop: Served, roam: Roam) -> None:
    place(shop, "db", onprem=1)
    code, out, err = roam("migrate", "shop/cart", "shop/db", "--to", "cloud", "--strategy", "10,100")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "roam migrations -n shop -w" in err
    made = {each.spec.service: each for each in shop.store.list(Migration).items}
    assert {name: each.spec.strategy.canary.steps for name, each in made.items()} == {
        "cart": (10, 100),
        "db": (10, 100),
    }
    code, _, err = roam("migrate", "--all", "--from", "onprem", "--to", "cloud")
    assert (code, "is being moved already" in err) == (64, True)


def test_everything_moves_with_a_strategy_given_as_json(shop: Served, roam: Roam) -> None:
    place(shop, "db", onprem=1)
    assert shop.patch(f"{BASE}/namespaces/shop/microservices/db", {"spec": {"stateful": True}}).code == 200
    how = '{"canary": {"steps": [50, 100], "interval": "9s"}}'
    words = ("migrate", "--all", "--from", "onprem", "--to", "cloud", "--strategy", how, "--interval", "3s")
    code, out, err = roam(*words, "--dry-run")
    assert (code, "shop/cart: 2 replicas would move from onprem to cloud" in out) == (0, True)
    assert "shop/db is left out: it keeps its data with it" in err
    assert roam(*words)[0] == 0
    made = shop.store.list(Migration).items
    assert [(each.spec.service, each.spec.replicas) for each in made] == [("cart", 2)]
    canary = made[0].spec.strategy.canary
    assert (canary.steps, canary.interval) == ((50, 100), "3s")
    assert roam("migrate", "--all", "--to", "cloud")[0] == 64
    assert roam("migrate", "--to", "cloud")[0] == 64
    assert roam("migrate", "shop/cart", "--to", "cloud", "--strategy", "{")[0] == 64
    assert roam("migrate", "shop/db", "shop/db", "--to", "cloud")[0] == 64

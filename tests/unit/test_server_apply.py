"""Many objects at once: all or nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import BASE, Served, a_microservice, a_subcluster, serving

from federation.contracts.store import Replace
from federation.errors import StaleWrite
from federation.model.meta import Key
from federation.model.microservice import Microservice, MicroserviceStatus

APPLY = f"{BASE}/apply"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def _results(api: Served, *documents: object, query: str = "") -> list[str]:
    reply = api.call("POST", APPLY + query, {"items": list(documents)})
    assert reply.code == 200, reply.text
    return [f"{one['name']} {one['result']}" for one in reply.body["items"]]


def test_created_then_unchanged_then_configured(api: Served) -> None:
    cart, fleet = a_microservice("cart"), a_subcluster("onprem")
    assert _results(api, cart, fleet) == ["cart created", "onprem created"]
    version = api.store.version()
    assert _results(api, cart, fleet) == ["cart unchanged", "onprem unchanged"]
    assert api.store.version() == version
    assert _results(api, a_microservice("cart", replicas=4), fleet) == ["cart configured", "onprem unchanged"]
    bare = api.call("POST", APPLY, [a_microservice("cart")])
    assert (bare.code, bare.body["items"][0]["object"]["spec"]["replicas"]) == (200, 1)


def test_nothing_half_valid_is_ever_stored(api: Served) -> None:
    bad = [
        a_microservice("a"),
        a_microservice("b", replics=1),
        a_subcluster("c", region="atlantis", location={}),
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "d"}},
        a_microservice("a"),
    ]
    reply = api.call("POST", APPLY, {"items": bad})
    assert reply.code == 422
    causes = {cause["field"]: cause["message"] for cause in reply.body["details"]["causes"]}
    assert {"spec.replics", "kind", "metadata.name"} <= causes.keys()
    assert any("atlantis" in message for message in causes.values())
    assert "Microservice shop/b" in reply.body["message"]
    assert api.store.version() == 0
    for body in ({}, {"items": 3}, {"items": [3]}, 3):
        assert api.call("POST", APPLY, body).code == 400


def test_a_dry_run_checks_all_and_writes_nothing(api: Served) -> None:
    _results(api, a_microservice("cart"))
    version = api.store.version()
    found = _results(api, a_microservice("cart", replicas=9), a_microservice("new"), query="?dryRun=All")
    assert found == ["cart configured", "new created"]
    assert api.store.version() == version
    assert api.call("POST", APPLY + "?dryRun=Some", []).code == 400


def test_statuses_written_meanwhile_are_kept(api: Served) -> None:
    _results(api, a_microservice("cart"))
    stopping, written = threading.Event(), threading.Event()

    def controller() -> None:
        count = 0
        while not stopping.wait(0.003):
            stored = api.store.get(Microservice, Key("shop", "cart"))
            count += 1
            status = MicroserviceStatus(gateway_ports={"80": count})
            try:
                api.store.write([Replace(stored.model_copy(update={"status": status}))], now=0.0)
                written.set()
            except StaleWrite:
                continue

    writer = threading.Thread(target=controller)
    writer.start()
    try:
        for replicas in range(2, 12):
            assert _results(api, a_microservice("cart", replicas=replicas)) == ["cart configured"]
            path = f"{BASE}/namespaces/shop/microservices/cart"
            assert api.patch(path, {"metadata": {"labels": {"n": str(replicas)}}}).code == 200
        assert written.wait(20), "every write lost to the others"
        assert _results(api, a_microservice("cart", replicas=12)) == ["cart configured"]
    finally:
        stopping.set()
        writer.join()
    found = api.store.get(Microservice, Key("shop", "cart"))
    assert found.spec.replicas == 12
    assert found.status.gateway_ports["80"] > 0


def test_prices_and_machines_that_make_no_sense_are_refused_and_nothing_is_stored(api: Served) -> None:
    def machines(name: str, *instances: object, **spec: object) -> dict[str, object]:
        return a_subcluster(name, region="eu-central-1", location={}, instances=list(instances), **spec)

    def spot(name: str, share: object) -> dict[str, object]:
        metadata = {"name": name, "namespace": "shop"}
        spec = {"selector": {}, "cost": {"spot": share}}
        return {"apiVersion": "roam.federation/v1alpha1", "kind": "PlacementPolicy", "metadata": metadata, "spec": spec}

    bad = {
        "spec.instances[0].hourly": (machines("a", {"type": "t3.medium", "hourly": -1}), "it is negative"),
        "spec.instances[0].spotHourly": (machines("a", {"type": "t3.medium", "spotHourly": "0"}), "0 is no price"),
        "spec.instances[0].type": (machines("a", {"type": "t9.medium"}), "unknown instance type 't9.medium' of aws"),
        "spec.region": (a_subcluster("a", region="atlantis", location={}, instances=[]), "unknown region 'atlantis'"),
        "spec.pricing.cpuHour": (a_subcluster("a", pricing={"cpuHour": -0.1}), "it is negative"),
    }
    for field, (document, message) in bad.items():
        reply = api.call("POST", APPLY, [a_microservice("cart"), document])
        assert reply.code == 422
        assert [(cause["field"], message in cause["message"]) for cause in reply.body["details"]["causes"]] == [
            (field, True)
        ]
    for share in ("101%", "-1%", 1.5, -0.5):
        reply = api.call("POST", APPLY, [spot("p", share)])
        assert reply.code == 422
        assert "must lie between 0% and 100%" in reply.text
    assert api.store.version() == 0
    assert _results(api, machines("a", {"type": "t3.medium"}), spot("p", "100%")) == ["a created", "p created"]

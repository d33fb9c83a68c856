"""The verbs of the API on objects and lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import BASE, SECRET, SHOP, Served, a_microservice, a_secret, a_subcluster, serving

from federation.contracts.store import Create, Replace
from federation.model.event import Event, Regarding
from federation.model.kinds import KINDS
from federation.model.meta import Key, Metadata
from federation.model.microservice import Microservice, MicroserviceStatus
from federation.model.migration import Migration
from federation.model.placement import Placement, PlacementSpec, Target


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def _placed(api: Served, name: str, *targets: Target) -> None:
    placement = Placement(metadata=Metadata(name=name, namespace="shop"), spec=PlacementSpec(targets=targets))
    api.store.write([Create(placement)], now=0.0)


def test_an_object_lives_from_creation_to_deletion(api: Served) -> None:
    created = api.call("POST", f"{SHOP}/microservices", a_microservice("cart", replicas=2))
    assert created.code == 201
    assert created.body["metadata"]["resourceVersion"] == "1"
    assert created.body["metadata"]["creationTimestamp"].endswith("Z")
    assert api.call("POST", f"{SHOP}/microservices", a_microservice("cart")).body["reason"] == "AlreadyExists"

    changed = created.body | {"spec": created.body["spec"] | {"replicas": 3}}
    replaced = api.call("PUT", f"{SHOP}/microservices/cart", changed)
    assert (replaced.code, replaced.body["spec"]["replicas"], replaced.body["metadata"]["generation"]) == (200, 3, 2)
    stale = api.call("PUT", f"{SHOP}/microservices/cart", changed)
    assert (stale.code, stale.body["kind"], stale.body["reason"]) == (409, "Status", "Conflict")

    deleted = api.call("DELETE", f"{SHOP}/microservices/cart", {"kind": "DeleteOptions"})
    assert (deleted.code, deleted.body["status"]) == (200, "Success")
    gone = api.call("GET", f"{SHOP}/microservices/cart")
    assert (gone.code, gone.body["reason"], gone.body["details"]["name"]) == (404, "NotFound", "cart")


def test_a_replacement_needs_a_version_and_a_patch_does_not(api: Served) -> None:
    api.call("POST", f"{SHOP}/microservices", a_microservice("cart"))
    blind = api.call("PUT", f"{SHOP}/microservices/cart", a_microservice("cart", replicas=2))
    assert (blind.code, blind.body["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")
    patched = api.patch(f"{SHOP}/microservices/cart", {"spec": {"replicas": 5}, "metadata": {"labels": {"a": "b"}}})
    assert (patched.code, patched.body["spec"]["replicas"], patched.body["metadata"]["labels"]) == (200, 5, {"a": "b"})
    stale = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}}
    assert api.patch(f"{SHOP}/microservices/cart", stale).code == 409
    removed = api.patch(f"{SHOP}/microservices/cart", {"metadata": {"labels": {"a": None}}})
    assert removed.body["metadata"]["labels"] == {}
    renamed = api.patch(f"{SHOP}/microservices/cart", {"metadata": {"name": "other"}})
    assert renamed.code == 400


def test_a_status_is_not_the_users_to_write(api: Served) -> None:
    sent = a_microservice("cart") | {"status": {"gatewayPorts": {"80": 1}}}
    assert api.call("POST", f"{SHOP}/microservices", sent).body["status"]["gatewayPorts"] == {}
    stored = api.store.get(Microservice, Key("shop", "cart"))
    status = MicroserviceStatus(gateway_ports={"80": 20001})
    api.store.write([Replace(stored.model_copy(update={"status": status}))], now=0.0)
    changed = api.patch(f"{SHOP}/microservices/cart", {"spec": {"replicas": 7}, "status": {"gatewayPorts": {"80": 1}}})
    assert (changed.body["spec"]["replicas"], changed.body["status"]["gatewayPorts"]) == (7, {"80": 20001})

    body = changed.body | {"status": {"gatewayPorts": {"80": 20002}}, "spec": {"nonsense": True}}
    replaced = api.call("PUT", f"{SHOP}/microservices/cart/status", body)
    assert (replaced.code, replaced.body["spec"]["replicas"]) == (200, 7)
    assert replaced.body["status"]["gatewayPorts"] == {"80": 20002}
    body["metadata"] = replaced.body["metadata"]
    assert api.call("PUT", f"{SHOP}/microservices/cart/status", body | {"status": {"nonsense": 1}}).code == 422


def test_what_is_invalid_is_refused_with_its_field_and_nothing_is_stored(api: Served) -> None:
    refused = api.call("POST", f"{SHOP}/microservices", a_microservice("cart", replics=2))
    assert refused.code == 422
    assert refused.body["details"]["causes"][0]["field"] == "spec.replics"
    assert "replicas" in refused.body["message"]
    for sent in (
        a_microservice("Not A Name"),
        a_microservice("cart\n"),
        a_microservice("cart", replicas="2"),
        a_microservice("cart") | {"spec": []},
    ):
        assert api.call("POST", f"{SHOP}/microservices", sent).code == 422
    for sent in ([], 3, None, a_microservice("cart") | {"kind": "Placement"}, {"metadata": []}):
        assert api.call("POST", f"{SHOP}/microservices", raw=b"null" if sent is None else None, body=sent).code == 400
    other = a_microservice("cart")
    other["metadata"]["namespace"] = "elsewhere"
    assert api.call("POST", f"{SHOP}/microservices", other).code == 400
    assert api.store.version() == 0


def test_lists_come_by_selector_and_in_pages(api: Served) -> None:
    for name in ("a", "b", "c"):
        document = a_microservice(name)
        document["metadata"]["labels"] = {"tier": "web" if name < "c" else "data"}
        api.call("POST", f"{SHOP}/microservices", document)
    found = api.call("GET", f"{BASE}/microservices?labelSelector=tier%20in%20(web,%20x),!legacy").body
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b"]
    assert (found["kind"], found["metadata"]["resourceVersion"]) == ("MicroserviceList", "6")
    page = api.call("GET", f"{SHOP}/microservices?limit=2").body
    api.call("DELETE", f"{SHOP}/microservices/c")
    rest = api.call("GET", f"{SHOP}/microservices?limit=2&continue={page['metadata']['continue']}").body
    assert [item["metadata"]["name"] for item in page["items"] + rest["items"]] == ["a", "b", "c"]
    assert "continue" not in rest["metadata"]
    assert api.call("GET", f"{BASE}/namespaces/other/microservices").body["items"] == []
    for query in (
        "labelSelector=a%3D%3D%3Db",
        "limit=-1",
        "limit=x",
        "continue=x",
        "fieldSelector=a%3Db",
        "watch=maybe",
    ):
        assert api.call("GET", f"{BASE}/microservices?{query}").code == 400, query


def test_a_secrets_value_is_never_given_back_and_never_lost(api: Served) -> None:
    replies = [api.call("POST", f"{SHOP}/microservices", a_microservice("cart", objects=[a_secret()]))]
    replies.append(api.call("GET", f"{SHOP}/microservices/cart"))
    replies.append(api.call("GET", f"{BASE}/microservices"))
    document = replies[1].body
    document["metadata"]["labels"] = {"new": "label"}
    replies.append(api.call("PUT", f"{SHOP}/microservices/cart", document))
    replies.append(api.patch(f"{SHOP}/microservices/cart", {"spec": {"replicas": 2}}))
    replies.append(api.call("POST", f"{BASE}/apply", {"items": [replies[-1].body]}))
    replies.append(api.call("GET", f"{BASE}/microservices?watch=1&timeoutSeconds=1"))
    for reply in replies:
        assert reply.code < 300
        assert SECRET not in reply.text
        assert "<redacted>" in reply.text
    assert api.store.get(Microservice, Key("shop", "cart")).spec.objects[0]["data"] == {"password": SECRET}
    placeholder = a_microservice("other", objects=[a_secret("<redacted>")])
    assert api.call("POST", f"{SHOP}/microservices", placeholder).code == 422


def test_what_only_roam_writes_is_not_a_users(api: Served) -> None:
    _placed(api, "cart", Target(subcluster="a", replicas=1))
    path = f"{SHOP}/placements/cart"
    moved = api.patch(path, {"spec": {"targets": [{"subcluster": "b", "replicas": 1}]}})
    assert (moved.code, moved.body["details"]["causes"][0]["field"]) == (422, "spec.targets")
    assert api.patch(path, {"spec": {"pinned": "a"}}).body["spec"]["pinned"] == "a"
    assert api.patch(path, {"spec": {"pinned": None}}).body["spec"]["pinned"] is None
    assert api.call("DELETE", path).code == 409
    placement = {"metadata": {"name": "x"}, "spec": {}}
    assert api.call("POST", f"{SHOP}/placements", placement).code == 422
    event = Event(metadata=Metadata(name="e", namespace="shop"), reason="X", regarding=Regarding(kind="X", name="x"))
    api.store.write([Create(event)], now=0.0)
    assert api.patch(f"{SHOP}/events/e", {"message": "rewritten"}).code == 422


def test_a_migration_moves_as_the_policies_say_and_is_not_changed_later(api: Served) -> None:
    policy = {
        "metadata": {"name": "slow"},
        "spec": {"migration": {"strategy": {"canary": {"steps": [50, 100], "interval": "7s"}}}},
    }
    assert api.call("POST", f"{BASE}/clusterplacementpolicies", policy).code == 201
    api.call("POST", f"{SHOP}/microservices", a_microservice("cart"))
    spec = {"service": "cart", "source": "a", "target": "b", "replicas": 1, "strategy": {"canary": {"interval": "1s"}}}
    created = api.call("POST", f"{SHOP}/migrations", {"metadata": {"generateName": "cart-"}, "spec": spec})
    assert created.code == 201
    name = created.body["metadata"]["name"]
    assert name.startswith("cart-")
    assert len(name) == len("cart-") + 5
    canary = created.body["spec"]["strategy"]["canary"]
    assert (canary["steps"], canary["interval"]) == ([50, 100], "1s")

    again = api.call("POST", f"{SHOP}/migrations", {"metadata": {"generateName": "cart-"}, "spec": spec})
    assert (again.code, name in again.body["message"]) == (409, True)
    assert api.patch(f"{SHOP}/migrations/{name}", {"spec": {"target": "c"}}).code == 422
    assert api.call("DELETE", f"{SHOP}/migrations/{name}").code == 409
    assert api.patch(f"{SHOP}/migrations/{name}", {"spec": {"rollback": True}}).code == 200
    assert api.patch(f"{SHOP}/migrations/{name}", {"spec": {"rollback": False}}).code == 422
    ended = api.store.get(Migration, Key("shop", name))
    status = ended.status.model_copy(update={"phase": "RolledBack"})
    api.store.write([Replace(ended.model_copy(update={"status": status}))], now=0.0)
    assert api.call("DELETE", f"{SHOP}/migrations/{name}").code == 200


def test_deletion_keeps_its_preconditions(api: Served) -> None:
    made = api.call("POST", f"{BASE}/subclusters", a_subcluster("a")).body
    path = f"{BASE}/subclusters/a"
    assert "namespace" not in made["metadata"]
    assert api.call("DELETE", path, {"preconditions": {"uid": "x"}}).code == 409
    assert api.call("DELETE", path, {"preconditions": {"resourceVersion": "9"}}).code == 409
    right = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
    assert api.call("DELETE", path, {"preconditions": right}).code == 200


def test_discovery_lists_every_kind(api: Served) -> None:
    assert api.call("GET", "/apis").body["groups"][0]["name"] == "roam.federation"
    assert api.call("GET", "/apis/roam.federation").body["kind"] == "APIGroup"
    found = {each["name"]: each for each in api.call("GET", BASE).body["resources"]}
    for kind in KINDS:
        assert found[kind.plural]["namespaced"] is kind.namespaced
        assert api.call("GET", f"{BASE}/{kind.plural}").body["items"] == []
    assert api.call("GET", "/version").body["version"] == "test"
    assert api.call("GET", "/readyz").code == 200


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/pods", 404),
        ("GET", f"{BASE}/microservice", 404),
        ("GET", f"{BASE}/microservices/cart", 404),
        ("GET", f"{BASE}/namespaces/Shop/microservices", 404),
        ("GET", f"{SHOP}/subclusters", 404),
        ("GET", f"{SHOP}/microservices/a%2Fb", 404),
        ("GET", f"{SHOP}/microservices/a/scale", 404),
        ("GET", f"{SHOP}/events/a/status", 404),
        ("GET", f"{SHOP}/microservices/%ff", 400),
        ("GET", f"{BASE}/apply", 405),
        ("DELETE", f"{SHOP}/microservices", 405),
        ("POST", f"{SHOP}/microservices/cart", 405),
        ("POST", "/healthz", 405),
        ("HEAD", BASE, 405),
        ("OPTIONS", f"{SHOP}/microservices", 405),
        ("PATCH", f"{SHOP}/microservices/cart/status", 405),
    ],
)
def test_what_is_not_there_or_not_allowed(api: Served, method: str, path: str, code: int) -> None:
    reply = api.call(method, path)
    assert reply.code == code
    if method != "HEAD":
        assert (reply.body["kind"], reply.body["code"]) == ("Status", code)
    assert ("Allow" in reply.headers) is (code == 405)

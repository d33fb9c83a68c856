"""What clients written for Kubernetes may rely on. Source: Kubernetes documentation, "Kubernetes API Concepts"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from serving import BASE, SECRET, SHOP, Served, a_microservice, a_secret, a_subcluster, serving

from federation.model.kinds import KINDS
from federation.server.answers import Refused
from federation.server.jsonpatch import apply_json_patch

TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
CART = f"{SHOP}/microservices/cart"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api")) as served:
        documents = [a_microservice("cart", objects=[a_secret()]), a_microservice("shop"), a_subcluster("onprem")]
        other = a_microservice("cart")
        other["metadata"]["namespace"] = "other"
        assert served.call("POST", f"{BASE}/apply", [*documents, other]).code == 200
        yield served


def _names(reply: Any) -> list[str]:
    return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in reply.body["items"]]


def _patch(api: Served, steps: object) -> Any:
    return api.call("PATCH", CART, steps, media_type="application/json-patch+json")


def test_health_version_and_discovery(api: Served) -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        assert api.call("GET", path, token=None).text == "ok"
    version = api.call("GET", "/version").body
    assert {"major", "minor", "gitVersion", "platform"} <= version.keys()
    assert version["gitVersion"] == "vtest"
    assert api.call("GET", "/api").body["kind"] == "APIVersions"
    assert api.call("GET", "/apis").body["groups"][0]["preferredVersion"]["groupVersion"] == BASE.removeprefix("/apis/")
    resources = api.call("GET", BASE).body
    assert resources["groupVersion"] == BASE.removeprefix("/apis/")
    for resource in resources["resources"]:
        assert set(resource["verbs"]) <= {"create", "delete", "get", "list", "patch", "update", "watch"}


def test_schemas(api: Served) -> None:
    (where,) = api.call("GET", "/openapi/v3").body["paths"].values()
    document = api.call("GET", where["serverRelativeURL"]).body
    schemas = document["components"]["schemas"]
    for kind in KINDS:
        (gvk,) = schemas[kind.kind_name]["x-kubernetes-group-version-kind"]
        assert (gvk["group"], gvk["kind"]) == ("roam.federation", kind.kind_name)
        assert any(path.endswith(f"/{kind.plural}/{{name}}") for path in document["paths"])
    references = [part.partition('"')[0] for part in json.dumps(document).split('"$ref": "')[1:]]
    assert references
    assert all(reference.removeprefix("#/components/schemas/") in schemas for reference in references)


def test_field_selectors(api: Served) -> None:
    def found(query: str) -> list[str]:
        return _names(api.call("GET", f"{BASE}/microservices?fieldSelector={query}"))

    assert found("metadata.name%3Dcart") == ["other/cart", "shop/cart"]
    assert found("metadata.name==cart,metadata.namespace!=other") == ["shop/cart"]
    assert found("metadata.namespace%3Dshop") == ["shop/cart", "shop/shop"]
    assert found("metadata.name%3Dnobody") == []
    refused = api.call("GET", f"{BASE}/microservices?fieldSelector=spec.replicas%3D1")
    assert (refused.code, "metadata.name=VALUE" in refused.body["message"]) == (400, True)
    events = api.call("GET", f"{BASE}/microservices?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dshop").text
    assert [json.loads(line)["object"]["metadata"]["name"] for line in events.splitlines()] == ["shop"]


def test_a_watch_can_say_where_the_beginning_ends(api: Served) -> None:
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
    lines = [json.loads(line) for line in api.call("GET", f"{SHOP}/microservices?{query}").text.splitlines()]
    assert [line["type"] for line in lines][:3] == ["ADDED", "ADDED", "BOOKMARK"]
    assert lines[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_tables(api: Served) -> None:
    table = api.call("GET", f"{SHOP}/microservices", headers={"Accept": TABLE}).body
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Replicas", "Age"]
    assert [row["cells"][:2] for row in table["rows"]] == [["cart", "1"], ["shop", "1"]]
    assert table["rows"][0]["object"]["metadata"]["name"] == "cart"
    assert "resourceVersion" in table["metadata"]
    one = api.call("GET", f"{BASE}/subclusters/onprem", headers={"Accept": TABLE}).body
    assert one["rows"][0]["cells"][:2] == ["onprem", "local"]
    plain = api.call("GET", f"{SHOP}/microservices", headers={"Accept": "application/json"}).body
    assert plain["kind"] == "MicroserviceList"
    for kind in KINDS:
        assert api.call("GET", f"{BASE}/{kind.plural}", headers={"Accept": TABLE}).body["kind"] == "Table"


def test_what_is_not_json_is_not_there(api: Served) -> None:
    refused = api.call("GET", CART, headers={"Accept": "application/vnd.kubernetes.protobuf"})
    assert (refused.code, refused.body["reason"]) == (406, "NotAcceptable")
    assert api.call("GET", CART, headers={"Accept": "text/html, */*;q=0.1"}).code == 200


def test_a_json_patch_changes_and_tests(api: Served) -> None:
    version = api.call("GET", CART).body["metadata"]["resourceVersion"]
    steps = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/replicas", "value": 4},
        {"op": "add", "path": "/metadata/labels/a~1b", "value": "c"},
        {"op": "add", "path": "/spec/template/spec/containers/0/command/-", "value": "--fast"},
    ]
    changed = _patch(api, steps)
    assert (changed.code, changed.body["spec"]["replicas"]) == (200, 4)
    assert changed.body["metadata"]["labels"] == {"a/b": "c"}
    assert changed.body["spec"]["template"]["spec"]["containers"][0]["command"] == ["cart", "--fast"]
    stale = _patch(api, steps)
    assert (stale.code, stale.body["details"]["causes"][0]["field"]) == (422, "/metadata/resourceVersion")
    for wrong, code in (
        ({"spec": {}}, 400),
        ([{"op": "jump", "path": "/spec"}], 400),
        ([{"op": "remove", "path": "spec"}], 400),
        ([{"op": "remove", "path": "/spec/nothing"}], 422),
        ([{"op": "replace", "path": "/spec/replicas", "value": "many"}], 422),
        ([{"op": "replace", "path": "/metadata/name", "value": "other"}], 400),
    ):
        assert _patch(api, wrong).code == code, wrong


def test_a_json_patch_does_not_tell_a_secret(api: Served) -> None:
    secret = "/spec/objects/0/data/password"
    copied = _patch(api, [{"op": "copy", "from": secret, "path": "/metadata/annotations/seen"}])
    assert (copied.code, copied.body["metadata"]["annotations"]) == (200, {"seen": "<redacted>"})
    guessed = _patch(api, [{"op": "test", "path": secret, "value": SECRET}])
    assert guessed.code == 422
    assert SECRET not in guessed.text


def test_a_request_has_a_name(api: Served) -> None:
    assert api.call("GET", CART, headers={"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"
    made = {api.call("GET", path).headers["X-Request-Id"] for path in (CART, "/nowhere", "/healthz", CART)}
    assert len(made) == 4
    split = api.call("GET", CART, headers={"X-Request-Id": "a b"})
    assert split.headers["X-Request-Id"] != "a b"


def test_a_refusal_names_the_fields(api: Served) -> None:
    refused = api.call("POST", f"{SHOP}/microservices", a_microservice("bad", replicas=-1, nonsense=1)).body
    assert (refused["kind"], refused["reason"], refused["code"]) == ("Status", "Invalid", 422)
    assert {cause["field"] for cause in refused["details"]["causes"]} == {"spec.replicas", "spec.nonsense"}
    assert refused["details"]["kind"] == "microservices"
    old = api.call("GET", CART).body
    assert _patch(api, [{"op": "add", "path": "/metadata/annotations/written", "value": "since"}]).code == 200
    assert api.call("PUT", CART, old).code == 409


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2], "b": {"c": True}}),
        ([{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 2, 9], "b": {"c": True}}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2], "b": {"c": True}}),
        ([{"op": "move", "from": "/b/c", "path": "/d"}], {"a": [1, 2], "b": {}, "d": True}),
        ([{"op": "move", "from": "/a/0", "path": "/a/1"}], {"a": [2, 1], "b": {"c": True}}),
        ([{"op": "copy", "from": "/b", "path": "/b/d"}], {"a": [1, 2], "b": {"c": True, "d": {"c": True}}}),
        ([{"op": "replace", "path": "", "value": 3}], 3),
        ([{"op": "test", "path": "/a", "value": [1.0, 2]}], {"a": [1, 2], "b": {"c": True}}),
        ([{"op": "test", "path": "/b/c", "value": 1}], None),
        ([{"op": "add", "path": "/a/3", "value": 1}], None),
        ([{"op": "add", "path": "/a/01", "value": 1}], None),
        ([{"op": "remove", "path": "/a/-"}], None),
        ([{"op": "move", "from": "/b", "path": "/b/c/d"}], None),
        ([{"op": "add", "path": "/x/y", "value": 1}], None),
        ([{"op": "add", "path": "/a"}], None),
    ],
)
def test_json_patches_as_the_standard_says(steps: list[Any], wanted: Any) -> None:
    """Source: RFC 6902, appendix A."""
    document = {"a": [1, 2], "b": {"c": True}}
    if wanted is None:
        with pytest.raises(Exception, match=r".") as raised:
            apply_json_patch(document, steps)
        assert type(raised.value).__name__ in ("InvalidInput", "Refused")
    else:
        assert apply_json_patch(document, steps) == wanted
    assert document == {"a": [1, 2], "b": {"c": True}}


def test_copies_do_not_fill_the_memory() -> None:
    doubling = [{"op": "copy", "from": "", "path": f"/b{number}"} for number in range(20)]
    with pytest.raises(Refused, match="operation 12 makes the object larger") as raised:
        apply_json_patch({"a": "x" * 1000}, doubling)
    assert raised.value.code == 413
    with pytest.raises(Refused, match="at most"):
        apply_json_patch({"a": 1}, [*doubling, doubling[0]])


@pytest.mark.parametrize("namespace", [{"a": 1}, ["shop"], 3, True, "\ud800", "Shop", ""])
def test_a_namespace_in_the_body_only_has_to_be_one(api: Served, namespace: object) -> None:
    document = {
        "metadata": {"name": "move", "namespace": namespace},
        "spec": {"service": "cart", "source": "onprem", "target": "elsewhere", "replicas": 1},
    }
    assert api.call("POST", f"{BASE}/migrations", document).code == 422

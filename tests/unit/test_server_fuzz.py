"""Whatever is sent, the answer is no 5xx and shows nothing of the inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import BASE, SHOP, Served, a_microservice, a_subcluster, serving

from federation.model.kinds import KINDS

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SEGMENT = st.sampled_from(
    [kind.plural for kind in KINDS] + ["namespaces", "shop", "cart", "status", "apply", "..", "", "a/b", "\x00", "%"]
) | st.text(max_size=6)
METHOD = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
QUERY = st.dictionaries(
    st.sampled_from(["limit", "continue", "labelSelector", "resourceVersion", "dryRun", "x", "allowWatchBookmarks"]),
    st.text(max_size=10) | st.sampled_from(["1", "0", "a=b", "a in (b)", "All", "9" * 30]),
    max_size=3,
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with serving(folder) as served:
        served.call("POST", f"{BASE}/apply", [a_microservice("cart"), a_subcluster("onprem")])
        yield served


def _check(api: Served, method: str, path: str, body: Any, query: dict[str, str], media_type: str) -> None:
    text = "&".join(f"{quote(name)}={quote(value, errors='replace')}" for name, value in query.items())
    raw = json.dumps(body).encode()
    reply = api.call(method, f"{path}?{text}" if text else path, raw=raw, media_type=media_type)
    assert reply.code < 500, (method, path, body, reply.text)
    assert "Traceback" not in reply.text
    if reply.code >= 400 and method != "HEAD":
        assert reply.body["kind"] == "Status"
        assert reply.body["message"]


@QUICK
@given(method=METHOD, segments=st.lists(SEGMENT, max_size=5), body=JSON, query=QUERY)
def test_any_path(api: Served, method: str, segments: list[str], body: Any, query: dict[str, str]) -> None:
    path = "/".join([BASE, *(quote(segment, safe="", errors="replace") for segment in segments)])
    _check(api, method, path, body, query, "application/json")


@QUICK
@given(
    method=METHOD,
    body=JSON,
    patch=st.dictionaries(st.sampled_from(["spec", "metadata", "status", "kind", "apiVersion"]), JSON, max_size=3),
    kind=st.sampled_from(KINDS),
)
def test_any_body(api: Served, method: str, body: Any, patch: dict[str, Any], kind: Any) -> None:
    document = {"apiVersion": "roam.federation/v1alpha1", "kind": kind.kind_name, "metadata": {"name": "x"}, **patch}
    collection = f"{SHOP if kind.namespaced else BASE}/{kind.plural}"
    for sent in (body, document):
        _check(api, method, collection, sent, {}, "application/json")
        _check(api, method, f"{SHOP}/microservices/cart", sent, {}, "application/merge-patch+json")
        _check(api, "POST", f"{BASE}/apply", [sent], {}, "application/json")


@QUICK
@given(field=st.sampled_from(list(a_subcluster("x")["spec"])), value=JSON, more=st.text(max_size=8))
def test_any_field(api: Served, field: str, value: Any, more: str) -> None:
    document = a_subcluster("onprem", **{field: value})
    _check(api, "POST", f"{BASE}/apply", [document], {"dryRun": "All"}, "application/json")
    cart = a_microservice("cart", **{more: value}, ports=value, template=value, objects=[value])
    _check(api, "POST", f"{BASE}/apply", [cart], {"dryRun": "All"}, "application/json")

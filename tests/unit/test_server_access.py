"""Every path, method, role and namespace: who gets in, and who is told what instead."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import yaml
from serving import BASE, NOW, TOKEN, a_microservice, a_subcluster

from federation.app import schemas
from federation.intake.resources import validate
from federation.model.kinds import KINDS
from federation.model.meta import Resource
from federation.server.access import ADDED, READS, ROLES, Role, is_at_least
from federation.server.answers import Answer
from federation.server.app import Api, Options, make_wsgi
from federation.server.audit import AuditLog
from federation.server.extras import Page, Subresource
from federation.server.requests import Limits
from federation.server.tokens import TokenFile
from federation.store.sql import open_store
from federation.testing.fuzzing.calling import Call, Reply, call

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
VERBS = {
    "collection": {"GET": "list", "POST": "create"},
    "object": {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"},
    "status": {"GET": "get", "PUT": "update"},
}
PAGES: dict[str, tuple[str, Role | None]] = {
    "/healthz": ("GET", None),
    "/livez": ("GET", None),
    "/readyz": ("GET", None),
    "/open": ("GET", None),
    "/version": ("GET", "view"),
    "/api": ("GET", "view"),
    "/apis": ("GET", "view"),
    "/apis/roam.federation": ("GET", "view"),
    BASE: ("GET", "view"),
    "/openapi/v3": ("GET", "view"),
    f"/openapi/v3{BASE}": ("GET", "view"),
    f"{BASE}/audit": ("GET", "admin"),
    f"{BASE}/apply": ("POST", "deploy"),
    "/added": ("POST", "operate"),
}
WRITES: dict[Role, set[tuple[str, str]]] = {
    role: {
        (plural, verb)
        for earlier in ROLES[: ROLES.index(role) + 1]
        for plural, verbs in ADDED[earlier].items()
        for verb in verbs
    }
    for role in ROLES
}


def _tokens(path: Path) -> Path:
    entries = []
    for role, spaces in product(ROLES, (None, ["shop"], ["other", "third"])):
        if role == "admin" and spaces:
            continue
        name = f"{role}-{spaces[0] if spaces else 'all'}"
        entries.append({"name": name, "role": role, "sha256": hashlib.sha256(_token(name).encode()).hexdigest()})
        if spaces:
            entries[-1]["namespaces"] = spaces
    gone = {"name": "gone", "role": "admin", "sha256": hashlib.sha256(_token("gone").encode()).hexdigest()}
    entries.append({**gone, "expires": "2026-01-01T00:00:00Z"})
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump({"tokens": entries}))
    return path


def _token(name: str) -> str:
    return f"the-token-of-{name}"


def _say(*_: object) -> Answer:
    return Answer(200, "said")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("access")
    store = open_store(None)
    yield make_wsgi(
        store,
        token=TOKEN,
        validate=partial(validate, schemas=schemas()),
        clock=lambda: NOW,
        version="1.2.3",
        options=Options(
            limits=Limits(requests_per_s=1e9, requests_burst=10**9),
            tokens=TokenFile(_tokens(folder / "tokens.yaml"), lambda: NOW),
            audit=AuditLog(folder / "audit.log"),
            extras=(
                Page("/open", _say, role=None),
                Page("/added", _say, methods=("POST",), role="operate"),
                Subresource("microservices", "log", _say),
                Subresource("migrations", "undo", _say, methods=("POST",), role="deploy"),
                Subresource("subclusters", "empty", _say, methods=("POST",), role="operate"),
            ),
        ),
    )
    store.close()


def _ask(api: Api, method: str, path: str, token: str | None, body: object = None) -> Reply:
    headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return call(api, Call(method, path, headers, b"" if body is None else json.dumps(body).encode()))


def _paths() -> list[tuple[str, str, type[Resource], str | None]]:
    """Each path of an object or collection: the path, what it is, the kind, the namespace."""
    found = []
    for kind in KINDS:
        for namespace in ("shop", "other", None) if kind.namespaced else (None,):
            collection = f"{BASE}/{f'namespaces/{namespace}/' if namespace else ''}{kind.plural}"
            found.append((collection, "collection", kind, namespace))
            if namespace or not kind.namespaced:
                found.append((f"{collection}/x", "object", kind, namespace))
                if "status" in kind.model_fields:
                    found.append((f"{collection}/x/status", "status", kind, namespace))
    return found


def _may(role: Role, spaces: list[str] | None, kind: type[Resource], verb: str, namespace: str | None) -> bool:
    """The rules again, in other words than the server's."""
    if verb in READS:
        if not kind.namespaced:
            return True
        return spaces is None or namespace in spaces
    if spaces is not None and namespace not in spaces:
        return False
    return role == "admin" or (kind.plural, verb) in WRITES[role]


def test_every_path_refuses_who_has_no_token(api: Api) -> None:
    strangers = (None, "", "wrong", TOKEN[:-1], _token("nobody"), _token("gone"), "view-all", "é")
    places = [*(path for path, *_ in _paths()), *PAGES, "/nowhere", f"{BASE}/namespaces/shop/microservices/x/log"]
    for path, method, token in product(places, METHODS, strangers):
        reply = _ask(api, method, path, token)
        if PAGES.get(path, ("", "view"))[1] is None:
            assert reply.code == (200 if method == "GET" else 405)
            continue
        assert reply.code == 401, (path, method, token)
        assert (reply.json["kind"], reply.json["reason"]) == ("Status", "Unauthorized")
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("spaces", [None, ["shop"], ["other", "third"]])
def test_every_path_refuses_a_token_that_is_too_weak(api: Api, role: Role, spaces: list[str] | None) -> None:
    if role == "admin" and spaces:
        return
    token = _token(f"{role}-{spaces[0] if spaces else 'all'}")
    for (path, what, kind, namespace), method in product(_paths(), METHODS):
        reply = _ask(api, method, path, token, {"metadata": {"namespace": "third"}})
        verb = VERBS[what].get(method)
        if verb is None:
            assert reply.code == 405, (path, method)
            continue
        plural_writes = what != "status" or verb in READS
        where = "third" if method == "POST" and namespace is None and kind.namespaced else namespace
        allowed = _may(role, spaces, kind, verb, where) and (plural_writes or role == "admin")
        assert (reply.code != 403) is allowed, (path, method, role, spaces, reply.body)
        if not allowed:
            assert (reply.json["kind"], reply.json["reason"]) == ("Status", "Forbidden")
            assert f"{role}-" in reply.json["message"]


@pytest.mark.parametrize("role", ROLES)
def test_pages_ask_for_a_role(api: Api, role: Role) -> None:
    for (path, (right, needed)), method in product(PAGES.items(), METHODS):
        reply = _ask(api, method, path, _token(f"{role}-all"), {"items": []})
        if method != right:
            assert reply.code == 405, (path, method)
        else:
            assert (reply.code == 200) is (needed is None or is_at_least(role, needed)), (path, role, reply.body)
            assert reply.code in (200, 403)


def test_added_subresources_ask_for_role_and_place(api: Api) -> None:
    log = f"{BASE}/namespaces/shop/microservices/x/log"
    undo = f"{BASE}/namespaces/shop/migrations/x/undo"
    empty = f"{BASE}/subclusters/x/empty"
    expected = {
        ("view-shop", "GET", log): 200,
        ("view-other", "GET", log): 403,
        ("view-all", "POST", undo): 403,
        ("deploy-other", "POST", undo): 403,
        ("deploy-shop", "POST", undo): 200,
        ("deploy-all", "POST", empty): 403,
        ("operate-shop", "POST", empty): 403,
        ("operate-all", "POST", empty): 200,
        ("view-shop", "POST", log): 405,
    }
    for (name, method, path), code in expected.items():
        assert _ask(api, method, path, _token(name)).code == code, (name, path)


def test_apply_checks_each_object(api: Api) -> None:
    other = a_microservice("cart")
    other["metadata"]["namespace"] = "other"
    rule = {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "ClusterPlacementPolicy",
        "metadata": {"name": "all"},
        "spec": {"importance": 1},
    }
    apply = f"{BASE}/apply"
    mine, place = a_microservice("cart"), a_subcluster("onprem")

    def code(name: str, *documents: object) -> int:
        codes = {_ask(api, "POST", apply + query, _token(name), list(documents)).code for query in ("?dryRun=All", "")}
        assert len(codes) == 1
        return codes.pop()

    assert code("deploy-shop", mine) == 200
    assert code("deploy-shop", mine, other) == 403
    assert code("deploy-other", other) == 200
    assert code("deploy-all", mine, other) == 200
    assert code("deploy-all", mine, place) == 403
    assert code("operate-all", mine, place) == 403, "making sub-clusters is an admin's"
    assert code("admin-all", place, rule) == 200
    assert code("operate-all", mine, {**place, "spec": {**place["spec"], "unschedulable": True}}) == 200
    assert code("operate-shop", place) == 403
    assert code("operate-all", rule) == 403
    assert code("view-shop", mine) == 403
    assert _ask(api, "GET", f"{BASE}/namespaces/other/microservices", TOKEN).json["items"]


def test_a_namespaces_token_lists_no_other_namespace(api: Api) -> None:
    reply = _ask(api, "GET", f"{BASE}/microservices", _token("view-shop"))
    assert reply.code == 403
    assert "-n" in reply.json["message"]
    watch = _ask(api, "GET", f"{BASE}/microservices?watch=1", _token("view-shop"))
    assert watch.code == 403
    assert _ask(api, "GET", f"{BASE}/subclusters", _token("view-shop")).code == 200

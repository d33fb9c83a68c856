"""Makes requests at random: some nearly right, some wild. Pure, given the random numbers."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from random import Random
from typing import Any, Final
from urllib.parse import quote

from federation.model.kinds import BY_KIND, KINDS
from federation.model.meta import API_VERSION
from federation.testing.fuzzing.calling import Call
from federation.testing.fuzzing.documents import DOCUMENTS, ROAM
from federation.testing.fuzzing.mutation import NAMES, WEIRD, as_json, spoiled, spoiled_text, weird

BASE: Final = f"/apis/{API_VERSION}"
TOKENS: Final[Mapping[str, str]] = {
    role: f"{role}-token-for-fuzzing" for role in ("view", "deploy", "operate", "admin")
}
VERSION: Final = "@version@"
"""Stands for the version that the object at the request's path has, whichever it is by then."""
_PLURALS: Final = tuple(kind.plural for kind in KINDS)
_METHODS: Final = ("GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "WATCH", "get", "")
_TYPES: Final = (
    "application/json", "application/json", "application/merge-patch+json", "application/json-patch+json", "",
    "application/json; charset=utf-8", "application/yaml", "text/plain", "application/strategic-merge-patch+json",
    "ä", ";",
)  # fmt: skip
_PARAMETERS: Final = (
    "limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch", "dryRun", "watch",
    "timeoutSeconds", "allowWatchBookmarks", "sendInitialEvents", "pretty", "fieldManager", "x", "",
)  # fmt: skip
_VALUES: Final = (
    "1", "0", "-1", "true", "false", "All", "a=b", "a in (b,c)", "!a", "a notin ()", "(((", ",,,", "a==b,c!=d",
    "9" * 18,
    "9" * 30, "metadata.name=cart", "metadata.namespace!=shop", "status.phase=Running", "x" * 5000, "é", "\x00",
    "eyJ2IjoxfQ", "bnVsbA==", "e30", "1.5", "1e3", "٣",
)  # fmt: skip
_ACCEPTS: Final = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "application/vnd.kubernetes.protobuf", "*/*", "",
    "text/html", "application/json;as=Table", ";;;", "application/yaml, application/json",
)  # fmt: skip
_SEGMENTS: Final = (
    *_PLURALS, "namespaces", "shop", "default", "cart", "onprem", "status", "apply", "audit", "..", ".", "", "a/b",
    "\x00",
    "%", "%zz", "é", "x" * 300, "log", "events", "~", "-", "Shop",
)  # fmt: skip
_PAGES: Final = (
    "/", "/healthz", "/livez", "/readyz", "/version", "/api", "/apis", BASE, f"{BASE}/audit", "/openapi/v3",
    f"/openapi/v3{BASE}", "/metrics", "/favicon.ico", "*", "//", "/apis//", f"{BASE}/apply",
)  # fmt: skip


def any_request(random: Random) -> Call:
    """One request."""
    return random.choice(_MAKERS)(random)


def any_manifest(random: Random) -> bytes:
    """A file of manifests, in YAML or JSON, more or less spoiled."""
    documents = [random.choice(DOCUMENTS) for _ in range(random.choice((1, 1, 2, 4)))]
    documents = [each if random.random() < 0.3 else spoiled(each, random) for each in documents]
    if random.random() < 0.2:
        documents = [{"apiVersion": "v1", "kind": "List", "items": documents}]
    # JSON is YAML, and much faster to write; the text's own troubles come with `spoiled_text`.
    text = b"\n---\n".join(json.dumps(each, indent=random.choice((None, 1))).encode() for each in documents)
    return spoiled_text(text, random) if random.random() < 0.3 else text


def _wild(random: Random) -> Call:
    """Any path, any method, any body."""
    if random.random() < 0.2:
        path = random.choice(_PAGES)
    else:
        segments = [random.choice(_SEGMENTS) for _ in range(random.randrange(7))]
        start = random.choice((BASE, BASE, BASE, "/apis", "", "/apis/roam.federation/v2"))
        path = "/".join([start, *(each if random.random() < 0.1 else quote(each, safe="") for each in segments)])
    if random.random() < 0.05:
        path += "".join(random.choice("%/?#&;=\\\xe9 ") for _ in range(random.randrange(10)))
    body = random.choice((b"", as_json(weird(random), random), random.randbytes(random.randrange(40))))
    return Call(random.choice(_METHODS), path + _query(random), _headers(random), body)


def _write(random: Random) -> Call:
    """A document, more or less spoiled, to where it belongs, more or less."""
    document = _renamed(random.choice(ROAM), random)
    body = document if random.random() < 0.3 else spoiled(document, random)
    collection, name = _collection(document, random), str(document["metadata"]["name"])
    method, path = random.choice(
        (("POST", collection), ("PUT", f"{collection}/{name}"), ("PATCH", f"{collection}/{name}"))
    )
    if random.random() < 0.1:
        path += random.choice(("/status", "/x", "/"))
    if method == "PATCH" and isinstance(body, dict):
        part = random.choice(list(body)) if body else ""
        body = {part: body.get(part)}
    if method == "PUT" and isinstance(body, dict) and isinstance(body.get("metadata"), dict) and random.random() < 0.9:
        body["metadata"]["resourceVersion"] = VERSION
    merge = "application/merge-patch+json" if method == "PATCH" else "application/json"
    return Call(method, path + _query(random, 0.05), _headers(random, merge), as_json(body, random))


def _renamed(document: Mapping[str, Any], random: Random) -> dict[str, Any]:
    """The document under one of a few names."""
    name = random.choice((document["metadata"]["name"], "a", "b", "c"))
    return {**copy.deepcopy(dict(document)), "metadata": {**document["metadata"], "name": name}}


def _json_patch(random: Random) -> Call:
    document = random.choice(ROAM)
    steps: Any = [_step(document, random) for _ in range(random.randrange(5))]
    if random.random() < 0.1:
        steps = spoiled(steps or [{}], random)
    path = f"{_collection(document, random)}/{document['metadata']['name']}"
    return Call("PATCH", path, _headers(random, "application/json-patch+json"), as_json(steps, random))


def _step(document: Mapping[str, Any], random: Random) -> dict[str, Any]:
    def pointer() -> str:
        parts: list[str] = []
        value: Any = document
        while isinstance(value, dict | list) and value and random.random() < 0.8:
            key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
            parts.append(str(key).replace("~", "~0").replace("/", "~1"))
            value = value[key]
        if random.random() < 0.2:
            parts.append(random.choice((*NAMES, "-", "0", "99", "01", "~2")))
        return "".join(f"/{part}" for part in parts)

    step = {"op": random.choice(("add", "remove", "replace", "move", "copy", "test", "x")), "path": pointer()}
    return {**step, "from": pointer(), "value": weird(random)}


def _apply(random: Random) -> Call:
    items: list[Any] = []
    for _ in range(random.choice((1, 1, 2, 5))):
        document = _renamed(random.choice(ROAM if random.random() < 0.9 else DOCUMENTS), random)
        items.append(document if random.random() < 0.4 else spoiled(document, random))
    body: Any = {"apiVersion": "v1", "kind": "List", "items": items} if random.random() < 0.8 else items
    query = random.choice(("", "", "?dryRun=All", "?dryRun=x"))
    return Call("POST", f"{BASE}/apply{query}", _headers(random), as_json(body, random))


def _read(random: Random) -> Call:
    """Lists, objects, watches (those that begin with what is there), deletions."""
    document = random.choice(ROAM)
    path = _collection(document, random)
    query = _query(random)
    method = "GET"
    if random.random() < 0.5:
        path += f"/{random.choice((document['metadata']['name'], 'nobody'))}"
        method = random.choice(("GET", "GET", "DELETE"))
    elif random.random() < 0.1:
        query = random.choice(("?watch=1&timeoutSeconds=1", "?watch=true&resourceVersion=999999"))
    options = {"preconditions": {"uid": random.choice(WEIRD), "resourceVersion": random.choice(WEIRD)}}
    body = as_json(options, random) if method == "DELETE" and random.random() < 0.5 else b""
    return Call(method, path + query, _headers(random), body)


def _added(random: Random) -> Call:
    """What modules add beside the objects."""
    name = random.choice(("cart", "cart", "a", "b", "nobody"))
    service = f"{BASE}/namespaces/shop/microservices/{name}"
    method, path, body = random.choice(
        (
            ("GET", f"{service}/candidates", None),
            ("POST", f"{service}/rollback", random.choice(({}, {"revision": random.choice((1, 2))}, weird(random)))),
            ("GET", f"{BASE}/fleet", None),
            ("GET", f"{BASE}/feed?kinds={random.choice(('placements,events', 'x', '', ','))}", None),
            ("GET", f"{service}/log{_log_query(random)}", None),
            ("GET", f"{BASE}/usage{random.choice(('', '?namespace=shop', '?namespace=%00', '?x=1'))}", None),
            ("GET", f"{BASE}/backup", None),
            ("GET", "/metrics", None),
            ("GET", random.choice(("/page/app.js", "/page/../x", "/page/", "/")), None),
        )
    )
    return Call(method, path, _headers(random), b"" if body is None else as_json(body, random))


def _log_query(random: Random) -> str:
    names = ("subcluster", "pod", "container", "tailLines", "previous", "follow", "x")
    values = ("onprem", "a", "main", "nobody", "1", "0", "true", "false", *_VALUES)
    pairs = [(random.choice(names), random.choice(values)) for _ in range(random.choice((0, 1, 2, 4)))]
    return "?" + "&".join(f"{name}={quote(value)}" for name, value in pairs)


def _collection(document: Mapping[str, Any], random: Random) -> str:
    kind = BY_KIND[document["kind"]]
    namespace = random.choice(("shop",) * 19 + ("default",))
    inside = kind.namespaced is (random.random() < 0.97)
    return f"{BASE}/namespaces/{namespace}/{kind.plural}" if inside else f"{BASE}/{kind.plural}"


def _query(random: Random, share: float = 0.3) -> str:
    if random.random() > share:
        return ""
    pairs = [(random.choice(_PARAMETERS), random.choice(_VALUES)) for _ in range(random.choice((1, 1, 2, 3, 60)))]
    # A watch that has nothing to tell would only take time.
    pairs = [(name, value) for name, value in pairs if name not in ("watch", "sendInitialEvents")]
    return "?" + "&".join(f"{quote(name)}={value if random.random() < 0.1 else quote(value)}" for name, value in pairs)


def _headers(random: Random, media_type: str = "application/json") -> dict[str, str]:
    token = TOKENS[random.choice(("view", "deploy", "operate", "admin", "admin", "admin", "admin", "admin"))]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
    if random.random() < 0.05:
        headers["Authorization"] = random.choice(
            ("", "Bearer", "Bearer ", "Basic x", f"Bearer {token}x", "Bearer \xff")
        )
    if random.random() < 0.05:
        headers["Content-Type"] = random.choice(_TYPES)
    if random.random() < 0.1:
        headers["Accept"] = random.choice(_ACCEPTS)
    if random.random() < 0.1:
        headers["X-Request-Id"] = random.choice(("a", "x" * 100, "\r\nSet-Cookie: a", "é", ""))
    if random.random() < 0.02:
        headers["Content-Length"] = random.choice(("", "x", "-1", "99999999999", "٣", "1"))
    if random.random() < 0.02:
        headers["If-None-Match"] = random.choice(("*", '"x"', "W/"))
    return headers


_MAKERS: Final = (*(_wild, _write, _write, _write, _apply, _apply, _json_patch, _read) * 4, _added)

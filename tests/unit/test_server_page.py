"""The page's server side: files for everybody, data for tokens only, and work that is bounded however many ask."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import BASE, NOW, SHOP, Reply, Served, a_microservice, a_secret, a_subcluster, serving

from federation.errors import InvalidInput, Unavailable
from federation.model.event import Event
from federation.model.meta import Metadata
from federation.model.placement import Placement
from federation.model.subcluster import SubCluster, SubClusterSpec
from federation.server.page import files
from federation.server.page.extras import page_extras
from federation.server.page.shared import Shared
from federation.server.tokens import create
from federation.store.sql import SqlStore, open_store

STATIC = Path(files.__file__).parent / "static"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, extras=lambda store: page_extras(store, lambda: NOW)) as found:
        yield found


def open_requests(served: Served, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = served.connect()
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_every_file_is_served_without_a_token_as_what_it_is(served: Served) -> None:
    types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for file in STATIC.iterdir():
        path = "/" if file.name == "index.html" else f"/page/{file.name}"
        code, headers, body = open_requests(served, "GET", path)
        assert (code, body) == (200, file.read_bytes())
        assert headers["content-type"].startswith(types[file.suffix])
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_file_that_the_browser_has_is_not_sent_again(served: Served) -> None:
    _, headers, body = open_requests(served, "GET", "/page/main.js")
    etag = headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        assert open_requests(served, "GET", "/page/main.js", **{"If-None-Match": known})[::2] == (304, b"")
    assert open_requests(served, "GET", "/page/main.js", **{"If-None-Match": '"other"'})[0] == 200
    code, headers, nothing = open_requests(served, "HEAD", "/page/main.js")
    assert (code, headers["content-length"], nothing) == (200, str(len(body)), b"")


@pytest.mark.parametrize(
    "path",
    [
        "/page/../files.py",
        "/page/%2e%2e/files.py",
        "/page/..%2ffiles.py",
        "/page//etc/passwd",
        "/page/",
        "/page/index.html/",
        "/page/main.js/x",
        "/page/main.js%00",
    ],
)
def test_nothing_but_the_files_is_below_the_page(served: Served, path: str) -> None:
    assert open_requests(served, "GET", path)[0] == 404


def test_the_page_is_only_read(served: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert open_requests(served, method, "/")[0] == 405


@pytest.mark.parametrize(
    "path", [f"{BASE}/fleet", f"{BASE}/feed?kinds=events&resourceVersion=1", f"{SHOP}/microservices/a/candidates"]
)
def test_data_needs_a_token(served: Served, path: str) -> None:
    assert served.call("GET", path, token=None).code == 401
    assert served.call("POST", path, {}).code == 405


def test_what_the_page_is_made_of() -> None:
    """No markup from data, nothing from elsewhere, no address with a token, and files one can read at a sitting."""
    for file in STATIC.iterdir():
        text = file.read_text()
        assert len(text.splitlines()) < 200, file.name
        elsewhere = set(re.findall(r"(?:https?:)?//[a-z][\w.-]+", text)) - {"http://www.w3.org"}
        assert not elsewhere, (file.name, elsewhere)
        for never in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
            "style=",
        ):
            assert never not in text, (file.name, never)


def fill(served: Served) -> None:
    for name, price in (("near", 0.02), ("far", 0.05)):
        pricing = {"cpuHour": price, "memoryGiBHour": 0.003}
        assert served.call("POST", f"{BASE}/subclusters", a_subcluster(name, pricing=pricing)).code == 201
    document = a_microservice("cart", objects=[a_secret("cGxhbnRlZA==")], replicas=2)
    assert served.call("POST", f"{SHOP}/microservices", document).code == 201


def test_candidates_are_those_of_roam_why(served: Served) -> None:
    fill(served)
    reply = served.call("GET", f"{SHOP}/microservices/cart/candidates")
    assert reply.code == 200, reply.text
    assert reply.headers["X-Roam-Fresh"] == "true"
    found = {each["subcluster"]: each for each in reply.body["candidates"]}
    assert {name: each["verdict"] for name, each in found.items()} == {"near": "chosen", "far": "feasible"}
    assert found["far"]["cost_usd_per_hour"] > found["near"]["cost_usd_per_hour"]
    assert sum(found["far"]["terms"].values()) == pytest.approx(found["far"]["cost_usd_per_hour"])
    assert "cGxhbnRlZA==" not in reply.text
    assert served.call("GET", f"{SHOP}/microservices/nobody/candidates").code == 404


def test_candidates_follow_what_changes(served: Served) -> None:
    fill(served)
    path = f"{SHOP}/microservices/cart/candidates"
    served.call("GET", path)
    spec = {"spec": {"pricing": {"cpuHour": 0.9}}}
    served.call("PATCH", f"{BASE}/subclusters/near", spec, media_type="application/merge-patch+json")
    reply = until_fresh(served, path)
    assert reply.body["targets"][0]["subcluster"] == "far"


def test_the_controllers_own_plan_is_explained_as_a_new_one_would_be(served: Served) -> None:
    fill(served)
    others = [a_microservice(name, calls=[{"service": "cart", "gibPerHour": 2.0}]) for name in ("a", "b")]
    for each in others:
        assert served.call("POST", f"{SHOP}/microservices", each).code == 201
    paths = [f"{SHOP}/microservices/{name}/candidates" for name in ("a", "b", "cart")]
    searched = [served.call("GET", path).body for path in paths]
    for each in searched:
        proposed = {"targets": each["targets"], "costUsdPerHour": 0.0, "terms": {}, "reasons": []}
        document = {"metadata": {"name": each["service"], "namespace": "shop"}, "status": {"proposed": proposed}}
        put(served.store, Placement.model_validate(document))
    for path, expected in zip(paths, searched, strict=True):
        reply = until_fresh(served, path)
        assert reply.body == expected


def until_fresh(served: Served, path: str) -> Reply:
    """The answer, once it is as new as the store."""
    ends_at = time.monotonic() + 10
    while (reply := served.call("GET", path)).headers["X-Roam-Fresh"] != "true":
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    return reply


def test_usage_tells_places_capacity_and_price(served: Served) -> None:
    fill(served)
    items = {each["name"]: each for each in served.call("GET", f"{BASE}/fleet").body["items"]}
    assert items["near"]["place"]["country"] == "DE"
    assert items["near"]["place"]["latitude"] == 50.1
    assert (items["near"]["cpuCores"], items["near"]["cpuUsedCores"], items["near"]["cpuHourUsd"]) == (8.0, 0.0, 0.02)


def test_usage_of_whole_machines(served: Served) -> None:
    spec = {
        "provider": "local",
        "instances": [{"type": "mine", "cpu": "2", "memory": "4Gi", "hourly": 0.1, "spotHourly": 0.04}],
    }
    put(served.store, SubCluster.model_validate({"metadata": {"name": "vms"}, "spec": spec}))
    document = a_microservice("big", replicas=3)
    document["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1500m"}}
    spot = {"selector": {}, "cost": {"spot": "50%"}}
    documents = [
        document,
        {**document, "kind": "ClusterPlacementPolicy", "metadata": {"name": "spot"}, "spec": spot},
    ]
    assert served.call("POST", f"{BASE}/apply", documents).code == 200
    placed = {
        "metadata": {"name": "big", "namespace": "shop"},
        "spec": {"targets": [{"subcluster": "vms", "replicas": 3}]},
    }
    put(served.store, Placement.model_validate(placed))
    items = {each["name"]: each for each in served.call("GET", f"{BASE}/fleet").body["items"]}
    assert (items["vms"]["cpuUsedCores"], items["vms"]["cpuHourUsd"], items["vms"]["usdPerHour"]) == (4.5, None, 0.24)


def test_a_subcluster_whose_place_makes_no_sense_is_shown_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, extras=lambda store: page_extras(store, lambda: NOW)) as served:
        spec = SubClusterSpec(provider="local", region="atlantis")
        put(served.store, SubCluster(metadata=Metadata(name="lost"), spec=spec))
        [item] = served.call("GET", f"{BASE}/fleet").body["items"]
        assert item["place"]["latitude"] is None


def put(store: SqlStore, *resources: Any) -> None:
    from federation.contracts.store import Create

    store.write([Create(each) for each in resources], now=NOW)


def an_event(name: str, namespace: str) -> Event:
    return Event.model_validate(
        {"metadata": {"name": name, "namespace": namespace}, "reason": "Said", "regarding": {"kind": "X", "name": "x"}}
    )


def feed(served: Served, query: str, lines: int) -> list[Any]:
    with served.watch(f"{BASE}/feed?{query}&timeoutSeconds=5") as found:
        return [next(found) for _ in range(lines)]


def test_a_feed_tells_of_several_kinds_in_the_order_of_versions(served: Served) -> None:
    since = served.store.version() or 1
    put(served.store, an_event("a", "shop"), an_event("b", "other"))
    fill(served)
    mark, *changes = feed(served, f"kinds=events,subclusters,microservices&resourceVersion={since}", 5)
    assert mark == {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(since)}}}
    names = [(each["type"], each["object"]["metadata"]["name"]) for each in changes]
    assert names[-3:] == [("ADDED", "near"), ("ADDED", "far"), ("ADDED", "cart")]
    assert "cGxhbnRlZA==" not in json.dumps(changes)


def test_a_feed_of_one_namespace_leaves_the_others_out(served: Served) -> None:
    put(served.store, an_event("first", "shop"))
    since = served.store.version()
    put(served.store, an_event("a", "other"), an_event("b", "shop"))
    fill(served)
    changes = feed(served, f"kinds=events,subclusters&namespace=shop&resourceVersion={since}", 4)[1:]
    assert [each["object"]["metadata"]["name"] for each in changes] == ["b", "near", "far"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("kinds=events", 400),
        ("kinds=events&resourceVersion=0", 400),
        ("kinds=nothing&resourceVersion=1", 400),
        ("resourceVersion=1", 400),
        ("kinds=events&resourceVersion=x", 400),
    ],
)
def test_a_feed_that_makes_no_sense_is_refused(served: Served, query: str, code: int) -> None:
    assert served.call("GET", f"{BASE}/feed?{query}").code == code


def test_a_token_of_one_namespace_gets_that_one(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    token = create(path, "ann", "view", ("shop",), now=NOW, expires=None)
    with serving(tmp_path, extras=lambda store: page_extras(store, lambda: NOW), tokens=path) as served:
        fill(served)
        refused = served.call("GET", f"{BASE}/feed?kinds=placements&resourceVersion=1", token=token)
        assert refused.code == 403
        assert "shop" in refused.body["message"]
        assert served.call("GET", f"{SHOP}/microservices/cart/candidates", token=token).code == 200
        elsewhere = f"{BASE}/namespaces/other/microservices/cart/candidates"
        assert served.call("GET", elsewhere, token=token).code == 403
        assert served.call("GET", f"{BASE}/fleet", token=token).code == 200


@dataclass
class Bench:
    """A `Shared` value on a real store, with a clock that moves only while it is computed or told to."""

    store: SqlStore
    took_s: float = 1.0
    now: float = 0.0
    made: int = 0
    fails: bool = False
    spans: list[tuple[float, float]] = field(default_factory=list)

    def make(self) -> int:
        began = self.now
        self.now += self.took_s
        self.spans.append((began, self.now))
        if self.fails:
            raise InvalidInput("no")
        self.made += 1
        return self.made

    def shared(self, **options: Any) -> Shared[int]:
        return Shared(self.store, (Event,), self.make, clock=lambda: self.now, **options)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    found = open_store(tmp_path_factory.mktemp("page") / "store.db")
    put(found, an_event("zero", "shop"))
    yield found
    found.close()


@settings(max_examples=40)
@given(pauses=st.lists(st.floats(0.0, 30.0), max_size=12), took_s=st.floats(0.01, 5.0))
def test_what_is_shared_takes_a_bounded_part_of_the_time(store: SqlStore, pauses: list[float], took_s: float) -> None:
    bench = Bench(store, took_s)
    shared = bench.shared(rest=10.0)
    for number, pause in enumerate([0.0, *pauses]):
        bench.now += pause
        put(store, an_event(f"e{number}-{store.version()}", "shop"))
        assert shared.get().value == bench.made
    for (_, ended), (began, _) in zip(bench.spans, bench.spans[1:], strict=False):
        assert began - ended >= 10.0 * took_s * 0.999


def test_what_did_not_change_is_not_computed_again(store: SqlStore) -> None:
    bench = Bench(store, took_s=0.001)
    shared = bench.shared(keep_s=30.0)
    for _ in range(5):
        bench.now += 5.0
        assert shared.get().fresh
    assert bench.made == 1
    bench.now += 30.0
    assert shared.get().value == 2


def test_a_failure_is_told_to_all_and_forgotten_in_time(store: SqlStore) -> None:
    bench = Bench(store, fails=True)
    shared = bench.shared()
    for _ in range(3):
        with pytest.raises(InvalidInput):
            shared.get()
    assert len(bench.spans) == 1
    bench.fails = False
    bench.now += 100.0
    assert shared.get().value == 1


def test_who_comes_first_while_it_is_computed_waits_not_for_ever(store: SqlStore) -> None:
    started, finish = threading.Event(), threading.Event()

    def make() -> int:
        started.set()
        finish.wait(10)
        return 1

    shared = Shared(store, (Event,), make, wait_s=0.05)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(shared.get().value))
    thread.start()
    assert started.wait(10)
    with pytest.raises(Unavailable):
        shared.get()
    finish.set()
    thread.join(10)
    assert results == [1]

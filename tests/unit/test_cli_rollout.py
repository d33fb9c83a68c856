"""`rollout`, `logs` and `top`: what they print, and what they make of what a server says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from commandline import WIDTH, Roam, golden, transcript
from serving import BASE, NOW, SHOP, TOKEN, Served, a_microservice, a_subcluster, serving

from federation.cli import clock
from federation.contracts.driver import LogQuery, Logs, PodLog, PodUsage, WithoutInspection
from federation.contracts.store import Create, Replace
from federation.errors import NotFound, Unavailable
from federation.model.meta import Condition, Key, Metadata
from federation.model.microservice import Microservice
from federation.model.offers import Offer
from federation.model.placement import Placement, PlacementSpec, PlacementStatus, Rollout, Running, Target
from federation.model.subcluster import SubCluster
from federation.server.extras import Extra
from federation.server.history import extras as history_extras
from federation.server.pods import pod_extras
from federation.store.sql import SqlStore


class FakeDriver(WithoutInspection):
    """Two sub-clusters' pods; `cloud` does not answer once it is `silent`."""

    silent = False

    def __init__(self, name: str) -> None:
        self._name = name

    def logs(self, key: Key, query: LogQuery, *, deadline_s: float) -> Logs:
        if self._name == "cloud" and self.silent:
            raise Unavailable("cloud: does not answer")
        if query.pod not in ("", f"{key.name}-{self._name}"):
            raise NotFound(f"{key} has no pod {query.pod}")
        lines = ("one", "two \x1b[31mred\x1b[0m") if query.cursor is None else ("three",)
        shown = lines[-query.tail_lines :] if query.tail_lines else lines
        return Logs((PodLog(f"{key.name}-{self._name}", "main", shown),), "next")

    def usage(self, *, deadline_s: float) -> tuple[PodUsage, ...]:
        if self._name == "cloud" and self.silent:
            raise Unavailable("cloud: does not answer")
        return (PodUsage(Key("shop", "cart"), f"cart-{self._name}", 0.1234, 70.0 * 2**20),)

    def capabilities(self) -> Any:
        return type("Able", (), {"logs": True, "usage": True})()

    def close(self) -> None:
        return


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """An empty server that `roam` talks to, with what rollouts, logs and usage add to it."""

    def extras(store: SqlStore) -> Sequence[Extra]:
        drivers = pod_extras(store, lambda subcluster: FakeDriver(subcluster.metadata.name))
        return (*history_extras(store, lambda: NOW), *drivers)

    with serving(tmp_path, extras=extras) as served:
        (tmp_path / "token").write_text(TOKEN)
        monkeypatch.setenv("ROAM_HOME", str(tmp_path))
        monkeypatch.setenv("ROAM_SERVER", served.url)
        monkeypatch.setenv("COLUMNS", str(WIDTH))
        monkeypatch.delenv("ROAM_NAMESPACE", raising=False)
        monkeypatch.setattr(clock, "now", lambda: NOW + 90)
        yield served


def a_cart(image: str, **spec: object) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main", "image": image, "command": ["cart"]}]}}
    return a_microservice("cart", template=template, replicas=2, **spec)


def rolled(served: Served, ready: int, progressing: Condition, **rollout: int) -> None:
    """What the controller says of cart, committed to one replica each in onprem and cloud."""
    generation = served.store.get(Microservice, Key("shop", "cart")).metadata.generation
    targets = tuple(Target(subcluster=name, replicas=1) for name in ("cloud", "onprem"))
    running = tuple(
        Running(subcluster=name, replicas=1, ready=1, updated=int(index < ready))
        for index, name in enumerate(("cloud", "onprem"))
    )
    status = PlacementStatus(
        running=running,
        rollout=Rollout(generation=generation, replicas=2, updated=ready, ready=ready, **rollout),
        conditions=(progressing,),
    )
    spec = PlacementSpec(targets=targets)
    try:
        old = served.store.get(Placement, Key("shop", "cart"))
        served.store.write([Replace(old.model_copy(update={"status": status}))], now=NOW)
    except NotFound:
        record = Placement(metadata=Metadata(name="cart", namespace="shop"), spec=spec, status=status)
        served.store.write([Create(record)], now=NOW)


def progressing(status: Any, reason: str, message: str = "") -> Condition:
    return Condition(type="Progressing", status=status, reason=reason, message=message, last_transition_time=NOW)


@pytest.fixture
def history(api: Served) -> Served:
    """Cart had three templates."""
    assert api.call("POST", f"{SHOP}/microservices", a_cart("cart:1")).code == 201
    change = {"metadata": {"annotations": {"kubernetes.io/change-cause": "faster"}}}
    for patch in (a_cart("cart:2") | change, a_cart("cart:2", ports=[{"port": 80}])):
        patch.pop("apiVersion")
        patch["metadata"] = patch["metadata"] | {"name": "cart"}
        assert api.patch(f"{SHOP}/microservices/cart", patch).code == 200
    return api


def test_what_a_rollout_looks_like(history: Served, roam: Roam) -> None:
    rolled(history, 2, progressing("True", "Complete"))
    text = transcript(
        roam,
        ("rollout", "history", "cart", "-n", "shop"),
        ("rollout", "history", "cart", "-n", "shop", "--revision", "1"),
        ("rollout", "history", "cart", "-n", "shop", "--revision", "7"),
        ("rollout", "history", "shop/nope"),
        ("rollout", "undo", "shop/cart"),
        ("rollout", "undo", "shop/cart", "--to-revision", "1"),
        ("rollout", "undo", "shop/cart", "--to-revision", "5"),
        ("rollout", "undo", "shop/cart", "--to-revision", "9"),
        ("rollout", "history", "shop/cart"),
        ("rollout", "status", "shop/cart", "--to-revision", "9"),
        ("rollout", "restart", "shop/cart"),
    )
    golden("rollout", re.sub(r"uid: \S+", "uid: (another each time)", text))


def test_status_waits_and_says_how_it_ends(history: Served, roam: Roam) -> None:
    late = ("rollout", "status", "shop/cart", "--timeout", "0")
    message = (
        "1 of 2 ready with the new template, 1 with an older one; onprem: waits for room: one more pod needs 1 core"
    )
    rolled(history, 1, progressing("True", "RollingOut", message), old=1)
    assert roam(*late)[0] == 5
    shown = roam(*late)[2]
    assert "1/2 ready in cloud 1, onprem 1, 1 with an older template: onprem: waits for room" in shown
    why = "no progress for 120 s: 0 of 2 ready with the new template; cloud: pod cart-1: Error: exit code 3"
    rolled(history, 0, progressing("False", "ProgressDeadlineExceeded", why), old=2)
    code, _, err = roam(*late)
    assert (code, "exit code 3" in err, "roam rollout undo cart -n shop" in err) == (1, True, True)
    rolled(history, 2, progressing("True", "Complete"), done=1)
    code, out, _ = roam("rollout", "status", "shop/cart", "--timeout", "0")
    assert (code, out) == (0, "cart: revision 3, 2/2 ready in cloud 1, onprem 1\n")


def test_only_ten_revisions_are_kept_and_none_twice(api: Served) -> None:
    for number in range(13):
        document = {"kind": "List", "apiVersion": "v1", "items": [a_cart(f"cart:{number}")]}
        assert api.call("POST", f"{BASE}/apply", document).code == 200
    numbers = [one["spec"]["number"] for one in api.call("GET", f"{SHOP}/revisions").body["items"]]
    assert sorted(numbers) == list(range(4, 14))
    back = api.call("POST", f"{SHOP}/microservices/cart/rollback", {"revision": 8})
    assert back.body["spec"]["template"]["spec"]["containers"][0]["image"] == "cart:7"
    numbers = [one["spec"]["number"] for one in api.call("GET", f"{SHOP}/revisions").body["items"]]
    assert sorted(numbers) == [5, 6, 7, *range(9, 15)]
    assert api.call("PUT", f"{SHOP}/revisions/cart-5", api.call("GET", f"{SHOP}/revisions/cart-6").body).code >= 400
    assert api.call("DELETE", f"{SHOP}/microservices/cart").code == 200
    assert api.call("GET", f"{SHOP}/revisions").body["items"] == []


def test_secrets_come_back_and_are_never_shown(api: Served) -> None:
    def objects(value: str) -> list[dict[str, Any]]:
        return [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"password": value}}]

    for value in ("b25l", "dHdv"):
        document = {"kind": "List", "apiVersion": "v1", "items": [a_cart("cart:1", objects=objects(value))]}
        assert api.call("POST", f"{BASE}/apply", document).code == 200
    shown = api.call("GET", f"{SHOP}/revisions").text
    assert ("b25l" in shown, "dHdv" in shown, shown.count("redacted")) == (False, False, 2)
    answer = api.call("POST", f"{SHOP}/microservices/cart/rollback", {})
    assert (answer.code, "b25l" in answer.text) == (200, False)
    stored = api.store.get(Microservice, Key("shop", "cart"))
    assert stored.spec.objects[0]["data"] == {"password": "b25l"}


def test_a_job_keeps_its_template(api: Served) -> None:
    document = a_cart("cart:1", workload="Job")
    assert api.call("POST", f"{SHOP}/microservices", document).code == 201
    changed = a_cart("cart:2", workload="Job")
    refused = api.call("POST", f"{BASE}/apply", {"kind": "List", "apiVersion": "v1", "items": [changed]})
    assert (refused.code, "delete it and apply it again" in refused.text) == (422, True)


@pytest.fixture
def running(api: Served) -> Iterator[Served]:
    """Cart runs in two sub-clusters."""
    for name in ("cloud", "onprem"):
        assert api.call("POST", f"{BASE}/subclusters", a_subcluster(name)).code == 201
        stored = api.store.get(SubCluster, Key("", name))
        offer = Offer(name="all", cpu_cores=8.0, memory_bytes=16.0 * 2**30)
        status = stored.status.model_copy(update={"offers": (offer,)})
        api.store.write([Replace(stored.model_copy(update={"status": status}))], now=NOW)
    assert api.call("POST", f"{SHOP}/microservices", a_cart("cart:1")).code == 201
    rolled(api, 2, progressing("True", "Complete"))
    yield api
    FakeDriver.silent = False


def test_what_logs_and_top_look_like(running: Served, roam: Roam) -> None:
    shown = (
        ("logs", "shop/cart"),
        ("logs", "shop/cart", "--subcluster", "cloud"),
        ("logs", "shop/cart", "--tail", "1"),
        ("logs", "shop/cart", "--pod", "cart-onprem"),
        ("logs", "shop/cart", "--pod", "nope"),
        ("logs", "shop/cart", "--subcluster", "nope"),
        ("logs", "shop/nope"),
        ("logs", "shop/cart", "-f", "--previous"),
        ("top", "-n", "shop"),
        ("top", "-A"),
        ("top", "subclusters"),
        ("top", "-n", "elsewhere"),
    )
    text = transcript(roam, *shown)
    FakeDriver.silent = True
    golden("logs-top", text + "\n" + transcript(roam, ("logs", "shop/cart"), ("top", "-n", "shop")))


def test_followed_lines_come_as_they_are_written(running: Served) -> None:
    with running.watch(f"{SHOP}/microservices/cart/log?follow=1&subcluster=cloud") as lines:
        assert [next(lines)["line"] for _ in range(3)] == ["one", "two \x1b[31mred\x1b[0m", "three"]


@pytest.mark.parametrize(
    ("query", "code"),
    [("tailLines=many", 400), ("tailLines=-1", 400), ("tailLines=99999999", 400), ("follow=perhaps", 400)],
)
def test_nonsense_is_refused(running: Served, query: str, code: int) -> None:
    assert running.call("GET", f"{SHOP}/microservices/cart/log?{query}").code == code


@pytest.mark.parametrize("body", [[], {"revision": "2"}, {"revision": 0}, {"revision": True}, {"to": 1}])
def test_a_rollback_to_nonsense_is_refused(history: Served, body: object) -> None:
    assert history.call("POST", f"{SHOP}/microservices/cart/rollback", body).code in (400, 422)

"""Watches miss nothing, end cleanly, and can't exhaust the server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import BASE, SHOP, TOKEN, Served, a_microservice, serving

from federation.server.requests import Limits


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, Limits(watchers=3, bookmark_s=0.2, send_s=1.0)) as served:
        yield served


def _create(api: Served, name: str, **labels: str) -> str:
    document = a_microservice(name)
    document["metadata"]["labels"] = labels
    reply = api.call("POST", f"{SHOP}/microservices", document)
    assert reply.code == 201
    return str(reply.body["metadata"]["resourceVersion"])


def _events(text: str) -> list[tuple[str, str]]:
    found = [json.loads(line) for line in text.splitlines()]
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in found]


def _eventually(check: Callable[[], bool], seconds: float = 10.0) -> None:
    ends_at = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < ends_at, "it did not happen"
        threading.Event().wait(0.02)


def test_without_a_version_it_begins_with_what_is_there(api: Served) -> None:
    _create(api, "a")
    _create(api, "b")
    text = api.call("GET", f"{BASE}/microservices?watch=true&timeoutSeconds=1").text
    assert _events(text) == [("ADDED", "a"), ("ADDED", "b")]


def test_it_goes_on_where_it_was_without_gaps(api: Served) -> None:
    """Connections end again and again while objects come and go; resumed from the last version seen, all is told."""
    total = 60
    seen: dict[str, int] = {}
    since = str(api.store.version())

    def writer() -> None:
        for number in range(total):
            _create(api, f"s{number}")
            if number % 3 == 0:
                api.call("DELETE", f"{SHOP}/microservices/s{number}")

    thread = threading.Thread(target=writer)
    thread.start()
    wanted = total + total // 3
    ends_at = time.monotonic() + 60
    while len(seen) < wanted and time.monotonic() < ends_at:
        with api.watch(f"{BASE}/microservices?watch=1&resourceVersion={since}&timeoutSeconds=5") as events:
            for count, event in enumerate(events):
                since = event["object"]["metadata"]["resourceVersion"]
                key = f"{event['type']} {event['object']['metadata']['name']}"
                seen[key] = seen.get(key, 0) + 1
                if count == 6 or len(seen) == wanted:
                    break
    thread.join()
    assert sum(key.startswith("ADDED") for key in seen) == total
    assert sum(key.startswith("DELETED") for key in seen) == total // 3
    assert set(seen.values()) == {1}


def test_a_selection_is_left_and_entered(api: Served) -> None:
    since = _create(api, "a", tier="web")
    _create(api, "b", tier="data")
    path = f"{SHOP}/microservices/a"
    api.patch(path, {"metadata": {"labels": {"tier": "data"}}})
    api.patch(path, {"spec": {"replicas": 2}})
    api.patch(path, {"metadata": {"labels": {"tier": "web"}}})
    api.call("DELETE", f"{SHOP}/microservices/b")
    api.call("DELETE", path)
    query = f"watch=1&timeoutSeconds=1&resourceVersion={since}&labelSelector=tier%3Dweb"
    text = api.call("GET", f"{SHOP}/microservices?{query}").text
    assert _events(text) == [("DELETED", "a"), ("ADDED", "a"), ("DELETED", "a")]
    assert api.call("GET", f"{BASE}/namespaces/other/microservices?{query}").text == ""


def test_bookmarks_carry_the_version_on(api: Served) -> None:
    version = _create(api, "a")
    query = f"watch=1&timeoutSeconds=1&resourceVersion={version}&allowWatchBookmarks=true"
    events = [json.loads(line) for line in api.call("GET", f"{BASE}/placements?{query}").text.splitlines()]
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) >= int(version)


def test_a_version_nobody_knows_is_an_expired_one(api: Served) -> None:
    (line,) = api.call("GET", f"{BASE}/microservices?watch=1&resourceVersion=999").text.splitlines()
    event = json.loads(line)
    assert (event["type"], event["object"]["code"], event["object"]["kind"]) == ("ERROR", 410, "Status")


def test_one_watcher_too_many_is_told_so_and_a_place_gets_free(api: Served) -> None:
    path = f"{BASE}/microservices?watch=1"
    with api.watch(path), api.watch(path):
        with api.watch(path):
            refused = api.call("GET", path + "&timeoutSeconds=1")
            assert (refused.code, refused.headers["Retry-After"]) == (429, "5")
            assert api.call("GET", f"{BASE}/microservices").code == 200
        # The third has hung up: its place is free as soon as the server has noticed.
        _eventually(lambda: api.call("GET", path + "&timeoutSeconds=1").code == 200)


def test_clients_that_do_not_read_hurt_nobody(api: Served) -> None:
    large = "x" * 200_000
    stalled = []
    for _ in range(3):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(api.address)
        client.sendall(
            f"GET {BASE}/microservices?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        stalled.append(client)
    for number in range(60):
        document = a_microservice(f"s{number}")
        document["metadata"]["annotations"] = {"filler": large}
        assert api.call("POST", f"{SHOP}/microservices", document).code == 201
    # All three places are taken until the server gives up on them; then watching works again.
    _eventually(lambda: api.call("GET", f"{BASE}/placements?watch=1&timeoutSeconds=1").code == 200, 20)
    for client in stalled:
        client.close()


def test_stopping_ends_watches_at_once(tmp_path: Path) -> None:
    opened, ended = threading.Event(), threading.Event()
    with serving(tmp_path) as api:

        def follow() -> None:
            with api.watch(f"{BASE}/microservices?watch=1") as events:
                opened.set()
                assert list(events) == []
            ended.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert opened.wait(10)
        began_at = time.monotonic()
    assert ended.wait(5)
    thread.join()
    assert time.monotonic() - began_at < 5

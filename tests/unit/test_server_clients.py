"""Many clients at once, and one that wants too much."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from serving import BASE, SHOP, TOKEN, a_microservice, serving

from federation.cli.client import Client
from federation.errors import RateLimited
from federation.server.answers import Refused
from federation.server.rates import Rates
from federation.server.requests import Limits
from federation.server.tokens import create

CLIENTS = 50


def _at_once(count: int, work: Callable[[int], None]) -> None:
    failed: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_fifty_clients_list_change_and_watch(tmp_path: Path) -> None:
    """All with one token. Every change arrives at every watcher, none twice; nobody is told of trouble."""
    tokens = tmp_path / "tokens.yaml"
    token = create(tokens, "crowd", "deploy", ("shop",), now=0.0, expires=None)
    codes: Counter[int] = Counter()
    told: Counter[str] = Counter()
    everybody_has_written = threading.Barrier(CLIENTS)
    with serving(tmp_path, tokens=tokens, audit=tmp_path / "audit.log") as api:
        names = [f"s{number}" for number in range(CLIENTS)]
        assert api.call("POST", f"{BASE}/apply", [a_microservice(name) for name in names]).code == 200
        since = api.store.version()

        def client(number: int) -> None:
            for replicas in (2, 3):
                for reply in (
                    api.call("GET", f"{SHOP}/microservices?limit=20", token=token),
                    api.call(
                        "PATCH",
                        f"{SHOP}/microservices/s{number}",
                        {"spec": {"replicas": replicas}},
                        token=token,
                        media_type="application/merge-patch+json",
                    ),
                ):
                    codes[reply.code] += 1
            everybody_has_written.wait(60)
            path = f"{SHOP}/microservices?watch=1&resourceVersion={since}&timeoutSeconds=3"
            watch = api.call("GET", path, token=token)
            codes[watch.code] += 1
            events = [json.loads(line) for line in watch.text.splitlines()]
            seen = Counter(event["object"]["metadata"]["resourceVersion"] for event in events)
            assert set(seen.values()) == {1}
            told.update(seen.keys())

        _at_once(CLIENTS, client)
        replicas = [item["spec"]["replicas"] for item in api.call("GET", f"{SHOP}/microservices").body["items"]]
    assert codes == {200: 5 * CLIENTS}
    assert replicas == [3] * CLIENTS
    assert len(told) == 2 * CLIENTS, "each of the changes was told"
    assert set(told.values()) == {CLIENTS}, "to every watcher"


def test_fifty_patches_of_one_object_are_all_made(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        api.call("POST", f"{SHOP}/microservices", a_microservice("cart"))
        codes: Counter[int] = Counter()

        def client(number: int) -> None:
            for _ in range(20):
                reply = api.patch(f"{SHOP}/microservices/cart", {"metadata": {"labels": {f"l{number}": "x"}}})
                codes[reply.code] += 1
                if reply.code == 200:
                    return
                assert reply.code == 409
            raise AssertionError("it never came through")

        _at_once(CLIENTS, client)
        assert len(api.call("GET", f"{SHOP}/microservices/cart").body["metadata"]["labels"]) == CLIENTS


def test_a_flood_from_one_token_starves_nobody(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    flood = create(tokens, "flood", "view", None, now=0.0, expires=None)
    calm = create(tokens, "calm", "view", None, now=0.0, expires=None)
    limits = Limits(requests_per_s=40, requests_burst=20, requests_at_once=8, watchers=8, watchers_per_caller=2)
    stop = threading.Event()
    codes: Counter[int] = Counter()
    with serving(tmp_path, limits, tokens=tokens) as api:

        def flooding() -> None:
            while not stop.is_set():
                reply = api.call("GET", f"{BASE}/microservices", token=flood)
                codes[reply.code] += 1
                if reply.code == 429:
                    assert int(reply.headers["Retry-After"]) >= 1
                    assert reply.body["reason"] == "TooManyRequests"

        threads = [threading.Thread(target=flooding) for _ in range(8)]
        for thread in threads:
            thread.start()
        longest_s = 0.0
        for _ in range(20):
            began_at = time.monotonic()
            assert api.call("GET", f"{BASE}/microservices", token=calm).code == 200
            longest_s = max(longest_s, time.monotonic() - began_at)
        stop.set()
        for thread in threads:
            thread.join()
        assert longest_s < 2.0
        assert codes[429] > 0
        assert codes[200] > 0
        assert set(codes) == {200, 429}
        path = f"{BASE}/microservices?watch=1"
        with api.watch(path), api.watch(path):
            refused = api.call("GET", path)
            assert (refused.code, "admin has 2 watches" in refused.body["message"]) == (429, True)
            assert api.call("GET", f"{path}&timeoutSeconds=1", token=calm).code == 200


def test_the_client_waits_as_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("federation.cli.client.time", SimpleNamespace(sleep=waited.append))
    with serving(tmp_path, Limits(requests_per_s=0.01, requests_burst=2)) as api, Client(api.url, TOKEN) as client:
        client.get(f"{BASE}/microservices")
        client.get(f"{BASE}/microservices")
        with pytest.raises(RateLimited, match="try again in"):
            client.get(f"{BASE}/microservices")
        with pytest.raises(RateLimited):
            next(client.watch("microservices", None, "", "0"))
    assert waited == [10.0] * 6, "three times ten seconds for each, then no more"


def test_accounts_fill_up_again() -> None:
    now, refusals = [0.0], []
    rates = Rates(per_s=2.0, burst=3, most_at_once=2, clock=lambda: now[0])

    def passes(name: str) -> bool:
        try:
            with rates.request(name):
                return True
        except Refused as error:
            refusals.append((error.code, dict(error.headers)["Retry-After"]))
            return False

    assert [passes("a") for _ in range(4)] == [True, True, True, False]
    assert passes("b")
    now[0] = 0.5
    assert [passes("a") for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [passes("a") for _ in range(4)] == [True, True, True, False]
    now[0] = 200.0
    with rates.request("a"), rates.request("a"):
        assert not passes("a")
    assert passes("a")
    assert set(refusals) == {(429, "1")}

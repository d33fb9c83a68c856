"""The example shop as plain local processes, wired to each other directly, under the load generator."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from federation.sandbox.load import LoadProcess, Record, summarise

SHOP = Path(__file__).parents[2] / "examples" / "shop"
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: all of 127.0.0.0/8")]


class Shop:
    """One pod of each workload of the manifests, started as the local driver would."""

    def __init__(self, data_dir: Path) -> None:
        documents = [doc for path in sorted(SHOP.glob("*.yaml")) for doc in yaml.safe_load_all(path.read_text())]
        self.code = next(doc["data"]["shop.py"] for doc in documents if doc["kind"] == "ConfigMap")
        workloads = [doc for doc in documents if doc["kind"] in ("Deployment", "StatefulSet")]
        chance = random.Random()
        self.ips = {w["metadata"]["name"]: f"127.{chance.randint(1, 250)}.{chance.randint(0, 250)}.{number}"
                    for number, w in enumerate(workloads, 1)}  # fmt: skip
        self.containers = {w["metadata"]["name"]: w["spec"]["template"]["spec"]["containers"][0] for w in workloads}
        self.data_dir = data_dir
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        container = self.containers[name]
        env = {entry["name"]: self._value(name, entry) for entry in container["env"]}
        command = [env["SHOP_CODE"] if part == "$(SHOP_CODE)" else part for part in container["command"]]
        env["PATH"] = os.environ["PATH"]
        self.processes[name] = subprocess.Popen([*command, *container["args"]], env=env)

    def _value(self, name: str, entry: dict[str, Any]) -> str:
        if entry["name"] == "DATA_DIR":
            return str(self.data_dir)
        if "value" in entry:
            host, _, port = entry["value"].partition(":")
            return f"{self.ips[host]}:{port}" if host in self.ips else entry["value"]
        source = entry["valueFrom"]
        if "configMapKeyRef" in source:
            return self.code
        return {"status.podIP": self.ips[name], "metadata.name": f"{name}-0"}[source["fieldRef"]["fieldPath"]]

    def port(self, name: str) -> int:
        return int(self.containers[name]["ports"][0]["containerPort"])

    def wait_ready(self, name: str, timeout_s: float = 10) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._ready(name):
            assert self.processes[name].poll() is None, f"{name} has ended"
            assert time.monotonic() < deadline, f"{name} is not ready after {timeout_s} s"

    def _ready(self, name: str) -> bool:
        try:
            if name == "cart-db":
                socket.create_connection((self.ips[name], self.port(name)), 1).close()
                return True
            return self.ask(name, "GET", "/ready")[0] == 200
        except OSError:
            return False

    def ask(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self.ips[name], self.port(name), timeout=5)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"X-Nonce": "n1"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def stop(self, name: str) -> int:
        self.processes[name].send_signal(signal.SIGTERM)
        return self.processes.pop(name).wait(10)

    def cpu_s(self) -> float:
        ticks = 0
        for process in self.processes.values():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    running = Shop(tmp_path)
    try:
        for name in running.containers:
            running.start(name)
        for name in running.containers:
            running.wait_ready(name)
        yield running
    finally:
        for process in running.processes.values():
            process.kill()
            process.wait()


def wait_for(load: LoadProcess, reached: Callable[[list[Record]], bool]) -> None:
    """Let the load run until `reached` is true of its records."""
    deadline = time.monotonic() + 30
    while not (records := load.records()) or not reached(records):
        assert time.monotonic() < deadline
        load.poll(wait_s=1)


def test_serves_open_loop_load_without_a_failure(shop: Shop, record_property: Any) -> None:
    before_s = shop.cpu_s()
    load = LoadProcess(f"http://{shop.ips['frontend']}:{shop.port('frontend')}", rate_per_s=150, seed=7)
    started_s = time.time()
    load.start()
    wait_for(load, lambda records: records[-1].due_s > started_s + 5)
    records = load.stop()
    cpu_s = shop.cpu_s() - before_s
    summary = summarise(records, started_s, time.time())
    assert load.totals is not None
    figures = f"{summary} {load.totals} shop CPU {1000 * cpu_s / len(records):.2f} s per 1,000 requests"
    record_property("figures", figures)
    print(figures)
    assert summary["failed"] == 0, [record for record in records if record.failure][:5]
    assert summary["requests"] > 500
    assert load.totals["writes"] > 20
    assert (load.totals["lost_writes"], load.totals["unverified_writes"]) == (0, 0)
    assert 1000 * cpu_s / len(records) < 0.8 / 0.150  # 0.8 of a core at 150 requests a second
    assert {name: shop.stop(name) for name in shop.containers} == dict.fromkeys(shop.containers, 0)


def test_the_load_notices_when_acknowledged_writes_are_lost(shop: Shop) -> None:
    shop.stop("cart-db")
    shop.data_dir /= "missing"  # carts in memory only: nothing survives what follows
    shop.start("cart-db")
    shop.wait_ready("cart-db")
    load = LoadProcess(f"http://{shop.ips['frontend']}:{shop.port('frontend')}", rate_per_s=100)
    load.start()

    wait_for(load, lambda records: sum(record.page == "add" for record in records) > 20)
    killed_s = time.time()
    shop.processes["cart-db"].kill()
    shop.processes.pop("cart-db").wait()
    shop.start("cart-db")
    wait_for(load, lambda records: any(record.failure == "lost-write" for record in records))
    records = load.stop()
    assert load.totals is not None
    assert load.totals["lost_writes"] > 0
    assert not [record for record in records if record.failure and record.end_s < killed_s]


def test_names_the_service_that_failed_and_recovers_when_it_is_back(shop: Shop) -> None:
    assert shop.ask("frontend", "GET", "/product/p03")[0] == 200
    assert shop.stop("catalogue") == 0
    status, page = shop.ask("frontend", "GET", "/product/p03")
    assert (status, page["service"], page["nonce"]) == (503, "catalogue", "n1")
    shop.start("catalogue")
    shop.wait_ready("catalogue")
    status, page = shop.ask("frontend", "GET", "/product/p03?currency=CHF")
    assert (status, page["product"]["cents"]) == (200, 2087)  # 2,228 euro cents at 0.9365
    assert page["pods"] == {f"{name}": f"{name}-0" for name in ("frontend", "catalogue", "recommendation", "currency")}


def test_keeps_acknowledged_cart_writes_when_the_store_is_killed(shop: Shop) -> None:
    line = {"line": "l1", "product": "p01", "quantity": 2}
    assert shop.ask("frontend", "POST", "/cart/ann", line)[0] == 200
    shop.processes["cart-db"].kill()
    shop.processes.pop("cart-db").wait()
    with (shop.data_dir / "carts.log").open("ab") as log:
        log.write(b'ADD ann {"l2": {"pro')  # a write that the kill cut off: nobody was told of it
    shop.start("cart-db")
    shop.wait_ready("cart-db")
    assert shop.ask("frontend", "GET", "/cart/ann")[1]["lines"] == {"l1": {"product": "p01", "quantity": 2}}
    status, order = shop.ask("frontend", "POST", "/checkout/ann")
    assert (status, order["goods_eur_cents"], order["cents"]) == (200, 2264, 2264 + 490 + 2 * 85)
    assert shop.ask("frontend", "GET", "/cart/ann")[1]["count"] == 0
    assert shop.ask("frontend", "POST", "/checkout/ann")[0] == 409


def test_tells_the_caller_what_was_wrong(shop: Shop) -> None:
    asked: list[tuple[str, str, dict[str, Any] | None, int]] = [
        ("GET", "/nowhere", None, 404),
        ("GET", "/product/p99", None, 404),
        ("GET", "/?currency=XXX", None, 404),
        ("POST", "/cart/ann", {"line": "l1"}, 400),
        ("POST", "/cart/ann", {"line": "l1", "product": "p01", "quantity": 0}, 400),
    ]
    answers = [shop.ask("frontend", method, path, body) for method, path, body, _ in asked]
    assert [status for status, _ in answers] == [status for *_, status in asked]
    assert all(page["error"] for _, page in answers)


def test_finishes_what_is_under_way_before_it_ends(shop: Shop) -> None:
    with socket.create_connection((shop.ips["catalogue"], shop.port("catalogue")), 5) as slow:
        slow.sendall(b"GET /products HTTP/1.1\r\nX-Nonce: n2\r\n")  # the rest of the head comes after the signal
        process = shop.processes["catalogue"]
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        while shop.ask("catalogue", "GET", "/ready")[0] != 503:
            assert time.monotonic() < deadline
        assert process.poll() is None
        slow.sendall(b"\r\n")
        answer = b""
        while chunk := slow.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer
    assert shop.processes.pop("catalogue").wait(5) == 0

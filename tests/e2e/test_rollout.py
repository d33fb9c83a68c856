"""New templates under load, with real agents and gateways: every service of the shop, one in the midst of a move."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_controller_killed import EXAMPLES, open_client, roam

from federation import sandbox
from federation.cli.client import Client, path_of
from federation.sandbox.load import LoadProcess, Record, summarise

RATE_PER_S = 100.0
QUIET_S = 1.0
"""How long the load goes on after the last change: replaced pods linger, and end only then."""
LINGERING_S = 4.0

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200), pytest.mark.xdist_group("sandbox-rollout")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("roam")
    try:
        sandbox.up(folder)
        roam(folder, "apply", "-f", str(EXAMPLES / "policies"), "-f", str(EXAMPLES / "shop"), "--wait")
        yield folder
    finally:
        sandbox.down(folder)


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    with closing(open_client(home)) as client:
        yield client


@contextmanager
def under_load(client: Client) -> Iterator[Callable[[], list[Record]]]:
    """Customers shop meanwhile. Yields what ends it: none of their requests may have failed."""
    entrance = client.get(path_of("microservices", "shop", "frontend"))["status"]["gatewayPorts"]["8080"]
    load = LoadProcess(f"http://127.0.0.1:{entrance}", RATE_PER_S)
    load.start()
    began = time.time()
    try:
        served(load, began + QUIET_S)
        yield load.records
        served(load, time.time() + LINGERING_S)
    finally:
        records = load.stop()
    figures = summarise(records, began, time.time())
    print(f"\n{figures}")
    assert figures["failed"] == 0, [record for record in records if record.failure][:5]
    assert figures["requests"] > RATE_PER_S * (QUIET_S + LINGERING_S)


def served(load: LoadProcess, until_s: float) -> None:
    """Let the load go on until requests of that time have been answered."""
    deadline = time.monotonic() + until_s - time.time() + 30
    while not (records := load.records()) or records[-1].due_s < until_s:
        assert time.monotonic() < deadline
        load.poll(wait_s=0.5)


def placement(client: Client, name: str) -> dict[str, Any]:
    return client.get(path_of("placements", "shop", name))


def change(client: Client, name: str, version: str) -> int:
    """Give a service another template; returns the generation of it."""
    patch = {"spec": {"template": {"metadata": {"annotations": {"version": version}}}}}
    return int(client.patch(path_of("microservices", "shop", name), patch)["metadata"]["generation"])


def rolled_out(client: Client, name: str, generation: int) -> bool:
    rollout = placement(client, name)["status"]["rollout"]
    return rollout["generation"] == generation and rollout["done"]


def wait_for(what: str, check: Callable[[], bool], timeout_s: float = 40.0) -> None:
    until = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < until, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.05)


def test_every_service_rolls_over_under_load_without_a_failed_request(client: Client) -> None:
    names = [item["metadata"]["name"] for item in client.items("microservices", "shop")[0]]
    with under_load(client):
        for name in names:
            generation = change(client, name, "2")
            wait_for(f"{name} rolled out", lambda n=name, g=generation: rolled_out(client, n, g))
    for name in names:
        status = placement(client, name)["status"]
        assert {c["type"]: c["status"] for c in status["conditions"]}["Progressing"] == "True"
        assert sum(one["updated"] for one in status["running"]) == status["rollout"]["replicas"]


def test_an_update_in_the_middle_of_a_move_ends_with_the_new_version_on_the_target(client: Client) -> None:
    source = placement(client, "catalogue")["spec"]["targets"][0]["subcluster"]
    target = "gce-frankfurt" if source == "ec2-frankfurt" else "ec2-frankfurt"
    path = path_of("migrations", "shop", "move")
    spec = {
        "service": "catalogue",
        "source": source,
        "target": target,
        "replicas": 2,
        "strategy": {"canary": {"steps": [50, 100], "interval": "1s"}},
    }
    document = {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "Migration",
        "metadata": {"name": "move", "namespace": "shop"},
        "spec": spec,
    }
    with under_load(client):
        client.post(path_of("migrations", "shop"), document)
        wait_for("half of the traffic moved", lambda: client.get(path)["status"]["weight"] == 50)
        generation = change(client, "catalogue", "in the middle")
        wait_for("moved", lambda: client.get(path)["status"]["phase"] == "Succeeded")
        wait_for("rolled out", lambda: rolled_out(client, "catalogue", generation))
    found = placement(client, "catalogue")
    assert found["spec"]["targets"] == [{"subcluster": target, "replicas": 2}]
    assert [(one["subcluster"], one["updated"]) for one in found["status"]["running"]] == [(target, 2)]


def test_a_template_that_does_not_work_stops_and_can_be_mended(client: Client) -> None:
    """Of a service in two sub-clusters one keeps serving with the old template, the other with its old pods."""
    path = path_of("microservices", "shop", "frontend")
    before = client.get(path)["spec"]["template"]
    assert len(placement(client, "frontend")["spec"]["targets"]) == 2
    containers = before["spec"]["containers"]
    broken = {"spec": {"containers": [{**containers[0], "command": ["sh", "-c", "echo no luck; exit 3"]}]}}

    def trouble() -> bool:
        found = {c["type"]: c for c in placement(client, "frontend")["status"]["conditions"]}["Progressing"]
        return "exit code 3" in found["message"]

    with under_load(client):
        client.patch(path, {"spec": {"template": broken}})
        wait_for("the trouble is told", trouble)
        rollout = placement(client, "frontend")["status"]["rollout"]
        assert (rollout["updated"], rollout["ready"], rollout["old"]) == (1, 0, 2)
        generation = int(client.patch(path, {"spec": {"template": before}})["metadata"]["generation"])
        wait_for("mended", lambda: rolled_out(client, "frontend", generation))


SLOW = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(1.5)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def slow_service() -> dict[str, Any]:
    """One that ends at once when it is told to, whatever it is doing."""
    container = {
        "name": "main",
        "command": ["python3", "-c", SLOW],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
    }
    return {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": "slow", "namespace": "other"},
        "spec": {
            "template": {"spec": {"containers": [container]}},
            "ports": [{"port": 80, "targetPort": "http", "protocol": "http"}],
        },
    }


def test_what_is_in_flight_when_a_service_is_deleted_is_answered(client: Client) -> None:
    path = path_of("microservices", "other", "slow")
    client.apply([slow_service()])

    def serves() -> bool:
        ports = client.get(path)["status"]["gatewayPorts"]
        with contextlib.suppress(OSError):
            return bool(ports) and ask(ports["80"], "/")[0] == 200
        return False

    wait_for("it serves", serves)
    port = client.get(path)["status"]["gatewayPorts"]["80"]
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, port, "/slow") for _ in range(4)]
        time.sleep(0.3)  # all are in flight by then; an answer takes 1.5 s
        client.delete(path)
        assert [answer.result(10) for answer in answers] == [(200, b"ok")] * 4
    wait_for("all of it is gone", lambda: not client.items("placements", "other")[0])


def ask(port: int, page: str) -> tuple[int, bytes]:
    """What the edge's gateway answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", page)
        answer = connection.getresponse()
        return answer.status, answer.read()


def carts(client: Client, method: str, user: str, line: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the shop answers about a cart, once it answers."""
    entrance = client.get(path_of("microservices", "shop", "frontend"))["status"]["gatewayPorts"]["8080"]
    answers: list[dict[str, Any]] = []

    def answered() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", entrance, timeout=10)
            with contextlib.closing(connection):
                connection.request(method, f"/cart/{user}", json.dumps(line) if line else None, {"X-Nonce": "n"})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status == 200:
                    answers.append(json.loads(content))
        return bool(answers)

    wait_for(f"the shop answers {method} of {user}'s cart", answered)
    return answers[0]


def writers(home: Path) -> list[int]:
    """The processes whose data is in the writer's volume."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and f"DATA_DIR={home}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def test_carts_survive_their_writers_death_and_the_loss_of_its_sub_cluster(home: Path, client: Client) -> None:
    where = placement(client, "cart-db")["spec"]["targets"][0]["subcluster"]
    lines: set[str] = set()

    def shop_on(line: str) -> None:
        carts(client, "POST", "ann", {"line": line, "product": "p03", "quantity": 1})
        lines.add(line)

    shop_on("before")
    (writer,) = writers(home)
    os.kill(writer, signal.SIGKILL)
    assert set(carts(client, "GET", "ann")["lines"]) == lines
    shop_on("after its death")
    sandbox.kill(home, where)
    assert not writers(home)
    sandbox.start(home, where)
    assert set(carts(client, "GET", "ann")["lines"]) == lines
    assert writers(home) != [writer]

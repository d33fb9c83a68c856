"""`kill -9` of the controller in the middle of migrations, ten times: each ends as it would have, nothing fails."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from federation import sandbox
from federation.cli.client import Client, path_of
from federation.cli.context import find_context
from federation.errors import FederationError, Unavailable
from federation.sandbox.load import LoadProcess, summarise

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KILLS = 10
RATE_PER_S = 100.0
STEP = "500ms"
LONGEST_MOVE_S = 2.5
"""Within so long a migration goes through all its phases when nobody disturbs it; the kills are spread over that."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def roam(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "federation", *arguments],
        env=sandbox.environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(what: str, check: Callable[[], bool], timeout_s: float = 40.0) -> None:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            if check():
                return
        except Unavailable:
            pass  # the controller is just being started
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {timeout_s:g} s")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("roam")
    try:
        sandbox.up(folder)
        roam(folder, "apply", "-f", str(EXAMPLES / "policies"), "-f", str(EXAMPLES / "shop"), "--wait")
        yield folder
    finally:
        sandbox.down(folder)


def kill_controller(home: Path) -> None:
    pid = sandbox.status(home).controller_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def open_client(home: Path) -> Client:
    context = find_context(None, None, home)
    return Client(context.server, context.token)


def migration(client: Client, name: str) -> dict[str, Any]:
    return client.get(path_of("migrations", "shop", name))


def targets(client: Client) -> list[str]:
    placement = client.get(path_of("placements", "shop", "catalogue"))
    return [target["subcluster"] for target in placement["spec"]["targets"]]


def test_migrations_survive_ten_kills_without_a_failed_request(home: Path) -> None:
    with closing(open_client(home)) as client:
        migrate_and_kill(client, home)


def migrate_and_kill(client: Client, home: Path) -> None:
    entrance = client.get(path_of("microservices", "shop", "frontend"))["status"]["gatewayPorts"]["8080"]
    load = LoadProcess(f"http://127.0.0.1:{entrance}", RATE_PER_S)
    load.start()
    chance = random.Random(7)
    started = time.time()
    phases_at_kill = []
    try:
        for turn in range(KILLS):
            source = targets(client)[0]
            target = "gce-frankfurt" if source == "ec2-frankfurt" else "ec2-frankfurt"
            name = f"catalogue-kill-{turn}"
            document = {
                "apiVersion": "roam.federation/v1alpha1",
                "kind": "Migration",
                "metadata": {"name": name, "namespace": "shop"},
                "spec": {
                    "service": "catalogue",
                    "source": source,
                    "target": target,
                    "replicas": 2,
                    "strategy": {"canary": {"interval": STEP}},
                },
            }
            client.post(path_of("migrations", "shop"), document)
            time.sleep(chance.uniform(0.0, LONGEST_MOVE_S))  # the random moment is what is tested
            phases_at_kill.append(migration(client, name)["status"]["phase"])
            kill_controller(home)
            with pytest.raises(FederationError):
                client.get(path_of("migrations", "shop", name))
            sandbox.up(home)
            wait_for(
                f"{name} from {phases_at_kill[-1]}",
                lambda name=name: migration(client, name)["status"]["phase"] == "Succeeded",
            )
            assert targets(client) == [target]
            wait_for("the source's copy is gone", lambda source=source: not runs_in(client, source))
    finally:
        records = load.stop()
    figures = summarise(records, started, time.time())
    print(f"\nphases at the kill: {phases_at_kill}\n{figures}")
    assert sum(phase != "Succeeded" for phase in phases_at_kill) >= KILLS // 2, "too few kills hit a migration"
    assert figures["failed"] == 0
    assert figures["requests"] > KILLS * RATE_PER_S
    assert [m["status"]["phase"] for m in client.items("migrations", "shop")[0]] == ["Succeeded"] * KILLS


def runs_in(client: Client, subcluster: str) -> bool:
    running = client.get(path_of("placements", "shop", "catalogue"))["status"]["running"]
    return any(entry["subcluster"] == subcluster and entry["replicas"] for entry in running)

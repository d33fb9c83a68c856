"""A full disk, one that takes no writes, and a clock that jumps, under a running controller: clients and operators
are told, nothing acknowledged is lost, and all goes on by itself when the cause is gone."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fleet_helpers import Fleet, eventually, migration, running_fleet, service

from federation.cli.client import path_of
from federation.cli.context import find_context

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

PROGRAM = (str(Path(__file__).with_name("jumping_serve.py")),)
HOUR_S = 3600
DISK = "size=8m"


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """A small disk of its own at `folder`."""
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"{DISK},mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    offset = tmp_path_factory.mktemp("clock") / "offset"
    offset.write_text("0")
    return offset


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, clock: Path) -> Iterator[Fleet]:
    folder, environment = tmp_path_factory.mktemp("roam"), {"CLOCK_OFFSET": str(clock)}
    with (
        _disk(folder / "home"),
        running_fleet(folder, ("near", "farther"), program=PROGRAM, environment=environment) as fleet,
    ):
        fleet.apply(service("first"))
        eventually(lambda: fleet.running("first", "near"), "the first service runs")
        yield fleet


def _ready(fleet: Fleet) -> tuple[int, str]:
    context = find_context(None, None, fleet.home)
    connection = http.client.HTTPConnection(urlsplit(context.server).netloc, timeout=20)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _create(fleet: Fleet, name: str) -> int:
    """Create a large service that runs nothing; the code of the answer."""
    context = find_context(None, None, fleet.home)
    connection = http.client.HTTPConnection(urlsplit(context.server).netloc, timeout=20)
    document = service(name, replicas=0, objects=[{"kind": "ConfigMap", "data": {"x": "y" * 100_000}}])
    headers = {"Authorization": f"Bearer {context.token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path_of("microservices", "shop"), json.dumps(document), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 201 or json.loads(text)["kind"] == "Status"
        return answer.status
    finally:
        connection.close()


def _names(fleet: Fleet) -> set[str]:
    with fleet.client() as client:
        return {item["metadata"]["name"] for item in client.items("microservices", "shop")[0]}


def _is_there(fleet: Fleet, name: str) -> bool:
    """Whether the sub-cluster `near` still runs something of that name."""
    found = fleet.agents["near"].driver.observe(None, wait_s=0.0, deadline_s=5.0)
    return any(state.key.name == name for state in found.workloads)


def _fill(folder: Path) -> Path:
    """Use up what room is left."""
    file = folder / "ballast"
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"\0" * 4096)
        except OSError:
            return file


def test_a_full_disk(fleet: Fleet) -> None:
    before = _names(fleet)
    acknowledged = set()
    ballast = _fill(fleet.home)
    codes = set()
    for number in range(40):
        code = _create(fleet, f"big-{number}")
        codes.add(code)
        if code == 201:
            acknowledged.add(f"big-{number}")
        elif number > 4:
            break
    assert codes - {201} == {507}
    assert fleet.process is not None
    assert fleet.process.poll() is None
    assert _names(fleet) == before | acknowledged
    eventually(lambda: _ready(fleet)[0] == 503, "the controller says that it is not ready")
    code, said = fleet.roam("apply", "-f", "-", stdin=json.dumps(service("late")))
    assert (code, "Traceback" in said) == (1, False), said
    ballast.unlink()
    eventually(lambda: _ready(fleet)[0] == 200, "the controller is ready again")
    fleet.apply(service("after-full"))
    eventually(lambda: fleet.running("after-full", "near"), "work goes on")
    assert _names(fleet) == before | acknowledged | {"after-full"}
    log = fleet.log.read_text()
    assert "Traceback" not in log


def test_a_disk_that_takes_no_writes(fleet: Fleet) -> None:
    """Every write to any file fails, from one moment to the next."""
    before = _names(fleet)
    assert fleet.process is not None
    limits = resource.prlimit(fleet.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(fleet.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        assert _create(fleet, "frozen") in (503, 507)
        assert _names(fleet) == before
        code, said = _ready(fleet)
        assert (code, "failed" in said) == (503, True)
    finally:
        resource.prlimit(fleet.process.pid, resource.RLIMIT_FSIZE, limits)
    eventually(lambda: _ready(fleet)[0] == 200, "the controller is ready again")
    fleet.apply(service("after-frozen"))
    eventually(lambda: fleet.running("after-frozen", "near"), "work goes on")
    assert _names(fleet) == before | {"after-frozen"}


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_jumps_in_the_middle_of_a_move(fleet: Fleet, clock: Path, jump_s: int) -> None:
    """The move takes as long as its steps say: an hour more or less on the clock is not waited for, nor skipped."""
    source, target = sorted(fleet.agents, key=lambda name: not fleet.running("first", name))
    fleet.apply(migration("first", source, target, interval="1s", replicas=1))
    path = path_of("migrations", "shop", f"first-to-{target}")

    def phase() -> tuple[str, float]:
        with fleet.client() as client:
            status = client.get(path)["status"]
        return status["phase"], status.get("step", 0)

    eventually(lambda: phase()[0] == "Shifting", "the move begins to shift")
    clock.write_text(str(int(clock.read_text()) + jump_s))
    eventually(lambda: phase()[0] == "Succeeded", "the move ends", 20)
    with fleet.client() as client:
        history = client.get(path)["status"]["history"]
    times = [entry["at"] for entry in history]
    assert times == sorted(times)
    eventually(lambda: fleet.running("first", target), "it runs there")
    assert f"clock jumped by {jump_s:+d} s" in fleet.log.read_text()


def test_a_second_controller_is_refused_and_a_killed_one_is_followed(fleet: Fleet) -> None:
    before = _names(fleet)
    (home,) = [name for name in fleet.agents if fleet.running("first", name)]
    assert fleet.process is not None
    code, said = fleet.roam("restore", str(fleet.home / "none"), "--force")
    assert code == 64
    assert fleet.roam("backup", str(fleet.home / "backup"))[0] == 0
    code, said = fleet.roam("restore", str(fleet.home / "backup"), "--force")
    assert (code, f"in use by a controller (process {fleet.process.pid})" in said) == (1, True)
    fleet.apply(service("after-backup"))
    eventually(lambda: fleet.running("after-backup", "near"), "the new service runs")
    fleet.stop(signal.SIGKILL)
    assert fleet.roam("restore", str(fleet.home / "backup"), "--force")[0] == 0
    fleet.start()
    assert _names(fleet) == before
    eventually(lambda: fleet.running("first", home), "what the backup knows runs")
    eventually(lambda: not _is_there(fleet, "after-backup"), "what the backup does not know is gone")
    fleet.apply(service("after-restore"))
    eventually(lambda: fleet.running("after-restore", "near"), "work goes on")

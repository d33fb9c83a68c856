"""The sandbox: four sub-clusters come up, one is lost and brought back, and nothing stays when it goes down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from local_agent import marked, wait_until

from federation import sandbox
from federation.contracts.driver import SubClusterDriver, Workload
from federation.errors import FederationError, NotFound
from federation.model.meta import Key
from federation.model.subcluster import Gateway, SubCluster
from federation.sandbox import command, processes
from federation.sandbox.layout import Layout
from federation.sandbox.places import PLACES
from federation.testing.driver import View
from providers.local.plugin import PROVIDER, LocalConnection

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("sandbox")]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    yield home
    sandbox.down(home)


def mark_of(home: Path) -> str:
    claim = Layout.of(home).read_claim()
    assert claim is not None
    return claim.mark


def documents(home: Path) -> list[dict[str, object]]:
    return list(yaml.safe_load_all(Layout.of(home).fleet.read_text()))


def open_driver(home: Path, name: str) -> SubClusterDriver:
    found = next(d for d in documents(home) if d["kind"] == "SubCluster" and d["metadata"]["name"] == name)  # type: ignore[index]
    subcluster = SubCluster.model_validate(found)
    return PROVIDER.open(subcluster, LocalConnection.model_validate(subcluster.spec.connection))


def test_up_and_down(home: Path) -> None:
    state = sandbox.up(home, with_controller=False)
    assert state.healthy
    assert [sub.name for sub in state.subclusters] == [place.name for place in PLACES]
    mark = mark_of(home)
    assert sandbox.up(home, with_controller=False) == sandbox.status(home) == state
    for path in (home, *home.rglob("*")):
        if path.is_dir() or path.name == "token":
            assert not path.stat().st_mode & 0o077, f"{path} is open to others"
    driver = open_driver(home, "ec2-frankfurt")
    key = Key("shop", "family")
    container = {"name": "c", "command": ["sh", "-c", "setsid sleep 1000 & sleep 1000 & exec sleep 1000"]}
    driver.apply(Workload(key, "1", 3, {"spec": {"containers": [container]}}), deadline_s=5)
    View(driver, 5).until(lambda view: view.ready(key) == 3, 20)
    driver.close()
    row = sandbox.status(home).subclusters[2]
    assert (row.pods, row.ready_pods) == (3, 3)
    assert "ec2-frankfurt" in command.render(sandbox.status(home))
    assert sandbox.down(home) == 0
    assert marked(mark) == []
    assert not sandbox.status(home).exists
    assert sandbox.down(home) == 0


def test_a_lost_subcluster_comes_back(home: Path) -> None:
    sandbox.up(home, with_controller=False)
    before = sandbox.status(home)
    mark = f"{mark_of(home)}/gce-frankfurt"
    assert marked(mark)
    sandbox.kill(home, "gce-frankfurt")
    assert marked(mark) == []
    lost = {sub.name: sub for sub in sandbox.status(home).subclusters}["gce-frankfurt"]
    assert (lost.running, lost.gateway_ready, lost.agent_pid) == (False, False, None)
    sandbox.kill(home, "gce-frankfurt")
    sandbox.start(home, "gce-frankfurt")
    after = sandbox.status(home)
    assert after.healthy
    assert after.subclusters[2:] == before.subclusters[2:]
    with pytest.raises(NotFound, match="it has onprem-frankfurt"):
        sandbox.kill(home, "nowhere")


def test_two_sandboxes_side_by_side(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        first = sandbox.up(home, with_controller=False)
        second = sandbox.up(other, with_controller=False)
        assert first.healthy
        assert second.healthy
        assert not {sub.address for sub in first.subclusters} & {sub.address for sub in second.subclusters}
        assert first.edge_first_port != second.edge_first_port
        sandbox.down(other)
        assert sandbox.status(home).healthy
    finally:
        sandbox.down(other)


def test_what_was_killed_is_started_again_by_up(home: Path) -> None:
    state = sandbox.up(home, with_controller=False)
    assert state.edge_pid is not None
    os.kill(state.edge_pid, signal.SIGKILL)
    wait_until(lambda: not sandbox.status(home).edge_ready)
    assert sandbox.up(home, with_controller=False).healthy


def test_a_failed_start_leaves_nothing_and_names_the_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("federation.sandbox.lifecycle.envoy.command", lambda _: ["sh", "-c", "echo no luck; exit 1"])
    with pytest.raises(FederationError, match=r"edge\.log") as caught:
        sandbox.up(home, with_controller=False)
    assert "no luck" in str(caught.value) or "ended at once" in str(caught.value)
    assert not sandbox.status(home).exists


def test_the_fleet_it_writes_is_valid(home: Path) -> None:
    sandbox.up(home, with_controller=False)
    found = documents(home)
    subclusters = [SubCluster.model_validate(d) for d in found if d["kind"] == "SubCluster"]
    gateways = [Gateway.model_validate(d) for d in found if d["kind"] == "Gateway"]
    assert [sub.metadata.name for sub in subclusters] == [place.name for place in PLACES]
    assert [gateway.spec.subcluster for gateway in gateways] == [*(place.name for place in PLACES), None]
    tokens = {sub.spec.credentials["file"] for sub in subclusters}
    assert len(tokens) == len(PLACES)
    assert not any(Path(token).read_text().strip() in Layout.of(home).fleet.read_text() for token in tokens)


def test_the_planning_fleet_is_the_same_four_places() -> None:
    example = Path(__file__).parents[2] / "examples" / "fleet.yaml"
    assert list(yaml.safe_load_all(example.read_text())) == [place.document({"images": True}) for place in PLACES]


def test_a_used_again_pid_is_not_mistaken(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        file = tmp_path / "pid"
        processes.remember(file, processes.Handle(process.pid, 1))
        assert processes.recall(file) is None
        processes.Handle(process.pid, 1).signal(signal.SIGKILL)
        assert process.poll() is None
        process.communicate(b"\n", timeout=10)
        assert process.returncode == 0

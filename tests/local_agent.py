"""A real agent of a local sub-cluster, for tests."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from federation.errors import Unavailable
from federation.model.meta import Metadata
from federation.model.subcluster import SubCluster, SubClusterSpec
from providers.local.driver import LocalDriver
from providers.local.plugin import PROVIDER, LocalConnection

PORT = 19100
# Far from the sandbox's blocks, and different for tests that run side by side.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_BLOCKS = itertools.count(_WORKER + 16 * os.getpid(), 16)


@dataclass
class RunningAgent:
    """An agent in a process of its own; `mark` is in the environment of all that descends from it."""

    process: subprocess.Popen[bytes]
    driver: LocalDriver
    url: str
    directory: Path
    log: Path
    mark: str

    def descendants(self) -> list[int]:
        """The processes that carry its mark, without the agent itself and its runner."""
        return [pid for pid in marked(self.mark) if pid != self.process.pid and b"runner.py" not in arguments(pid)]


def wait_until(condition: Callable[[], object], within_s: float = 20.0, what: str = "the condition") -> None:
    """Poll a condition."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s} s"
        time.sleep(0.01)


def arguments(pid: int) -> bytes:
    """The command line of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def marked(mark: str) -> list[int]:
    """Processes with `mark` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if f"ROAM_PROCESS={mark}/".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def open_driver(url: str, token: Path, name: str = "test") -> LocalDriver:
    """A driver as the federation would open it."""
    spec = SubClusterSpec(provider="local", credentials={"file": str(token)})
    driver = PROVIDER.open(SubCluster(metadata=Metadata(name=name), spec=spec), LocalConnection(agent=url))
    assert isinstance(driver, LocalDriver)
    return driver


def write_token(path: Path) -> Path:
    path.write_text(secrets.token_urlsafe(32))
    path.chmod(0o600)
    return path


def free_block() -> int:
    """The second byte of an unused loopback block."""
    for _ in range(100):
        number = 100 + next(_BLOCKS) % 100
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((f"127.{number}.0.1", PORT))
            except OSError:
                continue
            return number
    raise AssertionError("no free loopback block")


@contextmanager
def running_agent(directory: Path, **settings: object) -> Iterator[RunningAgent]:
    """An agent that answers; `settings` go over the defaults of its configuration."""
    block, mark = free_block(), f"test-{secrets.token_hex(6)}"
    token = write_token(directory / "token")
    config = {
        "name": "test",
        "address": f"127.{block}.0.1",
        "port": PORT,
        "block": f"127.{block}.0.0/16",
        "directory": str(directory / "agent"),
        "tokenFile": str(token),
        "capacity": {"cpu": "4", "memory": "4Gi"},
        "mark": mark,
        **settings,
    }
    (directory / "agent.json").write_text(json.dumps(config))
    log = directory / "agent.log"
    command = [sys.executable, "-m", "providers.local.agent", "--config", str(directory / "agent.json")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "SECRET_OF_THE_AGENT": "agent-secret"}
        )
    url = f"http://127.{block}.0.1:{PORT}"
    driver = open_driver(url, token)
    try:
        wait_until(lambda: _answers(driver, process), what=f"the agent's answer ({log})")
        yield RunningAgent(process, driver, url, directory / "agent", log, mark)
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            driver.close()


def _answers(driver: LocalDriver, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the agent ended"
    try:
        driver.status(deadline_s=1.0)
    except Unavailable:
        return False
    return True

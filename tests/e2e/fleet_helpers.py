"""A real `roam serve` with real agents of local sub-clusters, for tests of what a controller goes through."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from local_agent import RunningAgent, running_agent, wait_until

from federation.cli.client import Client, path_of
from federation.cli.context import find_context
from federation.cli.main import main
from federation.errors import FederationError, Unavailable

SERVE = ("-m", "federation", "serve", "--listen", "127.0.0.1:0", "--write-context", "--log-level", "debug")


@dataclass
class Fleet:
    """A home with a controller that can be stopped and started, and agents by name. `said` gathers what any command
    printed."""

    home: Path
    agents: dict[str, RunningAgent]
    log: Path
    program: Sequence[str] = SERVE
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    said: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start the controller; returns when it answers."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        (self.home / "context.json").unlink(missing_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROAM_")}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *self.program],
                env={**kept, "ROAM_HOME": str(self.home), **self.environment},
                stdout=output,
                stderr=output,
            )
        wait_until((self.home / "context.json").exists, what=f"the controller ({self.log})")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the controller."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def roam(self, *words: str, stdin: str = "") -> tuple[int, str]:
        """Run a command, in this process to save time; its exit code and all that it printed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROAM_")}
        said, typed = io.StringIO(), io.TextIOWrapper(io.BytesIO(stdin.encode()))
        with (
            mock.patch.dict(os.environ, {**kept, "ROAM_HOME": str(self.home)}, clear=True),
            mock.patch.object(sys, "stdin", typed),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            code = main(words)
        self.said.append(said.getvalue())
        return code, said.getvalue()

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply objects."""
        code, said = self.roam("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        assert code == 0, said

    def client(self) -> Client:
        """Speaks to the controller."""
        context = find_context(None, None, self.home)
        return Client(context.server, context.token)

    def running(self, name: str, where: str, replicas: int = 1) -> bool:
        """Whether a service of the namespace `shop` runs there, and only there."""
        with self.client() as client:
            found = client.get(path_of("placements", "shop", name))["status"]["running"]
        return {entry["subcluster"]: entry["ready"] for entry in found if entry["replicas"]} == {where: replicas}


@contextmanager
def running_fleet(
    folder: Path, names: Sequence[str], *, program: Sequence[str] = SERVE, environment: dict[str, str] | None = None
) -> Iterator[Fleet]:
    """Agents, a controller that knows them, and nothing else yet."""
    with ExitStack() as stack:
        agents = {}
        for name in names:
            directory = folder / "agents" / name
            directory.mkdir(parents=True, mode=0o700)
            agents[name] = stack.enter_context(running_agent(directory, name=name))
        fleet = Fleet(folder / "home", agents, folder / "serve.log", program, environment or {})
        stack.callback(fleet.stop, signal.SIGKILL)
        fleet.start()
        fleet.apply(*(subcluster(name, agent) for name, agent in agents.items()))
        yield fleet


def subcluster(name: str, agent: RunningAgent) -> dict[str, Any]:
    """The object for an agent."""
    return {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "SubCluster",
        "metadata": {"name": name},
        "spec": {
            "provider": "local",
            "connection": {"agent": agent.url},
            "credentials": {"file": str(agent.directory.parent / "token")},
            "location": {"country": "DE", "latitude": 50.1, "longitude": 8.7, "operator": "A", "operatorCountry": "DE"},
            "pricing": {"cpuHour": 0.02 + len(name) / 1000, "memoryGiBHour": 0.003},
        },
    }


def service(name: str, *, replicas: int = 1, env: Sequence[dict[str, Any]] = (), **spec: Any) -> dict[str, Any]:
    """A microservice that does nothing but run."""
    container = {"name": "main", "image": "none", "command": ["sleep", "1000"], "env": list(env)}
    return {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}, **spec},
    }


def migration(name: str, source: str, target: str, *, interval: str = "100ms", **spec: Any) -> dict[str, Any]:
    """A quick move of the service `name`."""
    canary = {"steps": [50, 100], "interval": interval, "drainTimeout": "200ms"}
    return {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "Migration",
        "metadata": {"name": f"{name}-to-{target}", "namespace": "shop"},
        "spec": {"service": name, "source": source, "target": target, "strategy": {"canary": canary}, **spec},
    }


def eventually(condition: Callable[[], object], what: str, within_s: float = 30.0) -> None:
    """Wait until it is true; a controller that does not answer, or does not know yet, is asked again."""

    def ask() -> object:
        try:
            return condition()
        except (Unavailable, FederationError):
            return False

    wait_until(ask, within_s, what)

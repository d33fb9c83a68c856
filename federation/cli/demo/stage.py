"""The stage of the play: a sandbox with a shop in it, the load, the referee, and what the acts do and look at."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation import sandbox
from federation.cli.client import Client, path_of
from federation.cli.context import Context, find_context
from federation.cli.demo.screen import Screen
from federation.cli.demo.watching import Referee, Retries
from federation.errors import FederationError, TimedOut
from federation.model.meta import Key
from federation.model.migration import ENDED
from federation.sandbox.load import LoadProcess

NAMESPACE = "shop"
ENTRANCE = Key(NAMESPACE, "frontend")
CALM_S = 12.0
"""How long the load runs undisturbed before each act: what the act is compared with."""
SETTLE_S = 2.0
POLL_S = 0.2


@dataclass(frozen=True)
class Options:
    """What the play is given. `rate_per_s`: requests per second; `interval`: between traffic steps of the move."""

    home: Path
    examples: Path
    rate_per_s: float
    service: str
    interval: str
    seed: int


@dataclass
class Stage:
    """Everything that is there once the stage is set."""

    options: Options
    screen: Screen
    context: Context
    client: Client
    load: LoadProcess
    retries: Retries
    referee: Referee

    @property
    def key(self) -> Key:
        """The service that is moved about."""
        return Key(NAMESPACE, self.options.service)

    def calm(self) -> tuple[float, float]:
        """Leave the shop alone for a while; from when to when (seconds since 1970)."""
        self.watch(SETTLE_S)
        start = time.time()
        self.watch(CALM_S)
        return start, time.time()

    def watch(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Show the load for so long, or until `done`; whether it was."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if done():
                return True
            self.screen.load(self.load.poll(POLL_S), self.retries.read())
        return done()

    def roam(self, *arguments: str) -> None:
        """Type a command."""
        type_command(self.screen, self.options.home, *arguments)

    def get(self, plural: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """One object."""
        return self.client.get(path_of(plural, namespace, name))

    def home_of(self, key: Key) -> str:
        """Where most of a service is committed."""
        targets = self.get("placements", key.name)["spec"]["targets"]
        return str(max(targets, key=lambda target: target["replicas"])["subcluster"])

    def residents(self, subcluster: str) -> list[str]:
        """The services that are committed in a sub-cluster."""
        return sorted(
            placement["metadata"]["name"]
            for placement in self.client.items("placements", NAMESPACE)[0]
            if any(target["subcluster"] == subcluster for target in placement["spec"]["targets"])
        )

    def migrations(self, since_version: int) -> list[dict[str, Any]]:
        """The migrations that were created after that version of the store."""
        found = self.client.items("migrations", NAMESPACE)[0]
        return [dict(each) for each in found if int(each["metadata"]["resourceVersion"]) > since_version]

    def version(self) -> int:
        """The newest version of any migration."""
        found = self.client.items("migrations", NAMESPACE)[0]
        return max((int(each["metadata"]["resourceVersion"]) for each in found), default=0)

    def follow(self, moves: Callable[[], list[dict[str, Any]]], done: Callable[[], bool], what: str) -> None:
        """Show moves until `done`. Raises: TimedOut; FederationError when one did not succeed."""

        def look() -> bool:
            for each in moves():
                status = each["status"]
                self.screen.move(each["spec"]["service"], status["phase"], status.get("weight", 0))
                if status["phase"] in ENDED and status["phase"] != "Succeeded":
                    message = f"{each['metadata']['name']} ended {status['phase']}: {status.get('message')}"
                    raise FederationError(message)
            return done()

        if not self.watch(120.0, look):
            raise TimedOut(f"{what} did not end within 120 s")
        self.screen.settle()
        self.watch(SETTLE_S)


def set_stage(options: Options, screen: Screen) -> Stage:
    """Sandbox, policies, shop, plan, load. Raises: FederationError when it can't be set."""
    screen.title("A fleet on this machine")
    screen.command("roam sandbox up")
    state = sandbox.up(options.home)
    screen.step(f"{len(state.subclusters)} sub-clusters, their gateways and the controller answer")
    screen.title("A shop, declared")
    policies, shop = options.examples / "policies", options.examples / "shop"
    context = find_context(None, None, options.home)
    type_command(screen, options.home, "apply", "-f", str(policies), "-f", str(shop), "--wait", "--timeout", "60s")
    screen.step("ten microservices run where their policies allow, at the least cost")
    screen.title("The plan: where, at what cost, why")
    screen.text(type_command(screen, options.home, "plan", "-f", str(shop)))
    client = Client(context.server, context.token)
    retries = Retries.of(client)
    retries.read()
    load = _start_load(client, options, screen)
    return Stage(options, screen, context, client, load, retries, Referee(context, time.time()))


def _start_load(client: Client, options: Options, screen: Screen) -> LoadProcess:
    entrance = client.get(path_of("microservices", ENTRANCE.namespace, ENTRANCE.name))
    port = min(entrance["status"]["gatewayPorts"].values())
    url = f"http://127.0.0.1:{port}"
    screen.title(f"Load: {options.rate_per_s:g} requests per second on {url}")
    load = LoadProcess(url, options.rate_per_s, seed=options.seed)
    load.start()
    screen.step("open loop, every answer verified, never a retry by the client")
    return load


def type_command(screen: Screen, home: Path, *arguments: str) -> str:
    """Run a command as a person would; what it printed. Its errors are shown."""
    screen.command("roam " + " ".join(_short(argument) for argument in arguments))
    done = subprocess.run(
        [sys.executable, "-m", "federation", *arguments],
        # A person's command line is no part of the fleet: it must not take the shop's processor from it.
        preexec_fn=lambda: os.nice(10),
        env=sandbox.environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise FederationError(f"roam {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _short(argument: str) -> str:
    """A path as a person would type it from the repository."""
    here = str(Path.cwd()) + "/"
    return argument.removeprefix(here)

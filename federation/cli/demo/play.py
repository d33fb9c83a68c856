"""The play: a sandbox, a shop, its plan, load; then a migration by command, and a sub-cluster killed hard."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation import sandbox
from federation.app import plan_resources
from federation.cli.client import Client, path_of
from federation.cli.context import Context, find_context
from federation.cli.demo.evaluate import Act, Report, build_report
from federation.cli.demo.screen import Screen
from federation.cli.demo.watching import PLAN_KINDS, Referee, Retries, fetch
from federation.errors import FederationError, NotFound, TimedOut
from federation.model.meta import Key
from federation.model.migration import ENDED
from federation.sandbox.load import LoadProcess

NAMESPACE = "shop"
ENTRANCE = Key(NAMESPACE, "frontend")
CALM_S = 12.0
"""How long the load runs undisturbed before each act: what the act is compared with."""
SETTLE_S = 2.0
AFTER_KILL_S = 8.0
"""How long is looked for late failures after a kill; more than the 5 s that are allowed."""
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


class Play:
    """One performance. `run` returns the report; whatever happens, `close` stops the load."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self._options, self._screen = options, screen
        self._key = Key(NAMESPACE, options.service)
        self._load: LoadProcess | None = None
        self._referee: Referee | None = None

    def run(self) -> Report:
        """The whole play. Raises: FederationError when the stage can't be set or an act does not end."""
        context = self._set_stage()
        client = Client(context.server, context.token)
        retries = Retries.of(client)
        retries.read()
        first_retry_count = retries.total
        self._start_load(client)
        self._referee = Referee(context, time.time())
        acts, befores = [], []
        for play in (self._migrate, self._kill):
            befores.append(self._calm(retries))
            acts.append(play(client, retries))
        load = self._load
        if load is None:
            raise FederationError("the load was never started")
        self._screen.step("the load stops; its last carts are read back")
        records = load.stop()
        self._load = None
        return build_report(acts, befores, records, retries.read() - first_retry_count)

    def close(self) -> None:
        """Stop the load and the referee."""
        if self._referee is not None:
            self._referee.close()
        if self._load is not None:
            self._load.stop()

    # The stage

    def _set_stage(self) -> Context:
        screen, options = self._screen, self._options
        screen.title("A fleet on this machine")
        screen.command("roam sandbox up")
        state = sandbox.up(options.home)
        screen.step(f"{len(state.subclusters)} sub-clusters, their gateways and the controller answer")
        screen.title("A shop, declared")
        policies, shop = options.examples / "policies", options.examples / "shop"
        context = find_context(None, None, options.home)
        self._roam("apply", "-f", str(policies), "-f", str(shop), "--wait", "--timeout", "60s", show=False)
        screen.step("ten microservices run where their policies allow, at the least cost")
        screen.title("The plan: where, at what cost, why")
        self._roam("plan", "-f", str(shop), show=True)
        return context

    def _roam(self, *arguments: str, show: bool) -> None:
        """Run the command as a person would; its errors are shown."""
        self._screen.command("roam " + " ".join(_short(argument) for argument in arguments))
        done = subprocess.run(
            [sys.executable, "-m", "federation", *arguments],
            # A person's command line is no part of the fleet: it must not take the shop's processor from it.
            preexec_fn=lambda: os.nice(10),
            env=sandbox.environment(self._options.home),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise FederationError(f"roam {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
        if show:
            self._screen.text(done.stdout)

    def _start_load(self, client: Client) -> None:
        entrance = client.get(path_of("microservices", ENTRANCE.namespace, ENTRANCE.name))
        port = min(entrance["status"]["gatewayPorts"].values())
        url = f"http://127.0.0.1:{port}"
        options = self._options
        self._screen.title(f"Load: {options.rate_per_s:g} requests per second on {url}")
        self._load = LoadProcess(url, options.rate_per_s, seed=options.seed)
        self._load.start()
        self._screen.step("open loop, every answer verified, never a retry by the client")

    def _calm(self, retries: Retries) -> tuple[float, float]:
        self._watch(retries, SETTLE_S)
        start = time.time()
        self._watch(retries, CALM_S)
        return start, time.time()

    def _watch(self, retries: Retries, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Show the load for so long, or until `done`; whether it was."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if done():
                return True
            figures = self._load.poll(POLL_S) if self._load is not None else None
            self._screen.load(figures, retries.read() if figures is not None else retries.total)
        return done()

    # Acts

    def _migrate(self, client: Client, retries: Retries) -> Act:
        source = self._home_of(client)
        target = self._choose_target(client)
        self._screen.title(f"(a) {self._key.name} moves from {source} to {target}, under load")
        referee = self._begin(strict=True)
        before, start = retries.read(), time.time()
        self._roam(
            "migrate", self._key.name, "-n", NAMESPACE, "--to", target, "--interval", self._options.interval, show=False
        )
        name = self._newest_migration(client)
        ended: dict[str, Any] = {}

        def done() -> bool:
            nonlocal ended
            ended = client.get(path_of("migrations", NAMESPACE, name))
            status = ended["status"]
            self._screen.move(self._key.name, status["phase"], status.get("weight", 0))
            return status["phase"] in ENDED

        if not self._watch(retries, 120.0, done):
            raise TimedOut(f"the migration of {self._key} did not end within 120 s")
        self._screen.settle()
        if ended["status"]["phase"] != "Succeeded":
            raise FederationError(f"the migration ended {ended['status']['phase']}: {ended['status'].get('message')}")
        self._watch(retries, SETTLE_S)
        return self._act("migrate", source, target, start, retries.read() - before, referee, planned=True)

    def _kill(self, client: Client, retries: Retries) -> Act:
        victim = self._home_of(client)
        self._screen.title(f"(b) {victim}, which runs {self._key.name}, is killed hard")
        referee = self._begin(strict=False)
        before, start = retries.read(), time.time()
        sandbox.kill(self._options.home, victim)
        self._screen.step(f"kill -9: the agent of {victim}, all it ran, and its gateway")
        home = victim

        def restored() -> bool:
            nonlocal home
            placement = self._placement(client)
            ready = {entry["subcluster"]: entry["ready"] for entry in placement["status"].get("running", [])}
            targets = [target["subcluster"] for target in placement["spec"]["targets"]]
            home = targets[0]
            return victim not in targets and all(ready.get(name) for name in targets)

        if not self._watch(retries, 60.0, restored):
            raise TimedOut(f"{self._key} was not running elsewhere within 60 s of the loss of {victim}")
        self._screen.step(f"{self._key.name} runs in {home}, {time.time() - start:.1f} s after the kill, without hands")
        self._watch(retries, max(0.0, start + AFTER_KILL_S - time.time()))
        return self._act("kill", victim, home, start, retries.read() - before, referee, planned=False)

    def _begin(self, *, strict: bool) -> Referee:
        if self._referee is None:
            raise FederationError("nobody watches the rules")
        self._referee.begin(strict=strict)
        return self._referee

    def _act(
        self, name: str, source: str, target: str, start_s: float, retried: int, referee: Referee, *, planned: bool
    ) -> Act:
        return Act(name, self._key.name, source, target, planned, start_s, time.time(), retried, referee.end())

    # Looking

    def _placement(self, client: Client) -> dict[str, Any]:
        return client.get(path_of("placements", *self._key))

    def _home_of(self, client: Client) -> str:
        targets = self._placement(client)["spec"]["targets"]
        return str(max(targets, key=lambda target: target["replicas"])["subcluster"])

    def _newest_migration(self, client: Client) -> str:
        found = [
            m["metadata"] for m in client.items("migrations", NAMESPACE)[0] if m["spec"]["service"] == self._key.name
        ]
        return str(max(found, key=lambda metadata: int(metadata["resourceVersion"]))["name"])

    def _choose_target(self, client: Client) -> str:
        """The cheapest other place for the service, one on rented ground: the killer comes for it next."""
        judgement = plan_resources(fetch(client, *PLAN_KINDS), time.time())
        request = judgement.request
        rented = {
            subcluster.metadata.name
            for subcluster, place in zip(request.view.subclusters, request.view.places, strict=True)
            if place.cloud != "onprem"
        }
        candidates = judgement.candidates(self._key).candidates
        open_ones = [c for c in candidates if c.verdict == "feasible" and c.subcluster in rented]
        if not open_ones:
            raise NotFound(f"no other place can take {self._key}")
        return min(open_ones, key=lambda c: (c.cost_usd_per_hour or 0.0, c.subcluster)).subcluster


def _short(argument: str) -> str:
    """A path as a person would type it from the repository."""
    here = str(Path.cwd()) + "/"
    return argument.removeprefix(here)


def remove(home: Path) -> None:
    """Take the sandbox down and its files with it."""
    sandbox.down(home)
    shutil.rmtree(home, ignore_errors=True)

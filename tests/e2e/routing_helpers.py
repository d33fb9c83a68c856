"""Real Envoys, real backends and a real load on loopback, each in a process of its own."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from federation.contracts.gateway import Gateway, GatewayState, Route, RouteEndpoint
from federation.errors import Unavailable
from federation.traffic.envoy import process
from federation.traffic.envoy.plugin import GATEWAY, EnvoyConnection

HERE = Path(__file__).parent
POLL_S = 0.01
DEADLINE_S = 10.0
T = TypeVar("T")


def wait_for(wanted: Callable[[], T], what: str, *, deadline_s: float = DEADLINE_S) -> T:
    """The first true value of `wanted()`; fails with `what` and the last value when the deadline passes."""
    end = time.monotonic() + deadline_s
    while not (value := wanted()):
        assert time.monotonic() < end, f"not within {deadline_s} s: {what} (last: {value!r})"
        pause(POLL_S)
    return value


def pause(seconds: float) -> None:
    """Let a load run for a while: the only thing a test waits for without a condition."""
    threading.Event().wait(seconds)


def free_network() -> str:
    """The first three parts of a loopback network that nobody else is likely to use now: `127.a.b`."""
    rng = random.SystemRandom()
    return f"127.{rng.randrange(64, 128)}.{rng.randrange(256)}"


def free_port(address: str) -> int:
    """A TCP port of `address` that is free now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@dataclass
class Backend:
    """One backend process. `subcluster` is only a name here."""

    name: str
    protocol: str
    address: str
    port: int
    process: subprocess.Popen[str]

    def endpoint(self, weight: int, priority: int = 0) -> RouteEndpoint:
        return RouteEndpoint(self.address, self.port, f"sub-{self.name}", weight, priority)

    def stop(self) -> None:
        end_process(self.process, signal.SIGTERM)

    def kill(self) -> None:
        end_process(self.process, signal.SIGKILL)


def end_process(child: subprocess.Popen[str], number: signal.Signals) -> None:
    if child.poll() is None:
        child.send_signal(number)
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(10)
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()


@contextmanager
def backend(protocol: str, address: str, name: str, delay_s: float = 0.005) -> Iterator[Backend]:
    """A backend of `routing_backends.py` that listens on a free port of `address`."""
    arguments = [sys.executable, str(HERE / "routing_backends.py"), protocol, address, name, str(delay_s)]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield Backend(name, protocol, address, int(child.stdout.readline()), child)
    finally:
        end_process(child, signal.SIGKILL)


@dataclass
class RunningGateway:
    """One Envoy and a handle on it."""

    name: str
    address: str
    directory: Path
    gateway: Gateway
    process: subprocess.Popen[str]

    def observe(self) -> GatewayState:
        return self.gateway.observe(deadline_s=DEADLINE_S)

    def apply(self, routes: Sequence[Route]) -> None:
        self.gateway.apply(routes, deadline_s=DEADLINE_S)

    def reopen(self) -> None:
        """Another handle on the same Envoy, as a restarted controller gets it."""
        self.gateway = open_gateway(self.name, self.address, self.directory)

    def restart(self) -> None:
        """Kill the Envoy and start it again on the same files."""
        end_process(self.process, signal.SIGKILL)
        self.process = start_envoy(self.directory)
        wait_for(lambda: answers(self.gateway), f"{self.name} is back")


def open_gateway(name: str, address: str, directory: Path) -> Gateway:
    connection = EnvoyConnection(directory=str(directory), admin=str(directory / "admin.sock"))
    return GATEWAY.open(name, address, connection)


def start_envoy(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(process.command(directory), text=True)


def answers(gateway: Gateway) -> bool:
    try:
        gateway.observe(deadline_s=1.0)
    except Unavailable:
        return False
    return True


@contextmanager
def running_gateway(name: str, address: str, directory: Path) -> Iterator[RunningGateway]:
    """An Envoy that listens on `address` and watches `directory` (short: a Unix socket's path has a limit)."""
    process.prepare(name, directory, str(directory / "admin.sock"))
    running = RunningGateway(name, address, directory, open_gateway(name, address, directory), start_envoy(directory))
    try:
        wait_for(lambda: answers(running.gateway), f"{name} is up")
        yield running
    finally:
        end_process(running.process, signal.SIGKILL)


@contextmanager
def running_gateways(count: int, network: str) -> Iterator[list[RunningGateway]]:
    """Envoys on `network`.1, .2, ..., in a directory of their own."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roam-")))
        yield [
            stack.enter_context(running_gateway(f"gw{index}", f"{network}.{index}", directory / f"gw{index}"))
            for index in range(1, count + 1)
        ]


def observe_all(gateways: Sequence[RunningGateway]) -> list[GatewayState]:
    """One observation of each, made at the same time."""
    with ThreadPoolExecutor(len(gateways)) as pool:
        return list(pool.map(RunningGateway.observe, gateways))


def acknowledged(gateways: Sequence[RunningGateway], routes: Sequence[Route]) -> bool:
    """Whether every gateway says that exactly these revisions are in force."""
    wanted = {route.key: route.revision for route in routes}
    return all(
        {key: state.revision for key, state in observed.routes.items()} == wanted for observed in observe_all(gateways)
    )


def in_flight(gateways: Sequence[RunningGateway], gone: Backend) -> int:
    """How much all gateways together have in flight to one backend."""
    return sum(
        load.in_flight
        for observed in observe_all(gateways)
        for state in observed.routes.values()
        for load in state.endpoints
        if (load.address, load.port) == (gone.address, gone.port)
    )


def retried(gateways: Sequence[RunningGateway]) -> int:
    """Retries so far, in all gateways and routes."""
    return sum(state.retried for observed in observe_all(gateways) for state in observed.routes.values())


@dataclass(frozen=True)
class Result:
    """What became of one request. `due`: when it was to start, seconds of the monotonic clock."""

    protocol: str
    due: float
    latency_s: float
    error: str


class Load:
    """A running `routing_load.py`; its results are there once it is ended."""

    def __init__(self, child: subprocess.Popen[str], output: Path) -> None:
        self.child = child
        self.output = output

    def end(self) -> list[Result]:
        assert self.child.stdin is not None
        self.child.stdin.close()
        assert self.child.wait(30) == 0
        return [Result(**json.loads(line)) for line in self.output.read_text().splitlines()]


@contextmanager
def load(directory: Path, targets: Sequence[tuple[str, float, Sequence[tuple[str, int]]]], seed: int) -> Iterator[Load]:
    """An open-loop load. Args: targets, (protocol, requests per second, gateway addresses) for each route."""
    named = [{"protocol": kind, "rate_per_s": rate, "addresses": addresses} for kind, rate, addresses in targets]
    plan, output = directory / "plan.json", directory / "results.jsonl"
    plan.write_text(json.dumps({"seed": seed, "targets": named}))
    with output.open("w") as stream:
        arguments = [sys.executable, str(HERE / "routing_load.py"), str(plan)]
        child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=stream, text=True)
    try:
        yield Load(child, output)
    finally:
        end_process(child, signal.SIGKILL)


@dataclass(frozen=True)
class PhaseReport:
    """What the load saw during one phase, and what the gateways retried."""

    name: str
    seconds: float
    requests: int
    failed: list[Result]
    retried: int
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return (
            f"{self.name:<14} {self.seconds:5.1f} s  requests {self.requests:6}  failed {len(self.failed):3}  "
            f"retried {self.retried:3}  p50 {self.p50_ms:6.1f} ms  p99 {self.p99_ms:6.1f} ms"
        )


def report(name: str, start: float, end: float, results: Iterable[Result], retries: int) -> PhaseReport:
    """The part of `results` that was due within [start, end)."""
    mine = [result for result in results if start <= result.due < end]
    latencies = sorted(result.latency_s * 1000 for result in mine) or [0.0]

    def percentile(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))]

    failed = [result for result in mine if result.error]
    return PhaseReport(name, end - start, len(mine), failed, retries, percentile(0.5), percentile(0.99))

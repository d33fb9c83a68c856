"""Envoy passes the gateway suite."""

from __future__ import annotations

import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation.contracts.gateway import Gateway
from federation.errors import Unavailable
from federation.testing.gateway import GatewayRig, GatewaySuite, wait_for
from federation.traffic.envoy import process
from federation.traffic.envoy.plugin import GATEWAY, EnvoyConnection

pytestmark = pytest.mark.e2e


class TestEnvoy(GatewaySuite):
    @pytest.fixture
    def rig(self) -> Iterator[GatewayRig]:
        # Not `tmp_path`: it can be too long for a Unix socket.
        with tempfile.TemporaryDirectory(prefix="roam-") as directory:
            yield from envoy_rig(Path(directory))


def envoy_rig(directory: Path) -> Iterator[GatewayRig]:
    rng = random.SystemRandom()
    network = f"127.{rng.randrange(64, 128)}.{rng.randrange(256)}"
    admin = str(directory / "admin.sock")
    running: list[subprocess.Popen[bytes]] = []

    def handle() -> Gateway:
        connection = EnvoyConnection(directory=str(directory), admin=admin)
        return GATEWAY.open("test", f"{network}.1", connection)

    def stop() -> None:
        while running:
            running[-1].send_signal(signal.SIGKILL)
            running.pop().wait(10)

    def start() -> None:
        stop()
        running.append(subprocess.Popen(process.command(directory)))
        wait_for(lambda: answers(handle()), "Envoy is up")

    process.prepare("test", directory, admin)
    try:
        start()
        yield GatewayRig(f"{network}.1", f"{network}.2", handle, restart=start, stop=stop)
    finally:
        stop()


def answers(gateway: Gateway) -> bool:
    try:
        gateway.observe(deadline_s=1.0)
    except Unavailable:
        return False
    return True

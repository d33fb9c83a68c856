"""Envoy passes the gateway suite."""

from __future__ import annotations

import random
import signal
import subprocess
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
    def rig(self, tmp_path: Path) -> Iterator[GatewayRig]:
        rng = random.SystemRandom()
        network = f"127.{rng.randrange(64, 128)}.{rng.randrange(256)}"
        admin = str(tmp_path / "admin.sock")
        running: list[subprocess.Popen[bytes]] = []

        def handle() -> Gateway:
            connection = EnvoyConnection(directory=str(tmp_path), admin=admin)
            return GATEWAY.open("test", f"{network}.1", connection)

        def stop() -> None:
            while running:
                running[-1].send_signal(signal.SIGKILL)
                running.pop().wait(10)

        def start() -> None:
            stop()
            running.append(subprocess.Popen(process.command(tmp_path)))
            wait_for(lambda: answers(handle()), "Envoy is up")

        process.prepare("test", tmp_path, admin)
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

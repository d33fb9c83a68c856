"""The local driver keeps the contract, against a real agent."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from local_agent import RunningAgent, open_driver, running_agent, write_token

from federation.contracts.driver import SubClusterDriver
from federation.testing.driver import DriverSuite

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("local-agent")]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    with running_agent(tmp_path_factory.mktemp("agent")) as agent:
        yield agent


class TestLocalDriver(DriverSuite):
    @pytest.fixture
    def driver(self, agent: RunningAgent) -> SubClusterDriver:
        return agent.driver

    @pytest.fixture
    def stranger(self, agent: RunningAgent, tmp_path: Path) -> Iterator[SubClusterDriver]:
        with closing(open_driver(agent.url, write_token(tmp_path / "other-token"))) as driver:
            yield driver

    @pytest.fixture
    def silent(self, tmp_path: Path) -> Iterator[SubClusterDriver]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with closing(open_driver(url, write_token(tmp_path / "token"))) as driver:
                yield driver

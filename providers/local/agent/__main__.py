"""Run the agent of one local sub-cluster in the foreground, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from federation.errors import Conflict, FederationError
from federation.model.quantity import parse_duration_s
from providers.local.agent import http
from providers.local.agent.config import AgentConfig, load
from providers.local.agent.gateway import GatewayKeeper
from providers.local.agent.journal import Journal
from providers.local.agent.pods import search_path
from providers.local.agent.processes import Processes
from providers.local.agent.supervisor import Place, Supervisor
from providers.local.agent.volumes import Claims
from providers.local.tokens import Token, read_token
from providers.local.wire import AgentStatus, GatewayProcess

log: Final = logging.getLogger("providers.local.agent")


class Agent:
    """Everything that one agent consists of, put together."""

    def __init__(self, config: AgentConfig, token: Token) -> None:
        self._config = config
        self._boot = secrets.token_hex(6)
        self._journal = Journal(self._boot)
        self._processes = Processes(config.mark)
        place = Place(
            name=config.name,
            address=str(config.address),
            block=config.block,
            capacity=config.resources,
            directory=config.directory,
            path=search_path(os.environ.get("PATH"), sys.executable),
            headroom=config.reserve,
            linger_s=parse_duration_s(config.linger),
        )
        self._supervisor = Supervisor(place, self._processes, self._journal)
        self._token = token
        self._gateway: GatewayKeeper | None = None

    async def run(self) -> None:
        """Serve until told to stop; then stop everything gracefully, within the configured time."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        interface = http.Interface(self._token, self._supervisor, self._journal, self.status, loop)
        server = http.serve(self._config, interface)
        await self._processes.open()
        if self._config.gateway:
            self._gateway = GatewayKeeper(self._config.gateway, self._config.directory, self._processes)
        threading.Thread(target=server.serve, name="http", daemon=True).start()
        log.info(
            "%s: listens on %s:%d, pid %d", self._config.name, self._config.address, self._config.port, os.getpid()
        )
        await stop.wait()
        log.info("%s: stops", self._config.name)
        await self._supervisor.close(parse_duration_s(self._config.stop_within))
        if self._gateway is not None:
            await self._gateway.close()
        await self._processes.close()
        self._journal.close()
        await asyncio.to_thread(server.stop)
        log.info("%s: stopped", self._config.name)

    def status(self) -> AgentStatus:
        """The agent about itself; from any thread."""
        states = self._journal.states()
        gateway = self._gateway
        return AgentStatus(
            name=self._config.name,
            pid=os.getpid(),
            boot=self._boot,
            capacity=http.capacity(self._config.resources),
            used=http.capacity(self._supervisor.used()),
            workloads=len(states),
            pods=sum(len(state.pods) for state in states),
            ready_pods=sum(pod.ready for state in states for pod in state.pods),
            gateway=GatewayProcess(pid=gateway.pid, restarts=gateway.restarts) if gateway else None,
        )


@contextlib.contextmanager
def _owned(directory: Path) -> Iterator[None]:
    """Have `directory` for this agent alone, cleared of what an earlier one left. Raises: Conflict; OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "agent.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"another agent runs in {directory}") from error
        shutil.rmtree(directory / "pods", ignore_errors=True)
        Claims(directory / "volumes").sweep()
        yield


def main() -> int:
    """The exit code: 0 after a clean stop, else as everywhere in Roam."""
    parser = argparse.ArgumentParser(prog="python -m providers.local.agent", description=__doc__)
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="JSON, see providers/local/agent/config.py"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    os.umask(0o077)
    try:
        config = load(arguments.config)
        with _owned(config.directory):
            asyncio.run(Agent(config, read_token(config.token_file)).run())
    except FederationError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # Not waiting for threads that are in the middle of an answer: everything that matters has been stopped.
    code = main()
    sys.stderr.flush()
    os._exit(code)

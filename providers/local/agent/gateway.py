"""The sub-cluster's gateway as a process that is kept running. For the event loop only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Final

from providers.local.agent.containers import ending
from providers.local.agent.processes import CannotStart, Command, Process, Processes
from providers.local.agent.schedule import Backoff

log: Final = logging.getLogger(__name__)
STOP_S: Final = 1.0


class GatewayKeeper:
    """Starts `command` and starts it again when it ends."""

    def __init__(self, command: tuple[str, ...], directory: Path, processes: Processes) -> None:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(directory)}
        self._command = Command(command, environment, directory, directory / "gateway.log")
        self._processes = processes
        self._backoff = Backoff()
        self._process: Process | None = None
        self._task = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """The process id, None between two starts."""
        return self._process.pid if self._process is not None else None

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self._backoff.restarts

    async def close(self) -> None:
        """Stop it, and keep it stopped."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._process is not None:
            self._process.signal(signal.SIGTERM)
            await asyncio.wait([self._process.exit], timeout=STOP_S)
            self._process.signal(signal.SIGKILL, everything=True)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                self._process = await self._processes.start(self._command)
                log.info("gateway: started, pid %d", self._process.pid)
                how = ending(await self._process.wait())
            except CannotStart as error:
                how = str(error)
            self._process = None
            delay_s = self._backoff.after_run(loop.time() - began)
            log.warning("gateway: ended (%s), starts again in %.2g s", how, delay_s)
            await asyncio.sleep(delay_s)

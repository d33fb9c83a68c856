"""One container: a process that is started, probed, restarted and stopped. For the event loop only."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Final, Literal

from providers.local.agent.priority import set_niceness
from providers.local.agent.probing import Answer, Subject, ask
from providers.local.agent.processes import CannotStart, Process, put_log_aside
from providers.local.agent.schedule import Backoff, ProbeState
from providers.local.agent.template import Container, Probe

# What a shell answers for a program that is not there; Kubernetes reports StartError.
NOT_STARTED: Final = 127
# After SIGKILL a process is gone within moments, unless the kernel holds it.
KILL_WAIT_S: Final = 5.0

RestartPolicy = Literal["Always", "OnFailure", "Never"]


def ending(code: int) -> str:
    """How a process ended, in words: `exit code 3`, or `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class ContainerRun:
    """The life of one container in one pod. `changed` is called after each visible change."""

    def __init__(self, container: Container, subject: Subject, grace_s: float, changed: Callable[[], None]) -> None:
        self.container = container
        self.ready = False
        self.began = False
        self.restarts = 0
        self.reason = ""
        self.message = ""
        self.exit_code: int | None = None
        self.started = asyncio.Event()
        self._subject = subject
        self._grace_s = grace_s
        self._changed = changed
        self._starting: asyncio.Task[Process] | None = None
        self._process: Process | None = None
        self._stopping = False
        self._verdict = ""
        self._niceness = 0

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._process.pid if self._process is not None else None

    def give_way(self, niceness: int) -> None:
        """Let what it runs have the processor after the others, or (0) as they do; now and when it is started again."""
        self._niceness = niceness
        if self._process is not None:
            set_niceness(self._process.pid, niceness)

    async def live(self, policy: RestartPolicy) -> None:
        """Run it, again and again as `policy` says; returns when it is not to run any more."""
        backoff = Backoff()
        while not self._stopping:
            ran_s = await self._run_once()
            if self._stopping or policy == "Never" or (policy == "OnFailure" and self.exit_code == 0):
                return
            delay_s = backoff.after_run(ran_s)
            self._set(False, "CrashLoopBackOff", f"{self.message}; the next start is in {delay_s:.2g} s")
            await asyncio.sleep(delay_s)
            self.restarts = backoff.restarts

    async def terminate(self, deadline: float) -> None:
        """End it for good: hook, SIGTERM, and at `deadline` (event loop time) SIGKILL to its group. Idempotent."""
        self._stopping = True
        self.ready = False
        process, starting = self._process, self._starting
        if starting is not None:
            await asyncio.wait([starting])
            process = None if starting.exception() else starting.result()
        if process is not None:
            await self._stop(process, deadline)

    async def _run_once(self) -> float:
        """One run from start to exit. Returns: the seconds it ran."""
        loop = asyncio.get_running_loop()
        self._verdict = ""
        if self.began and self._subject.command.log is not None:
            put_log_aside(self._subject.command.log)
        self._starting = asyncio.create_task(self._subject.processes.start(self._subject.command))
        try:
            self._process = process = await asyncio.shield(self._starting)
        except CannotStart as error:
            self.exit_code = NOT_STARTED
            self._set(False, "StartError", str(error))
            return 0.0
        finally:
            if self._starting.done():
                self._starting = None
        if self._niceness:
            set_niceness(process.pid, self._niceness)
        began = loop.time()
        self.began = True
        self._set(False, "", "")
        watching = asyncio.create_task(self._watch(process, began))
        try:
            self.exit_code = await process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        self._process = None
        how = ending(self.exit_code)
        self._set(
            False, "Completed" if self.exit_code == 0 else "Error", f"{self._verdict}: {how}" if self._verdict else how
        )
        return loop.time() - began

    async def _watch(self, process: Process, began: float) -> None:
        """Hook and probes of one run."""
        hook = self.container.lifecycle.post_start
        if hook is not None:
            answer = await ask(hook, self._subject, max(self._grace_s, 1.0))
            if not answer.success:
                await self._fail(process, f"postStart hook failed: {answer.message}")
                return
        if self.container.startup_probe is not None:
            await self._startup(self.container.startup_probe, process, began)
        self.started.set()
        if self.container.readiness_probe is None:
            self._set(True, "", "")
        probes: list[Coroutine[object, object, None]] = []
        if self.container.readiness_probe is not None:
            probes.append(self._readiness(self.container.readiness_probe, began))
        if self.container.liveness_probe is not None:
            probes.append(self._liveness(self.container.liveness_probe, process, began))
        await asyncio.gather(*probes)

    async def _startup(self, probe: Probe, process: Process, began: float) -> None:
        state, asked = ProbeState(probe, "startup", began), None
        while True:
            verdict, asked, answer = await self._ask(state, asked)
            if verdict is True:
                return
            if verdict is False:
                await self._fail(process, f"startup probe failed: {answer.message}")

    async def _readiness(self, probe: Probe, began: float) -> None:
        state, asked = ProbeState(probe, "readiness", began), None
        while True:
            verdict, asked, answer = await self._ask(state, asked)
            if verdict is True:
                self._set(True, "", "")
            elif verdict is False:
                self._set(False, "NotReady", f"readiness probe failed: {answer.message}")

    async def _liveness(self, probe: Probe, process: Process, began: float) -> None:
        state, asked = ProbeState(probe, "liveness", began), None
        while True:
            verdict, asked, answer = await self._ask(state, asked)
            if verdict is False:
                await self._fail(process, f"liveness probe failed: {answer.message}")

    async def _ask(self, state: ProbeState, asked: float | None) -> tuple[bool | None, float, Answer]:
        loop = asyncio.get_running_loop()
        now = loop.time()
        await asyncio.sleep(state.next_at(now, asked) - now)
        asked = loop.time()
        answer = await ask(state.probe, self._subject, state.probe.timeout_seconds)
        return state.record(answer.success, loop.time()), asked, answer

    async def _fail(self, process: Process, verdict: str) -> None:
        """Stop a run that did not pass; its exit is then handled as any other. Never returns before that."""
        self._verdict = verdict
        self._set(False, "Unhealthy", verdict)
        await self._stop(process, asyncio.get_running_loop().time() + self._grace_s)
        await process.wait()

    async def _stop(self, process: Process, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        hook = self.container.lifecycle.pre_stop
        if hook is not None and not process.exit.done() and deadline > loop.time():
            await ask(hook, self._subject, deadline - loop.time())
        process.signal(signal.SIGTERM)
        await asyncio.wait([process.exit], timeout=max(0.0, deadline - loop.time()))
        if not process.exit.done():
            process.signal(signal.SIGKILL, everything=True)
            await asyncio.wait([process.exit], timeout=KILL_WAIT_S)

    def _set(self, ready: bool, reason: str, message: str) -> None:
        ready = ready and not self._stopping
        if (ready, reason, message) != (self.ready, self.reason, self.message):
            self.ready, self.reason, self.message = ready, reason, message
            self._changed()

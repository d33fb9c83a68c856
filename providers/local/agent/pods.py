"""One pod: its containers as processes, from the first start to the last sign of them. For the event loop only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from providers.local.agent.containers import ContainerRun, RestartPolicy
from providers.local.agent.environment import ConfigError, Configuration, Identity, arguments_of, variables_of
from providers.local.agent.paths import Paths
from providers.local.agent.priority import BEHIND
from providers.local.agent.probing import Subject
from providers.local.agent.processes import Command, Processes
from providers.local.agent.template import Container, Template
from providers.local.agent.volumes import VolumePlan, mount_volumes, paths_of

Phase = Literal["Pending", "Running", "Terminating", "Failed", "Succeeded"]
START_TURN_S: Final = 0.5
"""A pod that starts has its turn for so long at most, or until it is ready; then the next one may start."""
PATH_DEFAULT: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def start_turns() -> asyncio.Semaphore:
    """Turns in starting: a starting program wants a whole core for a moment, and those that serve on this machine must
    not wait for it. So at most half of the cores start pods at a time."""
    return asyncio.Semaphore(max(1, (os.cpu_count() or 1) // 2))


@dataclass(frozen=True)
class PodPlan:
    """Everything a pod is made from. `ports`: service port to pod port; `path` the search path for programs; `claims`
    is where its workload's claims are, `claimed` which of them it has, by volume, as one of a StatefulSet; `content` is
    equal for pods that are made the same, whatever their revision was called."""

    identity: Identity
    revision: str
    template: Template
    ports: dict[int, int]
    directory: Path
    path: str
    config: Configuration = field(repr=False)
    turns: asyncio.Semaphore = field(default_factory=start_turns, repr=False)
    content: str = ""
    claims: Path = Path()
    claimed: Mapping[str, str] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        """The directory a pod starts in and may fill; it goes with the pod."""
        return self.directory / "scratch"


class Pod:
    """A running pod. `changed` is called after each visible change, `gone` once nothing of it is left."""

    def __init__(self, plan: PodPlan, processes: Processes, changed: Callable[[], None], gone: Callable[[Pod], None]):
        self.plan = plan
        self.stopping = False
        self._verdict: tuple[Phase, str, str] | None = None
        self._processes = processes
        self._changed = changed
        self._gone = gone
        self._runs: list[ContainerRun] = []
        self._mains: list[ContainerRun] = []
        self._stirred = asyncio.Event()
        self._sidecars: list[asyncio.Task[None]] = []
        self._task = asyncio.create_task(self._live())
        self._end: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    @property
    def name(self) -> str:
        """Its name, unique in the sub-cluster."""
        return self.plan.identity.name

    @property
    def ready(self) -> bool:
        """Whether it may be given traffic."""
        return not self.stopping and bool(self._mains) and all(run.ready for run in self._mains)

    @property
    def ended(self) -> bool:
        """Whether it has run to its end, well or not, and won't be started again."""
        return self._verdict is not None and self._verdict[0] in ("Failed", "Succeeded")

    @property
    def succeeded(self) -> bool:
        """Whether it has run to its end, well."""
        return self._verdict is not None and self._verdict[0] == "Succeeded"

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of its containers that run."""
        return tuple(run.pid for run in self._runs if run.pid is not None)

    @property
    def running(self) -> frozenset[str]:
        """The names of its containers that run."""
        return frozenset(run.container.name for run in self._runs if run.pid is not None)

    @property
    def restarts(self) -> int:
        """Restarts of all its containers."""
        return sum(run.restarts for run in self._runs)

    def describe(self) -> tuple[Phase, str, str]:
        """Phase, reason and message as they are now."""
        if self.stopping:
            return "Terminating", "", ""
        if self._verdict is not None:
            return self._verdict
        phase: Phase = "Running" if any(run.began for run in self._mains) else "Pending"
        troubled = next((run for run in self._runs if run.reason not in ("", "Completed")), None)
        if troubled is not None:
            return phase, troubled.reason, f"container {troubled.container.name}: {troubled.message}"
        return phase, "" if phase == "Running" else "ContainerCreating", ""

    def stop(self, *, at_most_s: float | None = None, linger_s: float = 0.0) -> None:
        """Begin to stop it: not ready at once; after `linger_s`, in which it serves those who have not heard of it yet,
        its hooks, SIGTERM, its grace period, SIGKILL. Idempotent; a second call ends the lingering."""
        if self.stopping:
            self._hurry.set()
            return
        linger_s = linger_s if self.ready and self.plan.ports else 0.0
        self.stopping = True
        grace_s = float(self.plan.template.spec.termination_grace_period_seconds)
        grace_s = grace_s if at_most_s is None else min(grace_s, at_most_s)
        self._end = asyncio.create_task(self._terminate(grace_s, linger_s))
        self._changed()

    async def wait_gone(self) -> None:
        """Wait until a stopped pod is gone."""
        if self._end is not None:
            await self._end

    async def _live(self) -> None:
        spec = self.plan.template.spec
        try:
            self.plan.directory.mkdir(mode=0o700, parents=True)
            self.plan.scratch.mkdir(mode=0o700)
            subjects = self._subjects()
        except ConfigError as error:
            self._conclude("Pending", "CreateContainerConfigError", str(error))
            return
        except OSError as error:
            self._conclude("Failed", "CreateContainerError", f"{error.filename}: {error.strerror}")
            return
        for container in spec.init_containers:
            run = self._add(container, subjects[container.name])
            if not await self._initialise(run):
                return
        async with self.plan.turns:
            self._mains = [self._add(container, subjects[container.name]) for container in spec.containers]
            for run in self._mains:
                run.give_way(BEHIND)
            lives = asyncio.gather(*(run.live(spec.restart_policy) for run in self._mains))
            lives.add_done_callback(lambda _: self._stirred.set())
            try:
                await asyncio.wait_for(self._first_ready(lives), START_TURN_S)
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                lives.cancel()
                raise
            finally:
                for run in self._mains:
                    run.give_way(0)
        await lives
        failed = next((run for run in self._mains if run.exit_code != 0), None)
        if failed is not None:
            self._conclude("Failed", "Error", f"container {failed.container.name}: {failed.message}")
        else:
            self._conclude("Succeeded", "Completed", "all containers ended with exit code 0")
        await self._stop_sidecars()

    async def _stop_sidecars(self) -> None:
        """The others have ended: what runs beside them ends, too."""
        deadline = asyncio.get_running_loop().time() + self.plan.template.spec.termination_grace_period_seconds
        await asyncio.gather(*(run.terminate(deadline) for run in self._runs))

    async def _first_ready(self, lives: asyncio.Future[list[None]]) -> None:
        """Wait until it is ready for the first time, or has ended."""
        while not self.ready and not lives.done():
            self._stirred.clear()
            await self._stirred.wait()

    async def _initialise(self, run: ContainerRun) -> bool:
        """Run one init container to its end, or start a sidecar. Returns: whether the pod may go on."""
        if run.container.restart_policy == "Always":
            self._sidecars.append(asyncio.create_task(run.live("Always")))
            await run.started.wait()
            return True
        policy: RestartPolicy = "Never" if self.plan.template.spec.restart_policy == "Never" else "OnFailure"
        await run.live(policy)
        if run.exit_code != 0:
            self._conclude("Failed", "Error", f"init container {run.container.name}: {run.message}")
        return run.exit_code == 0

    def _add(self, container: Container, subject: Subject) -> ContainerRun:
        grace_s = float(self.plan.template.spec.termination_grace_period_seconds)
        run = ContainerRun(container, subject, grace_s, self._notify)
        self._runs.append(run)
        return run

    def _subjects(self) -> dict[str, Subject]:
        """Make the volumes, and what is to run with them."""
        plan = self.plan
        where = VolumePlan(plan.directory / "volumes", plan.claims, plan.claimed)
        volumes = mount_volumes(where, plan.template, plan.identity, plan.config)
        return {each.name: self._subject(each, paths_of(each, volumes)) for each in plan.template.containers()}

    def _subject(self, container: Container, paths: Paths) -> Subject:
        plan = self.plan
        variables = variables_of(container, plan.template, plan.identity, plan.config)
        scratch = str(plan.scratch)
        base = {
            "PATH": plan.path,
            "HOME": scratch,
            "TMPDIR": scratch,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOSTNAME": plan.identity.name,
        }
        command = Command(
            [paths.real(text) for text in arguments_of(container, variables)],
            base | {name: paths.real(value) for name, value in variables.items()},
            Path(paths.real(container.working_dir) or scratch),
            plan.directory / f"{container.name}.log",
        )
        return Subject(plan.identity.address, plan.template, command, self._processes, paths)

    def _conclude(self, phase: Phase, reason: str, message: str) -> None:
        self._verdict = (phase, reason, message)
        self._notify()

    def _notify(self) -> None:
        self._stirred.set()
        if not self.stopping:
            self._changed()

    async def _terminate(self, grace_s: float, linger_s: float) -> None:
        if linger_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), linger_s)
        deadline = asyncio.get_running_loop().time() + grace_s
        # Sidecars serve the others to the end, so they are stopped after them.
        for runs in (self._mains, self._runs):
            await asyncio.gather(*(run.terminate(deadline) for run in runs))
        tasks = [self._task, *self._sidecars]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self.plan.directory, True)
        self._gone(self)


def search_path(own: str | None, interpreter: str) -> str:
    """Where pods look for programs: first beside the agent's interpreter, so that `python3` is found wherever Roam runs
    and is new enough, then where the agent itself looks."""
    directory = str(Path(interpreter).parent)
    others = [part for part in (own or PATH_DEFAULT).split(os.pathsep) if part.startswith("/") and part != directory]
    return os.pathsep.join([directory, *others])

"""A Kubernetes Job: what to start and stop next, and a record of how far it is that outlives the agent.

Source: Kubernetes API reference, batch/v1 JobSpec; "Jobs: Parallel execution, Pod backoff failure policy"."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import JsonValue

from providers.local.agent.schedule import Backoff
from providers.local.agent.template import AtLeastOne, Seconds, parse
from providers.local.agent.volumespec import Part

Outcome = Literal["", "Complete", "Failed"]
KEPT_PODS: Final = 5
"""So many pods that ended are kept, for their logs."""


class JobSpec(Part):
    """How often it has to succeed, how many may run at once, and when to give up. Without `completions` it is a queue
    of work: one success ends it once the others have ended, too."""

    completions: Seconds | None = None
    parallelism: Seconds | None = None
    backoff_limit: Seconds = 6
    active_deadline_seconds: AtLeastOne | None = None
    suspend: bool = False

    @property
    def needed(self) -> int | None:
        """Successes that it takes; None for a queue of work."""
        return 1 if self.completions is None and self.parallelism is None else self.completions


def job_of(objects: Sequence[Mapping[str, JsonValue]]) -> JobSpec | None:
    """The Job among a workload's objects. Raises: InvalidInput, naming the field."""
    found = next((item for item in objects if item.get("kind") == "Job"), None)
    return parse(JobSpec, found.get("spec") or {}, field="objects.Job.spec") if found is not None else None


@dataclass(frozen=True)
class JobPod:
    """One pod as a decision sees it. `order` grows with age of birth; `message` says how it failed."""

    name: str
    ended: bool
    succeeded: bool
    stopping: bool
    restarts: int
    order: int
    message: str = ""


@dataclass(frozen=True)
class JobSteps:
    """Pods to start, pods to stop, and after how many seconds to look again (None: at the next change)."""

    start: int = 0
    stop: tuple[str, ...] = ()
    waiting: bool = False
    again_s: float | None = None


@dataclass
class Progress:
    """How far it is. `began_at`: seconds since 1970; `fault`: how a pod last failed."""

    began_at: float
    succeeded: int = 0
    failed: int = 0
    outcome: Outcome = ""
    reason: str = ""
    fault: str = ""


@dataclass
class Job:
    """One Job. `file` keeps its progress; whose progress that is, `identity` tells."""

    spec: JobSpec
    identity: str
    file: Path
    progress: Progress
    _counted: set[str] = field(default_factory=set)
    _backoff: Backoff = field(default_factory=Backoff)
    _not_before: float = 0.0

    @classmethod
    def open(cls, spec: JobSpec, identity: str, file: Path, now: float) -> Job:
        """The Job, as far as it had come when its progress was last kept; from the beginning when it never was."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(file.read_text())
            if kept.pop("identity") == identity:
                return cls(spec, identity, file, Progress(**kept))
        job = cls(spec, identity, file, Progress(now))
        job._keep()
        return job

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return bool(self.progress.outcome)

    @property
    def message(self) -> str:
        """How far it is, or how it ended, in words."""
        progress, needed = self.progress, self.spec.needed
        text = f"{progress.succeeded}{'' if needed is None else f'/{needed}'} completed"
        text += f", {progress.failed} failed" if progress.failed else ""
        if progress.reason:
            return f"{progress.reason}: {text}"
        return f"{text}: {progress.fault}" if progress.fault and not progress.outcome else text

    def forget(self) -> None:
        """Remove what is kept of it."""
        self.file.unlink(missing_ok=True)

    def step(self, pods: Sequence[JobPod], room: int, now: float) -> JobSteps:
        """Take in what happened to the pods, and say what to do next. `now`: seconds since 1970."""
        before = asdict(self.progress)
        self._count(pods, now)
        active = [pod for pod in pods if not pod.ended and not pod.stopping]
        if not self.ended:
            self._judge(active, now)
        if asdict(self.progress) != before:
            self._keep()
        finished = sorted((pod for pod in pods if pod.ended and not pod.stopping), key=lambda pod: pod.order)
        surplus = tuple(pod.name for pod in finished[:-KEPT_PODS])
        if self.ended:
            return JobSteps(0, tuple(pod.name for pod in active) + surplus)
        wanted = self._wanted()
        newest = sorted(active, key=lambda pod: -pod.order)
        stop = tuple(pod.name for pod in newest[: max(0, len(active) - wanted)])
        missing = max(0, wanted - len(active))
        late = max(0.0, self._not_before - now)
        start = 0 if late else min(missing, room)
        return JobSteps(start, stop + surplus, start < missing and not late, self._again_s(now, late if missing else 0))

    def _count(self, pods: Sequence[JobPod], now: float) -> None:
        for pod in pods:
            if not pod.ended or pod.stopping or pod.name in self._counted:
                continue
            self._counted.add(pod.name)
            if pod.succeeded:
                self.progress.succeeded += 1
            else:
                self.progress.failed += 1
                self.progress.fault = pod.message
                self._not_before = now + self._backoff.after_run(0.0)

    def _judge(self, active: Sequence[JobPod], now: float) -> None:
        progress, limit_s = self.progress, self.spec.active_deadline_seconds
        needed = self.spec.needed
        done = progress.succeeded >= 1 and not active if needed is None else progress.succeeded >= needed
        failures = progress.failed + sum(pod.restarts for pod in active)
        if done:
            progress.outcome = "Complete"
        elif failures > self.spec.backoff_limit:
            fault = progress.fault or next((pod.message for pod in active if pod.message), "")
            progress.outcome = "Failed"
            progress.reason = f"BackoffLimitExceeded after {failures} failures" + (f" ({fault})" if fault else "")
        elif limit_s is not None and now >= progress.began_at + limit_s:
            progress.outcome, progress.reason = "Failed", f"DeadlineExceeded: not done within {limit_s} s"

    def _wanted(self) -> int:
        """How many shall run at once now."""
        most = 0 if self.spec.suspend else (1 if self.spec.parallelism is None else self.spec.parallelism)
        if self.spec.needed is None:
            return 0 if self.progress.succeeded else most
        return min(most, self.spec.needed - self.progress.succeeded)

    def _again_s(self, now: float, late_s: float) -> float | None:
        limit_s = self.spec.active_deadline_seconds
        times = [late_s] if late_s else []
        times += [max(self.progress.began_at + limit_s - now, 0.01)] if limit_s is not None else []
        return min(times, default=None)

    def _keep(self) -> None:
        """Write the progress as a whole. A full disk must not stop the Job: it is then run again after a restart."""
        draft = self.file.with_suffix(".draft")
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            with draft.open("w") as file:
                json.dump({"identity": self.identity, **asdict(self.progress)}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.file)

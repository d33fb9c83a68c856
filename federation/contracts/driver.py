"""A driver makes one sub-cluster obey: it says what is on offer, what runs, and starts and stops workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, JsonValue

from federation.errors import NotFound
from federation.model.meta import Key
from federation.model.microservice import Port
from federation.model.offers import Offer
from federation.model.subcluster import SubCluster


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a sub-cluster of this kind can do. `runs_images`: container images without a command.
    `names`: "rewrite" when addresses in the environment must be rewritten to the gateway, "dns" when names resolve.
    `logs`, `usage`: whether the calls of that name have an answer."""

    runs_images: bool
    names: Literal["rewrite", "dns"] = "dns"
    logs: bool = False
    usage: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """One microservice as one sub-cluster shall run it. `revision` changes whenever anything else here does except
    `replicas`, `labels` and `min_available`. A pod that would be made just the same is kept, and is of the new one.

    `template` is a Kubernetes pod template; `objects` the Kubernetes objects it came from or refers to. A `Job` among
    them runs to its end instead of for ever: once it ended it is not run again before it was deleted, whatever changes.
    `min_available`: how many replicas stay ready while they are replaced (None: all but one, at least one); for single
    writers it does not hold."""

    key: Key
    revision: str
    replicas: int
    template: Mapping[str, JsonValue]
    ports: tuple[Port, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    objects: tuple[Mapping[str, JsonValue], ...] = field(default=(), repr=False)
    min_available: int | None = None


@dataclass(frozen=True, slots=True)
class PodState:
    """One replica. `ports`: target of each service port (service port -> pod port). `ready` as its probe says."""

    name: str
    address: str
    ready: bool
    revision: str
    ports: Mapping[int, int]
    phase: Literal["Pending", "Running", "Terminating", "Failed", "Succeeded"] = "Running"
    reason: str = ""
    message: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """What runs of one workload; `replicas` and `revision` are what was last asked for. `outcome`: how a Job ended, ""
    while it has not and for all else; `message` then says why. `waiting`: `message` says for what a new replica waits
    that is not there at present, such as room."""

    key: Key
    revision: str
    replicas: int
    pods: tuple[PodState, ...]
    message: str = ""
    outcome: Literal["", "Complete", "Failed"] = ""
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What Roam runs there. `complete`: `workloads` is all of it; otherwise only what changed since the cursor that
    was passed in, with `gone` naming what is no more. `cursor` is for the next call; it is opaque."""

    cursor: str
    complete: bool
    workloads: tuple[WorkloadState, ...]
    gone: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines are asked for: of one pod and container, or of all ("" each). `previous`: of the run before the
    present one. `tail_lines`: at most so many of the newest of each container, None for all that is kept. `cursor`:
    only what came after the answer that it is from."""

    pod: str = ""
    container: str = ""
    tail_lines: int | None = None
    previous: bool = False
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PodLog:
    """What one container wrote, oldest line first, lines without their ends."""

    pod: str
    container: str
    lines: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Logs:
    """An answer to a `LogQuery`: by pod and container, in the order of their birth. `cursor` asks for what follows;
    it is opaque."""

    logs: tuple[PodLog, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What one pod uses right now: cores (over the last second or so) and bytes of memory."""

    key: Key
    pod: str
    cpu_cores: float
    memory_bytes: float


class SubClusterDriver(Protocol):
    """One sub-cluster. Safe to use from several threads; every call keeps its deadline (seconds).

    Every method may raise Unavailable (no answer: effect unknown), Denied (credentials), RateLimited."""

    def capabilities(self) -> Capabilities:
        """What it can do, without I/O."""
        ...

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:
        """Capacity there for Roam, used by Roam or not; or, where whole machines are bought, the types there are, with
        their sizes and prices. Ordered by name. Their prices go before those of the spec and of the price file."""
        ...

    def observe(self, cursor: str | None, *, wait_s: float, deadline_s: float) -> Observation:
        """What runs. With None or an unknown cursor, everything at once. With a known one, wait up to `wait_s` for a
        change and return what changed since (possibly nothing): an answer is also a sign of life."""
        ...

    def apply(self, workload: Workload, *, deadline_s: float) -> None:
        """Make it run as described, or change what runs to that. Idempotent; returns before pods are ready.

        Raises: NoCapacity; Conflict (something of that name is not Roam's); InvalidInput (can't be run there)."""
        ...

    def delete(self, key: Key, *, deadline_s: float) -> None:
        """Stop it gracefully and remove it; returns at once. What is gone already is no error."""
        ...

    def logs(self, key: Key, query: LogQuery, *, deadline_s: float) -> Logs:
        """What a workload's pods wrote; at most a few MiB, the newest. Only where `capabilities().logs` says so.

        Raises: NotFound, naming what is not there: the workload, the pod, the container, or an earlier run of it."""
        ...

    def usage(self, *, deadline_s: float) -> tuple[PodUsage, ...]:
        """What every pod of Roam's there uses, by key and pod. Only where `capabilities().usage` says so."""
        ...

    def close(self) -> None:
        """Release what this handle holds; the sub-cluster itself goes on."""
        ...


class WithoutInspection:
    """For drivers that can tell neither logs nor usage: a base with those two calls."""

    def logs(self, key: Key, query: LogQuery, *, deadline_s: float) -> Logs:  # noqa: ARG002
        """See `SubClusterDriver.logs`. Raises: NotFound."""
        raise NotFound("this sub-cluster keeps no logs for Roam")

    def usage(self, *, deadline_s: float) -> tuple[PodUsage, ...]:  # noqa: ARG002
        """See `SubClusterDriver.usage`. Raises: NotFound."""
        raise NotFound("this sub-cluster does not measure what its pods use")


class Provider(Protocol):
    """How a driver is found (entry-point group `roam.providers`). `cloud` is the atlas's name of the cloud whose
    regions `SubCluster.spec.region` means, or None when any region may be named."""

    name: str
    cloud: str | None
    connection_schema: type[BaseModel]

    def capabilities(self, connection: BaseModel) -> Capabilities:
        """What a sub-cluster with that connection can do, without I/O: for planning offline."""
        ...

    def open(self, subcluster: SubCluster, connection: BaseModel) -> SubClusterDriver:
        """A handle on that sub-cluster, without I/O. Raises: InvalidInput; Denied (credentials can't be read)."""
        ...

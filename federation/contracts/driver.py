"""A driver makes one sub-cluster obey: it says what is on offer, what runs, and starts and stops workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, JsonValue

from federation.model.meta import Key
from federation.model.microservice import Port
from federation.model.offers import Offer
from federation.model.subcluster import SubCluster


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a sub-cluster of this kind can do. `runs_images`: container images without a command.
    `names`: "rewrite" when addresses in the environment must be rewritten to the gateway, "dns" when names resolve."""

    runs_images: bool
    names: Literal["rewrite", "dns"] = "dns"


@dataclass(frozen=True, slots=True)
class Workload:
    """One microservice as one sub-cluster shall run it. `revision` changes whenever anything else here does
    except `replicas`. `template` is a Kubernetes pod template; `objects` the Kubernetes objects it refers to."""

    key: Key
    revision: str
    replicas: int
    template: Mapping[str, JsonValue]
    ports: tuple[Port, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    objects: tuple[Mapping[str, JsonValue], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class PodState:
    """One replica. `ports`: target of each service port (service port -> pod port). `ready` as its probe says."""

    name: str
    address: str
    ready: bool
    revision: str
    ports: Mapping[int, int]
    phase: Literal["Pending", "Running", "Terminating", "Failed"] = "Running"
    reason: str = ""
    message: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """What runs of one workload; `replicas` and `revision` are what was last asked for."""

    key: Key
    revision: str
    replicas: int
    pods: tuple[PodState, ...]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What Roam runs there. `complete`: `workloads` is all of it; otherwise only what changed since the cursor that
    was passed in, with `gone` naming what is no more. `cursor` is for the next call; it is opaque."""

    cursor: str
    complete: bool
    workloads: tuple[WorkloadState, ...]
    gone: tuple[Key, ...] = ()


class SubClusterDriver(Protocol):
    """One sub-cluster. Safe to use from several threads; every call keeps its deadline (seconds).

    Every method may raise Unavailable (no answer: effect unknown), Denied (credentials), RateLimited."""

    def capabilities(self) -> Capabilities:
        """What it can do, without I/O."""
        ...

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:
        """Capacity there for Roam, used by Roam or not, ordered by name."""
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

    def close(self) -> None:
        """Release what this handle holds; the sub-cluster itself goes on."""
        ...


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

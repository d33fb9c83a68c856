"""`Microservice`: what an application team wants to run, wherever the federation places it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue

from federation.model.meta import Bool, Condition, Json, Name, Natural, PortNumber, Resource, Value
from federation.model.quantity import Duration, parse_duration_s

Protocol = Literal["http", "http2", "tcp"]


class Port(Value):
    """A port under which others reach the service; `target_port` is the pod's, a number or a container port's name.

    `protocol` is how gateways carry it: http (HTTP/1.1), http2 (gRPC) or tcp.
    """

    name: str = ""
    port: PortNumber
    target_port: PortNumber | str | None = None
    protocol: Protocol = "tcp"


def _some_latency(value: str) -> str:
    if parse_duration_s(value) <= 0:
        raise ValueError(f"{value!r} is no latency: it has to be longer than nothing")
    return value


class Call(Value):
    """A call to another service (`name` or `namespace/name`). A volume nobody declared is `assumed`."""

    service: str
    port: PortNumber | None = None
    gib_per_hour: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    max_latency: Annotated[Duration, AfterValidator(_some_latency)] | None = None
    assumed: Bool = False


class Disruption(Value):
    """How many replicas must stay available whatever Roam does on purpose. None: all but one, at least one."""

    min_available: Natural | None = None


class MicroserviceSpec(Value):
    """The pod template and what surrounds it.

    `template` is a Kubernetes pod template, passed through untouched. `stateful` marks a single writer whose data
    lives with it. `aliases` are further names (Kubernetes Services) under which it is reached. `objects` are the
    Kubernetes objects the service came from or refers to, every field kept.
    """

    replicas: Natural = 1
    template: dict[str, JsonValue]
    disruption: Disruption = Disruption()
    ports: tuple[Port, ...] = ()
    calls: tuple[Call, ...] = ()
    aliases: tuple[Name, ...] = ()
    stateful: Bool = False
    workload: str = "Deployment"
    objects: tuple[dict[str, Json], ...] = ()

    @property
    def bound(self) -> bool:
        """Whether what runs stays where it is: the data of a single writer can't be moved, nor the work of a Job."""
        return self.stateful or self.workload == "Job"


class Recorded(Value):
    """The newest `Revision` of a microservice: its number, and a hash of what pods are made of; 0 for none yet."""

    number: int = 0
    content: str = ""


class MicroserviceStatus(Value):
    """`gateway_ports`: service port (as text) to the port every gateway listens on for it; `revision`: the newest entry
    of its history."""

    gateway_ports: dict[str, int] = {}
    revision: Recorded = Recorded()
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0


class Microservice(Resource):
    """One service of an application."""

    kind_name: ClassVar[str] = "Microservice"
    plural: ClassVar[str] = "microservices"
    short_names: ClassVar[tuple[str, ...]] = ("ms", "svc", "microservice")

    kind: Literal["Microservice"] = "Microservice"
    spec: MicroserviceSpec
    status: MicroserviceStatus = MicroserviceStatus()

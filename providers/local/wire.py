"""What driver and agent say to each other: JSON over HTTP, the contract's own values."""

from __future__ import annotations

from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from federation.contracts.driver import LogQuery, Logs, Observation, PodUsage, Workload
from federation.errors import InvalidInput
from federation.model.meta import Value

API: Final = "/v1"
WAIT_LIMIT_S: Final = 60.0
"""The longest an agent waits for a change before it answers that there is none."""

WORKLOAD: Final = TypeAdapter(Workload)
OBSERVATION: Final = TypeAdapter(Observation)
LOG_QUERY: Final = TypeAdapter(LogQuery)
LOGS: Final = TypeAdapter(Logs)
USAGE: Final = TypeAdapter(tuple[PodUsage, ...])

T = TypeVar("T")


class Problem(Value):
    """The body of every answer that is not a success. `reason` is the name of a class of `federation.errors`."""

    reason: str
    message: str
    field: str | None = None


class Capacity(Value):
    """What a sub-cluster has for Roam, in use or not."""

    cpu_cores: float
    memory_bytes: float


class GatewayProcess(Value):
    """The gateway that an agent keeps running; `pid` is None between two starts."""

    pid: int | None
    restarts: int


class AgentStatus(Value):
    """An agent about itself."""

    name: str
    pid: int
    boot: str
    capacity: Capacity
    used: Capacity
    workloads: int
    pods: int
    ready_pods: int
    gateway: GatewayProcess | None = None


def decode(adapter: TypeAdapter[T], data: bytes) -> T:
    """`data` as a value. Raises: InvalidInput with the path of what is wrong, never its content."""
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(first["msg"], field=field or None) from None

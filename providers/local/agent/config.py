"""An agent's configuration: a JSON file."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from federation.errors import InvalidInput
from federation.model.meta import Name, PortNumber, Value
from federation.model.quantity import Duration, Quantity, parse_quantity


def _loopback(value: ipaddress.IPv4Address) -> ipaddress.IPv4Address:
    if not value.is_loopback:
        raise ValueError("must be a loopback address (127.0.0.0/8): an agent runs whatever its token's holder asks for")
    return value


def _block(value: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    if not value.is_loopback or value.prefixlen > 22:
        raise ValueError("must be a block of at least 1,024 loopback addresses such as 127.41.0.0/16")
    return value


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("must be an absolute path")
    return value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Size(Value):
    """What the pods may reserve in all: cores and bytes, as Kubernetes quantities."""

    cpu: Quantity
    memory: Quantity

    @property
    def amounts(self) -> dict[str, float]:
        """`cpu` cores, `memory` bytes."""
        return {"cpu": parse_quantity(self.cpu), "memory": parse_quantity(self.memory)}


class AgentConfig(Value):
    """One sub-cluster. `gateway` is a command that the agent keeps running beside the pods; `mark` is found in the
    environment of everything that descends from the agent (`ROAM_PROCESS=<mark>/...`). `linger`: a ready pod that is
    replaced serves for so long before it is told to stop, as gateways learn of it a moment later. `headroom`: beyond
    the capacity, held back for pods that replace others, so that a full sub-cluster can still be updated."""

    name: Name
    address: Annotated[ipaddress.IPv4Address, AfterValidator(_loopback)]
    port: PortNumber
    block: Annotated[ipaddress.IPv4Network, AfterValidator(_block)]
    directory: AbsolutePath
    token_file: AbsolutePath
    capacity: Size
    headroom: Size = Size(cpu="0", memory="0")
    gateway: tuple[str, ...] = ()
    mark: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,200}$")] = "roam"
    stop_within: Duration = "10s"
    linger: Duration = "3s"

    @property
    def resources(self) -> dict[str, float]:
        """The capacity: `cpu` cores, `memory` bytes."""
        return self.capacity.amounts

    @property
    def reserve(self) -> dict[str, float]:
        """The headroom, in the same units."""
        return self.headroom.amounts


def load(path: Path) -> AgentConfig:
    """Read a configuration. Raises: InvalidInput, with the file and the field."""
    try:
        return AgentConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"can't be read: {error.strerror}", file=str(path)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(first["msg"].removeprefix("Value error, "), file=str(path), field=field) from None

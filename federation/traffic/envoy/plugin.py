"""The entry point `roam.gateways: envoy`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, field_validator

from federation.contracts.gateway import Gateway
from federation.errors import InvalidInput
from federation.traffic.envoy.gateway import EnvoyGateway
from federation.traffic.envoy.process import split_host_port


class EnvoyConnection(BaseModel):
    """Where an Envoy takes its orders. `directory`: the watched files, an absolute path; `admin`: its administration
    interface, an absolute path of a Unix socket or `host:port` on loopback (it has no authentication of its own)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    directory: str
    admin: str

    @field_validator("directory")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError("must be an absolute path")
        return value

    @field_validator("admin")
    @classmethod
    def _private(cls, value: str) -> str:
        if value.startswith("/"):
            return value
        try:
            host, _ = split_host_port(value)
            if not ipaddress.ip_address(host).is_loopback:
                raise ValueError("must be on loopback, such as 127.0.0.1:9901: it has no authentication of its own")
        except InvalidInput as error:
            raise ValueError(error.message) from error
        return value


class EnvoyPlugin:
    """Opens Envoys. Source of what it configures: https://www.envoyproxy.io/docs/envoy/latest/api-v3/api"""

    name: str = "envoy"
    connection_schema: type[BaseModel] = EnvoyConnection

    def open(self, gateway: str, address: str, connection: BaseModel) -> Gateway:
        """A handle on the Envoy named `gateway`, whose routes listen on `address` (an IP address).

        Nothing is started here; see `process`. Raises: InvalidInput, for another schema or an address of no use."""
        if not isinstance(connection, EnvoyConnection):
            raise InvalidInput(f"gateway {gateway}: not an Envoy's connection: {type(connection).__name__}")
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise InvalidInput(f"gateway {gateway}: {address!r} is not an IP address to listen on") from error
        return EnvoyGateway(gateway, address, Path(connection.directory), connection.admin)


GATEWAY: Final = EnvoyPlugin()

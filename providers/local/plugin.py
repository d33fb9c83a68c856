"""The provider `local`: sub-clusters of processes on this machine, for trying Roam and for testing it."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel

from federation.contracts.driver import Capabilities, Provider, SubClusterDriver
from federation.errors import InvalidInput
from federation.model.meta import Bool, Value
from federation.model.subcluster import SubCluster
from providers.local.driver import LocalDriver
from providers.local.tokens import Token, read_token


def _loopback_url(value: str) -> str:
    try:
        parts = urllib.parse.urlsplit(value)
        usable = (
            parts.scheme == "http"
            and parts.port is not None
            and ipaddress.ip_address(parts.hostname or "").is_loopback
            and parts.path in ("", "/")
            and not (parts.query or parts.fragment or parts.username)
        )
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{value!r} is not an agent on this machine; write http://127.x.y.z:port")
    return value


class LocalConnection(Value):
    """How a local sub-cluster is reached. Without `agent` it is a place to plan against only. `images`: plan as if it
    ran container images (the agent itself never does)."""

    agent: Annotated[str, AfterValidator(_loopback_url)] | None = None
    images: Bool = False


class LocalProvider:
    """See `federation.contracts.driver.Provider`."""

    name = "local"
    cloud: str | None = None
    connection_schema: type[BaseModel] = LocalConnection

    def capabilities(self, connection: BaseModel) -> Capabilities:
        """See `Provider.capabilities`."""
        return Capabilities(runs_images=_checked(connection).images, names="rewrite", logs=True, usage=True)

    def open(self, subcluster: SubCluster, connection: BaseModel) -> SubClusterDriver:
        """See `Provider.open`."""
        agent, name = _checked(connection).agent, subcluster.metadata.name
        if agent is None:
            raise InvalidInput(
                f"sub-cluster {name} has no agent: it can be planned against, nothing can run there; give the URL of "
                "its agent, or make one with: roam sandbox up",
                field="spec.connection.agent",
            )
        token = _token(name, subcluster.spec.credentials)
        return LocalDriver(name, agent, token, self.capabilities(connection), subcluster.spec.pricing)


def _checked(connection: BaseModel) -> LocalConnection:
    if not isinstance(connection, LocalConnection):
        raise InvalidInput("this is not a connection of the provider local", field="spec.connection")
    return connection


def _token(name: str, credentials: dict[str, str]) -> Token:
    """The agent's token. Raises: InvalidInput (no or unknown credentials); Denied (can't be read, or others can)."""
    if len(credentials) != 1 or not credentials.keys() <= {"file", "env"}:
        raise InvalidInput(
            f"sub-cluster {name}: an agent's token comes from {{file: PATH}} or {{env: NAME}}, not from "
            f"{', '.join(sorted(credentials)) or 'nothing'}",
            field="spec.credentials",
        )
    if "env" in credentials:
        name = credentials["env"]
        return Token(os.environ.get(name, "").strip(), f"the environment variable {name}")
    return read_token(Path(credentials["file"]).expanduser())


PROVIDER: Final[Provider] = LocalProvider()

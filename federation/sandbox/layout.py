"""Where the sandbox keeps its files, and what it says about itself."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from federation.errors import InvalidInput
from federation.sandbox.places import PLACES, SandboxPlace

EDGE: Final = "edge"
EDGE_ADDRESS: Final = "127.0.0.1"
AGENT_PORT: Final = 19000
FIRST_BLOCK: Final = 41
SETS: Final = 12
FIRST_GATEWAY_PORT: Final = 20000
GATEWAY_PORTS: Final = 1000
CONTROLLER_PORT: Final = 7441
# A Unix socket's path has at most 107 bytes; the longest name below the directory has to fit, too.
LONGEST_SOCKET_DIRECTORY: Final = 70


@dataclass(frozen=True)
class Claim:
    """What a sandbox has for itself on this machine: a mark on its processes, and a set of addresses and ports.

    Sandboxes with different sets do not meet, so that several can run side by side."""

    mark: str
    index: int
    sockets: str

    def block(self, place: SandboxPlace) -> ipaddress.IPv4Network:
        """The addresses of a sub-cluster and its pods."""
        return ipaddress.IPv4Network(f"127.{FIRST_BLOCK + self.index * len(PLACES) + place.index}.0.0/16")

    def address(self, place: SandboxPlace) -> str:
        """Where a sub-cluster's agent and gateway listen."""
        return str(self.block(place).network_address + 1)

    @property
    def gateway_port(self) -> int:
        """The first port that gateways listen on, the edge's and all others'."""
        return FIRST_GATEWAY_PORT + self.index * GATEWAY_PORTS

    @property
    def controller_port(self) -> int:
        """Where the controller listens."""
        return CONTROLLER_PORT + self.index


@dataclass(frozen=True)
class Layout:
    """The files of the sandbox of one home directory."""

    home: Path

    @classmethod
    def of(cls, home: Path) -> Layout:
        """The layout of a home directory, wherever the caller stands."""
        return cls(home.expanduser().absolute())

    @property
    def directory(self) -> Path:
        """Everything of the sandbox, mode 0700."""
        return self.home / "sandbox"

    @property
    def claim_file(self) -> Path:
        """The claim, as JSON."""
        return self.directory / "sandbox.json"

    @property
    def fleet(self) -> Path:
        """The fleet as resources, to be applied to the controller."""
        return self.directory / "fleet.yaml"

    def agent(self, name: str) -> Path:
        """The directory of one sub-cluster's agent: configuration, token, log, pods."""
        return self.directory / "agents" / name

    def gateway(self, name: str) -> Path:
        """The directory of one gateway's watched files and log."""
        return self.directory / "gateways" / name

    def pid_file(self, name: str) -> Path:
        """Where the process of an agent, of the edge or of the controller is written down."""
        return self.directory / "processes" / f"{name}.json"

    def log(self, name: str) -> Path:
        """The log of an agent, of the edge or of the controller."""
        return self.directory / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make the directories, for the owner only. Raises: InvalidInput."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (
                self.directory,
                *(self.directory / part for part in ("agents", "gateways", "processes", "logs")),
            ):
                path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                f"the sandbox needs a directory of its own: {error}", file=str(self.directory)
            ) from error

    def read_claim(self) -> Claim | None:
        """The claim of a sandbox that is up or was not taken down; None when there is none."""
        try:
            return Claim(**json.loads(self.claim_file.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInput(f"can't be read: {error}; remove it and try again", file=str(self.claim_file)) from error

    def write_claim(self, index: int) -> Claim:
        """Make a claim on a set of addresses and write it down."""
        sockets = self.directory
        if len(os.fsencode(sockets)) > LONGEST_SOCKET_DIRECTORY:
            sockets = Path(tempfile.mkdtemp(prefix="roam-"))
        claim = Claim(f"roam-{secrets.token_hex(6)}", index, str(sockets))
        write_private(self.claim_file, json.dumps(asdict(claim)))
        return claim

    def forget(self, claim: Claim) -> None:
        """Remove what belongs to the running sandbox; its logs stay until it is up again."""
        if Path(claim.sockets) != self.directory:
            shutil.rmtree(claim.sockets, ignore_errors=True)
        for part in ("agents", "gateways", "processes"):
            shutil.rmtree(self.directory / part, ignore_errors=True)
        for file in (self.fleet, self.claim_file, *self.directory.glob("*.admin")):
            file.unlink(missing_ok=True)


def admin_socket(claim: Claim, name: str) -> str:
    """The Unix socket where a gateway is administered."""
    return str(Path(claim.sockets) / f"{name}.admin")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; a reader sees all of it or the file before."""
    partial = path.with_name(f"{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(partial, path)


@dataclass(frozen=True)
class SubClusterState:
    """One sub-cluster of the sandbox, as it is. Cores, bytes and USD per hour; `running` tells whether its agent
    answers; `agent_pid` and `gateway_pid` are None when there is no such process."""

    name: str
    place: str
    region: str | None
    address: str
    agent_pid: int | None
    running: bool
    gateway_pid: int | None
    gateway_ready: bool
    pods: int
    ready_pods: int
    cpu_cores: float
    memory_bytes: float
    cpu_used_cores: float
    memory_used_bytes: float
    cpu_hour_usd: float
    memory_gib_hour_usd: float
    log: Path


@dataclass(frozen=True)
class SandboxState:
    """The sandbox, as it is. Without one (`exists` false) all else is empty."""

    exists: bool
    directory: Path
    fleet: Path
    subclusters: tuple[SubClusterState, ...] = ()
    edge_address: str = EDGE_ADDRESS
    edge_first_port: int = FIRST_GATEWAY_PORT
    edge_pid: int | None = None
    edge_ready: bool = False
    controller_pid: int | None = None
    controller_url: str = ""
    controller_ready: bool = False

    @property
    def healthy(self) -> bool:
        """Whether every agent and every gateway answers."""
        return self.exists and self.edge_ready and all(sub.running and sub.gateway_ready for sub in self.subclusters)

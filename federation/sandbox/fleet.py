"""The files of a sandbox: agents' configurations and tokens, gateways' directories, and the fleet as resources."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Final

import yaml

from federation.model.meta import API_VERSION
from federation.sandbox.layout import AGENT_PORT, EDGE, EDGE_ADDRESS, Claim, Layout, admin_socket, write_private
from federation.sandbox.places import PLACES, Document, SandboxPlace
from federation.traffic.envoy import process as envoy

# On one machine silence means death sooner than across a network.
DETECTION: Final[Document] = {"window": "1500ms", "recovery": "1s"}
STOP_WITHIN: Final = "5s"


def write(layout: Layout, claim: Claim) -> None:
    """Write everything that the processes of the sandbox read. Idempotent; tokens and routes that are there stay.

    Raises: InvalidInput, when no Envoy is installed."""
    for name in (*(place.name for place in PLACES), EDGE):
        layout.gateway(name).mkdir(mode=0o700, exist_ok=True)
    for place in PLACES:
        _write_agent(layout, claim, place)
        envoy.prepare(place.name, layout.gateway(place.name), admin_socket(claim, place.name))
    envoy.prepare(EDGE, layout.gateway(EDGE), admin_socket(claim, EDGE))
    documents = [_subcluster(layout, claim, place) for place in PLACES]
    documents += [_gateway(layout, claim, place.name, claim.address(place)) for place in PLACES]
    documents.append(_gateway(layout, claim, EDGE, EDGE_ADDRESS))
    header = "# Written by `roam sandbox up`: the four sub-clusters of this sandbox and their gateways.\n"
    write_private(layout.fleet, header + yaml.safe_dump_all(documents, sort_keys=False))


def mark_of(claim: Claim, name: str) -> str:
    """What every process of a sub-cluster, of the edge or of the controller carries in its environment."""
    return f"{claim.mark}/{name}"


def token_file(layout: Layout, name: str) -> Path:
    """The file with the token of an agent."""
    return layout.agent(name) / "token"


def config_file(layout: Layout, name: str) -> Path:
    """The file with the configuration of an agent."""
    return layout.agent(name) / "agent.json"


def agent_url(claim: Claim, place: SandboxPlace) -> str:
    """Where an agent answers."""
    return f"http://{claim.address(place)}:{AGENT_PORT}"


def _write_agent(layout: Layout, claim: Claim, place: SandboxPlace) -> None:
    layout.agent(place.name).mkdir(mode=0o700, exist_ok=True)
    token = token_file(layout, place.name)
    if not token.exists():
        write_private(token, secrets.token_urlsafe(32) + "\n")
    config = {
        "name": place.name,
        "address": claim.address(place),
        "port": AGENT_PORT,
        "block": str(claim.block(place)),
        "directory": str(layout.agent(place.name)),
        "tokenFile": str(token),
        "capacity": {"cpu": place.cpu, "memory": place.memory},
        "headroom": {"cpu": "500m", "memory": "1Gi"},
        "gateway": envoy.command(layout.gateway(place.name)),
        "mark": mark_of(claim, place.name),
        "stopWithin": STOP_WITHIN,
    }
    write_private(config_file(layout, place.name), json.dumps(config, indent=2) + "\n")


def _subcluster(layout: Layout, claim: Claim, place: SandboxPlace) -> Document:
    document = place.document({"agent": agent_url(claim, place)})
    spec = document["spec"]
    if isinstance(spec, dict):
        spec["credentials"] = {"file": str(token_file(layout, place.name))}
        spec["detection"] = dict(DETECTION)
    return document


def _gateway(layout: Layout, claim: Claim, name: str, address: str) -> Document:
    return {
        "apiVersion": API_VERSION,
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {
            "driver": "envoy",
            **({} if name == EDGE else {"subcluster": name}),
            "address": address,
            "firstPort": claim.gateway_port,
            "connection": {"directory": str(layout.gateway(name)), "admin": admin_socket(claim, name)},
        },
    }

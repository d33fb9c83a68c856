"""How the sandbox is, asked from its processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import urllib3

from federation.errors import Unavailable
from federation.model.quantity import parse_quantity
from federation.sandbox import controller, fleet, processes
from federation.sandbox.layout import EDGE, Claim, Layout, SandboxState, SubClusterState, admin_socket
from federation.sandbox.places import PLACES, SandboxPlace
from federation.traffic.envoy.admin import Admin

ANSWER_S: Final = 1.0


def status(home: Path) -> SandboxState:
    """The sandbox of a home directory; each process that does not answer costs at most a second."""
    layout = Layout.of(home)
    claim = layout.read_claim()
    if claim is None:
        return SandboxState(False, layout.directory, layout.fleet)
    edge = processes.recall(layout.pid_file(EDGE))
    serving = processes.recall(layout.pid_file(controller.NAME))
    return SandboxState(
        True,
        layout.directory,
        layout.fleet,
        subclusters=tuple(_state(layout, claim, place) for place in PLACES),
        edge_first_port=claim.gateway_port,
        edge_pid=edge.pid if edge else None,
        edge_ready=edge is not None and gateway_answers(claim, EDGE),
        controller_pid=serving.pid if serving else None,
        controller_url=controller.url(claim),
        controller_ready=serving is not None and controller.answers(claim),
    )


def agent_ready(layout: Layout, claim: Claim, place: SandboxPlace) -> bool:
    """Whether the agent and the gateway of a sub-cluster answer."""
    return _ask(layout, claim, place) is not None and gateway_answers(claim, place.name)


def gateway_answers(claim: Claim, name: str) -> bool:
    """Whether a gateway can be administered."""
    try:
        Admin(admin_socket(claim, name)).read(deadline_s=ANSWER_S)
    except Unavailable:
        return False
    return True


def _ask(layout: Layout, claim: Claim, place: SandboxPlace) -> dict[str, Any] | None:
    """What an agent says about itself; None when there is no answer."""
    try:
        token = fleet.token_file(layout, place.name).read_text().strip()
        answer = urllib3.request(
            "GET",
            f"{fleet.agent_url(claim, place)}/v1/status",
            headers={"Authorization": f"Bearer {token}"},
            timeout=ANSWER_S,
            retries=False,
        )
        found = json.loads(answer.data) if answer.status == 200 else None
    except (OSError, ValueError, urllib3.exceptions.HTTPError):
        return None
    return found if isinstance(found, dict) else None


def _state(layout: Layout, claim: Claim, place: SandboxPlace) -> SubClusterState:
    agent = processes.recall(layout.pid_file(place.name))
    told = _ask(layout, claim, place) if agent is not None else None
    said = told or {}
    used, gateway = said.get("used") or {}, said.get("gateway") or {}
    return SubClusterState(
        name=place.name,
        place=place.title,
        region=place.region,
        address=claim.address(place),
        agent_pid=agent.pid if agent else None,
        running=told is not None,
        gateway_pid=gateway.get("pid"),
        gateway_ready=told is not None and gateway_answers(claim, place.name),
        pods=int(said.get("pods", 0)),
        ready_pods=int(said.get("readyPods", 0)),
        cpu_cores=parse_quantity(place.cpu),
        memory_bytes=parse_quantity(place.memory),
        cpu_used_cores=float(used.get("cpuCores", 0.0)),
        memory_used_bytes=float(used.get("memoryBytes", 0.0)),
        cpu_hour_usd=place.cpu_hour,
        memory_gib_hour_usd=place.memory_gib_hour,
        log=layout.log(place.name),
    )

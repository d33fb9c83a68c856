"""`roam sandbox`: what the command prints. Results go to stdout, progress to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from federation.sandbox import inspect, lifecycle
from federation.sandbox.layout import SandboxState, SubClusterState

_HEADER: Final = (
    "SUB-CLUSTER",
    "PLACE",
    "ADDRESS",
    "AGENT",
    "GATEWAY",
    "PODS",
    "CPU",
    "MEMORY",
    "USD/CORE/H",
    "USD/GIB/H",
)


def up(home: Path) -> int:
    """Start it all; print what is there. Returns: the exit code."""
    began = time.monotonic()
    print("starting four sub-clusters, their gateways and a controller ...", file=sys.stderr)
    state = lifecycle.up(home)
    print(f"all of them answer after {time.monotonic() - began:.1f} s", file=sys.stderr)
    print(render(state))
    return 0


def down(home: Path) -> int:
    """Stop it all. Returns: the exit code."""
    if not inspect.status(home).exists:
        print("there is no sandbox: nothing to do", file=sys.stderr)
        return 0
    killed = lifecycle.down(home)
    print(f"the sandbox is down{f'; {killed} processes had to be killed' if killed else ''}", file=sys.stderr)
    return 0


def kill(home: Path, names: Sequence[str]) -> int:
    """Lose sub-clusters with all they run. Returns: the exit code. Raises: NotFound."""
    for name in names:
        lifecycle.kill(home, name)
        print(f"{name} is gone, with all it ran; it comes back with: roam sandbox start {name}", file=sys.stderr)
    return 0


def start(home: Path, names: Sequence[str]) -> int:
    """Bring lost sub-clusters back, empty. Returns: the exit code. Raises: NotFound, TimedOut."""
    for name in names:
        lifecycle.start(home, name)
        print(f"{name} answers", file=sys.stderr)
    return 0


def status(home: Path) -> int:
    """Print how it is. Returns: the exit code, 1 when something does not answer."""
    state = inspect.status(home)
    print(render(state))
    return 0 if state.healthy and state.controller_ready else 1


def render(state: SandboxState) -> str:
    """The sandbox as a table, with the addresses a person needs below it."""
    if not state.exists:
        return "there is no sandbox; make one with: roam sandbox up"
    rows = [_HEADER, *(_row(sub) for sub in state.subclusters)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    edge = f"http://{state.edge_address}, ports from {state.edge_first_port}"
    lines += [
        "",
        f"edge        {edge} ({_process(state.edge_pid, state.edge_ready)})",
        f"controller  {state.controller_url} ({_process(state.controller_pid, state.controller_ready)})",
        f"page        {state.controller_url}/ (asks for the token in {state.directory.parent / 'token'})",
        f"fleet       {state.fleet}",
        f"logs        {state.directory / 'logs'}",
    ]
    return "\n".join(lines)


def _row(sub: SubClusterState) -> tuple[str, ...]:
    gib = 2**30
    return (
        sub.name,
        sub.place,
        sub.address,
        _process(sub.agent_pid, sub.running),
        _process(sub.gateway_pid, sub.gateway_ready),
        f"{sub.ready_pods}/{sub.pods}",
        f"{sub.cpu_used_cores:g}/{sub.cpu_cores:g}",
        f"{sub.memory_used_bytes / gib:.3g}/{sub.memory_bytes / gib:g} GiB",
        f"{sub.cpu_hour_usd:g}",
        f"{sub.memory_gib_hour_usd:g}",
    )


def _process(pid: int | None, answers: bool) -> str:
    if pid is None:
        return "down"
    return f"pid {pid}" if answers else f"pid {pid}, silent"

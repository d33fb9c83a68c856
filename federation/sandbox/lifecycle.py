"""The sandbox's life: `up`, `down`, `status`, and the loss of a sub-cluster and its return (`kill`, `start`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from federation.errors import FederationError, NotFound, TimedOut
from federation.sandbox import claims, controller, fleet, inspect, processes
from federation.sandbox.layout import EDGE, Claim, Layout, SandboxState
from federation.sandbox.places import PLACES, SandboxPlace
from federation.traffic.envoy import process as envoy

UP_S: Final = 30.0
# An agent stops its pods within 5 s (see `fleet.STOP_WITHIN`); then it is stopped hard.
STOP_S: Final = 8.0
GONE_S: Final = 5.0


def up(home: Path, *, with_controller: bool = True, timeout_s: float = UP_S) -> SandboxState:
    """Start the four sub-clusters, their gateways, the edge and (unless told otherwise) the controller, which is handed
    the fleet; returns when all of them answer. What runs already is left as it is.

    Raises: TimedOut, naming what does not answer and its log; InvalidInput (no Envoy installed); NoCapacity (too many
    sandboxes). After a failure nothing runs that did not run before."""
    layout = Layout.of(home)
    layout.make()
    with claims.locked(layout.directory / "lock"):
        known = layout.read_claim()
        if known is not None:
            return _raise_up(layout, known, with_controller, timeout_s)
        with claims.choosing():
            claim = layout.write_claim(claims.free_set())
            try:
                return _raise_up(layout, claim, with_controller, timeout_s)
            except BaseException:
                _bring_down(layout, claim)
                raise


def down(home: Path) -> int:
    """Stop everything gracefully, then whatever is left hard. Returns: how many processes had to be killed.

    Idempotent: without a sandbox there is nothing to do. Raises: FederationError, when something can't be killed."""
    layout = Layout.of(home)
    if not layout.directory.is_dir():
        return 0
    with claims.locked(layout.directory / "lock"):
        claim = layout.read_claim()
        return _bring_down(layout, claim) if claim is not None else 0


def kill(home: Path, name: str) -> None:
    """Lose a sub-cluster: SIGKILL to its agent, and with it goes all that it runs, its gateway too.

    Returns when nothing of it is left; idempotent. Raises: NotFound (no such sub-cluster or sandbox)."""
    layout, claim, place = _find(home, name)
    agent = processes.recall(layout.pid_file(place.name))
    if agent is not None:
        processes.kill([agent])
    # What the agent ran is killed by its runner, which notices at once; this only waits for it.
    mark = fleet.mark_of(claim, name)
    if not processes.wait_until(lambda: not processes.marked(mark), GONE_S):
        processes.sweep(mark)


def start(home: Path, name: str, *, timeout_s: float = UP_S) -> None:
    """Bring a lost sub-cluster back, empty but for what was claimed; returns when agent and gateway answer. Idempotent.

    Raises: NotFound (no such sub-cluster or sandbox); TimedOut."""
    layout, claim, place = _find(home, name)
    with claims.locked(layout.directory / "lock"):
        _start_agent(layout, claim, place)
        _await(layout, {name: lambda: inspect.agent_ready(layout, claim, place)}, timeout_s)


def _find(home: Path, name: str) -> tuple[Layout, Claim, SandboxPlace]:
    layout = Layout.of(home)
    claim = layout.read_claim()
    if claim is None:
        raise NotFound(f"there is no sandbox in {layout.home}; make one with: roam sandbox up")
    place = next((place for place in PLACES if place.name == name), None)
    if place is None:
        raise NotFound(f"the sandbox has no sub-cluster {name!r}; it has {', '.join(place.name for place in PLACES)}")
    return layout, claim, place


def _raise_up(layout: Layout, claim: Claim, with_controller: bool, timeout_s: float) -> SandboxState:
    """Start what does not run, and wait for all of it. What was started goes again when not all of it answers."""
    started: list[processes.Handle | None] = []
    wanted: dict[str, Callable[[], bool]] = {}
    try:
        fleet.write(layout, claim)
        for place in PLACES:
            started.append(_start_agent(layout, claim, place))
            wanted[place.name] = partial(inspect.agent_ready, layout, claim, place)
        started.append(_start_edge(layout, claim))
        wanted[EDGE] = partial(inspect.gateway_answers, claim, EDGE)
        if with_controller:
            started.append(_start_controller(layout, claim))
            wanted[controller.NAME] = partial(controller.answers, claim)
        _await(layout, wanted, timeout_s)
        if with_controller:
            controller.run(layout.home, controller.apply_command(layout.fleet))
    except BaseException:
        processes.stop([handle for handle in started if handle is not None], within_s=STOP_S)
        raise
    return inspect.status(layout.home)


def _start_agent(layout: Layout, claim: Claim, place: SandboxPlace) -> processes.Handle | None:
    mark = fleet.mark_of(claim, place.name)

    def spawn() -> processes.Handle:
        # What an agent that was killed together with its runner may have left would hold its addresses.
        processes.sweep(mark)
        command = [
            sys.executable,
            "-m",
            "providers.local.agent",
            "--config",
            str(fleet.config_file(layout, place.name)),
        ]
        return processes.spawn(command, mark=f"{mark}/agent", log=layout.log(place.name), environment=_environment())

    return _unless_running(layout, place.name, spawn)


def _start_edge(layout: Layout, claim: Claim) -> processes.Handle | None:
    def spawn() -> processes.Handle:
        command = envoy.command(layout.gateway(EDGE))
        mark = f"{fleet.mark_of(claim, EDGE)}/gateway"
        return processes.spawn(command, mark=mark, log=layout.log(EDGE), environment=_environment())

    return _unless_running(layout, EDGE, spawn)


def _start_controller(layout: Layout, claim: Claim) -> processes.Handle | None:
    return _unless_running(layout, controller.NAME, lambda: controller.spawn(layout, claim))


def _unless_running(layout: Layout, name: str, spawn: Callable[[], processes.Handle]) -> processes.Handle | None:
    """Returns: the process if it had to be started, None when it runs already."""
    if processes.recall(layout.pid_file(name)) is not None:
        return None
    handle = spawn()
    processes.remember(layout.pid_file(name), handle)
    return handle


def _environment() -> dict[str, str]:
    """What agents and gateways need, and nothing else of this process's environment."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _await(layout: Layout, wanted: dict[str, Callable[[], bool]], timeout_s: float) -> None:
    """Wait until all of `wanted` (by the name of its log) hold. Raises: TimedOut, with the end of the first log."""
    waiting = dict(wanted)

    def all_answer() -> bool:
        for name in [name for name, ready in waiting.items() if ready()]:
            del waiting[name]
        died = [name for name in waiting if processes.recall(layout.pid_file(name)) is None]
        if died:
            log = layout.log(died[0])
            raise FederationError(f"{died[0]} of the sandbox ended; see {log}:\n{processes.tail(log)}")
        return not waiting

    if not processes.wait_until(all_answer, timeout_s):
        name = next(iter(waiting))
        log = layout.log(name)
        raise TimedOut(f"{', '.join(waiting)} did not answer within {timeout_s:g} s; see {log}:\n{processes.tail(log)}")


def _bring_down(layout: Layout, claim: Claim) -> int:
    names = (EDGE, *(place.name for place in PLACES))
    serving = processes.recall(layout.pid_file(controller.NAME))
    if serving is not None:
        # First, so that it does not take what follows for a loss.
        processes.stop([serving], within_s=STOP_S)
    handles = [processes.recall(layout.pid_file(name)) for name in names]
    processes.stop([handle for handle in handles if handle is not None], within_s=STOP_S)
    left = processes.sweep(claim.mark)
    layout.forget(claim)
    return left

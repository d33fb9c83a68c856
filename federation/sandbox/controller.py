"""The controller of a sandbox: `roam serve` as a detached process, and the commands that talk to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import urllib3

from federation.errors import FederationError
from federation.sandbox import processes
from federation.sandbox.layout import Claim, Layout

NAME: Final = "controller"
ROAM: Final = (sys.executable, "-m", "federation")
APPLY_S: Final = 30.0


def serve_command(home: Path, claim: Claim) -> list[str]:
    """The command line of the controller."""
    listen = f"127.0.0.1:{claim.controller_port}"
    return [*ROAM, "serve", "--home", str(home), "--listen", listen, "--write-context", "--log-level", "info"]


def apply_command(*files: Path) -> list[str]:
    """The command line that hands resources to the controller."""
    return [*ROAM, "apply", *(word for file in files for word in ("-f", str(file)))]


def environment(home: Path) -> dict[str, str]:
    """This process's environment, with `home` as Roam's home and no other server named."""
    kept = {name: value for name, value in os.environ.items() if name not in ("ROAM_SERVER", "ROAM_TOKEN_FILE")}
    return kept | {"ROAM_HOME": str(home)}


def url(claim: Claim) -> str:
    """Where the controller answers."""
    return f"http://127.0.0.1:{claim.controller_port}"


def answers(claim: Claim) -> bool:
    """Whether it answers."""
    try:
        urllib3.request("GET", f"{url(claim)}/healthz", timeout=1.0, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return True


def run(home: Path, command: Sequence[str]) -> None:
    """Run one `roam` command to its end. Raises: FederationError with what it complained about."""
    try:
        done = subprocess.run(
            command, env=environment(home), capture_output=True, text=True, check=False, timeout=APPLY_S
        )
    except subprocess.TimeoutExpired as error:
        raise FederationError(f"roam {command[3]} did not end within {APPLY_S:g} s") from error
    if done.returncode != 0:
        raise FederationError(f"roam {command[3]} ended with {done.returncode}: {done.stderr.strip()}")


def spawn(layout: Layout, claim: Claim) -> processes.Handle:
    """Start the controller. Raises: FederationError."""
    return processes.spawn(
        serve_command(layout.home, claim),
        mark=f"{claim.mark}/{NAME}/serve",
        log=layout.log(NAME),
        environment=environment(layout.home),
    )

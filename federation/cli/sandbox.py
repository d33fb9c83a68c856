"""`roam sandbox`: four local sub-clusters on this machine."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from federation.cli.parsing import home


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "up      starts the sub-clusters, their gateways and a server, and makes it the one commands talk to\n"
        "status  says what runs\n"
        "down    stops all of it and leaves nothing behind"
    )
    parser.add_argument("action", choices=("up", "down", "status"))


def run(args: Any) -> int:
    """Do what is asked for."""
    from federation.sandbox import command

    actions = {"up": command.up, "down": command.down, "status": command.status}
    return actions[args.action](home())

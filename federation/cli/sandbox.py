"""`roam sandbox`: four local sub-clusters on this machine."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from federation.cli.parsing import home
from federation.errors import InvalidInput


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "up         starts the sub-clusters, their gateways and a server, and makes it the one commands talk to\n"
        "status     says what runs\n"
        "kill SUB   loses a sub-cluster hard, with all it runs and its gateway; start SUB brings it back, empty\n"
        "down       stops all of it and leaves nothing behind"
    )
    parser.add_argument("action", choices=("up", "down", "status", "kill", "start"))
    parser.add_argument("names", nargs="*", metavar="SUB", help="with kill and start: a sub-cluster's name")


def run(args: Any) -> int:
    """Do what is asked for."""
    from federation.sandbox import command

    if args.action in ("kill", "start"):
        if not args.names:
            raise InvalidInput(f"{args.action} takes a sub-cluster's name (roam sandbox --help)")
        return (command.kill if args.action == "kill" else command.start)(home(), args.names)
    if args.names:
        raise InvalidInput(f"unexpected {args.names[0]!r} (roam sandbox --help)")
    actions = {"up": command.up, "down": command.down, "status": command.status}
    return actions[args.action](home())

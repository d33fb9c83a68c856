"""`roam subcluster`: fleet upkeep. `remove` is `roam delete subcluster`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from federation.cli import delete
from federation.cli.parsing import add_connection, add_timeout


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "remove  moves everything away and takes the sub-cluster out of the fleet; what has nowhere to go keeps it\n\n"
        "exit codes: 0 gone, 3 and 4 something can't leave, 5 not in time (it goes on)"
    )
    parser.add_argument("action", choices=("remove",))
    parser.add_argument("names", nargs="+", metavar="SUB", help="a sub-cluster's name")
    delete.add_manner(parser)
    add_timeout(parser, "10m")
    add_connection(parser)
    parser.set_defaults(files=[], namespace="", all_namespaces=False, selector="", all=False)


def run(args: Any) -> int:
    """Do what is asked for."""
    args.what = ["subcluster", *args.names]
    return delete.run(args)

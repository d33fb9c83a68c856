"""`roam unpin`: let the planner move a service again that was moved by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from federation.cli.client import path_of
from federation.cli.parsing import add_connection, add_namespace, connect, split_name
from federation.errors import NotFound


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    add_namespace(parser)
    add_connection(parser)


def run(args: Any) -> int:
    """Clear the pin. Done already is done."""
    namespace, name = split_name(args.service, args.namespace)
    path = path_of("placements", namespace, name)
    with connect(args) as client:
        try:
            pinned = client.get(path)["spec"]["pinned"]
        except NotFound as error:
            raise NotFound(f"{namespace}/{name} has no placement: no such service, or not planned yet") from error
        if pinned is None:
            print(f"placement/{name} unchanged: not pinned")
            return 0
        client.patch(path, {"spec": {"pinned": None}})
    print(f"placement/{name} unpinned: was held in {pinned}")
    return 0

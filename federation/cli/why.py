"""`roam why`: the reasons for and against each place of one service."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from federation.cli.output import print_json
from federation.cli.parsing import add_connection, add_files, add_namespace, split_name
from federation.cli.plan import DENIED, NO_ROOM, gather

if TYPE_CHECKING:
    from federation.model.meta import Key, Resource
    from federation.model.placement import Target


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each sub-cluster is judged with all other services held where the plan puts them: chosen, feasible (and how\n"
        "much dearer, term by term), full, or denied (by which rule of which policy)."
    )
    parser.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    add_files(parser, required=False)
    add_namespace(parser)
    parser.add_argument("-o", "--output", default="table", choices=("table", "json"), help="how to show it")
    parser.add_argument("--offline", action="store_true", help="never ask a server")
    add_connection(parser)


def run(args: Any) -> int:
    """Show the candidates."""
    from federation.app import plan_resources
    from federation.cli.world import find_service
    from federation.model.meta import Key

    resources = gather(args)
    service = find_service(resources, Key(*split_name(args.service, args.namespace)))
    found = plan_resources(resources, time.time(), certify=False).candidates(service.key)
    if args.output == "json":
        print_json(found.model_dump(mode="json"))
    else:
        from federation.cli.plantable import print_candidates

        print_candidates(found, _committed(resources, service.key))
    return {"denied": DENIED, "full": NO_ROOM, "placed": 0}[found.verdict]


def _committed(resources: Iterable[Resource], key: Key) -> tuple[Target, ...]:
    from federation.model.placement import Placement

    found = (each.spec.targets for each in resources if isinstance(each, Placement) and each.key == key)
    return next(found, ())

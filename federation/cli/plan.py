"""`roam plan`: where everything would run, what it costs and why."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federation.cli.output import note, print_json
from federation.cli.parsing import add_connection, add_files, add_namespace, connect
from federation.errors import InvalidInput

if TYPE_CHECKING:
    from federation.cli.changes import PlanShown
    from federation.intake.loading import Manifests
    from federation.model.meta import Resource

PENDING, NO_ROOM, DENIED = 2, 3, 4


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "With sub-clusters among the files everything is computed from the files alone; otherwise the server's\n"
        "objects are read and the files laid over them. Nothing is changed.\n\n"
        "exit codes: 4 a service is denied everywhere, 3 one has no room, 2 changes are pending\n"
        "(--detailed-exitcode only), 0 otherwise"
    )
    add_files(parser, required=False)
    add_namespace(parser)
    parser.add_argument("-o", "--output", default="table", choices=("table", "json", "markdown"), help="how to show it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the plan there, for roam apply FILE")
    parser.add_argument("--offline", action="store_true", help="never ask a server")
    parser.add_argument("--detailed-exitcode", action="store_true", help="2 when the plan differs from what runs")
    add_connection(parser)


def run(args: Any) -> int:
    """Show the plan."""
    from federation.app import plan_resources
    from federation.cli.changes import shown
    from federation.cli.world import overlay

    stored, new = read_world(args)
    resources = overlay(stored or (), new)
    judgement = plan_resources(resources, time.time())
    for warning in judgement.request.warnings:
        note(f"roam: warning: {warning}")
    plan = shown(judgement, resources)
    if args.out is not None:
        from federation.cli.planfile import write_plan

        write_plan(args.out, plan.document(), stored, new)
    if args.output == "json":
        print_json(plan.document())
    else:
        from federation.cli.plantable import print_markdown, print_plan

        print_markdown(plan) if args.output == "markdown" else print_plan(plan)
    return exit_code(plan, detailed=args.detailed_exitcode)


def gather(args: Any) -> tuple[Resource, ...]:
    """The objects to plan: the files', or the server's with the files' laid over them.

    Raises: InvalidInput, Unavailable."""
    from federation.cli.world import overlay

    stored, new = read_world(args)
    return overlay(stored or (), new)


def read_world(args: Any) -> tuple[tuple[Resource, ...] | None, tuple[Resource, ...]]:
    """The server's objects, None where none is asked, and the files'. Raises: InvalidInput, Unavailable."""
    from federation.cli.world import load_files

    return beside_server(args, load_files(args.files, args.namespace) if args.files else None)


def beside_server(args: Any, manifests: Manifests | None) -> tuple[tuple[Resource, ...] | None, tuple[Resource, ...]]:
    """As `read_world`, for files that are read already; None for no files."""
    from federation.cli.world import fetch, tell
    from federation.model.microservice import Microservice

    if args.offline or (manifests is not None and manifests.subclusters):
        if manifests is None or not manifests.subclusters:
            raise InvalidInput("offline, the files must hold the sub-clusters too: add -f FLEET")
        tell(manifests)
        return None, manifests.resources
    with connect(args) as client:
        stored = fetch(client)
    if manifests is not None:
        manifests = manifests.beside([each for each in stored if isinstance(each, Microservice)])
        tell(manifests)
    if not any(each.kind_name == "SubCluster" for each in stored):
        note("roam: warning: the server knows no sub-cluster yet; apply some, or add -f FLEET")
    return stored, manifests.resources if manifests is not None else ()


def exit_code(plan: PlanShown, *, detailed: bool) -> int:
    """As the table of exit codes says: denial before lack of room before pending changes."""
    verdicts = {service.verdict for service in plan.plan.placements}
    if "denied" in verdicts:
        return DENIED
    if "full" in verdicts:
        return NO_ROOM
    return PENDING if detailed and plan.changes else 0

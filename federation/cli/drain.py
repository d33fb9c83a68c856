"""`roam drain`: move everything away from a sub-cluster."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.emptying import find_subclusters, follow_emptying, still_there
from federation.cli.output import note, print_json
from federation.cli.parsing import add_connection, add_timeout, connect
from federation.errors import InvalidInput

_PARALLEL = 2


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each service moves as its policies say, a few at a time; nothing new is placed there until roam uncordon.\n"
        "What has nowhere to go keeps running where it is.\n\n"
        "exit codes with --wait and --dry-run: 0 empty, 3 something has no room elsewhere, 4 something is denied\n"
        "everywhere else, 5 not empty in time (it goes on)"
    )
    parser.add_argument("subcluster", metavar="SUB", help="the sub-cluster to empty")
    parser.add_argument(
        "--parallel", metavar="N", type=_parallel, help=f"so many services at a time (default: {_PARALLEL})"
    )
    parser.add_argument("--dry-run", action="store_true", help="say where everything would go, change nothing")
    parser.add_argument("-o", "--output", default="table", choices=("table", "json"), help="how to show the dry run")
    parser.add_argument("--wait", action="store_true", help="until it is empty, with each move's progress on stderr")
    add_timeout(parser, "30m")
    add_connection(parser)


def run(args: Any) -> int:
    """Start to empty it, and see it through if asked to."""
    if args.output != "table" and not args.dry_run:
        raise InvalidInput("-o is for --dry-run")
    with connect(args) as client:
        item = find_subclusters(client, [args.subcluster])[0]
        if args.dry_run:
            return _dry_run(client, args)
        name, drain = item["metadata"]["name"], item["spec"]["drain"]
        parallel = args.parallel or (drain["parallel"] if drain else _PARALLEL)
        change = {"unschedulable": True, "drain": {"parallel": parallel}}
        if drain != change["drain"] or not item["spec"]["unschedulable"]:
            client.patch(path_of("subclusters", None, name), {"spec": change})
        count = len(still_there(client.items("placements")[0], [name]))
        if not count:
            print(f"subcluster/{name} drained: nothing runs there", flush=True)
            return 0
        already = "draining already" if drain else "draining"
        services = f"{count} {'service has' if count == 1 else 'services have'} to leave"
        print(f"subcluster/{name} {already}: {services}, {parallel} at a time", flush=True)
        if not args.wait:
            note(f"see it through with: roam drain {name} --wait; end it with: roam uncordon {name}")
            return 0
        follow_emptying(client, [name], args.timeout)
        print(f"subcluster/{name} drained: nothing runs there any more")
    return 0


def _dry_run(client: Client, args: Any) -> int:
    from federation.cli.foresight import foresee, print_foresight
    from federation.cli.world import fetch
    from federation.model.subcluster import Drain, SubCluster

    before = fetch(client)
    after = [
        each.model_copy(update={"spec": each.spec.model_copy(update={"unschedulable": True, "drain": Drain()})})
        if isinstance(each, SubCluster) and each.metadata.name == args.subcluster
        else each
        for each in before
    ]
    found = foresee(before, after, time.time())
    if args.output == "json":
        print_json(found.document())
    else:
        print(f"subcluster/{args.subcluster} would be drained (dry run)")
        print_foresight(found)
    return found.exit_code


def _parallel(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise ArgumentTypeError(f"{text!r}: a number from 1 to 1000")
    return int(text)

"""`roam cordon` and `uncordon`: no new work for a sub-cluster, and work again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from federation.cli.client import path_of
from federation.cli.emptying import find_subclusters, still_there
from federation.cli.parsing import Verb, add_connection, connect
from federation.errors import InvalidInput


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("subclusters", nargs="+", metavar="SUB", help="a sub-cluster's name")
    add_connection(parser)


def _configure_cordon(parser: ArgumentParser) -> None:
    parser.epilog = "What runs there stays; roam drain moves it away. roam uncordon ends it."
    _configure(parser)


def _configure_uncordon(parser: ArgumentParser) -> None:
    parser.epilog = "It ends a drain too: moves under way go on, no further ones begin, and what has left stays away."
    _configure(parser)


def _cordon(args: Any) -> int:
    with connect(args) as client:
        found = find_subclusters(client, args.subclusters)
        for item in found:
            name = item["metadata"]["name"]
            if item["spec"]["unschedulable"] or item["spec"]["drain"] is not None:
                print(f"subcluster/{name} unchanged: {'draining' if item['spec']['drain'] else 'cordoned'} already")
                continue
            client.patch(path_of("subclusters", None, name), {"spec": {"unschedulable": True}})
            count = len(still_there(client.items("placements")[0], [name]))
            stay = (
                f"{count} {'service stays' if count == 1 else 'services stay'} there" if count else "nothing runs there"
            )
            print(f"subcluster/{name} cordoned: takes no new work, {stay}")
    return 0


def _uncordon(args: Any) -> int:
    with connect(args) as client:
        found = find_subclusters(client, args.subclusters)
        for item in found:
            if item["metadata"].get("deletionTimestamp"):
                raise InvalidInput(
                    f"{item['metadata']['name']} is being removed from the fleet, and that can't be taken back; "
                    "apply it again once it is gone"
                )
        for item in found:
            name, spec = item["metadata"]["name"], item["spec"]
            if not spec["unschedulable"] and spec["drain"] is None:
                print(f"subcluster/{name} unchanged: not cordoned")
                continue
            client.patch(path_of("subclusters", None, name), {"spec": {"unschedulable": False, "drain": None}})
            print(f"subcluster/{name} uncordoned{': its drain ends' if spec['drain'] else ''}")
    return 0


CORDON = Verb(_configure_cordon, _cordon)
UNCORDON = Verb(_configure_uncordon, _uncordon)

"""`roam describe`: everything about an object that a person wants to know, on one page."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from federation.cli import clock
from federation.cli.output import note
from federation.cli.parsing import add_all_namespaces, add_connection, add_namespace, add_selector, connect
from federation.cli.selection import check_selection, fail_missing, parse_words, select

if TYPE_CHECKING:
    from federation.cli.describing.facts import Facts
    from federation.cli.sheet import Sheet

Object = Mapping[str, Any]
_PAGES = {
    "Microservice": "microservice:show_microservice",
    "Placement": "microservice:show_placement_page",
    "SubCluster": "subcluster:show_subcluster",
    "Migration": "migration:show_migration",
    "PlacementPolicy": "policy:show_policy",
    "ClusterPlacementPolicy": "policy:show_policy",
    "Gateway": "policy:show_gateway",
    "Event": "policy:show_event",
    "Revision": "policy:show_revision",
}


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Of a microservice: what it needs and calls, where it runs and why, moves under way, what may not stay\n"
        "where it is and when it leaves, the settings that hold with the policy each is from, what happened last.\n\n"
        "examples:\n"
        "  roam describe ms cart -n shop       one microservice\n"
        "  roam describe sub ec2-frankfurt     a sub-cluster: health, offers, use, what runs there\n"
        "  roam describe migration/cart-x7k2p  a move: phases, times, traffic\n"
        "  roam describe cpp                   all policies of the fleet, and whom each is about\n\n"
        "For programs there is roam get -o json.\n"
        "exit codes: 1 something that was named does not exist"
    )
    parser.add_argument("what", nargs="+", metavar="KIND[/NAME]", help="a kind (or several: ms,sub), then names")
    add_namespace(parser)
    add_all_namespaces(parser)
    add_selector(parser)
    add_connection(parser)


def run(args: Any) -> int:
    """Show the pages."""
    from federation.cli.describing.facts import Facts
    from federation.cli.sheet import Sheet

    wanted = parse_words(args.what)
    check_selection(wanted, args.selector, all_namespaces=args.all_namespaces)
    namespace = None if args.all_namespaces else args.namespace
    with connect(args) as client:
        found = [select(client, one, namespace, args.selector) for one in wanted]
        facts = Facts(client, clock.now())
        items = [item for one in found for item in one.items]
        for index, item in enumerate(items):
            if index:
                print("\n")
            _page(item["kind"])(Sheet(), item, facts)
        if not items and not any(one.names for one in wanted):
            plurals = ", ".join(one.kind.plural for one in wanted)
            note(f"No {plurals} found" + (f" in namespace {namespace}." if namespace else "."))
        fail_missing(found)
    return 0


def _page(kind: str) -> Callable[[Sheet, Object, Facts], None]:
    module, _, name = _PAGES[kind].partition(":")
    return cast(
        "Callable[[Sheet, Object, Facts], None]", getattr(import_module(f"federation.cli.describing.{module}"), name)
    )

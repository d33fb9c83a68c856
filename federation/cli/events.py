"""`roam events`: what happened, and why."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from federation.cli import clock
from federation.cli.client import Client
from federation.cli.happenings import FLEET_EVENTS, About, ordered, regarding_of, seconds_of, time_of, when
from federation.cli.kinds import find_kind
from federation.cli.output import note, print_json_line, print_objects
from federation.cli.parsing import (
    add_all_namespaces,
    add_connection,
    add_namespace,
    add_output,
    add_watch,
    connect,
    seconds,
    split_name,
)
from federation.cli.selection import parse_words, read
from federation.cli.table import TableWriter
from federation.errors import Expired, InvalidInput

Object = Mapping[str, Any]
_TITLES = ("TYPE", "REASON", "OBJECT", "MESSAGE")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "The newest stand last. Of a service: also those of its placement and its moves. Those about sub-clusters and\n"
        f"other things of the whole fleet are in the namespace {FLEET_EVENTS}.\n\n"
        "examples:\n"
        "  roam events cart -n shop            what happened to a service, and why\n"
        "  roam events -A -w                   everything, as it happens, with the time of day\n"
        "  roam events --for sub/ec2-frankfurt --since 1h\n"
        "  roam events -A --type Warning -o json"
    )
    parser.add_argument("service", nargs="?", metavar="SERVICE", help="only about this one: NAME or NAMESPACE/NAME")
    parser.add_argument("--for", dest="about", metavar="KIND/NAME", help="only about this object")
    parser.add_argument("--since", type=seconds, metavar="TIME", help="only of the last 90s, 10m, 1h, ...")
    parser.add_argument("--type", choices=("Normal", "Warning"), help="only of this type")
    add_namespace(parser)
    add_all_namespaces(parser)
    add_watch(parser)
    add_output(parser, "table", "wide", "json", "yaml", "name")
    add_connection(parser)


def run(args: Any) -> int:
    """Show the events."""
    if (args.service or args.about) and args.all_namespaces:
        raise InvalidInput("an object is in one namespace: leave out --all-namespaces")
    if args.service and args.about:
        raise InvalidInput("name a SERVICE, or any object with --for, not both")
    if args.watch and args.output == "yaml":
        raise InvalidInput("--watch gives tables, or with -o json one document per line")
    with connect(args) as client:
        about = _about(client, args)
        namespace = _namespace(about, args)
        items, version = client.items("events", namespace)
        if about is not None:
            items = about.events()
            if not items:
                read(client, about.kind, about.namespace, about.name)
        found = ordered([one for one in items if _wanted(one, args)])
        if args.watch:
            _follow(client, found, about, version, args)
        elif args.output in ("json", "yaml", "name"):
            print_objects(found, args.output)
        elif found:
            _Rows(args).show(found)
        else:
            note(f"No events {_where(about, namespace)}.")
    return 0


def _follow(client: Client, found: Sequence[Object], about: About | None, version: str, args: Any) -> None:
    rows = _Rows(args)
    if args.output in ("table", "wide") and found:
        rows.show(found)
        found = ()
    for one in found:
        _show_one(one, rows, args)
    for one in _changes(client, _namespace(about, args), version):
        if (about is None or about.matches(one)) and _wanted(one, args):
            _show_one(one, rows, args)


def _about(client: Client, args: Any) -> About | None:
    if args.service:
        return About(client, find_kind("ms"), *split_name(args.service, args.namespace))
    if not args.about:
        return None
    if "/" not in args.about:
        raise InvalidInput(f"--for takes KIND/NAME, such as ms/cart, not {args.about!r}")
    wanted = parse_words([args.about])
    return About(client, wanted[0].kind, args.namespace, wanted[0].names[0])


def _namespace(about: About | None, args: Any) -> str | None:
    if about is None:
        return None if args.all_namespaces else str(args.namespace)
    return about.namespace if about.kind.namespaced else FLEET_EVENTS


def _where(about: About | None, namespace: str | None) -> str:
    if about is not None:
        space = f"{about.namespace}/" if about.kind.namespaced else ""
        return f"about {about.kind.singular} {space}{about.name}"
    return "in any namespace" if namespace is None else f"in namespace {namespace}"


def _wanted(event: Object, args: Any) -> bool:
    if args.since is not None and seconds_of(event["eventTime"]) < clock.now() - args.since:
        return False
    return args.type is None or event["type"] == args.type


def _changes(client: Client, namespace: str | None, version: str) -> Iterator[Object]:
    while True:
        try:
            for change in client.watch("events", namespace, "", version):
                if change["type"] != "DELETED":
                    yield change["object"]
        except Expired:
            items, version = client.items("events", namespace)
            yield from ordered(items)


class _Rows:
    """The table, which grows while events are watched. Ages would soon be wrong there, so it tells times of day."""

    def __init__(self, args: Any):
        self._spaces = args.all_namespaces
        self._time = "TIME" if args.watch or args.output == "wide" else "AGE"
        self._day = not args.watch
        titles = [*(["NAMESPACE"] if self._spaces else []), self._time, *_TITLES]
        self._table = TableWriter(titles, wrap=True)

    def show(self, events: Sequence[Object]) -> None:
        now = clock.now()
        self._table.write([self._cells(one, now) for one in events])

    def _cells(self, event: Object, now: float) -> list[str]:
        first = [event["metadata"]["namespace"]] if self._spaces else []
        time = when(event, now) if self._time == "AGE" else time_of(event, day=self._day)
        what = (event["type"], event["reason"], regarding_of(event), event["message"])
        return [*first, time, *map(str, what)]


def _show_one(event: Object, rows: _Rows, args: Any) -> None:
    if args.output == "json":
        print_json_line(event)
    elif args.output == "name":
        print_objects([event], "name")
    else:
        rows.show([event])

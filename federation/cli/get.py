"""`roam get`: show objects."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from federation.cli import clock
from federation.cli.client import Client
from federation.cli.columns import Column, columns_of
from federation.cli.kinds import Kind
from federation.cli.output import note, print_json_line, print_objects, print_yaml, title_of
from federation.cli.parsing import add_all_namespaces, add_connection, add_namespace, add_output, add_selector, connect
from federation.cli.selection import Found, check_selection, fail_missing, parse_words, select
from federation.cli.table import TableWriter
from federation.errors import Denied, Expired, InvalidInput

Object = Mapping[str, Any]
_EPILOG = """A kind is written as its plural, singular or short name: microservices (ms), placements (pl), subclusters
(sub), migrations (mig), placementpolicies (pp), clusterplacementpolicies (cpp), events (ev), gateways (gw);
several with commas; `all` is a namespace's services, placements, migrations and policies.

examples:
  roam get placements -A            where everything runs
  roam get ms cart -o yaml          one microservice, whole
  roam get sub                      the sub-clusters
  roam get all -n shop              what there is in a namespace
  roam get pl -A -l 'app in (cart, web)' -o wide
  roam get migrations -w            moves as they go on

With --watch, -o json is one document per line and change.
exit codes: 1 something that was named does not exist"""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("what", nargs="+", metavar="KIND[/NAME]", help="a kind (or several: ms,placements), then names")
    add_namespace(parser)
    add_all_namespaces(parser)
    add_selector(parser)
    add_output(parser)
    parser.add_argument("-w", "--watch", action="store_true", help="go on with what changes")
    parser.add_argument(
        "--output-watch-events", action="store_true", help="with --watch: say what kind of change it is"
    )
    parser.add_argument("--no-headers", action="store_true", help="tables without titles")
    parser.add_argument("--show-labels", action="store_true", help="a column with the labels")
    add_connection(parser)


def run(args: Any) -> int:
    """Show what is asked for."""
    wanted = parse_words(args.what)
    if args.watch and len(wanted) > 1:
        raise InvalidInput("--watch follows one kind at a time")
    if args.output_watch_events and not args.watch:
        raise InvalidInput("--output-watch-events goes with --watch")
    check_selection(wanted, args.selector, all_namespaces=args.all_namespaces)
    namespace = None if args.all_namespaces else args.namespace
    with connect(args) as client:
        if args.watch:
            found = select(client, wanted[0], namespace, args.selector)
            fail_missing([found])
            _watch(client, found, set(wanted[0].names), args)
            return 0
        all_found = [select(client, one, namespace, args.selector) for one in wanted]
        single = len(wanted) == 1 and len(wanted[0].names) == 1
        if args.output in ("table", "wide"):
            _print_tables(client, all_found, args, named=any(one.names for one in wanted))
        else:
            items = [item for one in all_found for item in one.items]
            if items or not single:
                print_objects(items, args.output, single=single)
        fail_missing(all_found)
    return 0


def _print_tables(client: Client, found: Sequence[Found], args: Any, *, named: bool) -> None:
    shown = [one for one in found if one.items]
    for index, one in enumerate(shown):
        if index:
            print()
        _Rows(one.kind, args, prefix=len(shown) > 1).show(one.items)
    if not shown and not named:
        _say_nothing_found(client, [one.kind for one in found], args)


class _Rows:
    """The table of one kind."""

    def __init__(self, kind: Kind, args: Any, *, prefix: bool = False):
        wide = args.output == "wide"
        self._columns = [*_leading(kind, args), *columns_of(kind.name, wide=wide)]
        if prefix:
            self._columns = [_prefixed(one) if one.title == "NAME" else one for one in self._columns]
        if args.show_labels:
            self._columns.append(Column("LABELS", _labels))
        self._change = args.output_watch_events
        titles = [*(["EVENT"] if self._change else []), *(column.title for column in self._columns)]
        self._table = TableWriter(titles, header=not args.no_headers, fit=not wide)
        self._by_time = kind.name == "Event"

    def show(self, items: Sequence[Object], change: str = "ADDED") -> None:
        now = clock.now()
        if self._by_time:
            items = sorted(items, key=lambda item: str(item["eventTime"]))
        first = [change] if self._change else []
        self._table.write([[*first, *(column.cell(item, now) for column in self._columns)] for item in items])


def _leading(kind: Kind, args: Any) -> list[Column]:
    if not (args.all_namespaces and kind.namespaced):
        return []
    return [Column("NAMESPACE", lambda item, _now: str(item["metadata"]["namespace"]))]


def _prefixed(column: Column) -> Column:
    return Column(column.title, lambda item, _now: title_of(item))


def _labels(item: Object, _now: float) -> str:
    return ",".join(f"{key}={value}" for key, value in item["metadata"].get("labels", {}).items()) or "<none>"


def _say_nothing_found(client: Client, kinds: list[Kind], args: Any) -> None:
    plurals = ", ".join(kind.plural for kind in kinds)
    if args.all_namespaces or args.selector or not any(kind.namespaced for kind in kinds):
        note(f"No {plurals} found.")
        return
    others: set[str] = set()
    # A token for some namespaces may not look into all.
    with suppress(Denied):
        for kind in kinds:
            others |= {item["metadata"]["namespace"] for item in client.items(kind.plural)[0] if kind.namespaced}
    hint = f" There are some in {', '.join(sorted(others))}: use -n or -A." if others else ""
    note(f"No {plurals} found in namespace {args.namespace}.{hint}")


def _watch(client: Client, found: Found, names: set[str], args: Any) -> None:
    """What is there, then each change, for ever."""
    rows = _Rows(found.kind, args) if args.output in ("table", "wide") else None
    if rows is not None and found.items:
        rows.show(found.items)
    for item in found.items if rows is None else ():
        _print_one("ADDED", item, args)
    namespace = args.namespace if found.kind.namespaced and not args.all_namespaces else None
    for change, item in _changes(client, found.kind, namespace, args.selector, found.version):
        if names and item["metadata"]["name"] not in names:
            continue
        if rows is not None:
            rows.show([item], change)
        else:
            _print_one(change, item, args)


def _changes(
    client: Client, kind: Kind, namespace: str | None, selector: str, version: str
) -> Iterator[tuple[str, Object]]:
    while True:
        try:
            for event in client.watch(kind.plural, namespace, selector, version or "0"):
                yield event["type"], event["object"]
        except Expired:
            # Too much has happened meanwhile: show all that is there once more, and go on from there.
            items, version = client.items(kind.plural, namespace, selector)
            yield from (("ADDED", item) for item in items)


def _print_one(change: str, item: Object, args: Any) -> None:
    if args.output == "name":
        print(title_of(item), flush=True)
        return
    document = {"type": change, "object": item} if args.output_watch_events else item
    if args.output == "json":
        print_json_line(document)
    else:
        print("---")
        print_yaml([document])

"""`roam get`: show objects."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.columns import columns_of
from federation.cli.kinds import Kind, find_kind
from federation.cli.output import as_list, note, print_json, print_table, print_yaml
from federation.cli.parsing import add_connection, add_namespace, connect
from federation.errors import Expired, InvalidInput, NotFound

Object = Mapping[str, Any]
_EPILOG = """examples:
  roam get placements -A            where everything runs
  roam get ms cart -o yaml          one microservice, whole
  roam get sub                      the sub-clusters
  roam get migrations -w            moves as they go on
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("what", nargs="+", metavar="KIND[/NAME]", help="a kind (or several: ms,placements), then names")
    add_namespace(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument("-l", "--selector", default="", metavar="SELECTOR", help="by label, e.g. app=cart,tier!=test")
    parser.add_argument(
        "-o", "--output", default="table", choices=("table", "wide", "json", "yaml", "name"), help="how to show them"
    )
    parser.add_argument("-w", "--watch", action="store_true", help="go on with what changes")
    add_connection(parser)


def run(args: Any) -> int:
    """Show what is asked for."""
    wanted = _wanted(args.what)
    if args.watch and len(wanted) > 1:
        raise InvalidInput("--watch follows one kind at a time")
    if any(names for _, names in wanted) and (args.selector or args.all_namespaces):
        raise InvalidInput("names go with neither --selector nor --all-namespaces")
    with connect(args) as client:
        return _get(client, wanted, args)


def _get(client: Client, wanted: list[tuple[Kind, list[str]]], args: Any) -> int:
    found: list[tuple[Kind, list[Object]]] = []
    version = ""
    missing: list[str] = []
    for kind, names in wanted:
        namespace = args.namespace if kind.namespaced and not args.all_namespaces else None
        if names:
            items, gone = _named(client, kind, namespace, names)
            missing += gone
            version = max((str(item["metadata"]["resourceVersion"]) for item in items), key=int, default="")
        else:
            items, version = client.items(kind.plural, namespace, args.selector)
        found.append((kind, items))
    some = any(items for _, items in found)
    if args.watch and args.output in ("json", "yaml"):
        for _, items in found:
            for item in items:
                _print_one(item, args.output)
    elif some or not args.watch:
        _print(client, found, args, single=len(wanted) == 1 and len(wanted[0][1]) == 1)
    if missing:
        raise NotFound("\n".join(missing))
    if args.watch:
        kind, names = wanted[0]
        _follow(client, kind, set(names), args, version)
    return 0


def _wanted(words: list[str]) -> list[tuple[Kind, list[str]]]:
    """Kinds and names of `KIND[,KIND] [NAME...]` or `KIND/NAME...`."""
    if any("/" in word for word in words):
        wanted: dict[Kind, list[str]] = {}
        for word in words:
            kind, slash, name = word.partition("/")
            if not slash or not name:
                raise InvalidInput(f"{word!r}: write KIND/NAME for each, or KIND NAME NAME")
            wanted.setdefault(find_kind(kind), []).append(name)
        return list(wanted.items())
    kinds = [find_kind(part) for part in words[0].split(",") if part]
    if not kinds:
        raise InvalidInput("name a kind, such as microservices")
    return [(kind, words[1:]) for kind in dict.fromkeys(kinds)]


def _named(client: Client, kind: Kind, namespace: str | None, names: list[str]) -> tuple[list[Object], list[str]]:
    items: list[Object] = []
    missing: list[str] = []
    for name in dict.fromkeys(names):
        try:
            items.append(client.get(path_of(kind.plural, namespace, name)))
        except NotFound:
            where = f" in namespace {namespace}" if namespace else ""
            missing.append(f"{kind.singular} {name!r} does not exist{where}")
    return items, missing


def _print(client: Client, found: list[tuple[Kind, list[Object]]], args: Any, *, single: bool) -> None:
    items = [item for _, some in found for item in some]
    if args.output in ("json", "yaml"):
        document = items[0] if single and items else as_list(items)
        if items or not single:
            print_json(document) if args.output == "json" else print_yaml([document])
    elif args.output == "name":
        for kind, some in found:
            for item in some:
                print(f"{kind.singular}/{item['metadata']['name']}")
    else:
        shown = [(kind, some) for kind, some in found if some]
        for index, (kind, some) in enumerate(shown):
            if index:
                print()
            _print_rows(kind, some, args, header=True, prefix=len(shown) > 1)
        if not shown and not single:
            _say_nothing_found(client, [kind for kind, _ in found], args)


def _print_rows(kind: Kind, items: list[Object], args: Any, *, header: bool, prefix: bool = False) -> None:
    columns = columns_of(kind.name, wide=args.output == "wide")
    spaces = args.all_namespaces and kind.namespaced
    titles = [*(["NAMESPACE"] if spaces else []), *(column.title for column in columns)]
    now = time.time()
    rows = []
    for item in items:
        cells = [column.cell(item, now) for column in columns]
        if prefix:
            cells[0] = f"{kind.singular}/{cells[0]}"
        rows.append([*([item["metadata"]["namespace"]] if spaces else []), *cells])
    if kind.name == "Event":
        rows = [row for _, row in sorted(zip(items, rows, strict=True), key=lambda pair: pair[0]["eventTime"])]
    print_table(titles, rows, header=header)


def _say_nothing_found(client: Client, kinds: list[Kind], args: Any) -> None:
    plurals = ", ".join(kind.plural for kind in kinds)
    if args.all_namespaces or args.selector or not any(kind.namespaced for kind in kinds):
        note(f"No {plurals} found.")
        return
    others = {
        item["metadata"]["namespace"] for kind in kinds if kind.namespaced for item in client.items(kind.plural)[0]
    }
    hint = f" There are some in {', '.join(sorted(others))}: use -n or -A." if others else ""
    note(f"No {plurals} found in namespace {args.namespace}.{hint}")


def _follow(client: Client, kind: Kind, names: set[str], args: Any, version: str) -> None:
    namespace = args.namespace if kind.namespaced and not args.all_namespaces else None
    for item in _changes(client, kind, namespace, args.selector, version):
        if names and item["metadata"]["name"] not in names:
            continue
        if args.output in ("json", "yaml"):
            _print_one(item, args.output)
        elif args.output == "name":
            print(f"{kind.singular}/{item['metadata']['name']}")
        else:
            _print_rows(kind, [item], args, header=False)
        sys.stdout.flush()


def _changes(client: Client, kind: Kind, namespace: str | None, selector: str, version: str) -> Iterator[Object]:
    while True:
        try:
            for event in client.watch(kind.plural, namespace, selector, version or "0"):
                yield event["object"]
        except Expired:
            # Too much has happened meanwhile: show all that is there once more, and go on from there.
            items, version = client.items(kind.plural, namespace, selector)
            yield from items


def _print_one(item: Object, output: str) -> None:
    if output == "json":
        print(json.dumps(item))
    else:
        print("---")
        print_yaml([item])

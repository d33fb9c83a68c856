"""`roam diff`: what applying files would change on the server."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from federation.cli.output import coloured, note, print_json, printable
from federation.cli.parsing import add_connection, add_files, add_namespace, add_output, connect
from federation.errors import InvalidInput

PENDING = 2
_HOW = {"+": "green", "-": "red", "@": "cyan"}


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "The server says what each object would be; nothing is changed. Defaults are filled in on both sides, so what\n"
        "only writes them out is no difference. Of secrets it says which ones change, never a value.\n\n"
        "examples:\n"
        "  roam diff -f shop/\n"
        "  kubectl kustomize overlays/prod | roam diff -f -\n"
        "  roam diff -f shop/ -o name            only which objects differ\n\n"
        "exit codes: 0 no difference, 2 differences (kubectl diff has 1 there), 1 failed, 64 the files are wrong"
    )
    add_files(parser, required=True)
    add_namespace(parser)
    add_output(parser, "diff", "json", "name")
    parser.add_argument(
        "-U", "--unified", type=_lines, default=3, metavar="LINES", help="lines around each change (default: 3)"
    )
    add_connection(parser)


def run(args: Any) -> int:
    """Show the differences."""
    from federation.cli.differences import differences
    from federation.cli.world import beside_server, load_files, tell

    manifests = load_files(args.files, args.namespace)
    with connect(args) as client:
        manifests = beside_server(client, manifests)
        tell(manifests)
        if not manifests.resources:
            raise InvalidInput(f"no objects in {', '.join(args.files)}")
        found = differences(client, manifests.resources, args.unified)
    if args.output == "json":
        print_json({"differences": [one.document() for one in found]})
    elif args.output == "name":
        for one in found:
            print(f"{one.kind.lower()}/{one.name}")
    else:
        for one in found:
            for line in one.lines:
                print(coloured(printable(line), _HOW.get(line[:1], "") if line[:3] not in ("+++", "---") else "bold"))
        new = sum(one.result == "created" for one in found)
        same = len(manifests.resources) - len(found)
        note(f"{new} to be created, {len(found) - new} to be changed, {same} as they are")
    return PENDING if found else 0


def _lines(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError
    return min(int(text), 100_000)

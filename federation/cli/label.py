"""`roam label` and `roam annotate`: set and remove what is said of objects."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from federation.cli.client import Client, path_of
from federation.cli.kinds import Kind
from federation.cli.parsing import (
    Verb,
    add_all_namespaces,
    add_connection,
    add_namespace,
    add_selector,
    connect,
)
from federation.cli.selection import check_selection, fail_missing, parse_words, select
from federation.errors import FederationError, InvalidInput

Object = Mapping[str, Any]
Changes = Mapping[str, str | None]
"""What each key is to be; None: it goes."""
_FORESEEN = ("Microservice", "SubCluster", "PlacementPolicy", "ClusterPlacementPolicy")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Policies choose services and sub-clusters by their labels: --dry-run shows what would have to move.\n\n"
        "examples:\n"
        "  roam label ms cart data-class=personal -n shop --dry-run\n"
        "  roam label sub ec2-frankfurt tier=public --overwrite\n"
        "  roam label ms --all team-"
    )
    _configure(parser, "a label")


def run(args: Any) -> int:
    """Change labels."""
    return _mark(args, "labels")


def _configure_annotate(parser: ArgumentParser) -> None:
    parser.epilog = "Annotations are for people and tools; nothing is placed by them."
    _configure(parser, "an annotation")


def _annotate(args: Any) -> int:
    return _mark(args, "annotations")


def _configure(parser: ArgumentParser, what: str) -> None:
    text = f"KIND NAME... or KIND/NAME..., then KEY=VALUE to set {what} and KEY- to remove it"
    parser.add_argument("words", nargs="+", metavar="WORD", help=text)
    add_namespace(parser)
    add_all_namespaces(parser)
    add_selector(parser)
    parser.add_argument("--all", action="store_true", help="all of the kind")
    parser.add_argument("--overwrite", action="store_true", help="also where it has another value now")
    parser.add_argument("--dry-run", action="store_true", help="say what would change and move, change nothing")
    add_connection(parser)


def _mark(args: Any, field: Literal["labels", "annotations"]) -> int:
    words, changes = _split(args.words, field)
    if args.dry_run:
        for key, value in changes.items():
            check_mark(key, value if field == "labels" else None)
    wanted = parse_words(words)
    check_selection(wanted, args.selector, all_namespaces=args.all_namespaces)
    if args.all and (args.selector or any(one.names for one in wanted)):
        raise InvalidInput("--all goes with neither names nor --selector")
    if not args.all and not args.selector and not all(one.names for one in wanted):
        raise InvalidInput(f"which {wanted[0].kind.plural}? Name them, or say --all or -l SELECTOR")
    namespace = None if args.all_namespaces else args.namespace
    with connect(args) as client:
        found = [select(client, one, namespace, args.selector) for one in wanted]
        objects = [(one.kind, item) for one in found for item in one.items]
        if not args.overwrite:
            _check_conflicts(objects, changes, field)
        changed = [(kind, item) for kind, item in objects if _differs(item, changes, field)]
        for kind, item in objects:
            _change(client, kind, item, changes, field, dry_run=args.dry_run)
        foreseen = args.dry_run and changed and field == "labels"
        code = _foresee(client, changed, changes) if foreseen else 0
        fail_missing(found)
        if not objects:
            raise FederationError(f"no {', '.join(one.kind.plural for one in wanted)} to {_verb(field)}")
    return code


def _split(words: Sequence[str], field: str) -> tuple[list[str], dict[str, str | None]]:
    """Which objects, and what is to change. Raises: InvalidInput."""
    rest: list[str] = []
    changes: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals and not word.endswith("-"):
            if changes:
                raise InvalidInput(f"{word!r} is neither KEY=VALUE nor KEY-; kinds and names come first")
            rest.append(word)
            continue
        key = key if equals else word[:-1]
        if key in changes:
            raise InvalidInput(f"{key} stands here twice")
        changes[key] = value if equals else None
    if not changes:
        raise InvalidInput(f"say what to {_verb(field)}: KEY=VALUE, or KEY- to remove one")
    if not rest:
        raise InvalidInput(f"say what to {_verb(field)}: KIND NAME, before {words[0]}")
    return rest, changes


def check_mark(key: str, value: str | None) -> None:
    """As the server will. Raises: InvalidInput when `key` can't be a label's key, or `value` not its value."""
    from pydantic import TypeAdapter, ValidationError

    from federation.model.meta import LabelKey, LabelValue

    try:
        TypeAdapter(LabelKey).validate_python(key)
        TypeAdapter(LabelValue).validate_python(value or "")
    except ValidationError as error:
        raise InvalidInput(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _check_conflicts(objects: Sequence[tuple[Kind, Object]], changes: Changes, field: str) -> None:
    """Raises: InvalidInput where a key has another value already."""
    lines = []
    for kind, item in objects:
        have = item["metadata"][field]
        lines += [
            f"{kind.singular}/{item['metadata']['name']} has {key}={have[key]} already; to change it: --overwrite"
            for key, value in changes.items()
            if value is not None and key in have and have[key] != value
        ]
    if lines:
        raise InvalidInput("\n".join(lines))


def _differs(item: Object, changes: Changes, field: str) -> bool:
    return any(item["metadata"][field].get(key) != value for key, value in changes.items())


def _change(client: Client, kind: Kind, item: Object, changes: Changes, field: str, *, dry_run: bool) -> None:
    metadata = item["metadata"]
    title = f"{kind.singular}/{metadata['name']}"
    if not _differs(item, changes, field):
        print(f"{title} unchanged: {_stands(changes)}")
        return
    if not dry_run:
        path = path_of(kind.plural, metadata.get("namespace") or None, metadata["name"])
        client.patch(path, {"metadata": {field: dict(changes)}})
    lacking = [key for key, value in changes.items() if value is None and key not in metadata[field]]
    hint = f"; it had no {', '.join(lacking)}" if lacking else ""
    print(f"{title} {_verb(field)}{'ed' if field == 'labels' else 'd'}{hint}{' (dry run)' if dry_run else ''}")


def _stands(changes: Changes) -> str:
    has = [f"{key}={value}" for key, value in changes.items() if value is not None]
    lacks = [key for key, value in changes.items() if value is None]
    parts = [f"has {', '.join(has)} already"] if has else []
    return ", ".join([*parts, *([f"has no {', '.join(lacks)}"] if lacks else [])])


def _verb(field: str) -> str:
    return "label" if field == "labels" else "annotate"


def _foresee(client: Client, changed: Sequence[tuple[Kind, Object]], changes: Changes) -> int:
    """Which policies would choose other services, and what would have to move; the exit code."""
    if not any(kind.name in _FORESEEN for kind, _ in changed):
        return 0
    from federation.cli.foresight import chosen_by, foresee, print_foresight
    from federation.cli.world import fetch
    from federation.model.microservice import Microservice

    before = fetch(client)
    marked = {(kind.name, item["metadata"].get("namespace", ""), item["metadata"]["name"]) for kind, item in changed}
    after = []
    for each in before:
        if (each.kind_name, *each.key) in marked:
            labels = {**each.metadata.labels, **changes}
            kept = {key: value for key, value in labels.items() if value is not None}
            new = each.model_copy(update={"metadata": each.metadata.model_copy(update={"labels": kept})})
            if isinstance(each, Microservice) and isinstance(new, Microservice):
                _print_policies(each, chosen_by(before, each), chosen_by(before, new))
            after.append(new)
        else:
            after.append(each)
    found = foresee(before, after, time.time())
    print_foresight(found)
    return found.exit_code


def _print_policies(service: Any, old: Sequence[str], new: Sequence[str]) -> None:
    for policy in new:
        if policy not in old:
            print(f"{service.key} would come under {policy}.")
    for policy in old:
        if policy not in new:
            print(f"{service.key} would no longer be under {policy}.")


ANNOTATE = Verb(_configure_annotate, _annotate)

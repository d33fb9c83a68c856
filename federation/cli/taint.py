"""`roam taint`: keep services off a sub-cluster unless they tolerate it."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from federation.cli.client import Client, path_of
from federation.cli.emptying import find_subclusters
from federation.cli.label import check_mark
from federation.cli.output import note, print_json
from federation.cli.parsing import add_connection, add_output, connect
from federation.errors import FederationError, InvalidInput

if TYPE_CHECKING:
    from federation.cli.foresight import Foresight

Object = Mapping[str, Any]
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_WORD = re.compile(r"(?P<key>[^=:]+?)(?:=(?P<value>[^:]*))?(?::(?P<effect>[^:]*?))?(?P<minus>-)?")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "effects:\n"
        "  NoSchedule        nothing new is placed there; what runs there stays\n"
        "  PreferNoSchedule  only where nothing else will do\n"
        "  NoExecute         what runs there has to leave, too\n"
        "A service is exempt when a policy or its pod template tolerates the taint.\n\n"
        "examples:\n"
        "  roam taint ec2-frankfurt dedicated=batch:NoSchedule\n"
        "  roam taint ec2-frankfurt outage:NoExecute --dry-run\n"
        "  roam taint ec2-frankfurt outage-"
    )
    parser.add_argument("subcluster", metavar="SUB", help="a sub-cluster's name")
    parser.add_argument(
        "taints",
        nargs="+",
        metavar="TAINT",
        help="KEY[=VALUE]:EFFECT to add one, KEY[:EFFECT]- to remove one, or all of the key",
    )
    parser.add_argument("--overwrite", action="store_true", help="also where the same taint has another value now")
    parser.add_argument("--dry-run", action="store_true", help="say what would have to move, change nothing")
    add_output(parser, "table", "json")
    add_connection(parser)


@dataclass(frozen=True)
class _Change:
    """One taint to add, or (`remove`) those of the key, and of the effect if there is one, to remove."""

    key: str
    value: str
    effect: str
    remove: bool

    def __str__(self) -> str:
        pair = f"{self.key}={self.value}" if self.value else self.key
        return f"{pair}:{self.effect}" if self.effect else pair


def run(args: Any) -> int:
    """Change the taints, and say who has to move."""
    from federation.cli.foresight import print_foresight

    changes = [_parse(word) for word in args.taints]
    with connect(args) as client:
        item = find_subclusters(client, [args.subcluster])[0]
        taints = _changed(item, changes, overwrite=args.overwrite)
        added = [str(change) for change in changes if not change.remove]
        removed = [str(change) for change in changes if change.remove]
        parts = [f"taint {', '.join(added)} added"] if added else []
        parts += [f"taint {', '.join(removed)} removed"] if removed else []
        found = _foresee(client, args.subcluster, taints)
        if not args.dry_run:
            client.patch(path_of("subclusters", None, args.subcluster), {"spec": {"taints": taints}})
    text = f"subcluster/{args.subcluster}: {'; '.join(parts)}{' (dry run)' if args.dry_run else ''}"
    if args.output == "json":
        print_json({"subcluster": args.subcluster, "taints": taints, **(found.document() if found else {})})
    else:
        print(text)
    if found is None:
        return 0
    if args.output != "json":
        print_foresight(found)
    return found.exit_code if args.dry_run else 0


def _parse(word: str) -> _Change:
    """Raises: InvalidInput."""
    found = _WORD.fullmatch(word)
    usage = "write KEY=VALUE:EFFECT or KEY:EFFECT to add a taint, KEY:EFFECT- or KEY- to remove one"
    if found is None:
        raise InvalidInput(f"{word!r} is not a taint: {usage}")
    key, value, effect = found["key"], found["value"] or "", found["effect"] or ""
    remove = bool(found["minus"])
    if effect and effect not in _EFFECTS:
        from federation.model.nearest import suggestion

        raise InvalidInput(f"{word!r}: no effect is called {effect!r}; {suggestion(effect, _EFFECTS)}")
    if not effect and not remove:
        raise InvalidInput(f"{word!r} says no effect: add one of :{', :'.join(_EFFECTS)}")
    if remove and found["value"] is not None:
        raise InvalidInput(f"{word!r}: a taint is removed by its key and effect, without its value")
    if not remove:
        check_mark(key, value)
    return _Change(key, value, effect, remove)


def _changed(item: Object, changes: Sequence[_Change], *, overwrite: bool) -> list[dict[str, str]]:
    """The taints as they will be. Raises: InvalidInput for what would change nothing, or another value unasked."""
    name = item["metadata"]["name"]
    taints = [dict(taint) for taint in item["spec"]["taints"]]
    for change in changes:
        same = [
            taint
            for taint in taints
            if taint["key"] == change.key and (not change.effect or taint["effect"] == change.effect)
        ]
        if change.remove and not same:
            have = ", ".join(_text(taint) for taint in taints) or "none"
            raise InvalidInput(f"{name} has no taint {change}; it has {have}")
        if not change.remove and same:
            if same[0].get("value", "") == change.value:
                raise InvalidInput(f"{name} has the taint {change} already")
            if not overwrite:
                raise InvalidInput(f"{name} has the taint {_text(same[0])} already; to change it: --overwrite")
        taints = [taint for taint in taints if taint not in same]
        if not change.remove:
            taints.append({"key": change.key, "value": change.value, "effect": change.effect})
    return taints


def _text(taint: Mapping[str, str]) -> str:
    return str(_Change(taint["key"], taint.get("value", ""), taint["effect"], remove=False))


def _foresee(client: Client, name: str, taints: Sequence[Mapping[str, str]]) -> Foresight | None:
    """What will have to move, as things are now; None, with a note, when no plan can be made of them."""
    from federation.cli.foresight import foresee
    from federation.cli.world import fetch
    from federation.model.subcluster import SubCluster, Taint

    before = fetch(client)
    new = tuple(Taint.model_validate(taint) for taint in taints)
    after = [
        each.model_copy(update={"spec": each.spec.model_copy(update={"taints": new})})
        if isinstance(each, SubCluster) and each.metadata.name == name
        else each
        for each in before
    ]
    try:
        return foresee(before, after, time.time())
    except FederationError as error:
        note(f"roam: warning: what has to move can't be foretold: {error}")
        return None

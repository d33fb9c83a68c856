"""`roam delete`: take objects away, in an order that hurts nobody."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.emptying import follow_emptying, still_there
from federation.cli.kinds import KINDS, Kind
from federation.cli.order import callers_first
from federation.cli.output import note
from federation.cli.parsing import (
    add_all_namespaces,
    add_connection,
    add_files,
    add_namespace,
    add_selector,
    add_timeout,
    connect,
)
from federation.cli.selection import check_selection, parse_words, select
from federation.cli.waiting import wait_until
from federation.errors import FederationError, InvalidInput, NotFound, TimedOut

Object = Mapping[str, Any]
_ORDER = ("Migration", "Microservice", "SubCluster", "Gateway", "PlacementPolicy", "ClusterPlacementPolicy")
"""Policies go last: a rule must not be taken from what still runs."""
_FOLLOW = ("Placement", "Migration")
"""Of `all` these go by themselves: with their services, or once they have ended."""
_KINDS = {kind.name: kind for kind in KINDS}
_ONE_BY_ONE = 30


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Services stop in order, callers before those they call, each after it has finished what it was asked for.\n"
        "Everything is moved away from a sub-cluster before it leaves the fleet; one that has nowhere to go keeps it.\n"
        "On a terminal it asks before it takes away what concerns the fleet, or all of a kind.\n\n"
        "exit codes: 0 gone, 1 not there or refused, 3 and 4 something can't leave a sub-cluster, 5 not in time\n\n"
        "examples:\n"
        "  roam delete -f shop/                     all that these files hold\n"
        "  roam delete ms cart -n shop\n"
        "  roam delete ms -l app=cart --no-wait\n"
        "  roam delete sub ec2-frankfurt --dry-run  where its services would go"
    )
    parser.add_argument("what", nargs="*", metavar="KIND[/NAME]", help="a kind, then names; or KIND/NAME for each")
    add_files(parser, required=False)
    add_namespace(parser)
    add_all_namespaces(parser)
    add_selector(parser)
    parser.add_argument("--all", action="store_true", help="all of the kind")
    add_manner(parser)
    add_timeout(parser, "10m")
    add_connection(parser)


def add_manner(parser: ArgumentParser) -> None:
    """How to delete: what is no error, whether to wait, to ask, to force."""
    parser.add_argument("--ignore-not-found", action="store_true", help="what is gone already is no error")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and in which order; change nothing")
    parser.add_argument(
        "--no-wait", dest="wait", action="store_false", help="return at once; services still stop in order"
    )
    parser.add_argument(
        "--wait", dest="wait", action="store_true", default=True, help="until all is gone (the default)"
    )
    parser.add_argument("--force", action="store_true", help="take a lost sub-cluster away with what it holds")
    parser.add_argument("-y", "--yes", action="store_true", help="don't ask")


@dataclass(frozen=True)
class _Doomed:
    """One object to be deleted."""

    kind: Kind
    namespace: str
    name: str
    item: Object

    @property
    def title(self) -> str:
        return f"{self.kind.singular}/{self.name}"

    @property
    def path(self) -> str:
        return path_of(self.kind.plural, self.namespace or None, self.name)


def run(args: Any) -> int:
    """Delete what is meant."""
    _check_usage(args)
    with connect(args) as client:
        doomed, missing = _find(client, args)
        if args.force:
            _check_force(doomed)
        if args.dry_run:
            code = _dry_run(client, doomed)
        elif doomed and not _agreed(doomed, args):
            note("nothing was deleted")
            return 1
        else:
            code = _delete(client, doomed, args)
        if missing and not args.ignore_not_found:
            raise NotFound("\n".join(missing))
        if not doomed and not missing:
            note("nothing to delete")
    return code


def _check_usage(args: Any) -> None:
    if args.files and (args.what or args.selector or args.all or args.all_namespaces):
        raise InvalidInput("-f says what to delete; leave out kinds, --selector, --all and --all-namespaces")
    if not args.files and not args.what:
        raise InvalidInput("say what to delete: KIND NAME, KIND --all, KIND -l SELECTOR, or -f FILE")
    if args.files:
        return
    wanted = parse_words(args.what)
    check_selection(wanted, args.selector, all_namespaces=args.all_namespaces)
    if args.all and (args.selector or any(one.names for one in wanted)):
        raise InvalidInput("--all goes with neither names nor --selector")
    if not args.all and not args.selector and not all(one.names for one in wanted):
        raise InvalidInput(f"which {wanted[0].kind.plural}? Name them, or say --all or -l SELECTOR")


def _find(client: Client, args: Any) -> tuple[list[_Doomed], list[str]]:
    """What is to be deleted, in no order yet, and what is not there."""
    if args.files:
        return _find_files(client, args)
    namespace = None if args.all_namespaces else args.namespace
    doomed, missing = [], []
    everything = args.what[0].lower() == "all"
    for wanted in parse_words(args.what):
        if everything and wanted.kind.name in _FOLLOW:
            continue
        found = select(client, wanted, namespace, args.selector)
        doomed += [_doomed(wanted.kind, item) for item in found.items]
        missing += [str(error) for error in found.missing]
    return doomed, missing


def _find_files(client: Client, args: Any) -> tuple[list[_Doomed], list[str]]:
    from federation.cli.world import read_files

    doomed, missing = [], []
    for resource in read_files(args.files, args.namespace).resources:
        kind = _KINDS[resource.kind_name]
        try:
            path = path_of(kind.plural, resource.key.namespace or None, resource.key.name)
            doomed.append(_doomed(kind, client.get(path)))
        except NotFound:
            missing.append(f"{kind.singular} {resource.key} does not exist")
    return doomed, missing


def _doomed(kind: Kind, item: Object) -> _Doomed:
    return _Doomed(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"], item)


def _check_force(doomed: Iterable[_Doomed]) -> None:
    for one in doomed:
        if one.kind.name != "SubCluster":
            raise InvalidInput(f"--force is for lost sub-clusters, not for {one.title}")
        health = one.item["status"]["health"]
        if health != "Lost":
            raise InvalidInput(
                f"--force is for lost sub-clusters, and {one.name} is {health}: what runs there would be left behind; "
                "without --force it is moved away first"
            )


def _agreed(doomed: Sequence[_Doomed], args: Any) -> bool:
    """Whether a person wants it; asked only where one can answer."""
    wide = args.all or args.all_namespaces or any(not one.kind.namespaced for one in doomed)
    if args.yes or not wide or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    names = ", ".join(one.title for one in doomed[:10]) + (f" and {len(doomed) - 10} more" if len(doomed) > 10 else "")
    print(f"delete {names}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _layers(doomed: Sequence[_Doomed]) -> list[list[_Doomed]]:
    """In the order in which they go; what stands together goes together."""
    layers: list[list[_Doomed]] = []
    for name in (*_ORDER, *(kind.name for kind in KINDS if kind.name not in _ORDER)):
        some = {(one.namespace, one.name): one for one in doomed if one.kind.name == name}
        if name == "Microservice":
            calls = {place: _callees(one) for place, one in some.items()}
            layers += [[some[place] for place in layer] for layer in callers_first(calls)]
        elif some:
            layers.append(list(some.values()))
    return layers


def _callees(one: _Doomed) -> set[tuple[str, str]]:
    found = set()
    for call in one.item["spec"]["calls"]:
        space, slash, name = call["service"].partition("/")
        found.add((space, name) if slash else (one.namespace, space))
    return found


def _delete(client: Client, doomed: Sequence[_Doomed], args: Any) -> int:
    ends_at = time.monotonic() + args.timeout
    refused: list[str] = []
    for layer in _layers(doomed):
        gone = []
        for one in layer:
            try:
                _delete_one(client, one, force=args.force)
                gone.append(one)
            except NotFound:
                print(f"{one.title} deleted")  # somebody else was quicker
            except FederationError as error:
                refused.append(f"{one.title}: {error}")
        if args.wait:
            _wait(client, gone, max(ends_at - time.monotonic(), 0.0))
    _point_at_gateways(client, doomed)
    if refused:
        raise FederationError("\n".join(refused))
    return 0


def _point_at_gateways(client: Client, doomed: Sequence[_Doomed]) -> None:
    """Say which gateways are of no use any more."""
    names = {one.name for one in doomed if one.kind.name == "SubCluster"}
    for item in client.items("gateways")[0] if names else ():
        if item["spec"]["subcluster"] in names:
            name = item["metadata"]["name"]
            note(f"gateway/{name} was that of {item['spec']['subcluster']} and is kept: roam delete gateway {name}")


def _delete_one(client: Client, one: _Doomed, *, force: bool) -> None:
    answer = client.delete(one.path, {"gracePeriodSeconds": 0} if force else None)
    if (answer.get("metadata") or {}).get("deletionTimestamp"):
        count = len(still_there(client.items("placements")[0], [one.name]))
        runs = f"{count} service that runs" if count == 1 else f"{count} services that run"
        after = f"after the {runs} there" if count else "and nothing runs there"
        print(f"{one.title} leaves the fleet, {after}", flush=True)
    else:
        print(f"{one.title} deleted", flush=True)


def _wait(client: Client, gone: Sequence[_Doomed], timeout_s: float) -> None:
    subclusters = [one.name for one in gone if one.kind.name == "SubCluster"]
    if subclusters:
        if any(_exists(client, path_of("subclusters", None, name)) for name in subclusters):
            follow_emptying(client, subclusters, timeout_s, removal=True)
            for name in subclusters:
                print(f"subcluster/{name} deleted")
        return
    services = [(one.namespace, one.name) for one in gone if one.kind.name == "Microservice"]
    if services:
        _wait_stopped(client, services, timeout_s)


def _wait_stopped(client: Client, services: Sequence[tuple[str, str]], timeout_s: float) -> None:
    """Until no copy of them is left anywhere Roam can look. Raises: TimedOut."""

    def look() -> tuple[bool | None, str]:
        if len(services) <= _ONE_BY_ONE:
            left = [one for one in services if _exists(client, path_of("placements", *one))]
        else:
            items = client.items("placements")[0]
            known = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
            left = [one for one in services if one in known]
        names = ", ".join(f"{space}/{name}" for space, name in left[:10])
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        return (None if left else True), f"stopping {names}{more}" if left else "stopped"

    done, text = wait_until(look, timeout_s)
    if done is None:
        raise TimedOut(f"not gone after {timeout_s:.0f} s: {text}")


def _exists(client: Client, path: str) -> bool:
    try:
        client.get(path)
    except NotFound:
        return False
    return True


def _dry_run(client: Client, doomed: Sequence[_Doomed]) -> int:
    for layer in _layers(doomed):
        for one in layer:
            print(f"{one.title} deleted (dry run)")
    names = {one.name for one in doomed if one.kind.name == "SubCluster"}
    if not names:
        return 0
    from federation.cli.foresight import foresee, print_foresight
    from federation.cli.world import fetch
    from federation.model.subcluster import SubCluster

    before = fetch(client)
    going = {(one.kind.name, one.namespace, one.name) for one in doomed if one.kind.name != "SubCluster"}
    kept = [each for each in before if (each.kind_name, *each.key) not in going]
    kept = [each for each in kept if each.kind_name != "Placement" or ("Microservice", *each.key) not in going]
    marked = {"deletion_timestamp": time.time()}
    after = [
        each.model_copy(update={"metadata": each.metadata.model_copy(update=marked)})
        if isinstance(each, SubCluster) and each.metadata.name in names
        else each
        for each in kept
    ]
    found = foresee(kept, after, time.time())
    print_foresight(found)
    return found.exit_code

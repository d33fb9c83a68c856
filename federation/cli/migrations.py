"""`roam migrations`, `rollback`, `pause` and `resume`: moves under way, and what a person may do about them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from federation.cli import clock
from federation.cli.client import Client, path_of
from federation.cli.columns import age
from federation.cli.moving import bar, find_move, follow, is_open, outcome, phase, place_of, refuse_ended, service_of
from federation.cli.output import note, print_json_line, print_objects, print_yaml
from federation.cli.parsing import Verb, add_connection, add_namespace, add_timeout, connect, split_name
from federation.cli.table import TableWriter
from federation.errors import Expired, FederationError, InvalidInput

Object = Mapping[str, Any]
_TITLES = ("SERVICE", "FROM", "TO", "PHASE", "TRAFFIC", "REASON", "AGE", "MESSAGE")
_WIDE = ("MIGRATION", "REPLICAS", "STEPS")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "The traffic is what the target has of it. What can be done about a move that is under way:\n"
        "roam pause, resume, rollback."
    )
    parser.add_argument("service", nargs="?", metavar="SERVICE", help="only this service's: NAME or NAMESPACE/NAME")
    add_namespace(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument("--open", action="store_true", help="only those that have not ended")
    parser.add_argument(
        "-o", "--output", default="table", choices=("table", "wide", "json", "yaml", "name"), help="how to show them"
    )
    parser.add_argument("-w", "--watch", action="store_true", help="go on with what changes")
    add_connection(parser)


def run(args: Any) -> int:
    """Show the moves, the newest last."""
    if args.service and args.all_namespaces:
        raise InvalidInput("a service is in one namespace: leave out --all-namespaces")
    space, service = split_name(args.service, args.namespace) if args.service else (args.namespace, "")
    namespace = None if args.all_namespaces else space
    with connect(args) as client:
        items, version = client.items("migrations", namespace)
        found = sorted((one for one in items if _wanted(one, service, args)), key=_created)
        shown = _Shown(args)
        if found or not args.watch:
            shown.all(found)
        if not found and args.output in ("table", "wide"):
            what = f"{space}/{service}" if service else ("any namespace" if namespace is None else f"namespace {space}")
            note(f"No {'open ' if args.open else ''}migrations {'of' if service else 'in'} {what}.")
        if args.watch:
            _follow(client, namespace, service, args, (version, shown))
    return 0


def _wanted(migration: Object, service: str, args: Any) -> bool:
    return (not service or migration["spec"]["service"] == service) and (not args.open or is_open(migration))


def _created(migration: Object) -> tuple[str, tuple[str, str]]:
    return str(migration["metadata"].get("creationTimestamp")), place_of(migration)


def _follow(client: Client, namespace: str | None, service: str, args: Any, begun: tuple[str, _Shown]) -> None:
    version, shown = begun
    while True:
        try:
            for event in client.watch("migrations", namespace, "", version):
                one = event["object"]
                version = one["metadata"]["resourceVersion"]
                # One that ends is shown to its end, also with --open.
                if event["type"] != "DELETED" and (not service or one["spec"]["service"] == service):
                    shown.one(one)
        except Expired:
            items, version = client.items("migrations", namespace)
            for one in sorted((one for one in items if _wanted(one, service, args)), key=_created):
                shown.one(one)


class _Shown:
    """Prints moves in the form that was asked for: first all of them, then as they change."""

    def __init__(self, args: Any):
        self._args = args
        self._wide = args.output == "wide"
        titles = [*(["NAMESPACE"] if args.all_namespaces else []), *_TITLES, *(_WIDE if self._wide else ())]
        self._table = TableWriter(titles) if args.output in ("table", "wide") else None

    def all(self, found: Sequence[Object]) -> None:
        """Print them together."""
        if self._table is None and (found or not self._args.watch):
            print_objects(found, self._args.output)
        elif self._table is not None and found:
            now = clock.now()
            self._table.write([_row(one, now, self._args, wide=self._wide) for one in found])
        sys.stdout.flush()

    def one(self, migration: Object) -> None:
        """Print one that has changed."""
        if self._table is not None or self._args.output == "name":
            self.all([migration])
        elif self._args.output == "json":
            print_json_line(migration)
        else:
            print("---")
            print_yaml([migration])
            sys.stdout.flush()


def _row(migration: Object, now: float, args: Any, *, wide: bool) -> list[str]:
    metadata, spec, status = migration["metadata"], migration["spec"], migration["status"]
    cells = [metadata["namespace"]] if args.all_namespaces else []
    cells += [spec["service"], spec["source"], spec["target"], phase(migration), bar(status["weight"])]
    cells += [spec["reason"], age(metadata.get("creationTimestamp"), now), status["message"]]
    if wide:
        steps = ",".join(str(step) for step in spec["strategy"]["canary"]["steps"])
        cells += [metadata["name"], str(spec["replicas"]), f"{steps} each {spec['strategy']['canary']['interval']}"]
    return cells


def _configure_rollback(parser: ArgumentParser) -> None:
    parser.epilog = (
        "The source takes all traffic back, and the new copies go. Possible until the old ones are removed.\n\n"
        "exit codes with --wait: 0 rolled back, 1 it had gone through already or failed, 5 not done in time"
    )
    _steered(parser)
    parser.add_argument("--wait", action="store_true", help="until it has ended, with progress on stderr")
    add_timeout(parser, "5m")


def _rollback(args: Any) -> int:
    with connect(args) as client:
        migration = find_move(client, args.move, args.namespace)
        refuse_ended(migration, "roll back")
        name = migration["metadata"]["name"]
        if migration["spec"]["rollback"]:
            print(f"migration/{name} unchanged: rolling back already")
        else:
            _set(client, migration, {"rollback": True})
            print(f"migration/{name} rolling back: {service_of(migration)} stays in {migration['spec']['source']}")
        if args.wait:
            _expect_rolled_back(follow(client, [place_of(migration)], args.timeout)[0])
    return 0


def _expect_rolled_back(ended: Object) -> None:
    """Raises: FederationError when it ended in another way."""
    if ended["status"]["phase"] == "Succeeded":
        source = ended["spec"]["source"]
        raise FederationError(
            f"too late: {service_of(ended)} has moved to {ended['spec']['target']}; to move it back: "
            f"roam migrate {service_of(ended)} --to {source}"
        )
    if ended["status"]["phase"] == "Failed":
        outcome([ended])
    print(f"{service_of(ended)} is back in {ended['spec']['source']}")


def _configure_pause(parser: ArgumentParser) -> None:
    parser.epilog = (
        "It keeps the traffic it has and takes no further step, except back, if something goes wrong.\n"
        "roam resume lets it go on, roam rollback undoes it."
    )
    _steered(parser)


def _configure_resume(parser: ArgumentParser) -> None:
    _steered(parser)


def _pause(args: Any) -> int:
    return _steer(args, paused=True)


def _resume(args: Any) -> int:
    return _steer(args, paused=False)


def _steer(args: Any, *, paused: bool) -> int:
    with connect(args) as client:
        migration = find_move(client, args.move, args.namespace)
        refuse_ended(migration, "pause" if paused else "resume")
        name, spec, status = migration["metadata"]["name"], migration["spec"], migration["status"]
        if spec["rollback"] or status["phase"] == "RollingBack":
            verb = "paused" if paused else "resumed"
            raise InvalidInput(f"the migration {name} of {service_of(migration)} is rolling back and can't be {verb}")
        at = f"{status['phase']}, {status['weight']}% on {spec['target']}"
        if bool(spec.get("paused")) == paused:
            print(f"migration/{name} unchanged: {'paused already' if paused else 'not paused'} ({at})")
            return 0
        _set(client, migration, {"paused": paused})
        print(f"migration/{name} {'paused' if paused else 'resumed'}: {service_of(migration)} ({at})")
    return 0


def _steered(parser: ArgumentParser) -> None:
    parser.add_argument("move", metavar="SERVICE|MIGRATION", help="NAME or NAMESPACE/NAME, of either")
    add_namespace(parser)
    add_connection(parser)


def _set(client: Client, migration: Object, change: Mapping[str, object]) -> None:
    namespace, name = place_of(migration)
    client.patch(path_of("migrations", namespace, name), {"spec": dict(change)})


ROLLBACK = Verb(_configure_rollback, _rollback)
PAUSE = Verb(_configure_pause, _pause)
RESUME = Verb(_configure_resume, _resume)

"""`roam rollout`: a new template on its way, the ones before, and the way back."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from federation.cli import clock
from federation.cli.client import Client, path_of
from federation.cli.columns import age
from federation.cli.output import print_json, print_yaml
from federation.cli.parsing import add_connection, add_namespace, add_output, add_timeout, connect, split_name
from federation.cli.rolling import HOPELESS, Standing, standing
from federation.cli.table import print_table
from federation.cli.waiting import wait_until
from federation.errors import FederationError, InvalidInput, NotFound, TimedOut, Unplaceable

Object = Mapping[str, Any]
_RESTARTED = "roam.federation/restarted-at"
_CAUSE = "kubernetes.io/change-cause"
_CHANGES_SHOWN = 3
_EPILOG = """status SERVICE    waits until the present template runs everywhere; 1 if it does not work, 5 if late
history SERVICE   the templates it had, what changed from each to the next; --revision N shows one whole
undo SERVICE      back to the one before, or --to-revision N
restart SERVICE   replaces all pods, with the same template

Old pods serve until new ones are ready, and minAvailable holds meanwhile. Of several sub-clusters one follows the
other, the next once the one before is through, so that a template that does not work stops at the first.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("status", "history", "undo", "restart"))
    parser.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    add_namespace(parser)
    parser.add_argument("--revision", type=_number, metavar="N", help="with history: show this one")
    parser.add_argument("--to-revision", type=_number, metavar="N", help="with undo: to this one")
    parser.add_argument("--wait", action="store_true", help="with undo and restart: then as status")
    add_output(parser, "table", "json", "yaml")
    add_timeout(parser, "5m")
    add_connection(parser)


def run(args: Any) -> int:
    """Follow, show, undo or restart."""
    _check(args)
    namespace, name = split_name(args.service, args.namespace)
    with connect(args) as client:
        if args.action == "history":
            return _history(client, namespace, name, args)
        if args.action == "undo":
            _undo(client, namespace, name, args.to_revision)
        elif args.action == "restart":
            _restart(client, namespace, name)
        if args.action == "status" or args.wait:
            _follow(client, namespace, name, args.timeout)
    return 0


def _check(args: Any) -> None:
    """Raises: InvalidInput for an option that is for another action."""
    allowed = {
        "--revision": (args.revision is not None, ("history",)),
        "--to-revision": (args.to_revision is not None, ("undo",)),
        "--wait": (args.wait, ("undo", "restart")),
        "--output": (args.output != "table", ("history",)),
    }
    for option, (given, actions) in allowed.items():
        if given and args.action not in actions:
            raise InvalidInput(f"{option} is for {' and '.join(actions)}, not for {args.action} (roam rollout --help)")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError
    return int(text)


def _follow(client: Client, namespace: str, name: str, timeout_s: float) -> None:
    """Until the present template runs everywhere.

    Raises: NotFound; FederationError when it does not work; Unplaceable; TimedOut."""
    last: list[Standing] = []

    def look() -> tuple[bool | None, str]:
        service = client.get(path_of("microservices", namespace, name))
        found = standing(_placement(client, namespace, name), service)
        last[:] = [found]
        text = f"{name}: revision {service['status']['revision']['number']}, {found.text}"
        return (True if found.done else False if found.reason in HOPELESS else None), text

    done, text = wait_until(look, timeout_s)
    if done:
        print(text)
        return
    reason = last[0].reason if last else ""
    if reason in ("Denied", "NoCapacity"):
        raise Unplaceable(text, denied=reason == "Denied")
    what = f"{name} -n {namespace}"
    if reason == "Failed":
        raise FederationError(f"{text}\nsee `roam logs {what}`")
    if done is False:
        raise FederationError(f"{text}\nsee `roam logs {what} --previous`, or go back: `roam rollout undo {what}`")
    raise TimedOut(f"not done after {timeout_s:g} s: {text}")


def _placement(client: Client, namespace: str, name: str) -> Object | None:
    try:
        return client.get(path_of("placements", namespace, name))
    except NotFound:
        return None


def _undo(client: Client, namespace: str, name: str, revision: int | None) -> None:
    path = path_of("microservices", namespace, name)
    before = client.get(path)["status"]["revision"]["number"]
    after = client.post(f"{path}/rollback", {} if revision is None else {"revision": revision})
    number = after["status"]["revision"]["number"]
    if number == before:
        print(f"microservice/{name} unchanged: it has the template of revision {revision or number} already")
        return
    cause = after["metadata"]["annotations"].get(_CAUSE, "")
    print(f"microservice/{name} rolled back: {cause}, which is revision {number} now")


def _restart(client: Client, namespace: str, name: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.now()))
    change = {
        "metadata": {"annotations": {_CAUSE: "restart"}},
        "spec": {"template": {"metadata": {"annotations": {_RESTARTED: stamp}}}},
    }
    client.patch(path_of("microservices", namespace, name), change)
    print(f"microservice/{name} restarted")


def _history(client: Client, namespace: str, name: str, args: Any) -> int:
    newest = client.get(path_of("microservices", namespace, name))["status"]["revision"]["number"]
    found = [item for item in client.items("revisions", namespace)[0] if item["spec"]["service"] == name]
    found.sort(key=lambda item: item["spec"]["number"])
    if args.revision is not None:
        found = _only(found, args.revision, name)
    if args.output == "json":
        print_json(found[0] if args.revision is not None else {"apiVersion": "v1", "kind": "List", "items": found})
    elif args.output == "yaml" or args.revision is not None:
        print_yaml(found)
    else:
        print_table(("REVISION", "AGE", "CAUSE", "CHANGED"), _rows(found, newest))
    return 0


def _only(found: Sequence[Object], number: int, name: str) -> list[Object]:
    wanted = [item for item in found if item["spec"]["number"] == number]
    if not wanted:
        known = ", ".join(str(item["spec"]["number"]) for item in found) or "none"
        raise NotFound(f"{name} has no revision {number}; it has {known}")
    return wanted


def _rows(found: Sequence[Object], newest: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    before: Object | None = None
    for item in found:
        number = item["spec"]["number"]
        mark = " (present)" if number == newest else ""
        since = age(item["metadata"]["creationTimestamp"], clock.now())
        changed = _changes(before, item) if before is not None else ""
        rows.append((f"{number}{mark}", since, item["spec"]["cause"] or "<none>", changed))
        before = item
    return rows


def _changes(before: Object, after: Object) -> str:
    """What differs between two revisions, by the paths of the fields; values of secrets are not told."""
    old, new = _leaves(before), _leaves(after)
    paths = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    if not paths:
        return "values of Secrets"
    more = f" and {len(paths) - _CHANGES_SHOWN} more" if len(paths) > _CHANGES_SHOWN else ""
    return ", ".join(paths[:_CHANGES_SHOWN]) + more


def _leaves(item: Object) -> dict[str, str]:
    spec = item["spec"]
    found: dict[str, str] = {}
    _collect(spec["template"], "", found)
    _collect(spec["ports"], "ports", found)
    for one in spec["objects"]:
        if one.get("kind") in ("ConfigMap", "Secret"):
            _collect(one.get("data") or {}, f"{one['kind']} {one['metadata']['name']}", found)
    return found


def _collect(value: Any, path: str, found: dict[str, str]) -> None:
    """Fields by path, shortest way of saying it: `spec.containers[web].image`."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            _collect(each, f"{path}.{key}".lstrip("."), found)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            name = (each.get("name") or index) if isinstance(each, Mapping) else index
            _collect(each, f"{path}[{name}]", found)
    else:
        found[path.removeprefix("spec.")] = str(value)

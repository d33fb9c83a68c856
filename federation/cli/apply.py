"""`roam apply`: create or change objects from files, all of them or none."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from federation.cli.client import Client
from federation.cli.kinds import KINDS
from federation.cli.output import as_list, print_json
from federation.cli.parsing import add_connection, add_files, add_namespace, add_timeout, connect
from federation.cli.rolling import HOPELESS, standing
from federation.cli.waiting import wait_until
from federation.errors import FederationError, InvalidInput, TimedOut, Unplaceable

if TYPE_CHECKING:
    from federation.model.meta import Resource

Object = Mapping[str, Any]
_HOPELESS_S = 5.0
"""How long a wait goes on when nothing but refusals is left: the controller may be about to hear of more room."""
_SHOWN = 4


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Plain Kubernetes manifests become microservices, with everything they refer to. Everything is checked before\n"
        "anything is sent, checked again by the server, and stored as a whole.\n\n"
        "A service keeps what it has on the server and the files leave out: a file with only a Deployment leaves its\n"
        "Service and ConfigMaps alone, one with only a ConfigMap changes each service that reads it.\n\n"
        "A plan that roam plan --out wrote is carried out as it was made: its objects are applied, its moves are\n"
        "made. If what it was made from has changed since, it is refused (exit code 7). A plan holds no Secrets'\n"
        "values: where it brings new ones, add the files it was made from with -f.\n\n"
        "examples:\n"
        "  roam apply -f shop/ --wait\n"
        "  roam plan -f shop/ --out plan.json && roam apply plan.json --wait"
    )
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="a plan that roam plan --out wrote")
    add_files(parser, required=False)
    add_namespace(parser)
    parser.add_argument("-o", "--output", choices=("json", "name"), help="how to show what was done")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, change nothing")
    parser.add_argument("--wait", action="store_true", help="until every service is placed and ready")
    parser.add_argument(
        "--prune", action="store_true", help="take from each service what it carried and the files leave out"
    )
    add_timeout(parser, "5m")
    add_connection(parser)


def run(args: Any) -> int:
    """Apply the files."""
    from federation.cli.world import beside_server, load_files, tell

    if args.plan is not None:
        from federation.cli.carrying import carry_out

        return carry_out(args)
    if not args.files:
        raise InvalidInput("say what to apply: -f FILE, or a plan")
    manifests = load_files(args.files, args.namespace)
    with connect(args) as client:
        if not args.prune:
            manifests = beside_server(client, manifests)
        tell(manifests, notes=True)
        if not manifests.resources:
            raise InvalidInput(f"no objects to apply in {', '.join(args.files)}")
        results = client.apply((document_of(each) for each in manifests.resources), dry_run=args.dry_run)
        print_results(results, args)
        if args.wait and not args.dry_run:
            services = [(one["namespace"], one["name"]) for one in results if one["kind"] == "Microservice"]
            wait_ready(client, services, args.timeout)
    return 0


def wait_ready(client: Client, services: list[tuple[str, str]], timeout_s: float) -> None:
    """Until all these services are placed and ready.

    Raises: Unplaceable when one has no place, TimedOut, Unavailable."""
    hopeless_since: list[float] = []

    def look() -> tuple[bool | None, str]:
        waiting = _waiting(client, services)
        text = _progress(len(services), waiting)
        if not waiting:
            return True, text
        if any(why not in HOPELESS for why, _ in waiting.values()):
            hopeless_since.clear()
            return None, text
        hopeless_since.append(time.monotonic())
        return (False if hopeless_since[-1] - hopeless_since[0] > _HOPELESS_S else None), text

    if services and not wait_until(look, timeout_s)[0]:
        _give_up(_waiting(client, services), timeout_s)


def _waiting(client: Client, services: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """The services that are not ready, with a reason and a message."""
    found: dict[tuple[str, str], Object] = {}
    for namespace in sorted({namespace for namespace, _ in services}):
        for item in client.items("placements", namespace)[0]:
            found[namespace, item["metadata"]["name"]] = item
        for item in client.items("microservices", namespace)[0]:
            found[namespace, f"{item['metadata']['name']} "] = item
    states = {key: standing(found.get(key), found.get((key[0], f"{key[1]} "))) for key in services}
    return {key: (state.reason, state.text) for key, state in states.items() if not state.done}


def _progress(total: int, waiting: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    text = f"{total - len(waiting)} of {total} services ready"
    if not waiting:
        return text
    some = [f"{name}: {message}" for (_, name), (_, message) in list(waiting.items())[:_SHOWN]]
    more = len(waiting) - len(some)
    return f"{text}; {'; '.join(some)}" + (f"; and {more} more" if more > 0 else "")


def _give_up(waiting: Mapping[tuple[str, str], tuple[str, str]], timeout_s: float) -> None:
    lines = [f"{namespace}/{name}: {message}" for (namespace, name), (_, message) in waiting.items()]
    reasons = {why for why, _ in waiting.values()}
    if "Denied" in reasons or "NoCapacity" in reasons:
        raise Unplaceable("\n".join(lines), denied="Denied" in reasons)
    if reasons & HOPELESS:
        raise FederationError("\n".join(lines))
    raise TimedOut("\n".join([f"not ready after {timeout_s:g} s:", *lines]))


def print_results(results: Iterable[Object], args: Any) -> None:
    """What became of each object."""
    singular = {kind.name: kind.singular for kind in KINDS}
    if args.output == "json":
        print_json(as_list([one["object"] for one in results]))
        return
    for one in results:
        name = f"{singular[one['kind']]}/{one['name']}"
        if args.output == "name":
            print(name)
        else:
            print(f"{name} {one['result']}{' (dry run)' if args.dry_run else ''}")


def document_of(resource: Resource) -> Object:
    """As it is applied: without its status."""
    document = resource.model_dump(mode="json", by_alias=True)
    document.pop("status", None)
    return document

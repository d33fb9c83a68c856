"""`roam migrate`: move a running service to another sub-cluster."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.columns import where
from federation.cli.output import note
from federation.cli.parsing import add_connection, add_namespace, add_timeout, connect, seconds, split_name
from federation.cli.waiting import wait_until
from federation.errors import FederationError, InvalidInput, NotFound, TimedOut, Unplaceable

Object = Mapping[str, Any]
_ENDED = ("Succeeded", "RolledBack", "Failed")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Copies are started on the target, traffic follows step by step, and the old copies go when nothing uses\n"
        "them any more. Whatever goes wrong before that is undone. How it is moved is said by the policies, unless\n"
        "--canary and --interval do. The service then stays where it was moved, until roam unpin.\n\n"
        "exit codes with --wait: 0 moved, 1 rolled back or failed, 5 not done in time (it goes on)"
    )
    parser.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    parser.add_argument("--to", metavar="SUB", required=True, dest="target", help="the sub-cluster to move to")
    parser.add_argument("--from", metavar="SUB", dest="source", help="the one to leave, if it runs in several")
    add_namespace(parser)
    parser.add_argument(
        "--canary", metavar="STEPS", type=_steps, help="traffic on the target in percent, e.g. 5,25,100"
    )
    parser.add_argument("--interval", metavar="TIME", type=_interval, help="how long each step lasts, e.g. 10s")
    parser.add_argument("--dry-run", action="store_true", help="say what it would mean, change nothing")
    parser.add_argument("--wait", action="store_true", help="until it has ended, with progress on stderr")
    add_timeout(parser, "10m")
    add_connection(parser)


def run(args: Any) -> int:
    """Start the move, and see it through if asked to."""
    with connect(args) as client:
        return _migrate(client, args)


def _migrate(client: Client, args: Any) -> int:
    namespace, name = split_name(args.service, args.namespace)
    spec = _spec(client, namespace, name, args)
    if args.dry_run:
        return _dry_run(client, namespace, spec)
    metadata = {"namespace": namespace, "generateName": f"{name}-"}
    created = client.post(path_of("migrations", namespace), {"metadata": metadata, "spec": spec})
    migration = created["metadata"]["name"]
    print(f"migration/{migration} created", flush=True)
    if not args.wait:
        note(f"follow it with: roam get migrations -n {namespace} -w")
        return 0
    return _wait(client, namespace, migration, args.timeout)


def _spec(client: Client, namespace: str, name: str, args: Any) -> dict[str, Any]:
    service = _service(client, namespace, name)
    _check_target(client, args.target)
    try:
        targets = client.get(path_of("placements", namespace, name))["spec"]["targets"]
    except NotFound:
        targets = []
    source, replicas = _source(f"{namespace}/{name}", targets, args)
    spec = {"service": service["metadata"]["name"], "source": source, "target": args.target, "replicas": replicas}
    canary: dict[str, Any] = {}
    if args.canary:
        canary["steps"] = args.canary
    if args.interval:
        canary["interval"] = args.interval
    return {**spec, **({"strategy": {"canary": canary}} if canary else {})}


def _service(client: Client, namespace: str, name: str) -> Object:
    try:
        return client.get(path_of("microservices", namespace, name))
    except NotFound as error:
        from federation.cli.world import unknown_service
        from federation.model.meta import Key

        items = client.items("microservices")[0]
        known = [Key(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items]
        raise unknown_service(Key(namespace, name), known) from error


def _check_target(client: Client, target: str) -> None:
    from federation.model.nearest import suggestion

    known = [item["metadata"]["name"] for item in client.items("subclusters")[0]]
    if target not in known:
        raise InvalidInput(f"no sub-cluster {target!r}; {suggestion(target, known)}", field="--to")


def _source(service: str, targets: list[Object], args: Any) -> tuple[str, int]:
    running = {target["subcluster"]: int(target["replicas"]) for target in targets if target["replicas"]}
    if not running:
        raise InvalidInput(f"{service} runs nowhere, so there is nothing to move: roam why {service}")
    if args.source is not None:
        if args.source not in running:
            raise InvalidInput(
                f"{service} does not run in {args.source!r}; it runs in {where(targets)}", field="--from"
            )
        if args.source == args.target:
            raise InvalidInput(f"source and target are both {args.target!r}", field="--to")
        return args.source, running[args.source]
    others = [name for name in running if name != args.target]
    if not others:
        raise InvalidInput(f"{service} runs in {args.target} already", field="--to")
    if len(others) > 1:
        raise InvalidInput(f"{service} runs in {where(targets)}: choose which to leave with --from")
    return others[0], running[others[0]]


def _dry_run(client: Client, namespace: str, spec: Object) -> int:
    """What the planner thinks of it. Raises: Unplaceable."""
    import time

    from federation.app import plan_resources
    from federation.cli.plantable import money
    from federation.cli.world import fetch, find_service
    from federation.model.meta import Key

    resources = fetch(client)
    key = find_service(resources, Key(namespace, spec["service"])).key
    judgement = plan_resources(resources, time.time())
    found = judgement.candidates(key)
    candidate = next(one for one in found.candidates if one.subcluster == spec["target"])
    if candidate.verdict in ("denied", "full"):
        denied = candidate.verdict == "denied"
        raise Unplaceable(f"{key} can't move to {spec['target']}: {'; '.join(candidate.reasons)}", denied=denied)
    print(f"{key}: {spec['replicas']} replicas would move from {spec['source']} to {spec['target']} (dry run)")
    cost = candidate.cost_usd_per_hour
    if cost is not None and found.targets:
        now = ", ".join(f"{target.subcluster} {target.replicas}" for target in found.targets)
        print(f"planned: {now} at {money(found.cost_usd_per_hour)} USD/h; with it: {money(cost)} USD/h")
    return 0


def _wait(client: Client, namespace: str, name: str, timeout_s: float) -> int:
    path = path_of("migrations", namespace, name)

    def look() -> tuple[Object | None, str]:
        migration = client.get(path)
        ended = migration["status"]["phase"] in _ENDED
        return (migration if ended else None), _progress(client, namespace, migration)

    migration, text = wait_until(look, timeout_s)
    if migration is None:
        raise TimedOut(f"the migration {name} has not ended after {timeout_s:g} s and goes on: {text}")
    status, spec = migration["status"], migration["spec"]
    if status["phase"] != "Succeeded":
        verb = "was rolled back" if status["phase"] == "RolledBack" else "failed"
        raise FederationError(f"the migration {name} {verb}: {status['message'] or 'no reason given'}")
    print(f"{namespace}/{spec['service']} moved from {spec['source']} to {spec['target']}")
    return 0


def _progress(client: Client, namespace: str, migration: Object) -> str:
    spec, status = migration["spec"], migration["status"]
    try:
        running = client.get(path_of("placements", namespace, spec["service"]))["status"]["running"]
    except NotFound:
        running = []
    pods = ", ".join(
        f"{one['ready']}/{one['replicas']} ready in {one['subcluster']}"
        for one in running
        if one["subcluster"] in (spec["source"], spec["target"])
    )
    parts = [f"{status['phase']:<11}", f"{status['weight']:3}% on {spec['target']}", pods, status["message"]]
    return "  ".join(part for part in parts if part)


def _steps(text: str) -> list[int]:
    try:
        steps = [int(part.strip().removesuffix("%")) for part in text.split(",")]
    except ValueError:
        steps = []
    if not steps or steps != sorted(set(steps)) or steps[0] < 1 or steps[-1] != 100:
        raise ArgumentTypeError(f"{text!r}: rising percentages that end with 100, such as 5,25,50,100")
    return steps


def _interval(text: str) -> str:
    seconds(text)
    return f"{text}s" if text.strip().replace(".", "").isdigit() else text

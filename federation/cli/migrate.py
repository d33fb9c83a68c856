"""`roam migrate`: move running services to another sub-cluster."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.columns import where
from federation.cli.moving import Place, follow, is_open, outcome
from federation.cli.output import note
from federation.cli.parsing import add_connection, add_namespace, add_timeout, connect, seconds, split_name
from federation.errors import (
    Denied,
    FederationError,
    InvalidInput,
    NotFound,
    RateLimited,
    Unavailable,
    Unplaceable,
)

Object = Mapping[str, Any]
Wish = tuple[str, dict[str, Any]]
"""A namespace, and the spec of a migration."""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Copies are started on the target, traffic follows step by step, and the old copies go when nothing uses\n"
        "them any more. Whatever goes wrong before that is undone. How it is moved is said by the policies, unless\n"
        "--strategy, --canary and --interval do. The service then stays where it was moved, until roam unpin.\n\n"
        "examples:\n"
        "  roam migrate cart --to ec2-frankfurt --wait\n"
        "  roam migrate cart ads --to ec2-frankfurt --strategy 10,50,100 --interval 5s\n"
        "  roam migrate --all --from gce-belgium --to ec2-frankfurt --dry-run\n\n"
        "exit codes: 4 denied there, nothing is started; with --dry-run also 3 no room there; with --wait 0 moved,\n"
        "1 rolled back or failed, 5 not done in time (it goes on)"
    )
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="NAME or NAMESPACE/NAME, one or several")
    parser.add_argument("--to", metavar="SUB", required=True, dest="target", help="the sub-cluster to move to")
    parser.add_argument("--from", metavar="SUB", dest="source", help="the one to leave, if it runs in several")
    parser.add_argument("--all", action="store_true", help="every service of every namespace that runs in --from")
    add_namespace(parser)
    parser.add_argument(
        "--strategy",
        metavar="HOW",
        type=_strategy,
        help="steps of traffic, e.g. 5,25,100, or JSON as in a policy's migration.strategy",
    )
    parser.add_argument(
        "--canary", metavar="STEPS", type=_steps, help="traffic on the target in percent, e.g. 5,25,100"
    )
    parser.add_argument("--interval", metavar="TIME", type=_interval, help="how long each step lasts, e.g. 10s")
    parser.add_argument("--dry-run", action="store_true", help="say what it would mean, change nothing")
    parser.add_argument("--wait", action="store_true", help="until it has ended, with progress on stderr")
    add_timeout(parser, "10m")
    add_connection(parser)


def run(args: Any) -> int:
    """Start the moves, and see them through if asked to."""
    if args.all and (args.services or not args.source):
        raise InvalidInput("--all moves every service away from a sub-cluster: name it with --from, and no service")
    if not args.all and not args.services:
        raise InvalidInput("which service? Name one or several, or say --all --from SUB")
    with connect(args) as client:
        _check_known(client, args)
        wishes = _all(client, args) if args.all else [_wish(client, name, args) for name in args.services]
        if len({(space, spec["service"]) for space, spec in wishes}) < len(wishes):
            raise InvalidInput("a service stands here twice")
        if args.dry_run:
            return _dry_run(client, wishes)
        return _start(client, wishes, args)


def _start(client: Client, wishes: Sequence[Wish], args: Any) -> int:
    created: list[Place] = []
    refused: list[FederationError] = []
    for namespace, spec in wishes:
        metadata = {"namespace": namespace, "generateName": f"{spec['service']}-"}
        try:
            _check_permitted(client, namespace, spec)
            answer = client.post(path_of("migrations", namespace), {"metadata": metadata, "spec": spec})
        except FederationError as error:
            if len(wishes) == 1:
                raise
            refused.append(error)
            continue
        created.append((namespace, answer["metadata"]["name"]))
        print(f"migration/{created[-1][1]} created", flush=True)
    if created and args.wait:
        outcome(follow(client, created, args.timeout))
    elif created:
        spaces = {namespace for namespace, _ in created}
        note(f"follow it with: roam migrations {'-A' if len(spaces) > 1 else f'-n {spaces.pop()}'} -w")
    if refused:
        said = "\n".join(str(error) for error in refused)
        denied = any(isinstance(error, Unplaceable) for error in refused)
        raise Unplaceable(said, denied=True) if denied else FederationError(said)
    return 0


def _check_permitted(client: Client, namespace: str, spec: Mapping[str, Any]) -> None:
    """Raises: Unplaceable where a rule denies the target. What can't be told now is left to the controller.

    The server's answer may be of a moment ago, so a denial is looked at again with what is stored now, as far as the
    caller may see that."""
    try:
        found = client.get(f"{path_of('microservices', namespace, spec['service'])}/candidates")
    except (NotFound, Unavailable, RateLimited):
        return
    candidate = next((one for one in found["candidates"] if one["subcluster"] == spec["target"]), None)
    if candidate is None or candidate["verdict"] != "denied":
        return
    try:
        lacks, _ = _lacks(client, [(namespace, dict(spec))])
    except Denied:
        reasons = "; ".join(candidate["reasons"])
        lacks = Unplaceable(f"{namespace}/{spec['service']} can't move to {spec['target']}: {reasons}", denied=True)
    if lacks is not None and lacks.denied:
        raise lacks


def _all(client: Client, args: Any) -> list[Wish]:
    """Everything that runs in the source and can be moved; says what is left out. Raises: InvalidInput."""
    data = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        for item in client.items("microservices")[0]
        if item["spec"]["stateful"]
    }
    moving = {
        (item["metadata"]["namespace"], item["spec"]["service"])
        for item in client.items("migrations")[0]
        if is_open(item)
    }
    wishes = []
    for item in client.items("placements")[0]:
        place = (item["metadata"]["namespace"], item["metadata"]["name"])
        running = [one for one in item["spec"]["targets"] if one["replicas"] and one["subcluster"] == args.source]
        if not running:
            continue
        if place in data or place in moving:
            why = "keeps its data with it" if place in data else "is being moved already"
            note(f"roam: note: {'/'.join(place)} is left out: it {why}")
            continue
        spec = {"service": place[1], "source": args.source, "target": args.target, "replicas": running[0]["replicas"]}
        wishes.append((place[0], {**spec, **_how(args)}))
    if not wishes:
        raise InvalidInput(f"nothing that can be moved runs in {args.source}", field="--from")
    return wishes


def _wish(client: Client, service: str, args: Any) -> Wish:
    namespace, name = split_name(service, args.namespace)
    _service(client, namespace, name)
    try:
        targets = client.get(path_of("placements", namespace, name))["spec"]["targets"]
    except NotFound:
        targets = []
    source, replicas = _source(f"{namespace}/{name}", targets, args)
    spec = {"service": name, "source": source, "target": args.target, "replicas": replicas}
    return namespace, {**spec, **_how(args)}


def _how(args: Any) -> dict[str, Any]:
    """The strategy, as far as the command says it: more special options win."""
    strategy: dict[str, Any] = dict(args.strategy or {})
    canary = dict(strategy.get("canary") or {})
    if args.canary:
        canary["steps"] = args.canary
    if args.interval:
        canary["interval"] = args.interval
    if canary:
        strategy["canary"] = canary
    return {"strategy": strategy} if strategy else {}


def _service(client: Client, namespace: str, name: str) -> Object:
    try:
        return client.get(path_of("microservices", namespace, name))
    except NotFound as error:
        from federation.cli.world import unknown_service
        from federation.model.meta import Key

        items = client.items("microservices")[0]
        known = [Key(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items]
        raise unknown_service(Key(namespace, name), known) from error


def _check_known(client: Client, args: Any) -> None:
    """Raises: NotFound for an unknown sub-cluster, InvalidInput for one and the same."""
    from federation.model.nearest import suggestion

    known = [item["metadata"]["name"] for item in client.items("subclusters")[0]]
    for option, name in (("--to", args.target), ("--from", args.source if args.all else None)):
        if name is not None and name not in known:
            raise NotFound(f"{option}: subcluster {name} does not exist; {suggestion(name, known)}")
    if args.all and args.source == args.target:
        raise InvalidInput(f"source and target are both {args.target!r}", field="--to")


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


def _dry_run(client: Client, wishes: Sequence[Wish]) -> int:
    """What the planner thinks of each. Raises: Unplaceable."""
    lacks, said = _lacks(client, wishes)
    print("".join(f"{line}\n" for line in said), end="")
    if lacks is not None:
        raise lacks
    return 0


def _lacks(client: Client, wishes: Sequence[Wish]) -> tuple[Unplaceable | None, list[str]]:
    """What keeps any of them from its target, by a plan made of what is stored now, and what the others would mean."""
    import time

    from federation.app import plan_resources
    from federation.cli.movestable import in_words
    from federation.cli.plantable import money
    from federation.cli.world import fetch, find_service
    from federation.model.meta import Key

    resources = fetch(client)
    judgement = plan_resources(resources, time.time(), certify=False)
    lacks: list[str] = []
    said: list[str] = []
    denied = False
    for namespace, spec in wishes:
        key = find_service(resources, Key(namespace, spec["service"])).key
        found = judgement.candidates(key)
        candidate = next(one for one in found.candidates if one.subcluster == spec["target"])
        if candidate.verdict in ("denied", "full"):
            denied = denied or candidate.verdict == "denied"
            lacks.append(f"{key} can't move to {spec['target']}: {'; '.join(candidate.reasons)}")
            continue
        said.append(
            f"{key}: {spec['replicas']} replicas would move from {spec['source']} to {spec['target']} (dry run)"
        )
        cost = candidate.cost_usd_per_hour
        if cost is not None and found.targets:
            now = ", ".join(f"{target.subcluster} {target.replicas}" for target in found.targets)
            said.append(f"planned: {now} at {money(found.cost_usd_per_hour)} USD/h; with it: {money(cost)} USD/h")
        move = judgement.migration(key, spec["source"], spec["target"], spec["replicas"])
        if move is not None:
            said.append(f"the move: {in_words(move)}")
    return Unplaceable("\n".join(lacks), denied=denied) if lacks else None, said


def _strategy(text: str) -> dict[str, Any]:
    if not text.lstrip().startswith("{"):
        return {"canary": {"steps": _steps(text)}}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not JSON: {error}") from error
    return dict(found)


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

"""Carries out a plan that was written to a file: applies its objects, makes its moves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from federation.cli.apply import Object, document_of, print_results, wait_ready
from federation.cli.client import Client, path_of
from federation.cli.moving import Place, follow, outcome
from federation.cli.output import note
from federation.cli.parsing import connect
from federation.cli.planfile import PlanFile, Shift, as_document, check_fresh, read_plan
from federation.cli.world import fetch, load_files, tell
from federation.errors import InvalidInput, StalePlan
from federation.model.meta import Resource
from federation.model.microservice import Microservice


def carry_out(args: Any) -> int:
    """Apply the plan `args.plan`. Raises: StalePlan when it, or its files, are no longer as they were."""
    path = Path(args.plan)
    plan = read_plan(path)
    shifts = list(plan.shifts().values())
    if any(len(some) > 1 for some in shifts) and not (args.wait or args.dry_run):
        raise InvalidInput("some services move in several steps, one after the other: add --wait", file=str(path))
    with connect(args) as client:
        stored = fetch(client)
        documents = _documents(plan, args, stored)
        check_fresh(plan, stored)
        if documents:
            print_results(client.apply(documents, dry_run=args.dry_run), args)
        if args.dry_run:
            _say(shift for some in shifts for shift in some)
            return 0
        rounds = max(map(len, shifts), default=0)
        for number in range(rounds):
            moves = [some[number] for some in shifts if len(some) > number]
            if args.wait:
                move_all(client, moves, args.timeout)
            else:
                _start(client, moves)
        if args.wait:
            wait_ready(client, [_place(one) for one in documents if one["kind"] == "Microservice"], args.timeout)
        elif rounds:
            note("follow it with: roam migrations -A -w")
        if not documents and not rounds:
            note("the plan changes nothing")
    return 0


def _documents(plan: PlanFile, args: Any, stored: Iterable[Resource]) -> list[Object]:
    """What to apply: the plan's objects, from the files where those are given. Raises: StalePlan."""
    if not args.files:
        return list(plan.objects)
    files = load_files(args.files, args.namespace).beside([each for each in stored if isinstance(each, Microservice)])
    tell(files, notes=True)
    resources = files.resources
    planned = {_title(one): one for one in plan.objects}
    given = {_title(each): each for each in map(as_document, resources)}
    other = sorted(name for name in planned.keys() | given.keys() if planned.get(name) != given.get(name))
    if other:
        raise StalePlan(f"the files are not those the plan was made from: {', '.join(other[:10])}")
    return [document_of(each) for each in resources]


def _start(client: Client, shifts: Iterable[Shift]) -> list[Place]:
    """Begin the moves. As nobody chose the place by hand, the services are not pinned to it."""
    created = []
    for shift in shifts:
        namespace, service = shift.key
        spec = {
            "service": service,
            "source": shift.source,
            "target": shift.target,
            "replicas": shift.replicas,
            "reason": "Cost",
        }
        body = {"metadata": {"namespace": namespace, "generateName": f"{service}-"}, "spec": spec}
        name = client.post(path_of("migrations", namespace), body)["metadata"]["name"]
        print(f"migration/{name} created: {shift.replicas} of {shift.key} to {shift.target}", flush=True)
        created.append((namespace, name))
    return created


def move_all(client: Client, shifts: list[Shift], timeout_s: float) -> None:
    """Make these moves and wait for them. One that is refused before it began is tried again when others have gone:
    they may have been in the room it wants. Raises: TimedOut, FederationError with all that did not succeed."""
    while shifts:
        ended = follow(client, _start(client, shifts), timeout_s)
        refused = [shift for shift, one in zip(shifts, ended, strict=True) if one["status"]["phase"] == "Failed"]
        again = refused if any(one["status"]["phase"] == "Succeeded" for one in ended) else []
        outcome([one for shift, one in zip(shifts, ended, strict=True) if shift not in again])
        shifts = again


def _say(shifts: Iterable[Shift]) -> None:
    for shift in shifts:
        print(f"{shift.key}: {shift.replicas} replicas would move from {shift.source} to {shift.target} (dry run)")


def _place(document: Object) -> Place:
    return document["metadata"]["namespace"], document["metadata"]["name"]


def _title(document: Object) -> str:
    return f"{document['kind']} {'/'.join(part for part in _place(document) if part)}"

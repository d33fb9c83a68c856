"""`roam why-not`: what keeps a service out of a sub-cluster, and the single changes that would let it in."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from federation.cli.output import print_json
from federation.cli.parsing import add_connection, add_files, add_namespace, add_output, split_name
from federation.cli.plan import DENIED, NO_ROOM, gather
from federation.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from federation.cli.attempts import Answer, Trial

_TITLES = {
    "chosen": "the choice",
    "feasible": "permitted, but not the choice",
    "full": "no room",
    "denied": "denied",
}


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Each change is tried by planning with it, all other services held where the plan puts them. Nothing is\n"
        "changed.\n\n"
        "exit codes: 4 it is denied there, 3 there is no room, 0 otherwise"
    )
    parser.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    parser.add_argument("subcluster", metavar="SUBCLUSTER", help="a sub-cluster's name")
    add_files(parser, required=False)
    add_namespace(parser)
    add_output(parser, "table", "json")
    parser.add_argument("--offline", action="store_true", help="never ask a server")
    add_connection(parser)


def run(args: Any) -> int:
    """Show what is against it."""
    from federation.cli.attempts import answer
    from federation.cli.world import find_service
    from federation.model.meta import Key

    world = gather(args)
    service = find_service(world, Key(*split_name(args.service, args.namespace)))
    known = [each.key.name for each in world if each.kind_name == "SubCluster"]
    if args.subcluster not in known:
        from federation.model.nearest import suggestion

        raise NotFound(f"subcluster {args.subcluster} does not exist; {suggestion(args.subcluster, known)}")
    found = answer(world, service.key, args.subcluster, time.time())
    if args.output == "json":
        print_json(found.document())
    else:
        _print(found)
    return {"denied": DENIED, "full": NO_ROOM}.get(found.candidate.verdict, 0)


def _print(found: Answer) -> None:
    from federation.cli.plantable import money

    service, candidate = found.service, found.candidate
    print(f"{service.namespace}/{service.service} in {candidate.subcluster}: {_TITLES[candidate.verdict]}")
    for reason in candidate.reasons:
        print(f"  {reason.removeprefix(f'{candidate.subcluster}: ')}")
    if candidate.verdict == "chosen":
        return
    goal = "the choice" if candidate.verdict == "feasible" else "possible"
    if found.alone:
        print(
            f"\nIt would be {goal} with " + ("this change:" if len(found.alone) == 1 else "any one of these changes:")
        )
    elif found.together:
        print(f"\nNo single change is enough; it would be {goal} with all of these:")
    else:
        print(f"\nNo change that was tried would make it {goal}.")
    for trial in found.alone or found.together:
        cost = "" if trial.cost_usd_per_hour is None else f", at {money(trial.cost_usd_per_hour)} USD/h"
        chosen = " and the choice" if trial.verdict == "chosen" and goal == "possible" else ""
        print(f"  {trial.change}" + (f" (then possible{chosen}{cost})" if found.alone and goal == "possible" else ""))
    if found.together:
        cost_then = found.together[-1].cost_usd_per_hour
        print("" if cost_then is None else f"It would cost {money(cost_then)} USD/h there.")
    said = found.alone or found.together
    if goal == "the choice":
        if len(found.flip) > 1:
            _print_all("It would be the choice with all of these:", found.flip)
        elif not found.alone:
            print("No price of its cores and memory alone would make it the choice.")
    elif said and "chosen" not in {trial.verdict for trial in said}:
        if found.flip:
            _print_all("The least that would make it the choice:", found.flip)
        else:
            print("\nNone of this, and no price of its cores and memory, would make it the choice.")


def _print_all(title: str, trials: Iterable[Trial]) -> None:
    print(f"\n{title}")
    for trial in trials:
        print(f"  {trial.change}")

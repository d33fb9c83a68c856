"""`roam why-not`: what keeps a service out of a sub-cluster, and the single changes that would let it in."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from federation.cli.output import print_json
from federation.cli.parsing import add_connection, add_files, add_namespace, add_output, split_name
from federation.cli.plan import DENIED, NO_ROOM, gather
from federation.errors import FederationError, NotFound

if TYPE_CHECKING:
    from federation.cli.remedies import Remedy
    from federation.model.meta import Key, Resource
    from federation.model.plan import Candidate, PlannedService
    from federation.model.subcluster import SubCluster
    from federation.planner.decide import Judgement

_MARGIN = 1e-6
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


@dataclass(frozen=True)
class Trial:
    """A change, and what the sub-cluster would be for the service with it."""

    change: str
    verdict: str
    cost_usd_per_hour: float | None


@dataclass(frozen=True)
class Answer:
    """`alone`: each of these changes is enough. `together`: all of these are needed, if they are enough."""

    service: PlannedService
    candidate: Candidate
    alone: tuple[Trial, ...] = ()
    together: tuple[Trial, ...] = ()
    hopeless: str = field(default="")

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {
            "namespace": self.service.namespace,
            "service": self.service.service,
            **self.candidate.model_dump(mode="json"),
            "alone": [vars(trial) for trial in self.alone],
            "together": [vars(trial) for trial in self.together],
        }


def run(args: Any) -> int:
    """Show what is against it."""
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


def answer(world: tuple[Resource, ...], key: Key, subcluster: str, now: float) -> Answer:
    """What is against that place, and what would help. Raises: as `federation.app.plan_resources`."""
    from federation.app import plan_resources

    judgement = plan_resources(world, now)
    service = judgement.candidates(key)
    candidate = _at(service, subcluster)
    if candidate.verdict == "chosen":
        return Answer(service, candidate)
    return _Attempts(world, key, subcluster, judgement, now).answer(service, candidate)


def _at(service: PlannedService, subcluster: str) -> Candidate:
    return next(each for each in service.candidates if each.subcluster == subcluster)


@dataclass(frozen=True)
class _Attempts:
    """Plans with changes, everybody else held."""

    world: tuple[Resource, ...]
    key: Key
    subcluster: str
    judgement: Judgement
    now: float

    def answer(self, service: PlannedService, candidate: Candidate) -> Answer:
        from federation.cli.remedies import remedies

        wanted = ("chosen",) if candidate.verdict == "feasible" else ("feasible", "chosen")
        tries = remedies(self.world, self.key, self.subcluster, self.judgement)
        results = [(remedy, self._try([remedy])) for remedy in tries]
        alone = [_trial(remedy, found) for remedy, found in results if found and found.verdict in wanted]
        if candidate.verdict == "feasible":
            price = self._price(service, candidate)
            return Answer(service, candidate, (*alone, *((price,) if price else ())), (), "" if price else _hopeless())
        if alone:
            return Answer(service, candidate, tuple(alone))
        helpful = [
            remedy
            for remedy, found in results
            if found and (found.verdict, found.reasons) != (candidate.verdict, candidate.reasons)
        ]
        return Answer(service, candidate, (), self._together(helpful, wanted))

    def _together(self, helpful: list[Remedy], wanted: tuple[str, ...]) -> tuple[Trial, ...]:
        """All of `helpful` at once, less those that are not needed; nothing if they are not enough."""
        found = self._try(helpful) if helpful else None
        if found is None or found.verdict not in wanted:
            return ()
        needed = list(helpful)
        for remedy in reversed(helpful):
            fewer = [each for each in needed if each is not remedy]
            less = self._try(fewer) if fewer else None
            if less is not None and less.verdict in wanted:
                needed, found = fewer, less
        return tuple(_trial(remedy, found) for remedy in needed)

    def _try(self, changes: list[Remedy]) -> Candidate | None:
        """The candidate with the changes made; None when no plan can be made of them."""
        from federation.app import plan_resources
        from federation.model.meta import Key

        world = self.world
        for remedy in changes:
            world = remedy.apply(world)
        held = {
            Key(one.namespace, one.service): one.targets
            for one in self.judgement.plan.placements
            if one.targets and Key(one.namespace, one.service) != self.key
        }
        if self.key in self.judgement.request.fixed and not any(remedy.frees for remedy in changes):
            held[self.key] = self.judgement.request.fixed[self.key]
        try:
            return _at(plan_resources(world, self.now, held=held).candidates(self.key), self.subcluster)
        except FederationError:
            return None

    def _price(self, service: PlannedService, candidate: Candidate) -> Trial | None:
        """At which price the sub-cluster would become the choice, if there is one."""
        from federation.cli.remedies import cheaper

        compute = candidate.terms.get("compute", 0.0)
        gap = (candidate.cost_usd_per_hour or 0.0) - service.cost_usd_per_hour
        if compute <= gap or gap < 0 or not service.targets:
            return None
        remedy = cheaper(self._there(), self.judgement, (1 - gap / compute) * (1 - _MARGIN))
        found = self._try([remedy])
        return _trial(remedy, found) if found is not None and found.verdict == "chosen" else None

    def _there(self) -> SubCluster:
        from federation.model.subcluster import SubCluster

        return next(each for each in self.world if isinstance(each, SubCluster) and each.key.name == self.subcluster)


def _hopeless() -> str:
    return "No price of its cores and memory alone would make it the choice."


def _trial(remedy: Remedy, found: Candidate) -> Trial:
    return Trial(remedy.change, found.verdict, found.cost_usd_per_hour)


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
    if found.hopeless and not found.alone:
        print(found.hopeless)

"""What would let a service into a sub-cluster, and what would make that its choice: changes that were each tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from federation.app import plan_resources
from federation.cli.amounts import AMOUNTS, Amounts
from federation.cli.remedies import Remedy, remedies
from federation.errors import FederationError
from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.plan import Candidate, PlannedService
from federation.planner.decide import Judgement

MOST_BASES = 3
"""Of how many ways to let it in the rest of the way to its being the choice is looked for."""
Changes = tuple[Remedy, ...]


@dataclass(frozen=True)
class Trial:
    """A change, in words and as `edit` for programs, and what the sub-cluster would be for the service with it."""

    change: str
    edit: Mapping[str, Any]
    verdict: str
    cost_usd_per_hour: float | None


@dataclass(frozen=True)
class Answer:
    """`alone`: each of these changes lets it in. `together`: all of these do, and none is needless. `flip`: the
    smallest changes that make it the choice, all of them needed, and no amount larger than needed; empty where none
    were found, or it is the choice."""

    service: PlannedService
    candidate: Candidate
    alone: tuple[Trial, ...] = ()
    together: tuple[Trial, ...] = ()
    flip: tuple[Trial, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {
            "namespace": self.service.namespace,
            "service": self.service.service,
            **self.candidate.model_dump(mode="json"),
            "alone": [vars(trial) for trial in self.alone],
            "together": [vars(trial) for trial in self.together],
            "flip": [vars(trial) for trial in self.flip],
        }


def answer(world: tuple[Resource, ...], key: Key, subcluster: str, now: float) -> Answer:
    """What is against that place, and what would help. Raises: as `federation.app.plan_resources`."""
    judgement = plan_resources(world, now, certify=False)
    service = judgement.candidates(key)
    candidate = _at(service, subcluster)
    if candidate.verdict == "chosen":
        return Answer(service, candidate)
    return _Attempts(world, key, subcluster, judgement, now).answer(service, candidate)


def _at(service: PlannedService, subcluster: str) -> Candidate:
    return next(each for each in service.candidates if each.subcluster == subcluster)


@dataclass(frozen=True)
class _Attempts:
    """Plans with changes, everybody else held: those with a place in it, those without one without it."""

    world: tuple[Resource, ...]
    key: Key
    subcluster: str
    judgement: Judgement
    now: float

    def answer(self, service: PlannedService, candidate: Candidate) -> Answer:
        wanted = ("chosen",) if candidate.verdict == "feasible" else ("feasible", "chosen")
        amounts = Amounts(self.world, self.judgement, self.key, self.subcluster)
        tries = (*amounts.enough(), *remedies(self.world, self.key, self.subcluster))
        results = [(remedy, self._try((remedy,))) for remedy in tries]
        good = _first_of_groups([(remedy, found) for remedy, found in results if found and found.verdict in wanted])
        alone = tuple(_trial(remedy, found) for remedy, found in good)
        together: Changes = ()
        if candidate.verdict != "feasible" and not good:
            same = (candidate.verdict, candidate.reasons)
            helpful = tuple(remedy for remedy, found in results if found and (found.verdict, found.reasons) != same)
            together = self._needed(helpful, wanted)
        if candidate.verdict == "feasible":
            bases: list[Changes] = [()]
        else:
            bases = [*((remedy,) for remedy, _ in good[:MOST_BASES]), *([together] if together else [])]
        flip = self._flip(bases, tries)
        if candidate.verdict == "feasible" and len(flip) == 1 and flip[0].edit not in [trial.edit for trial in alone]:
            alone = (*alone, *flip)
        return Answer(service, candidate, alone, self._trials(together), flip)

    def _flip(self, bases: Sequence[Changes], tries: Changes) -> tuple[Trial, ...]:
        """The first way from any of `bases` to where the sub-cluster is the choice: nothing more, then a price, then
        another change, then both."""
        for base in bases:
            if base and self._chosen(base):
                return self._trials(base)
        further: list[Changes] = [base for base in bases if self._judged(base) is not None]
        for base in further:
            found = self._priced(base)
            if found:
                return self._trials(self._least(found))
        more: list[Changes] = [(*base, remedy) for base in further for remedy in tries if remedy not in base]
        for attempt in chain(filter(self._chosen, more), filter(None, map(self._priced, more))):
            return self._trials(self._least(attempt))
        return ()

    def _priced(self, base: Changes) -> Changes:
        """`base` and the price at which the sub-cluster is the choice then; nothing where no price makes it that."""
        judgement = self._judged(base)
        if judgement is None:
            return ()
        remedy = Amounts(self._world(base), judgement, self.key, self.subcluster).cheaper()
        return (*base, remedy) if remedy is not None and self._chosen((*base, remedy)) else ()

    def _needed(self, changes: Changes, wanted: Sequence[str]) -> Changes:
        """All of `changes` at once, less those that are not needed; nothing if they are not enough."""
        found = self._try(changes) if changes else None
        if found is None or found.verdict not in wanted:
            return ()
        needed = changes
        for remedy in reversed(changes):
            fewer = tuple(each for each in needed if each is not remedy)
            less = self._try(fewer) if fewer else None
            if less is not None and less.verdict in wanted:
                needed = fewer
        return needed

    def _least(self, changes: Changes) -> Changes:
        """Of changes that make it the choice those that are needed, each amount as small as the others let it be: what
        is cheaper overruns a budget by less."""
        needed = self._needed(changes, ("chosen",)) or changes
        for position, remedy in enumerate(needed):
            rest = tuple(each for each in needed if each is not remedy)
            judgement = self._judged(rest) if remedy.edit["kind"] in AMOUNTS else None
            if judgement is None:
                continue
            amounts = Amounts(self._world(rest), judgement, self.key, self.subcluster)
            for smaller in amounts.enough():
                attempt = (*needed[:position], smaller, *needed[position + 1 :])
                if smaller.target == remedy.target and self._chosen(attempt):
                    needed = attempt
                    break
        return needed

    def _trials(self, changes: Changes) -> tuple[Trial, ...]:
        found = self._try(changes) if changes else None
        return tuple(_trial(remedy, found) for remedy in changes) if found is not None else ()

    def _chosen(self, changes: Changes) -> bool:
        found = self._try(changes)
        return found is not None and found.verdict == "chosen"

    def _try(self, changes: Changes) -> Candidate | None:
        """The candidate with the changes made; None when no plan can be made of them."""
        judgement = self._judged(changes)
        return None if judgement is None else _at(judgement.candidates(self.key), self.subcluster)

    def _world(self, changes: Changes) -> tuple[Resource, ...]:
        world = self.world
        for remedy in changes:
            world = remedy.apply(world)
        return world

    def _judged(self, changes: Changes) -> Judgement | None:
        others = {
            Key(one.namespace, one.service): one.targets
            for one in self.judgement.plan.placements
            if Key(one.namespace, one.service) != self.key
        }
        held = {key: targets for key, targets in others.items() if targets}
        if self.key in self.judgement.request.fixed and not any(remedy.frees for remedy in changes):
            held[self.key] = self.judgement.request.fixed[self.key]
        # Who has no place in the plan has none in the attempt either, however much room there is then.
        world = tuple(
            each
            for each in self._world(changes)
            if not isinstance(each, Microservice) or each.key == self.key or others.get(each.key)
        )
        try:
            return plan_resources(world, self.now, held=held, certify=False)
        except FederationError:
            return None


def _first_of_groups(found: Sequence[tuple[Remedy, Candidate]]) -> list[tuple[Remedy, Candidate]]:
    groups: set[str] = set()
    result = []
    for remedy, candidate in found:
        if not remedy.group or remedy.group not in groups:
            result.append((remedy, candidate))
            groups.add(remedy.group)
    return result


def _trial(remedy: Remedy, found: Candidate) -> Trial:
    return Trial(remedy.change, remedy.edit, found.verdict, found.cost_usd_per_hour)

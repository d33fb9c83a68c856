"""Why a service stands where it stands: against the next best, and who is out for which reasons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import TYPE_CHECKING, Literal

import numpy as np

from federation.contracts.policy import Reason
from federation.errors import InvalidInput
from federation.model.meta import Key
from federation.model.plan import Candidate, Plan, PlannedService
from federation.planner.ledger import CALLERS, DIGITS, Ledger
from federation.planner.obstacles import (
    PASSING,
    Obstacles,
    obstacles,
    open_parts,
    parts_using,
    policy_warnings,
    price_notes,
)
from federation.planner.options import Parts
from federation.planner.request import PlanRequest
from federation.planner.state import State
from federation.planner.ties import kept_ties, tie_reasons
from federation.planner.wording import decimals, difference, equation, money, nth, tally

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints


def say(reason: Reason) -> str:
    """A reason as a sentence, with who says so."""
    text = f"warning: {reason.message}" if reason.warning else reason.message
    return f"{text} ({reason.origin})" if reason.origin else text


@dataclass(frozen=True)
class Alternative:
    """Another placement of one service, all others as they are."""

    row: Ints
    cost_usd_per_hour: float
    terms: dict[str, float]


class Explainer:
    """Explains one placement of a request's services. Columns are made once, sentences when asked for."""

    def __init__(self, request: PlanRequest, state: State):
        self.request = request
        self.state = state
        self.ledger = Ledger(request, state)
        self._free: Bools = self._open_alone()
        total = self.ledger.own.sum(axis=0) + self.ledger.callers
        self._total: Floats = np.where(self._free, total, np.inf)

    def _open_alone(self) -> Bools:
        """[S, C] where a service that needs one sub-cluster could stand as a whole now."""
        state, problem = self.state, self.request.problem
        good = problem.allowed & (state.blocked == 0) & state.fits(np.arange(problem.shape[0]))
        good[state.options.listed] = False
        if len(state.spent):
            for service, subcluster in np.argwhere(good).tolist():
                good[service, subcluster] = state.spend_allows(service, state.row(service, subcluster))
        return np.asarray(good)

    def reasons(self, service: int) -> tuple[str, ...]:
        """The choice against the next best, how far down the order of preference it is, and a summary of who is out;
        for an unplaced service the summary only."""
        found = self._place(service) if self.state.placed(service) else []
        summary = self._summary(service)
        if summary:
            found.append(summary)
        return tuple(found)

    def _place(self, service: int) -> list[str]:
        """Why it stands where it stands, what of it has no room, which preference and ties that keeps, and what the
        policies warn of there."""
        found = [self._choice(service), *self._bought(service)]
        if self._missing(service):
            replicas = int(self.request.problem.replicas[service])
            found.append(
                f"room for {replicas - self._missing(service)} of {replicas} replicas only: those that run stay"
            )
        preferred = self._preferred(service)
        return [*found, *([preferred] if preferred else []), *self._tied(service), *self._warned(service)]

    def verdict(self, service: int) -> Literal["placed", "denied", "full"]:
        """Placed; or full, where only room lacks somewhere, for all or some of the replicas; or denied."""
        if self.state.placed(service):
            return "full" if self._missing(service) else "placed"
        every = range(self.request.problem.shape[1])
        out = (self.obstacles(service, subcluster) for subcluster in every)
        return "full" if any(each is None or not each.denied for each in out) else "denied"

    def _missing(self, service: int) -> int:
        """How many replicas have no place, of a service that has some."""
        problem = self.request.problem
        return (
            0 if problem.fixed[service] else max(int(problem.replicas[service] - self.state.counts[service].sum()), 0)
        )

    def obstacles(self, service: int, subcluster: int) -> Obstacles | None:
        """Why the service can't stand there, all others as they are; None when it can or does."""
        return obstacles(self.request, self.state, service, subcluster)

    def alternative(self, service: int, subcluster: int | None = None) -> Alternative | None:
        """The cheapest other placement, or the cheapest one that uses that sub-cluster; None when there is none."""
        state = self.state
        if self.request.problem.fixed[service]:
            return None
        if not state.options.listed[service]:
            best = self._next[service] if subcluster is None else subcluster
            if state.counts[service, best] or not np.isfinite(self._total[service, best]):
                return None
            terms = self.ledger.terms_alone(service, best)
            return Alternative(state.row(service, best), round(fsum(terms.values()), DIGITS), terms)
        parts = state.options.parts(service) if subcluster is None else parts_using(state, service, subcluster)
        parts = parts.take(parts.others(state.counts[service]) & open_parts(state, service, parts))
        if not len(parts):
            return None
        first = self._first(service, parts, state.part_costs(service, parts))
        return self._alternative(service, parts.row(first, state.counts.shape[1]))

    @cached_property
    def _next(self) -> list[int]:
        """For each service, the sub-cluster that comes first among those where it does not stand, for one that needs
        only one; found for all at once, since a small step of numpy per service would keep other threads out."""
        costs, ranks = np.where(self.state.counts > 0, np.inf, self._total), self.request.ranks
        first = costs.argmin(axis=1) if ranks is None else np.lexsort((costs, ranks, np.isinf(costs)), axis=1)[:, 0]
        found: list[int] = first.tolist()
        return found

    def _first(self, service: int, parts: Parts, costs: Floats) -> int:
        """Which of the options comes first: the most preferred, of these the cheapest."""
        ranks = self.request.ranks
        if ranks is None:
            return int(costs.argmin())
        depth = (parts.counts * ranks[service][parts.places]).sum(axis=1) / parts.counts.sum(axis=1)
        return int(np.lexsort((costs, depth, np.isinf(costs)))[0])

    def _alternative(self, service: int, row: Ints) -> Alternative:
        terms = self.ledger.terms_at(service, row)
        return Alternative(row, round(fsum(terms.values()), DIGITS), terms)

    def candidates(self, service: int) -> tuple[Candidate, ...]:
        """Every sub-cluster as a choice, ordered by name."""
        return tuple(self._candidate(service, subcluster) for subcluster in range(self.request.problem.shape[1]))

    def _warned(self, service: int) -> list[str]:
        """What the policies warn of where it stands; each warning once, with the sub-clusters if there are several."""
        found: dict[str, list[str]] = {}
        columns = np.flatnonzero(self.state.counts[service]).tolist()
        for column in columns:
            for text in self._warnings(service, column):
                found.setdefault(text, []).append(self.request.view.subclusters[column].metadata.name)
        several = len(columns) > 1
        return [f"in {', '.join(names)}: {text}" if several else text for text, names in found.items()]

    def _bought(self, service: int) -> list[str]:
        """What its price is the price of, by place where there are several."""
        counts = self.state.counts[service]
        columns = np.flatnonzero(counts).tolist()
        if len(columns) == 1:
            return list(self._notes(service, columns[0]))
        return [
            f"in {self.request.view.subclusters[column].metadata.name}: {counts[column]} of {counts.sum()} replicas, "
            f"at a price that {text}"
            for column in columns
            for text in self._notes(service, column)
        ]

    def _notes(self, service: int, subcluster: int) -> tuple[str, ...]:
        return tuple(say(reason) for reason in price_notes(self.request, service, subcluster))

    def _warnings(self, service: int, subcluster: int) -> tuple[str, ...]:
        return tuple(say(reason) for reason in policy_warnings(self.request, service, subcluster))

    def _candidate(self, service: int, subcluster: int) -> Candidate:
        name = self.request.view.subclusters[subcluster].metadata.name
        if self.state.counts[service, subcluster]:
            terms = self.ledger.terms_now(service)
            cost = round(fsum(terms.values()), DIGITS)
            return Candidate(
                subcluster=name,
                verdict="chosen",
                cost_usd_per_hour=cost,
                terms=terms,
                reasons=tuple(self._place(service)),
            )
        out = self.obstacles(service, subcluster)
        if out is not None:
            reasons = (*(say(reason) for reason in out.reasons), *self._warnings(service, subcluster))
            return Candidate(subcluster=name, verdict="denied" if out.denied else "full", reasons=reasons)
        other = self.alternative(service, subcluster)
        if other is None:
            warned = self._warnings(service, subcluster)
            return Candidate(subcluster=name, verdict="full", reasons=("no room now", *warned))
        return Candidate(
            subcluster=name,
            verdict="feasible",
            cost_usd_per_hour=other.cost_usd_per_hour,
            terms=other.terms,
            reasons=(
                *((self._against(service, other),) if self.state.placed(service) else ()),
                *self._notes(service, subcluster),
                *self._warnings(service, subcluster),
            ),
        )

    def where(self, row: Ints) -> str:
        """`gce-belgium`, or `2 in gce-belgium, 1 in ec2-frankfurt`."""
        names = [self.request.view.subclusters[c].metadata.name for c in np.flatnonzero(row).tolist()]
        if len(names) == 1:
            return names[0]
        return ", ".join(f"{row[c]} in {name}" for c, name in zip(np.flatnonzero(row), names, strict=True))

    def _choice(self, service: int) -> str:
        """`a: 0.412 = 0.380 compute + 0.032 transfer; next best b: 0.520 (+0.108: +0.120 compute, -0.012 latency)`."""
        terms = self.ledger.terms_now(service)
        total = fsum(terms.values())
        other = self.alternative(service)
        places = decimals(total) if other is None else self._places(total, other)
        text = f"{self.where(self.state.counts[service])}: {equation(total, terms, places)}"
        if self.request.problem.fixed[service]:
            return f"{text}; held there: it is pinned, or on the move"
        return text if other is None else f"{text}; next best {self._against(service, other)}"

    def _places(self, total: float, other: Alternative) -> int:
        """How many decimals show two costs and their difference."""
        delta = abs(other.cost_usd_per_hour - total)
        return max(decimals(total, other.cost_usd_per_hour), min(decimals(delta), 5) if delta > 1e-9 else 0)

    def _against(self, service: int, other: Alternative) -> str:
        terms = self.ledger.terms_now(service)
        total = fsum(terms.values())
        names = [*self.ledger.terms, CALLERS]
        change = {name: other.terms.get(name, 0.0) - terms.get(name, 0.0) for name in names}
        delta = other.cost_usd_per_hour - total
        places = self._places(total, other)
        shown = difference(delta, change, places)
        text = f"{self.where(other.row)}: {money(other.cost_usd_per_hour, places)} ({shown})"
        choices = self._choices(service, other.row)
        return text if choices == self._choices(service, self.state.counts[service]) else f"{text}, {choices}"

    def _tied(self, service: int) -> list[str]:
        """What it runs with or apart from, and what of that is broken where it is held."""
        view, ties, counts = self.request.view, self.request.ties_of.get(service, ()), self.state.counts
        broken = [f"out of place: {say(reason)}" for reason in tie_reasons(view, ties, counts, service)]
        return [*kept_ties(view, ties, counts, service), *broken]

    def _choices(self, service: int, row: Ints) -> str:
        """`2nd choice`, or `1st and 2nd choice` of a divided service; nothing where none is preferred."""
        ranks = self.request.ranks
        if ranks is None or not ranks[service].any():
            return ""
        used = sorted(set(ranks[service][row > 0].tolist()))
        return " and ".join(nth(rank + 1) for rank in used) + " choice" if used else ""

    def _preferred(self, service: int) -> str:
        """`preferred: 2nd choice, 1st is full`."""
        row, ranks = self.state.counts[service], self.request.ranks
        choices = self._choices(service, row)
        if ranks is None or not choices:
            return ""
        before = int(ranks[service][row > 0].min())
        passed = [] if self.request.problem.fixed[service] else range(before)
        return ", ".join(
            [f"preferred: {choices}", *(f"{nth(rank + 1)} {self._passed(service, rank)}" for rank in passed)]
        )

    def _passed(self, service: int, rank: int) -> str:
        """Why the service stands in no sub-cluster of that rank."""
        ranks = self.request.ranks
        columns = [] if ranks is None else np.flatnonzero(ranks[service] == rank).tolist()
        if not columns:
            return "matches no sub-cluster"
        out = [self.obstacles(service, column) for column in columns]
        if any(each is None for each in out):
            return "has room"
        open_ = [each for each in out if each is not None and not each.denied]
        if not open_:
            return "is denied"
        passing = [[reason.short for reason in each.reasons if reason.code in PASSING] for each in open_]
        return f"is {passing[0][0]}" if all(passing) else "is full"

    def _in_reach(self, service: int) -> Bools:
        """[C] where it, or a part of it, could stand now."""
        if not self.state.options.listed[service] or self.request.problem.fixed[service]:
            return np.asarray(self._free[service])
        parts = self.state.options.parts(service)
        parts = parts.take(open_parts(self.state, service, parts))
        found = np.zeros(self.state.counts.shape[1], dtype=bool)
        found[parts.places[parts.counts > 0]] = True
        # A place that some rule of the request is against is told of, whatever the options say.
        return np.asarray(found & self.request.problem.allowed[service])

    def _summary(self, service: int) -> str:
        """`0/5 sub-clusters: 3 outside [EU], 1 lacks pci-dss, 1 has 2 of 6 CPU left`; nothing when nobody is out."""
        here = self.state.counts[service] > 0
        if not len(here):
            return "0/0 sub-clusters: the fleet has none"
        free = here | self._in_reach(service)
        if self.request.problem.fixed[service] or free.all():
            return ""
        shorts: list[str] = []
        possible = 0
        for subcluster in range(len(here)):
            out = None if free[subcluster] else self.obstacles(service, subcluster)
            if out is None:
                possible += 1
            else:
                shorts += [reason.short for reason in out.reasons]
        return f"{possible}/{len(here)} sub-clusters: {tally(shorts)}" if shorts else ""


def explain(request: PlanRequest, plan: Plan, key: Key) -> PlannedService:
    """One service of the plan with all its candidates, all other services held as planned.

    Raises: InvalidInput when the plan has no such service."""
    index = request.service_index.get(key)
    planned = next((each for each in plan.placements if Key(each.namespace, each.service) == key), None)
    if index is None or planned is None:
        raise InvalidInput(f"the plan has no microservice {key}")
    explainer = Explainer(request, state_of(request, plan))
    return planned.model_copy(update={"candidates": explainer.candidates(index)})


def state_of(request: PlanRequest, plan: Plan) -> State:
    """The solver's state as the plan leaves it."""
    from federation.planner.options import Options

    problem = request.problem
    counts = np.zeros(problem.shape, dtype=np.int64)
    for placement in plan.placements:
        service = request.service_index[Key(placement.namespace, placement.service)]
        for target in placement.targets:
            column = request.subcluster_index.get(target.subcluster)
            if column is not None:
                counts[service, column] += max(target.replicas, 1)
    state = State(problem, Options(problem))
    state.load(counts)
    return state

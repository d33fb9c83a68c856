"""What stands between a service and a sub-cluster: rules (denied) or room (full), each with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.contracts.policy import Reason
from federation.planner.feasibility import feasibility_reasons
from federation.planner.options import Parts
from federation.planner.problem import TOLERANCE, SpreadRule
from federation.planner.request import PlanRequest
from federation.planner.state import State
from federation.planner.ties import tie_reasons
from federation.planner.wording import cores, decimals, memory, money

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

PLURAL = {"provider": "providers", "region": "regions", "country": "countries", "subcluster": "sub-clusters"}

PASSING = frozenset({"Lost", "Cordoned", "Draining"})
"""Reasons that are no rule against the service: where nothing else is against it, only room is lacking at present."""


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Why a candidate is out. `denied`: a rule forbids it; otherwise room or money is what lacks."""

    denied: bool
    reasons: tuple[Reason, ...]


def policy_reasons(request: PlanRequest, service: int, subcluster: int) -> tuple[Reason, ...]:
    """Why the policies forbid the service there, engines in order of name; empty when none does."""
    return tuple(
        reason
        for engine, opinion in zip(request.engines, request.opinions, strict=True)
        if opinion.denied is not None and opinion.denied[service, subcluster]
        for reason in engine.explain(request.view, service, subcluster)
        if not (reason.warning or reason.note)
    )


def policy_warnings(request: PlanRequest, service: int, subcluster: int) -> tuple[Reason, ...]:
    """What the policies warn of there, engines in order of name; it denies nothing."""
    return tuple(
        reason
        for engine, opinion in zip(request.engines, request.opinions, strict=True)
        if opinion.warned is not None and opinion.warned[service, subcluster]
        for reason in engine.explain(request.view, service, subcluster)
        if reason.warning
    )


def price_notes(request: PlanRequest, service: int, subcluster: int) -> tuple[Reason, ...]:
    """What the policies have to tell of the price there, engines in order of name."""
    return tuple(
        reason
        for engine, opinion in zip(request.engines, request.opinions, strict=True)
        if opinion.noted is not None and opinion.noted[service, subcluster]
        for reason in engine.explain(request.view, service, subcluster)
        if reason.note
    )


def rule_reasons(request: PlanRequest, service: int, subcluster: int) -> tuple[Reason, ...]:
    """Why the service may not stand there whatever the others do: impossible, forbidden, or of unknown price."""
    found: list[Reason] = []
    if request.infeasible[service, subcluster]:
        found += feasibility_reasons(request.view, request.images, service, subcluster)
    found += policy_reasons(request, service, subcluster)
    for term in sorted(request.prices) if request.priceless[service, subcluster] else ():
        if np.isnan(request.prices[term][service, subcluster]):
            found += _priceless(request, term, service, subcluster)
    return tuple(found)


def _priceless(request: PlanRequest, term: str, service: int, subcluster: int) -> tuple[Reason, ...]:
    """Why there is no such price: what the engine that gives it says, else that nobody states it."""
    said = tuple(
        reason
        for engine, opinion in zip(request.engines, request.opinions, strict=True)
        if term in opinion.prices and (opinion.denied is None or not opinion.denied[service, subcluster])
        for reason in engine.explain(request.view, service, subcluster)
        if not (reason.warning or reason.note)
    )
    field = "spec.instances" if any(request.view.machines[subcluster : subcluster + 1]) else "spec.pricing"
    text = f"no {term} price is known there, and unknown is not free; state {field}"
    return said or (Reason("PriceUnknown", f"without a known {term} price", text, field),)


def rows_using(request: PlanRequest, state: State, service: int, subcluster: int) -> Ints:
    """[O, C] the service's options that use the sub-cluster, as far as rules go."""
    if request.problem.fixed[service]:
        return np.zeros((0, request.problem.shape[1]), dtype=np.int64)
    if not state.options.listed[service]:
        allowed = request.problem.allowed[service, subcluster]
        return state.row(service, subcluster)[None][: int(allowed)]
    return parts_using(state, service, subcluster).rows(request.problem.shape[1])


def parts_using(state: State, service: int, subcluster: int) -> Parts:
    """The options of a service that has a list of them, those with a part in that sub-cluster."""
    parts = state.options.parts(service)
    return parts.take(((parts.places == subcluster) & (parts.counts > 0)).any(axis=1))


def open_parts(state: State, service: int, parts: Parts) -> Bools:
    """[O] which options may be taken now, all other services where they are."""
    good = state.parts_fit(service, parts)
    if state.has_barriers:
        good &= state.rows_unblocked(service, parts.rows(state.counts.shape[1]))
    for option in np.flatnonzero(good).tolist() if len(state.spent) else ():
        good[option] = state.spend_allows(service, parts.row(option, state.counts.shape[1]))
    return good


def open_rows(state: State, service: int, rows: Ints) -> Ints:
    """Those of `rows` that may be taken now, all other services where they are."""
    good = state.rows_fit(service, rows) & state.rows_unblocked(service, rows)
    if len(state.spent):
        good &= np.array([state.spend_allows(service, row) for row in rows], dtype=bool)
    return np.asarray(rows[good])


def obstacles(request: PlanRequest, state: State, service: int, subcluster: int) -> Obstacles | None:
    """Why the service can't stand there, all others as they are; None when it can."""
    found = rule_reasons(request, service, subcluster)
    if found:
        return Obstacles(any(reason.code not in PASSING for reason in found), found)
    if request.problem.fixed[service]:
        text = "the service is held where it is: it is pinned, or on the move"
        return Obstacles(True, (Reason("Held", "not where it is held", text),))
    if not state.options.listed[service] and not state.blocked[service, subcluster] and not len(state.spent):
        row = state.row(service, subcluster)
        if state.rows_fit(service, row[None])[0]:
            return None
        return Obstacles(False, _room_reasons(request, state, service, subcluster, row[None]))
    rows = rows_using(request, state, service, subcluster)
    if not len(rows):
        return Obstacles(True, _spread_reasons(request, service))
    unblocked = rows[state.rows_unblocked(service, rows)]
    if not len(unblocked):
        return Obstacles(True, _limit_reasons(request, state, service, rows[0]))
    fitting = unblocked[state.rows_fit(service, unblocked)]
    if not len(fitting):
        return Obstacles(False, _room_reasons(request, state, service, subcluster, unblocked))
    if not any(state.spend_allows(service, row) for row in fitting):
        return Obstacles(False, _spend_reasons(request, state, service, fitting))
    return None


def held_obstacles(request: PlanRequest, state: State, service: int, subcluster: int) -> Obstacles | None:
    """The same for a service that is held elsewhere, were the largest part of it to move there by a person's will; the
    room that is kept for its open migration counts as free."""
    found = rule_reasons(request, service, subcluster)
    if found:
        return Obstacles(any(reason.code not in PASSING for reason in found), found)
    problem = request.problem
    row = state.counts[service].copy()
    source = int(row.argmax())
    row[subcluster], row[source] = max(int(row[source]), 1), 0
    if not state.rows_unblocked(service, row[None])[0]:
        return Obstacles(True, _limit_reasons(request, state, service, row))
    kept = sum(
        target.replicas
        for target in request.reserved.get(request.view.services[service].key, ())
        if request.subcluster_index[target.subcluster] == subcluster
    )
    free = state.slack[subcluster] + kept * problem.demand[service]
    if (row[subcluster] * problem.demand[service] > free * (1 + TOLERANCE)).any():
        return Obstacles(False, _room_reasons(request, state, service, subcluster, row[None]))
    if not state.spend_allows(service, row):
        return Obstacles(False, _spend_reasons(request, state, service, row[None]))
    return None


def _spread_reasons(request: PlanRequest, service: int) -> tuple[Reason, ...]:
    """Which spread rule can't be kept with the sub-clusters that are permitted."""
    allowed = request.problem.allowed[service]
    replicas = int(request.problem.replicas[service])
    found = []
    for rule in request.problem.spread.get(service, ()):
        there = len(np.unique(rule.domain[allowed & (rule.domain >= 0)]))
        needed = rule.domains_needed(replicas)
        if needed is not None and there < needed:
            found.append(_spread_reason(rule, needed, there, replicas))
    text = "no division of its replicas that keeps the spread uses it"
    return tuple(found) or (Reason("SpreadImpossible", "of no use for the spread", text, "spread"),)


def _spread_reason(rule: SpreadRule, needed: int, there: int, replicas: int) -> Reason:
    names = PLURAL.get(rule.topology, rule.topology)
    most = f" (at most {rule.max_share:.0%} of {replicas} replicas in one)" if needed > rule.min_domains else ""
    text = f"spread needs {needed} {names}{most}, and only {there} may be used"
    return Reason("TooFewDomains", f"short of {names} ({there} of {needed})", text, "spread")


def _limit_reasons(request: PlanRequest, state: State, service: int, row: Ints) -> tuple[Reason, ...]:
    """Which calls would break their hard limit with the service so placed, and which ties."""
    keys = request.view.keys()
    found = []
    share = row / max(int(row.sum()), 1)
    for call in sorted(np.concatenate(state.calls_of(service)).tolist()):
        if call >= len(request.view.edges):
            break
        edge = request.view.edges[call]
        caller = share if edge.caller == service else state.share[edge.caller]
        callee = share if edge.callee == service else state.share[edge.callee]
        for limit in request.limits:
            at = np.flatnonzero(limit.calls == call)
            if not len(at):
                continue
            most, worst = float(limit.limit[at[0]]), worst_route(limit.value, caller, callee)
            if worst > most:
                other = edge.callee if edge.caller == service else edge.caller
                whose = f"its call to {keys[other]}" if edge.caller == service else f"the call from {keys[other]}"
                text = f"{whose} would take {_seconds(worst)}, {limit.name} is {_seconds(most)}"
                found.append(Reason("CallTooSlow", f"too far from {keys[other]}", text, f"calls.{limit.name}"))
    counts = state.counts.copy()
    counts[service] = row
    found += tie_reasons(request.view, request.ties_of.get(service, ()), counts, service)
    return tuple(found) or (Reason("CallTooSlow", "too far from its neighbours", "a call's limit would be broken"),)


def worst_route(value: Floats, caller: Floats, callee: Floats) -> float:
    """The largest value [C, C] on any route between two services so divided [C]; 0 while one of them is nowhere."""
    worst = 0.0
    for c in np.flatnonzero(caller > 0):
        ends = [c] if callee[c] > 0 else np.flatnonzero(callee > 0)
        worst = max([worst, *(float(value[c, d]) for d in ends)])
    return worst


def _seconds(amount: float) -> str:
    return "an unknown time" if amount == np.inf else f"{amount * 1000:.3g} ms"


def _room_reasons(request: PlanRequest, state: State, service: int, subcluster: int, rows: Ints) -> tuple[Reason, ...]:
    """What is left there of what the service needs."""
    problem = request.problem
    least = int(rows[:, subcluster].min())
    left = state.slack[subcluster] + state.counts[service, subcluster] * problem.demand[service]
    need = least * problem.demand[service]
    short = need > left + np.where(np.isfinite(left), TOLERANCE * problem.capacity[subcluster], 0.0)
    found = []
    names = (("CPU", cores), ("memory", memory))
    for resource, (name, show) in enumerate(names):
        if short[resource]:
            room = f"has {show(left[resource])} of {show(problem.capacity[subcluster, resource])} {name} left"
            each = problem.demand[service, resource]
            what = f"{least} x {show(each)}" if least > 1 else show(each)
            found.append(Reason("NoRoom", room, f"{room}, {what} needed", "spec.capacity"))
    text = "there is room here, but none for the replicas that have to run elsewhere"
    return tuple(found) or (Reason("NoRoomElsewhere", "without room for the rest of the spread", text),)


def _spend_reasons(request: PlanRequest, state: State, service: int, rows: Ints) -> tuple[Reason, ...]:
    """Which spending limit the cheapest of the rows would overrun."""
    row = rows[int(np.argmin(state.option_costs(service, rows)))]
    found = []
    for limit, spent, after in zip(request.problem.limits, state.spent, state.spent_with(service, row), strict=True):
        most = limit.max_usd_per_hour
        if after > max(most, spent) * (1 + TOLERANCE):
            places = decimals(most)
            text = f"{limit.name}: {money(float(after), places)} of {money(most, places)} USD per hour"
            found.append(Reason("OverBudget", f"over the {limit.name}", f"would overrun the {text}", limit.name))
    return tuple(found)

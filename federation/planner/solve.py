"""From the problem to a placement with a lower bound: construct, search, solve small parts exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.bound import part_cost, slack_for_staying, star_bound
from federation.planner.construct import construct, with_growth
from federation.planner.exact import solve_group
from federation.planner.near import improve_near, least_again, touched
from federation.planner.options import Options
from federation.planner.preference import by_preference, climb, within_preference
from federation.planner.prices.plan import Prices
from federation.planner.problem import Problem
from federation.planner.room import lacking, make_room
from federation.planner.search import components, improve
from federation.planner.shake import restore, shake
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints

PART_SERVICES = 14
"""A part of the call graph up to this size is solved exactly as a whole; of larger ones, neighbourhoods."""
HOOD_SERVICES = 8
HOOD_NODES = 400
PART_NODES = 600
"""How many nodes the exact search of one part may look at, its share of the total where that is more ..."""
TOTAL_NODES = 40000
"""... and of all parts together; counted, not timed, so that the same input gives the same plan."""
NODES_PER_SERVICE = 8
"""What setting up a search costs, in nodes for each service in it."""
SETTLED_NODES = 2000
"""Of these, how many may go to parts of which nothing is new."""
ROOM_ROUNDS = 3
LAST_PUTS = 1000
"""How often room is looked for at the end, and how many placements may be tried by force for it each time."""
CLIMBS = 3
"""How often the cheapest placement within everybody's preference is looked for."""
GOOD_GAP = 0.001
"""A plan within this of its bound is not looked at any closer."""
CLOSE_GAP = 0.004
"""When a bound is this near, no time is spent on a better one."""
MOST_SHAKEN = 100
"""Among so many services a few are taken out and put back again and again ..."""
SHAKEN_SERVICES, FEW_SHAKEN, LIMIT_SERVICES = 20000, 40, 5
"""... so often times how many services there are, or as if there were so many, each counted so often where spending
ends."""
MANY = 100
"""When so many services run nowhere yet, prices are asked first."""
WORTH_MOVING = 0.002
"""What a whole new plan has to save of all costs, where most things run already."""
WHOLE_SERVICES = 18
WHOLE_NODES = 30000
"""The same for the fleet's services all at once, when they are few and compete for room."""


@dataclass(frozen=True, eq=False)
class Solution:
    """`counts` [S, C] replicas; `bound_usd_per_hour` on the cost of any placement of the same services; `state` knows
    what every service would cost elsewhere; `least` [S], no more than what each costs, and half of its calls."""

    counts: Ints
    bound_usd_per_hour: float
    state: State
    least: Floats | None = None


@dataclass(frozen=True, slots=True)
class _Proof:
    """A lower bound on what the placed services of one part of the call graph cost together."""

    usd_per_hour: float
    services: tuple[int, ...]


def solve(problem: Problem, *, certify: bool = True, after: Solution | None = None) -> Solution:
    """As many services placed as can be found room for, then as far up their orders of preference, then as cheaply.

    With `problem.ranks`, the bound is on placements that go no further down those orders. `certify`: whether a weak
    bound is worth the time to find a better one. `after`: the solution of a problem with the same services and places
    in the same order, of which `problem.current` has all or most: where little is new, only that is looked at.
    Deterministic."""
    options = Options(problem)
    if 0 in problem.shape:
        empty = State(problem, options)
        return Solution(empty.counts, 0.0, empty)
    growing = with_growth(problem)
    if after is not None and not certify and growing is problem:
        near = _near(problem, after)
        if near is not None:
            return near
    ranks = problem.ranks
    if ranks is None:
        counts, bound, least = _by_price(growing, options if growing is problem else Options(growing), certify)
    else:
        counts, bound = _in_order(growing, ranks, certify)
        least = None
    state = State(problem, options)
    state.load(counts)
    return Solution(counts, bound, state, least)


def _near(problem: Problem, after: Solution) -> Solution | None:
    """The solution around what is new since another one; None when that may be anything."""
    before = after.state.problem
    new = touched(before, after.counts, problem)
    if new is None or after.least is None:
        return None
    state = construct(problem, Options(problem))
    improve_near(state, new, before)
    if lacking(state).any() and make_room(state, LAST_PUTS):
        improve_near(state, new, before)
    least = least_again(state, new, before, after.least)
    return Solution(state.counts, max(float(least.sum()), 0.0), state, least)


def _by_price(problem: Problem, options: Options, certify: bool) -> tuple[Ints, float, Floats]:
    prices = Prices(problem, options)
    first = _planned_by_prices(prices) if _fresh(problem) >= MANY else None
    state, bound = _optimise(construct(problem, options) if first is None else first, prices, certify)
    return state.counts, bound, star_bound(state)


def _in_order(problem: Problem, ranks: Ints, certify: bool) -> tuple[Ints, float]:
    """As far up the orders of preference as possible first, then by price."""
    preferring = by_preference(problem, ranks)
    state = construct(preferring, Options(preferring))
    _search(state, TOTAL_NODES)
    bound = 0.0
    for _ in range(CLIMBS):
        within = within_preference(problem, ranks, state.counts)
        options = Options(within)
        second = State(within, options)
        second.load(state.counts)
        second, bound = _optimise(second, Prices(within, options), certify)
        state = State(problem, Options(problem))
        state.load(second.counts)
        if not climb(state, ranks):
            break
    return state.counts, bound


def _fresh(problem: Problem) -> int:
    """How many services run nowhere yet."""
    return int((~problem.held() & ~problem.fixed).sum())


def _planned_by_prices(prices: Prices) -> State | None:
    """A placement read off the prices, where it leaves nobody out and overruns no limit on spending."""
    state = prices.plan()
    improve(state)
    if lacking(state).any() and make_room(state):
        improve(state)
    return None if lacking(state).any() or state.overspends() else state


def _optimise(state: State, prices: Prices, certify: bool) -> tuple[State, float]:
    """The placement made as cheap as can be found, and a lower bound, USD per hour."""
    problem = state.problem
    bound = _search(state, TOTAL_NODES // 8 if prices.known else TOTAL_NODES)
    fresh = _fresh(problem)
    if (certify or fresh >= MANY) and not prices.known and state.objective() > bound * (1.0 + GOOD_GAP):
        other = _planned_by_prices(prices)
        # What runs is not moved about for next to nothing.
        least = 1.0 if fresh >= MANY else 1.0 - WORTH_MOVING
        if other is not None:
            least_bound = _search(other, TOTAL_NODES)
            if lacking(state).any() or other.objective() < state.objective() * least:
                state, bound = other, least_bound
    if certify and state.objective() > bound * (1.0 + GOOD_GAP):
        bound = max(bound, prices.bound(state, state.objective() / (1.0 + CLOSE_GAP)))
        placed = state.counts.any(axis=1)
        if _shaken(state, bound, keep=not fresh) and (state.counts.any(axis=1) != placed).any():
            bound = prices.bound(state, np.inf)
    return state, bound


def _shaken(state: State, bound: float, *, keep: bool) -> bool:
    """Try for something better where services are few; with `keep`, not for next to nothing. Whether anything is."""
    services = max(len(state.counts), FEW_SHAKEN) * (LIMIT_SERVICES if state.problem.limits else 1)
    tries = SHAKEN_SERVICES // services
    if len(state.counts) > MOST_SHAKEN:
        return False
    before, counts = state.objective(), state.counts.copy()
    out = int(lacking(state).sum())
    if not shake(state, tries, bound * (1.0 + GOOD_GAP)):
        return False
    if keep and int(lacking(state).sum()) == out and state.objective() > before * (1.0 - WORTH_MOVING):
        restore(state, counts)
        return False
    return True


def _search(state: State, nodes: int) -> float:
    """Make the placement as cheap as a search from where it is can; returns a quick lower bound, USD per hour."""
    problem = state.problem
    improve(state)
    if make_room(state):
        improve(state)
    parts = components(problem.shape[0], problem.caller, problem.callee)
    proven = _solve_parts(state, parts, nodes)
    whole = _solve_whole(state, all_proven=len(proven) == len(parts))
    if not whole:
        improve(state)
    for _ in range(ROOM_ROUNDS):
        if not make_room(state, LAST_PUTS):
            break
        whole = False
    return _bound(state, parts, proven, whole=whole)


def _solve_parts(state: State, parts: list[list[int]], left: int) -> dict[int, _Proof]:
    """Solve the parts of the call graph one by one; returns a proven lower bound for those where room was no matter.

    Parts where something is new come first: those that stand as they stood were looked at when they were placed."""
    moved = (state.counts != state.problem.current).any(axis=1)
    fresh = [bool(moved[part].any()) for part in parts]
    most = max(PART_NODES, left // len(parts)) if parts else PART_NODES
    proven: dict[int, _Proof] = {}
    for index in sorted(range(len(parts)), key=lambda each: not fresh[each]):
        part = parts[index]
        if not fresh[index]:
            left = min(left, SETTLED_NODES)
        if left <= 0:
            break
        if len(part) <= PART_SERVICES:
            outcome = solve_group(state, part, min(most, left))
            left -= outcome.nodes + NODES_PER_SERVICE * len(part)
            if outcome.proven and outcome.roomy:
                least = part_cost(state, part) - slack_for_staying(state.problem, part)
                proven[index] = _Proof(least, tuple(s for s in part if state.placed(s)))
        else:
            for hood in _hoods(state, part):
                if left <= 0:
                    break
                nodes = solve_group(state, hood, min(HOOD_NODES, left)).nodes
                left -= nodes + NODES_PER_SERVICE * len(hood)
    return proven


def _hoods(state: State, part: list[int]) -> list[list[int]]:
    """Neighbourhoods that cover a large part: around each service not yet covered, breadth first."""
    covered: set[int] = set()
    hoods = []
    for start in part:
        if start in covered:
            continue
        hood = [start]
        for service in hood:
            near = [other for other in state.neighbours(service) if other not in hood]
            hood.extend(near[: HOOD_SERVICES - len(hood)])
            if len(hood) >= HOOD_SERVICES:
                break
        covered.update(hood)
        hoods.append(sorted(hood))
    return hoods


def _solve_whole(state: State, *, all_proven: bool) -> bool:
    """Solve all services at once where that is small enough; whether the placement is then proven the best."""
    problem = state.problem
    movable = [s for s in np.flatnonzero(~problem.fixed).tolist() if state.options.count(s)]
    if all_proven or len(movable) > WHOLE_SERVICES:
        return False
    return solve_group(state, movable, WHOLE_NODES).proven


def _bound(state: State, parts: list[list[int]], proven: dict[int, _Proof], *, whole: bool) -> float:
    star = star_bound(state)
    total = 0.0
    for index, part in enumerate(parts):
        least, proof = float(star[part].sum()), proven.get(index)
        # What was proven of one set of services says nothing once others of the part have taken their room.
        if proof is not None and proof.services == tuple(s for s in part if state.placed(s)):
            least = max(least, proof.usd_per_hour)
        total += least
    if whole:
        everyone = np.flatnonzero(state.counts.any(axis=1)).tolist()
        total = max(total, state.objective() - slack_for_staying(state.problem, everyone))
    return max(total, 0.0)

"""The best placement of a few services, all others held where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.branch import INFINITE, Group, Search, Use
from federation.planner.problem import TOLERANCE
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints

MOST_LOSS = 2.0**40
"""With more classes of importance than numbers can tell apart, nobody is left out for another here."""
MAX_OPTIONS = 64
"""A service with more ways to be divided takes no part."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search came to. `proven`: nothing better exists, all others held; `roomy`: capacity could not matter."""

    improved: bool
    proven: bool
    roomy: bool
    nodes: int


def solve_group(state: State, services: Sequence[int], budget: int) -> Outcome:
    """Place `services` as well as possible, all others held; looks at no more than `budget` nodes.

    As many as possible first, those that run now before all others, then as cheaply as possible. Changes the state
    only to something strictly better. Services with too many options to list stay where they are, and so do those
    that have a part of their replicas only."""
    fixed = state.problem.fixed
    members = [s for s in services if not fixed[s] and _takes_part(state, s)]
    whole = all(fixed[s] or _takes_part(state, s) for s in services)
    if not members:
        return Outcome(False, whole, True, 0)
    before = {s: state.counts[s].copy() for s in members}
    now = 0.0
    blank = np.zeros(state.counts.shape[1], dtype=np.int64)
    for service in members:
        if before[service].any():
            now += state.cost_now(service)
            state.put(service, blank)
    rows = {s: _rows(state, s) for s in members}
    open_ = [s for s in members if len(rows[s])]
    group = _group(state, open_, rows)
    out = sum(loss for s, loss in zip(open_, group.loss, strict=True) if not before[s].any())
    chosen, complete, nodes = _search(group, now, out, budget)
    for index, service in enumerate(open_):
        row = before[service] if chosen is None else _row_of(rows[service], chosen[index], blank)
        if row.any():
            state.put(service, row)
    roomy = _roomy(state, group, members) and len(open_) == len(members)
    return Outcome(chosen is not None, complete and whole, roomy, nodes)


def _search(group: Group, now: float, out: float, budget: int) -> tuple[list[int] | None, bool, int]:
    """First for an assignment that leaves nobody out; if there is none, for one that leaves out the least."""
    full = Search(group, partial=False, below=now if out == 0.0 else INFINITE, budget=budget)
    chosen = full.run()
    if chosen is not None or out == 0.0:
        return chosen, full.complete, full.nodes
    if max(group.loss) > MOST_LOSS * min(group.loss):
        return None, False, full.nodes
    rest = Search(group, partial=True, below=now + out, budget=max(budget - full.nodes, budget // 4))
    chosen = rest.run()
    return chosen, full.complete and rest.complete, full.nodes + rest.nodes


def _row_of(rows: Ints, option: int, blank: Ints) -> Ints:
    return blank if option < 0 else np.asarray(rows[option])


def _takes_part(state: State, service: int) -> bool:
    some = int(state.counts[service].sum())
    return not 0 < some < int(state.problem.replicas[service]) and state.options.count(service) <= MAX_OPTIONS


def _rows(state: State, service: int) -> Ints:
    """The service's options that are possible by themselves, the members taken out of the state."""
    rows = state.options.rows(service)
    if not len(rows):
        return rows
    good = state.rows_fit(service, rows) & state.rows_unblocked(service, rows)
    if len(state.spent):
        good &= np.array([state.spend_allows(service, row) for row in rows], dtype=bool)
    return np.asarray(rows[good])


def _group(state: State, members: list[int], rows: dict[int, Ints]) -> Group:
    """What the members' options cost and take, by themselves and two by two."""
    problem = state.problem
    base = [state.option_costs(s, rows[s]).tolist() for s in members]
    use = []
    for s in members:
        cores, size = problem.demand[s].tolist()
        use.append([[(int(c), row[c] * cores, row[c] * size) for c in np.flatnonzero(row)] for row in rows[s]])
    pairs = _pairs(state, members, rows)
    finite = np.where(np.isfinite(problem.capacity), problem.capacity * TOLERANCE, 0.0)
    free = (state.slack + finite).tolist()
    group = Group(base, use, _losses(state, members, base, pairs), free, pairs)
    if problem.limits:
        _limit_spending(state, group, members, rows)
    return group


def _pairs(state: State, members: list[int], rows: dict[int, Ints]) -> dict[tuple[int, int], list[list[float]]]:
    problem = state.problem
    index = {service: i for i, service in enumerate(members)}
    made: dict[tuple[int, int], Floats] = {}
    for i, service in enumerate(members):
        for call in state.calls_of(service)[0].tolist():
            callee = int(problem.callee[call])
            j = index.get(callee)
            if j is None:
                continue
            cost = _call_matrix(state, call, rows[service], rows[callee])
            for pair, matrix in (((i, j), cost), ((j, i), cost.T)):
                made[pair] = made[pair] + matrix if pair in made else matrix
    return {pair: matrix.tolist() for pair, matrix in made.items()}


def _call_matrix(state: State, call: int, caller: Ints, callee: Ints) -> Floats:
    """[O, P] the call's cost for each option of the caller [O, C] and of the callee [P, C]; infinite: forbidden."""
    problem = state.problem
    share, far = caller / caller.sum(axis=1)[:, None], callee / callee.sum(axis=1)[:, None]
    cost = np.zeros((len(caller), len(callee)))
    for term in range(len(problem.price)):
        route = np.where(far > 0, state.diagonal[term], far @ problem.price[term].T)
        cost += problem.weight[term, call] * (share @ route.T)
    barrier = int(problem.barrier[call])
    if barrier >= 0:
        forbidden = problem.forbidden[barrier].astype(np.int64)
        anywhere = (callee > 0).astype(np.int64) @ forbidden.T > 0
        broken = np.where(callee > 0, np.diag(forbidden) > 0, anywhere).astype(np.int64)
        cost = np.where((caller > 0).astype(np.int64) @ broken.T > 0, np.inf, cost)
    return cost


def _losses(
    state: State, members: list[int], base: list[list[float]], pairs: dict[tuple[int, int], list[list[float]]]
) -> list[float]:
    """What leaving out each member costs: more than any placement of the group can, in whole powers of two; and one
    of an earlier class more than all of later ones."""
    worst = 1.0 + sum(max((abs(x) for x in costs), default=0.0) for costs in base)
    for matrix in pairs.values():
        worst += max((x for row in matrix for x in row if x != INFINITE), default=0.0)
    loss = float(2.0 ** np.ceil(np.log2(worst)))
    classes = state.problem.classes[0][members]
    above = np.searchsorted(np.unique(-classes), -classes)
    return [loss * float(len(members) + 1) ** int(level) for level in above]


def _roomy(state: State, group: Group, members: list[int]) -> bool:
    """Whether all members would fit together wherever they may stand, so that no limit on sums matters."""
    problem = state.problem
    if problem.limits:
        return False
    whole = (problem.demand[members] * np.maximum(problem.replicas[members], 1)[:, None]).sum(axis=0)
    reachable = problem.allowed[members].any(axis=0)
    return bool((whole[None] <= np.array(group.free))[reachable].all())


def _limit_spending(state: State, group: Group, members: list[int], rows: dict[int, Ints]) -> None:
    """Make each spending limit a pool that options, and the calls between them, take from."""
    problem = state.problem
    first = problem.shape[1]
    most = np.array([limit.max_usd_per_hour for limit in problem.limits])
    left = np.maximum(most, state.spent) * (1.0 + TOLERANCE) + 1e-12 - state.spent
    group.free += [[each, 0.0] for each in left.tolist()]
    for i, service in enumerate(members):
        for use, row in zip(group.use[i], rows[service], strict=True):
            amounts = (state.spent_with(service, row) - state.spent).tolist()
            use += [(first + index, amount, 0.0) for index, amount in enumerate(amounts) if amount]
    index = {service: i for i, service in enumerate(members)}
    for i, service in enumerate(members):
        for call in state.calls_of(service)[0].tolist():
            j = index.get(int(problem.callee[call]))
            if j is not None:
                taken = _call_spending(state, call, rows[service], rows[members[j]])
                _add(group, (i, j), taken)
                _add(group, (j, i), [list(column) for column in zip(*taken, strict=True)])


def _add(group: Group, pair: tuple[int, int], taken: list[list[Use]]) -> None:
    known = group.takes.get(pair)
    group.takes[pair] = (
        taken
        if known is None
        else [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(known, taken, strict=True)]
    )


def _call_spending(state: State, call: int, caller: Ints, callee: Ints) -> list[list[Use]]:
    """[O][P] what the call takes of each spending limit, for each option of the caller and of the callee."""
    problem = state.problem
    share, far = caller / caller.sum(axis=1)[:, None], callee / callee.sum(axis=1)[:, None]
    result: list[list[Use]] = [[[] for _ in callee] for _ in caller]
    for index, limit in enumerate(problem.limits):
        if not limit.services[problem.caller[call]]:
            continue
        cost = np.zeros((len(caller), len(callee)))
        for term in np.flatnonzero(limit.terms):
            route = np.where(far > 0, state.diagonal[term], far @ problem.price[term].T)
            cost += problem.weight[term, call] * ((share * limit.subclusters) @ route.T)
        for o, p in np.argwhere(cost > 0).tolist():
            result[o][p].append((problem.shape[1] + index, float(cost[o, p]), 0.0))
    return result

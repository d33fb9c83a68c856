"""Local search on the true objective: single moves, pairs along a call, groups that stand together, exchanges, and
small neighbourhoods solved exactly. Every step keeps every limit and saves something; the order is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.exact import solve_group
from federation.planner.problem import TOLERANCE
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

ROUNDS = 30
"""How often a neighbourhood is swept at most."""
PAIR_NODES = 400
"""How many nodes the exact search of one pair may look at."""
PAIRS_TRIED = 200
"""How many promising pairs are tried in one sweep."""
EXCHANGES = 60
"""How many exchanges are tried into one sub-cluster in one sweep."""
CALLS_AT_ONCE = 1 << 14
CHUNK = 1 << 22
"""How many numbers one array of pairs may hold."""


def improve(state: State) -> None:
    """Search until no step of any kind saves anything (or the sweeps are used up)."""
    scarce = bool(np.isfinite(state.problem.capacity).any())
    for _ in range(ROUNDS):
        changed = moves(state)
        changed += pairs(state)
        changed += groups(state)
        if scarce:
            changed += exchanges(state)
        if not changed:
            return


def least(value: float) -> float:
    """The smallest saving worth the name, by the size of what is saved on."""
    return TOLERANCE * (1.0 + abs(value))


def _open(state: State, services: Ints | None = None) -> Bools:
    """[S, C] where each service (of those) could stand as a whole, all others where they are."""
    who = np.arange(state.counts.shape[0]) if services is None else services
    good = state.problem.allowed[who] & (state.blocked[who] == 0) & state.fits(who)
    good[state.options.listed[who]] = False
    return np.asarray(good)


def _standing(state: State) -> tuple[Ints, Ints]:
    """The services that stand as a whole somewhere and may move, and where."""
    plain = np.flatnonzero(state.counts.any(axis=1) & ~state.options.listed)
    return plain, state.counts[plain].argmax(axis=1)


def moves(state: State, scope: Bools | None = None) -> int:
    """One service at a time to its best place, the largest saving first; with `scope` [S], only those, and whose
    neighbours are moved."""
    changed = 0
    listed = state.options.listed & ~state.problem.fixed & state.counts.any(axis=1)
    looked_at = np.ones(len(listed), dtype=bool) if scope is None else scope.copy()
    state.touched[:] = looked_at
    for _ in range(ROUNDS):
        plain, place = _standing(state)
        mine = looked_at[plain]
        plain, place = plain[mine], place[mine]
        now = state.cost_at[plain, place]
        there = np.where(_open(state, plain), state.cost_at[plain], np.inf).min(axis=1, initial=np.inf)
        gain = now - there
        tempted = np.flatnonzero(gain > TOLERANCE * (1.0 + np.abs(now)))
        order = plain[tempted[np.argsort(-gain[tempted], kind="stable")]].tolist()
        # Divided services are looked at again where something about them is new.
        new = np.flatnonzero(listed & state.touched).tolist()
        state.touched[:] = False
        made = sum(_move(state, service) for service in [*order, *new])
        if not made:
            break
        changed += made
        looked_at |= state.touched
    return changed


def _move(state: State, service: int) -> int:
    now = state.cost_now(service)
    found = state.best(service, below=now - least(now))
    if found is None:
        return 0
    state.put(service, found[1])
    return 1


def pairs(state: State) -> int:
    """Both ends of a call at once, where that saves what neither move alone does."""
    gains = _pair_gains(state)
    problem = state.problem
    tried = np.flatnonzero(gains > 0)
    order = tried[np.argsort(-gains[tried], kind="stable")][:PAIRS_TRIED]
    changed = 0
    for call in order.tolist():
        ends = (int(problem.caller[call]), int(problem.callee[call]))
        changed += solve_group(state, ends, PAIR_NODES).improved
    return changed


def _pair_gains(state: State) -> Floats:
    """[E] what moving both ends of each call would save, room for either looked at by itself."""
    problem = state.problem
    subclusters = problem.shape[1]
    gains = np.zeros(len(problem.caller))
    plain = state.counts.any(axis=1) & ~state.options.listed
    both = np.flatnonzero(plain[problem.caller] & plain[problem.callee])
    free = _open(state)
    place = state.counts.argmax(axis=1)
    step = max(1, CHUNK // max(subclusters**2, 1))
    for start in range(0, len(both), step):
        calls = both[start : start + step]
        a, b = problem.caller[calls], problem.callee[calls]
        cost = np.einsum("ke,kcd->ecd", problem.weight[:, calls], problem.price)
        row = np.arange(len(calls))
        at_a = state.cost_at[a] - cost[row, :, place[b]]
        at_b = state.cost_at[b] - cost[row, place[a], :]
        now = at_a[row, place[a]] + at_b[row, place[b]] + cost[row, place[a], place[b]]
        tied = problem.barrier[calls] >= 0
        at_a = np.where(free[a] | (tied[:, None] & problem.allowed[a]), at_a, np.inf)
        at_b = np.where(free[b] | (tied[:, None] & problem.allowed[b]), at_b, np.inf)
        cost += at_a[:, :, None]
        cost += at_b[:, None, :]
        saved = now - cost.min(axis=(1, 2))
        gains[calls] = np.where(saved > TOLERANCE * (1.0 + np.abs(now)), saved, 0.0)
    return gains


def groups(state: State) -> int:
    """Everything that stands together and talks to each other, moved as one."""
    members, label, place = _together(state)
    if not members:
        return 0
    problem = state.problem
    inside = np.flatnonzero((label[problem.caller] >= 0) & (label[problem.caller] == label[problem.callee]))
    total = np.zeros((len(members), problem.shape[1]))
    grouped = np.flatnonzero(label >= 0)
    np.add.at(total, label[grouped], state.cost_at[grouped])
    for start in range(0, len(inside), CALLS_AT_ONCE):
        calls = inside[start : start + CALLS_AT_ONCE]
        mine = label[problem.caller[calls]]
        at = place[mine]
        # Both ends count their call as if the other stayed: replace that by what it costs with both moved.
        for term in range(len(problem.price)):
            price, weight = problem.price[term], problem.weight[term, calls][:, None]
            alone = price[:, at].T + price[at, :]
            np.add.at(total, mine, weight * (state.diagonal[term] - alone + state.diagonal[term][at][:, None]))
    now = total[np.arange(len(members)), place]
    total = np.where(_group_open(state, label, len(members)), total, np.inf)
    gain = now - total.min(axis=1)
    tempted = np.flatnonzero(gain > TOLERANCE * (1.0 + np.abs(now)))
    order = tempted[np.argsort(-gain[tempted], kind="stable")]
    return sum(_relocate(state, members[g], int(total[g].argmin())) for g in order.tolist())


def _group_open(state: State, label: Ints, count: int) -> Bools:
    """[G, C] where all members of a group may stand, room for all of them together."""
    problem = state.problem
    grouped = np.flatnonzero(label >= 0)
    forbidden = np.zeros((count, problem.shape[1]), dtype=np.int64)
    np.add.at(forbidden, label[grouped], (~problem.allowed[grouped]).astype(np.int64))
    need = np.zeros((count, problem.demand.shape[1]))
    whole = np.maximum(problem.replicas[grouped], 1)
    np.add.at(need, label[grouped], problem.demand[grouped] * whole[:, None])
    fits = ((need[:, None] <= state.slack[None]) | (need[:, None] <= 0)).all(axis=2)
    return np.asarray((forbidden == 0) & fits)


def _together(state: State) -> tuple[list[list[int]], Ints, Ints]:
    """Groups of two and more services that call each other within one sub-cluster: their members, each service's group
    [S] (-1: none), and where each group stands."""
    problem = state.problem
    plain = state.counts.any(axis=1) & ~state.options.listed
    place = np.where(plain, state.counts.argmax(axis=1), -1)
    same = plain[problem.caller] & (place[problem.caller] == place[problem.callee])
    parts = components(len(place), problem.caller[same], problem.callee[same])
    members = [part for part in parts if len(part) > 1]
    label = np.full(len(place), -1, dtype=np.int64)
    for group, part in enumerate(members):
        label[part] = group
    return members, label, np.array([place[part[0]] for part in members], dtype=np.int64)


def components(count: int, left: Ints, right: Ints) -> list[list[int]]:
    """The connected parts of a graph on `count` nodes, each sorted, ordered by their first node."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        x, y = root(a), root(b)
        if x != y:
            parent[max(x, y)] = min(x, y)
    parts: dict[int, list[int]] = {}
    for node in range(count):
        parts.setdefault(root(node), []).append(node)
    return list(parts.values())


def _relocate(state: State, members: list[int], target: int) -> bool:
    """Move the members to `target` if that breaks nothing and saves something; else leave all as it was."""
    before = [state.counts[member].copy() for member in members]
    blank = np.zeros_like(before[0])
    old = 0.0
    for member in members:
        old += state.cost_now(member)
        state.put(member, blank)
    new, good = 0.0, True
    for member in members:
        row = blank.copy()
        row[target] = max(int(state.problem.replicas[member]), 1)
        good = bool(
            state.rows_fit(member, row[None])[0]
            and state.rows_unblocked(member, row[None])[0]
            and state.spend_allows(member, row)
        )
        if not good:
            break
        new += float(state.option_costs(member, row[None])[0])
        state.put(member, row)
    if good and new < old - least(old):
        return True
    for member in members:
        state.put(member, blank)
    for member, row in zip(members, before, strict=True):
        state.put(member, row)
    return False


def exchanges(state: State, places: Ints | None = None) -> int:
    """One service into a full sub-cluster (of those), another one out of it."""
    changed = 0
    limited = np.flatnonzero(np.isfinite(state.problem.capacity).any(axis=1)) if places is None else places
    for place in limited.tolist():
        for _ in range(ROUNDS):
            made = sum(_exchange(state, inner, outer, place) for inner, outer in _exchange_pairs(state, place))
            if not made:
                break
            changed += made
    return changed


def _exchange_pairs(state: State, place: int) -> list[tuple[int, int]]:
    """Who should enter and who should leave, the largest estimated saving first."""
    problem = state.problem
    plain, where = _standing(state)
    now = state.cost_at[plain, where]
    gain = now - state.cost_at[plain, place]
    open_here = problem.allowed[plain, place] & (state.blocked[plain, place] == 0)
    outer = np.flatnonzero(open_here & (where != place) & (gain > TOLERANCE * (1.0 + np.abs(now))))
    inner = np.flatnonzero(where == place)
    if not len(outer) or not len(inner):
        return []
    outer = outer[np.argsort(-gain[outer], kind="stable")][: 4 * EXCHANGES]
    loss_back = state.cost_at[plain[inner]][:, where[outer]] - now[inner][:, None]
    back = problem.allowed[plain[inner]][:, where[outer]]
    free = _open(state)[plain[inner]]
    free[:, place] = False
    elsewhere = np.where(free, state.cost_at[plain[inner]], np.inf).min(axis=1) - now[inner]
    loss = np.minimum(np.where(back, loss_back, np.inf), elsewhere[:, None])
    use = problem.demand[plain] * np.maximum(problem.replicas[plain], 1)[:, None]
    more = use[outer][None] - use[inner][:, None]
    room = more <= state.slack[place] + TOLERANCE * np.where(
        np.isfinite(state.slack[place]), problem.capacity[place], 0.0
    )
    saved = np.where((room | (more <= 0)).all(axis=2), gain[outer][None] - loss, -np.inf)
    rows, columns = np.nonzero(saved > TOLERANCE)
    order = np.argsort(-saved[rows, columns], kind="stable")[: 4 * EXCHANGES]
    return [(int(plain[inner[rows[k]]]), int(plain[outer[columns[k]]])) for k in order]


def _exchange(state: State, inner: int, outer: int, place: int) -> int:
    """Put `outer` where `inner` stands and `inner` at its best other place, if that saves something."""
    if not state.counts[inner, place] or state.counts[outer, place]:
        return 0
    before_in, before_out = state.counts[inner].copy(), state.counts[outer].copy()
    blank = np.zeros_like(before_in)
    old = state.cost_now(inner)
    state.put(inner, blank)
    old += state.cost_now(outer)
    state.put(outer, blank)
    row = blank.copy()
    row[place] = max(int(state.problem.replicas[outer]), 1)
    good = state.rows_fit(outer, row[None])[0] and state.rows_unblocked(outer, row[None])[0]
    if good and state.spend_allows(outer, row):
        new = float(state.option_costs(outer, row[None])[0])
        state.put(outer, row)
        found = state.best(inner, below=old - new - least(old))
        if found is not None:
            state.put(inner, found[1])
            return 1
    state.put(outer, blank)
    state.put(inner, before_in)
    state.put(outer, before_out)
    return 0

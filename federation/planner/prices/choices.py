"""Which choices of each service are looked at: a few of the cheapest places, a few of the cheapest ways to divide it.

Services are nodes here, numbered by their place in `Nodes.services`; what they call each other for are pairs, each of
two nodes, `first` < `second`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.prices.dense import least
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints
    from federation.planner.problem import Problem


FREE_PLACES, SCARCE_PLACES = 8, 12
"""How many places without an end, and how many that fill up, are looked at for a service ..."""
OPTIONS = 64
"""... and how many ways to divide one."""
FEW = 10_000
"""While there are no more than so many places of all services together, all are looked at, and so many options."""
MOST_OPTIONS = 512


class Pairs:
    """The calls between nodes, those between the same two together: `weight` [E, 2, K] from the first to the second
    and back, `barriers[e]`: (way, number of the forbidden matrix) of those with hard limits."""

    def __init__(self, problem: Problem, services: Ints, held: Bools):
        node_of = np.full(problem.shape[0], -1)
        node_of[services] = np.arange(len(services))
        calls = np.flatnonzero((problem.weight > 0).any(axis=0) | (problem.barrier >= 0))
        ends = np.column_stack([node_of[problem.caller[calls]], node_of[problem.callee[calls]]])
        here = (ends >= 0).all(axis=1) & (ends[:, 0] != ends[:, 1])
        calls, ends = calls[here], ends[here]
        ordered = np.sort(ends, axis=1)
        pairs, of = np.unique(ordered, axis=0, return_inverse=True) if len(calls) else (ordered, np.zeros(0, dtype=int))
        of = of.reshape(-1)
        self.first: Ints = pairs[:, 0]
        self.second: Ints = pairs[:, 1]
        backwards = (ends[:, 0] != ordered[:, 0]).astype(np.int64)
        self.weight: Floats = np.zeros((len(pairs), 2, len(problem.price)))
        np.add.at(self.weight, (of, backwards), problem.weight[:, calls].T)
        self.barriers: dict[int, list[tuple[int, int]]] = {}
        for pair, way, barrier in zip(of.tolist(), backwards.tolist(), problem.barrier[calls].tolist(), strict=True):
            if barrier >= 0 and not (held[self.first[pair]] and held[self.second[pair]]):
                self.barriers.setdefault(pair, []).append((way, barrier))

    def __len__(self) -> int:
        return len(self.first)


class Nodes:
    """The services that take part, whole, with what they cost anywhere: `own` [N, C], `allowed` [N, C], `demand` [N, R]
    of all replicas. `plain` [N]: takes any one place; the others take one of their options. `capacity` [C, R] is what
    those that are held leave. `forbidden`: what is counted for what is not allowed, USD per hour; more than all
    together cost, but not so much more that single precision could not tell their costs beside it. No place counts
    for more: a bound stays a bound."""

    def __init__(self, state: State, services: Ints, *, staying: bool = False):
        """`staying`: whether what a move has to be worth counts as a cost of moving."""
        problem = self.problem = state.problem
        self.options = state.options
        self.services = services
        self.replicas: Ints = np.maximum(problem.replicas[services], 1)
        self.plain: Bools = ~self.options.listed[services]
        self.held: Bools = problem.fixed[services]
        self.allowed: Bools = problem.allowed[services] | ~self.plain[:, None]
        own = problem.unary[services]
        if staying:
            own = own + state.stay_usd[services, None] * (1.0 - state.kept_alone()[services])
        self.demand: Floats = problem.demand[services] * self.replicas[:, None]
        self.demand[self.held] = 0.0
        held = problem.fixed
        use = np.einsum("sc,sr->cr", state.counts * held[:, None], problem.demand)
        self.capacity: Floats = np.maximum(problem.capacity - use, 0.0)
        self.scarce: Ints = np.flatnonzero(np.isfinite(self.capacity).any(axis=1))
        """[Q] the places where something ends."""
        self.pairs = Pairs(problem, services, self.held)
        cheapest = np.where(self.allowed, own, np.inf).min(axis=1)
        calls = float((self.pairs.weight.sum(axis=(0, 1)) * problem.price.max(axis=(1, 2), initial=0.0)).sum())
        self.forbidden = max(4.0 * float(cheapest.sum()) + calls, 1e-6)
        most = cheapest[:, None] + self.forbidden
        self.own: Floats = np.where(self.allowed, np.minimum(own, most), most)

    def __len__(self) -> int:
        return len(self.services)


def placeable(state: State) -> Ints:
    """The services that have a choice at all, and those that are held somewhere."""
    problem = state.problem
    some = np.array([state.options.count(s) > 0 for s in range(problem.shape[0])], dtype=bool)
    held = problem.fixed & (problem.current.sum(axis=1) > 0)
    return np.flatnonzero(np.where(problem.fixed, held, some))


def near_costs(nodes: Nodes) -> Floats:
    """[N, C] roughly what each node costs in each place: itself, and its calls to where the others would be cheap."""
    cost = nodes.own.copy()
    pairs = nodes.pairs
    degree = np.bincount(pairs.first, minlength=len(nodes)) + np.bincount(pairs.second, minlength=len(nodes))
    part = nodes.own / (1.0 + degree)[:, None]
    for end, other, to_first in ((pairs.first, pairs.second, True), (pairs.second, pairs.first, False)):
        near = least(part[other].T, None, pairs.weight, nodes.problem.price, to_first=to_first)
        np.add.at(cost, end, near)
    return cost


def choose(nodes: Nodes, cost: Floats) -> tuple[Ints, dict[int, Ints]]:
    """Of plain nodes the cheapest places by `cost` [N, C], numbers [N, W], -1 where there are fewer; and of the others
    the numbers of their cheapest options, in order.

    Places that end fill up, and those that are no node's cheapest are wanted in the end, too: beside the cheapest of
    them each node looks at others in turn, so that every place is looked at by some."""
    scarce = np.zeros(cost.shape[1], dtype=bool)
    scarce[nodes.scarce] = True
    plain = np.flatnonzero(nodes.plain)
    few = cost.size <= FEW
    free = _cheapest(cost[plain], np.flatnonzero(~scarce), cost.shape[1] if few else FREE_PLACES, 0)
    ending = _cheapest(cost[plain], nodes.scarce, cost.shape[1] if few else SCARCE_PLACES, SCARCE_PLACES // 2)
    places = np.sort(np.concatenate([free, ending], axis=1), axis=1)
    label = np.full((len(nodes), places.shape[1]), -1, dtype=np.int64)
    label[plain] = np.where(nodes.allowed[plain[:, None], places], places, -1)
    which = {}
    divided = np.flatnonzero(~nodes.plain).tolist()
    options = min(max(OPTIONS, FEW // max(len(divided), 1)), MOST_OPTIONS) if few else OPTIONS
    for node in divided:
        parts = nodes.options.parts(int(nodes.services[node]))
        if len(parts) <= options:
            which[node] = np.arange(len(parts))
        else:
            score = (parts.shares() * cost[node][parts.places]).sum(axis=1)
            which[node] = np.sort(np.argpartition(score, options - 1)[:options])
    return label, which


def _cheapest(cost: Floats, places: Ints, most: int, turns: int) -> Ints:
    """[n, W] the cheapest of these places for each row of `cost`; the last `turns` of them others in turn."""
    if len(places) <= most:
        return np.tile(places, (len(cost), 1))
    order = places[np.argsort(cost[:, places], axis=1, kind="stable")]
    best, others = order[:, : most - turns], order[:, most - turns :]
    step = np.arange(turns)[None] * (others.shape[1] // max(turns, 1)) + np.arange(len(cost))[:, None]
    return np.concatenate([best, np.take_along_axis(others, step % others.shape[1], axis=1)], axis=1)


def broken(forbidden: Bools, caller: Bools, callee: Bools) -> Bools:
    """[A, B] whether some route of the call is forbidden, for callers and callees in these places [A, C], [B, C]."""
    far = callee.astype(np.int64) @ forbidden.T.astype(np.int64) > 0
    bad = np.where(callee, np.diag(forbidden)[None], far)
    return np.asarray(caller.astype(np.int64) @ bad.T.astype(np.int64) > 0)

"""The placement problem as a graph: each placed service takes one of its labels, each pair that calls pays by both.

A plain service has one label for each sub-cluster, a divided or held one a label for each of its rows of counts. What
is forbidden costs `FORBIDDEN`, which is much, but finite: a bound stays a bound.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

FORBIDDEN = 1e6
"""USD per hour."""


class Labels:
    """Services (nodes), by their place in `services`, and pairs of them, each with `first` < `second`.

    `share[n]` [L, C] and `own[n]` [L] are what each label means and costs by itself; `demand[n]` [L, Q] what it takes
    of each scarce resource, of which `capacity` [Q] is left beside what is held."""

    def __init__(self, state: State):
        problem = self.problem = state.problem
        replicas = np.maximum(problem.replicas, 1)
        self.services: Ints = np.flatnonzero(_stand_by_a_label(state, replicas))
        self.plain: Bools = ~state.options.listed[self.services]
        self.fixed: Bools = problem.fixed[self.services]
        width = problem.shape[1]
        plain_rows = np.eye(width, dtype=np.int64)
        plain_share = plain_rows.astype(np.float64)
        shares: dict[int, Floats] = {}
        self._made: dict[int, tuple[Floats, ...]] = {}
        self.rows: list[Ints] = []
        self.share: list[Floats] = []
        self.own: list[Floats] = []
        for service, plain in zip(self.services.tolist(), self.plain.tolist(), strict=True):
            if plain:
                self.rows.append(plain_rows)
                self.share.append(plain_share)
                self.own.append(np.where(problem.allowed[service], problem.unary[service], FORBIDDEN))
            else:
                rows = state.options.of(service)
                share = shares[id(rows)] = shares[id(rows)] if id(rows) in shares else rows / rows.sum(axis=1)[:, None]
                self.rows.append(rows)
                self.share.append(share)
                self.own.append(share @ problem.unary[service])
        self._replicas = replicas[self.services]
        self._scarce(state)
        self._pair()

    def __len__(self) -> int:
        return len(self.services)

    def work(self) -> int:
        """How many pairs of labels a sweep over everything looks at."""
        sizes = np.array([len(own) for own in self.own], dtype=np.int64)
        return int((sizes[self.first] * sizes[self.second]).sum())

    def _scarce(self, state: State) -> None:
        problem = self.problem
        use = np.einsum("sc,sr->cr", state.counts * problem.fixed[:, None], problem.demand)
        left = np.maximum(problem.capacity - use, 0.0)
        self.places, self.resources = np.nonzero(np.isfinite(left))
        self.capacity: Floats = left[self.places, self.resources]
        self.demand: list[Floats] = []
        for node, service in enumerate(self.services.tolist()):
            if self.fixed[node]:
                self.demand.append(np.zeros((len(self.own[node]), len(self.capacity))))
                continue
            each = problem.demand[service][self.resources]
            times = self._replicas[node] if self.plain[node] else 1
            self.demand.append(self.rows[node][:, self.places] * (each * times)[None])

    def _pair(self) -> None:
        problem = self.problem
        node_of = np.full(problem.shape[0], -1)
        node_of[self.services] = np.arange(len(self.services))
        calls = np.flatnonzero((problem.weight > 0).any(axis=0) | (problem.barrier >= 0))
        ends = np.column_stack([node_of[problem.caller[calls]], node_of[problem.callee[calls]]])
        here = (ends >= 0).all(axis=1) & (ends[:, 0] != ends[:, 1])
        calls, ends = calls[here], ends[here]
        ordered = np.sort(ends, axis=1)
        pairs, of = np.unique(ordered, axis=0, return_inverse=True) if len(calls) else (ordered, np.zeros(0, dtype=int))
        self.first: Ints = pairs[:, 0]
        self.second: Ints = pairs[:, 1]
        backwards = (ends[:, 0] != ordered[:, 0]).astype(np.int64)
        self.weight: Floats = np.zeros((len(pairs), 2, len(problem.price)))
        """[E, 2, K] of the calls from the first to the second, and back."""
        np.add.at(self.weight, (of.reshape(-1), backwards), problem.weight[:, calls].T)
        self._limits: dict[int, list[tuple[int, int]]] = {}
        for pair, way, call in zip(of.reshape(-1).tolist(), backwards.tolist(), calls.tolist(), strict=True):
            if problem.barrier[call] >= 0 and not (self.fixed[self.first[pair]] and self.fixed[self.second[pair]]):
                self._limits.setdefault(pair, []).append((way, int(problem.barrier[call])))

    @cached_property
    def free_plain(self) -> Bools:
        """[E] pairs of plain services without a hard limit: those that are worked on many at a time."""
        both = self.plain[self.first] & self.plain[self.second]
        both[list(self._limits)] = False
        return np.asarray(both)

    def pair_cost(self, pair: int, one: Ints | None = None, other: Ints | None = None) -> Floats:
        """[A, B] what the pair costs by these labels of its first and second service; by all where none are given."""
        ends = int(self.first[pair]), int(self.second[pair])
        chosen = (one, other)
        share = [self.share[n] if c is None else self.share[n][c] for n, c in zip(ends, chosen, strict=True)]
        result = np.zeros((len(share[0]), len(share[1])))
        for way in (0, 1):
            caller, callee = ends[way], ends[1 - way]
            for term in np.flatnonzero(self.weight[pair, way]).tolist():
                route = self._routes(callee)[term]
                part = chosen[1 - way]
                route = route if part is None else route[part]
                mine = chosen[way]
                whole = self.plain[caller]  # one place each: a row of the routes, no sum of them
                cost = (route.T if mine is None else route.T[mine]) if whole else share[way] @ route.T
                result += self.weight[pair, way, term] * (cost.T if way else cost)
        for way, barrier in self._limits.get(pair, ()):
            broken = _broken(self.problem.forbidden[barrier], share[way] > 0, share[1 - way] > 0)
            result[broken.T if way else broken] = FORBIDDEN
        return result

    def _routes(self, callee: int) -> tuple[Floats, ...]:
        """By term, [L, C] the price from each c to the callee by its labels; made once for services of like labels."""
        share = self.share[callee]
        known = self._made.get(id(share))
        if known is None:
            known = self._made[id(share)] = tuple(_route(price, share) for price in self.problem.price)
        return known


def _stand_by_a_label(state: State, replicas: Ints) -> Bools:
    """[S] who stands somewhere, and just so as one of its labels has it."""
    counts = state.counts
    found = ((counts > 0).sum(axis=1) == 1) & (counts.sum(axis=1) == replicas)
    for service in np.flatnonzero(state.options.listed).tolist():
        rows = state.options.of(service)
        found[service] = counts[service].any() and bool((rows == counts[service]).all(axis=1).any())
    return np.asarray(found)


def _route(price: Floats, callee: Floats) -> Floats:
    """[B, C] the price from each c to a callee so divided: to its replicas in c if there are any, else to all."""
    return np.where(callee > 0, np.diag(price)[None], callee @ price.T)


def _broken(forbidden: Bools, caller: Bools, callee: Bools) -> Bools:
    """[A, B] whether some route of the call is forbidden."""
    far = callee.astype(np.int64) @ forbidden.T.astype(np.int64) > 0
    bad = np.where(callee, np.diag(forbidden)[None], far)
    return np.asarray(caller.astype(np.int64) @ bad.T.astype(np.int64) > 0)

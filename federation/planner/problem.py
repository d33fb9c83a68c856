"""The placement problem as arrays: a pairwise cost model with capacities, ceilings, spread rules and call limits.

Shapes: S services, C sub-clusters, R resources (cores, bytes), E calls, K pair terms. Money is USD per hour.
A placement of a service is a row of replica counts [C]; its share in c is the count over all its replicas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

STAY_SHARE = 0.001
"""A running service moves only for a saving above this share of what it costs where it is ..."""
STAY_USD_PER_HOUR = 1e-5
"""... and above this amount, so that a service that costs nothing does not wander."""
TOLERANCE = 1e-9
"""Relative slack in comparisons of sums of floats."""


@dataclass(frozen=True, eq=False)
class SpreadRule:
    """At least `min_domains` domains, at most `max_share` of the replicas in one; `domain[c]` -1: not usable."""

    topology: str
    min_domains: int
    max_share: float
    domain: Ints

    def per_domain(self, replicas: int) -> int:
        """How many of so many replicas may run in one domain."""
        return int(np.floor(self.max_share * replicas + TOLERANCE))

    def domains_needed(self, replicas: int) -> int | None:
        """In how many domains so many replicas have to run; None when no number would do."""
        most = self.per_domain(replicas)
        if most < 1:
            return None
        needed = max(self.min_domains, -(-replicas // most))
        return needed if needed <= replicas else None

    def holds(self, rows: Ints) -> Bools:
        """[O] whether rows of replica counts [O, C] of one service keep the rule."""
        names = np.unique(self.domain[self.domain >= 0])
        sums = rows @ (self.domain[:, None] == names[None]).astype(np.int64)
        total = rows.sum(axis=1)
        if not len(names):
            return np.asarray(total == 0)
        spare = self.max_share * total + TOLERANCE
        inside = sums.sum(axis=1) == total
        return np.asarray(inside & ((sums > 0).sum(axis=1) >= self.min_domains) & (sums.max(axis=1) <= spare))

    def holds_for(self, places: Ints, counts: Ints) -> Bools:
        """[O] the same for options of `counts` [O, K] replicas in `places` [O, K]; a place of no replicas is none."""
        some = counts > 0
        where = np.where(some, self.domain[places], -1)
        alike = (where[:, :, None] == where[:, None, :]) & some[:, :, None] & some[:, None, :]
        sums = (alike * counts[:, None, :]).sum(axis=2)
        earlier = np.tril(np.ones(alike.shape[1:], dtype=bool), -1)
        domains = (some & ~(alike & earlier).any(axis=2)).sum(axis=1)
        spare = self.max_share * counts.sum(axis=1) + TOLERANCE
        inside = (where >= 0).sum(axis=1) == some.sum(axis=1)
        return np.asarray(inside & (domains >= self.min_domains) & (sums.max(axis=1) <= spare))


@dataclass(frozen=True, eq=False)
class SpendLimit:
    """What the marked services may spend in the marked sub-clusters: `price` [S, C] for whole services, and the pair
    terms marked in `terms` [K] for the calls they make."""

    name: str
    services: Bools
    subclusters: Bools
    max_usd_per_hour: float
    price: Floats
    terms: Bools


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything the solver knows; nothing in it has a name.

    `allowed` [S, C]; `unary` [S, C] finite, for the whole service; `demand` [S, R] of one replica; `capacity` [C, R],
    infinite where unlimited; `weight` [K, E] and `price` [K, C, C] of the calls; `barrier` [E] indexes `forbidden`
    [B, C, C], -1: no limit; what has to run together or apart is a call of no weight with such a limit; `current`
    [S, C] committed counts; `fixed` [S] keeps `current` as it is, whatever it is; `ordinal` [S, C]: what is no money
    and weighs more than all of it; `rank_limit` [S]: how far down its order of preference, by `ranks` [S, C], a
    replica may stand on average; `importance` [S]: who gets room first of those without a place; `idle`: services that
    keep a place for a replica that does not run; `growth`: the rows [O, C] open to services that are growing.
    """

    replicas: Ints
    demand: Floats
    capacity: Floats
    allowed: Bools
    unary: Floats
    caller: Ints
    callee: Ints
    weight: Floats
    price: Floats
    barrier: Ints
    forbidden: Bools
    current: Ints
    fixed: Bools
    spread: Mapping[int, tuple[SpreadRule, ...]] = field(default_factory=dict)
    limits: tuple[SpendLimit, ...] = ()
    ordinal: Floats | None = None
    ranks: Ints | None = None
    rank_limit: Floats | None = None
    importance: Ints | None = None
    idle: frozenset[int] = frozenset()
    growth: Mapping[int, Ints] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Services and sub-clusters."""
        return self.unary.shape[0], self.unary.shape[1]

    def held(self) -> Bools:
        """[S] whether a service runs somewhere now."""
        return np.asarray(self.current.sum(axis=1) > 0)

    def stands(self) -> Bools:
        """[S] whether a service runs, and may stay in each place it runs in; held where it is or not."""
        return self.held() & ~((self.current > 0) & ~self.allowed).any(axis=1)

    def grows(self) -> Bools:
        """[S] whether a service runs, may stay, and is to have more replicas."""
        more = self.replicas > self.current.sum(axis=1)
        more[list(self.idle)] = False
        return np.asarray(self.stands() & more & ~self.fixed)

    @cached_property
    def classes(self) -> tuple[Ints, Ints]:
        """[S] whose place is the safer, and [S] who is given room first; 0 the first, comparable with each other.

        What runs and may stay is safe before all others, but for more replicas it asks as any other does: the more
        important first, of these those that run before those that do not."""
        important = np.zeros(len(self.replicas), dtype=np.int64) if self.importance is None else self.importance
        stands = self.stands() | self.fixed
        rows = np.column_stack([~stands, -important * ~stands, ~self.held() & ~stands])
        asking = np.column_stack([np.ones_like(important), -important, ~self.held()])
        ones, index = np.unique(np.concatenate([rows, asking]), axis=0, return_inverse=True)
        del ones
        both = index.reshape(2, -1)
        return both[0], np.where(stands & ~self.grows(), both[0], both[1])

    def stay_usd(self) -> Floats:
        """[S] what a move has to save at least; zero for a service that runs nowhere it may be."""
        total = self.current.sum(axis=1)
        share = self.current / np.maximum(total, 1)[:, None]
        legal = self.stands() & ~self.fixed
        cost = np.asarray((share * self.unary).sum(axis=1))
        return np.where(legal, STAY_SHARE * cost + STAY_USD_PER_HOUR, 0.0)

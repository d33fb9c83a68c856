"""How the replicas of one service may be divided: the rows of counts that keep its spread rules.

A service without spread rules runs in one sub-cluster. One with rules runs in as few sub-clusters as they ask for, of
different domains, its replicas divided as equally as possible; which sub-clusters, cost decides. What runs already
stays where it may: scaling up only adds, scaling down only takes away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.problem import TOLERANCE, Problem, SpreadRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from federation.contracts.policy import Bools, Floats, Ints

MAX_SETS = 8192
"""Sets of sub-clusters that are looked at for one service; beyond, only the cheapest of each domain compete."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows of counts by what is not zero in them: option o has `counts[o, k]` replicas in `places[o, k]`, [O, K] both;
    where an option has fewer parts, the count is zero and the place any."""

    places: Ints
    counts: Ints

    def __len__(self) -> int:
        return len(self.places)

    def rows(self, width: int) -> Ints:
        """[O, C] the same as rows of counts."""
        made = np.zeros((len(self.places), width), dtype=np.int64)
        np.add.at(made, (np.arange(len(made))[:, None], self.places), self.counts)
        return made

    def row(self, option: int, width: int) -> Ints:
        """[C] one of them."""
        made = np.zeros(width, dtype=np.int64)
        np.add.at(made, self.places[option], self.counts[option])
        return made

    def shares(self) -> Floats:
        """[O, K] the share of the replicas in each part."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1), 1)[:, None])

    def others(self, row: Ints) -> Bools:
        """[O] whether an option is another one than this row [C]."""
        there = np.where(self.counts > 0, row[self.places] == self.counts, True).all(axis=1)
        return np.asarray(~(there & (self.counts.sum(axis=1) == row.sum())))

    def take(self, which: Ints | Bools) -> Parts:
        """Some of them, in that order."""
        return Parts(self.places[which], self.counts[which])


def parts_of(rows: Ints) -> Parts:
    """Rows of counts [O, C] by their parts."""
    most = max(int((rows > 0).sum(axis=1).max(initial=0)), 1)
    places = np.argsort(rows == 0, axis=1, kind="stable")[:, :most]
    counts = np.take_along_axis(rows, places, axis=1)
    return Parts(places.astype(np.int16), counts.astype(np.int32))


def scaled(current: Ints, replicas: int, rules: tuple[SpreadRule, ...]) -> Ints:
    """The committed counts [C] grown or shrunk to `replicas`: adds where least run, takes where most run, and never
    fills a domain beyond its share; ties go to the first sub-cluster."""
    counts = current.copy()
    used = np.flatnonzero(current)
    while len(used) and counts.sum() > replicas:
        counts[used[np.argmax(counts[used])]] -= 1
    while len(used) and counts.sum() < replicas:
        room = [c for c in used if all(_room(rule, counts, int(c), replicas) for rule in rules)] or list(used)
        counts[min(room, key=lambda c: (counts[c], c))] += 1
    return counts


def _room(rule: SpreadRule, counts: Ints, subcluster: int, replicas: int) -> bool:
    same = rule.domain == rule.domain[subcluster]
    return bool(counts[same].sum() < rule.per_domain(replicas))


class Options:
    """The ways open to each service to run, made when first asked for and shared between services alike."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._made: dict[int, Parts] = {}
        self._shared: dict[tuple[object, ...], Parts] = {}
        divided = np.zeros(len(problem.replicas), dtype=bool)
        divided[list(problem.spread)] = True
        runs_in_several = (problem.current > 0).sum(axis=1) > 1
        self.listed: Bools = runs_in_several | problem.fixed | (divided & (problem.replicas > 0))
        self.listed[list(problem.growth)] = True
        """[S] services whose options are rows of a list; the others take any one allowed sub-cluster."""

    def parts(self, service: int) -> Parts:
        """The service's options, in a fixed order: staying first, then by sub-clusters."""
        made = self._made.get(service)
        if made is None:
            made = self._made[service] = self._within(service, self._make(service))
        return made

    def of(self, service: int) -> Ints:
        """[O, C] the same as rows of counts."""
        return self.parts(service).rows(self._problem.shape[1])

    def rows(self, service: int) -> Ints:
        """[O, C] the same for every service, those that take any one allowed sub-cluster included."""
        if self.listed[service]:
            return self.of(service)
        allowed = self._problem.allowed[service]
        whole = max(int(self._problem.replicas[service]), 1)
        return np.asarray(np.eye(len(allowed), dtype=np.int64)[allowed] * whole)

    def count(self, service: int) -> int:
        """How many options the service has."""
        return len(self.parts(service)) if self.listed[service] else int(self._problem.allowed[service].sum())

    def stay(self, service: int) -> Ints | None:
        """What runs of the service, grown or shrunk to its replicas, where its own rules allow it."""
        if self._problem.fixed[service]:
            return np.asarray(self._problem.current[service])
        replicas = int(self._problem.replicas[service])
        rules = self._problem.spread.get(service, ()) if replicas > 0 else ()
        return self._stay(service, max(replicas, 1), rules)

    def _make(self, service: int) -> Parts:
        problem = self._problem
        if problem.fixed[service]:
            return parts_of(problem.current[service : service + 1])
        if service in problem.growth:
            return parts_of(problem.growth[service])
        rules = problem.spread.get(service, ()) if problem.replicas[service] > 0 else ()
        replicas = max(int(problem.replicas[service]), 1)
        allowed = problem.allowed[service]
        if rules:
            price = problem.unary[service]
            if problem.ordinal is not None:
                price = price + problem.ordinal[service]
            order = b"" if _all_sets(replicas, allowed, rules) else np.argsort(price, kind="stable").tobytes()
            key = (replicas, allowed.tobytes(), order, *(id(rule) for rule in rules))
            made = self._shared.get(key)
            if made is None:
                made = self._shared[key] = divisions(replicas, allowed, rules, price)
        else:
            places = np.flatnonzero(allowed)[:, None]
            made = Parts(places.astype(np.int16), np.full(places.shape, replicas, dtype=np.int32))
        stay = self._stay(service, replicas, rules)
        if stay is not None:
            first = parts_of(stay[None])
            made = _joined(first, made.take(made.others(stay)))
        return made

    def grown(self, service: int) -> Ints:
        """[O, C] what runs of the service with what is missing in one more sub-cluster; where its rules allow no such
        row, those that take nothing away, and where there are none of these either, all its options."""
        problem = self._problem
        replicas, current = int(problem.replicas[service]), problem.current[service]
        rules = problem.spread.get(service, ())
        allowed = problem.allowed[service] & (current == 0)
        rows = current + np.eye(len(current), dtype=np.int64)[allowed] * (replicas - current.sum())
        for rule in rules:
            rows = rows[rule.holds(rows)]
        if not len(rows):
            rows = self._make(service).rows(problem.shape[1])
            adds = (rows >= current).all(axis=1)
            rows = rows[adds] if adds.any() else rows
        return np.asarray(rows)

    def _within(self, service: int, parts: Parts) -> Parts:
        """Those that go no further down the order of preference than the problem has it."""
        problem = self._problem
        if problem.ranks is None or problem.rank_limit is None or problem.fixed[service]:
            return parts
        depth = (parts.shares() * problem.ranks[service][parts.places]).sum(axis=1)
        return parts.take(depth <= problem.rank_limit[service] + TOLERANCE)

    def _stay(self, service: int, replicas: int, rules: tuple[SpreadRule, ...]) -> Ints | None:
        current = self._problem.current[service]
        kept = np.where(self._problem.allowed[service], current, 0)
        if not current.any() or (kept != current).any():
            return None
        row = scaled(current, replicas, rules)
        return row if row.any() and all(rule.holds(row[None])[0] for rule in rules) else None


def divisions(replicas: int, allowed: Bools, rules: tuple[SpreadRule, ...], price: Floats) -> Parts:
    """All ways to divide `replicas` that keep `rules`, over the fewest sub-clusters that can.

    Args: allowed [C]; price [C], which sub-clusters to prefer when there are too many sets to look at all of them.
    Returns nothing when no division keeps the rules."""
    none = Parts(np.zeros((0, 1), dtype=np.int16), np.zeros((0, 1), dtype=np.int32))
    least, places = _fewest(replicas, rules), _usable(allowed, rules)
    if least is None:
        return none
    for size in range(least, min(replicas, len(places)) + 1):
        short = _shortlist(places, size, rules[0], price)
        parts = _divided(replicas, size, short)
        kept = parts.take(np.logical_and.reduce([rule.holds_for(parts.places, parts.counts) for rule in rules]))
        if len(kept) or len(rules) == 1:
            return kept
    return none


def _fewest(replicas: int, rules: tuple[SpreadRule, ...]) -> int | None:
    """The least number of sub-clusters that may do; None when none does."""
    needed = [rule.domains_needed(replicas) for rule in rules]
    return None if any(number is None for number in needed) else max(number or 1 for number in needed)


def _usable(allowed: Bools, rules: tuple[SpreadRule, ...]) -> Ints:
    return np.flatnonzero(allowed & np.logical_and.reduce([rule.domain >= 0 for rule in rules]))


def _all_sets(replicas: int, allowed: Bools, rules: tuple[SpreadRule, ...]) -> bool:
    """Whether prices do not matter, since all sets of sub-clusters are looked at."""
    least, places = _fewest(replicas, rules), _usable(allowed, rules)
    most = min(replicas, len(places))
    if least is None or least > most:
        return True
    return all(comb(len(places), size) <= MAX_SETS for size in range(least, (least if len(rules) == 1 else most) + 1))


def _shortlist(places: Ints, size: int, rule: SpreadRule, price: Floats) -> Ints:
    """As many of `places` as keep the number of sets bounded: the cheapest of every domain, then the second, ..."""
    if comb(len(places), size) <= MAX_SETS:
        return places
    rank: dict[int, int] = {}
    order = []
    for place in sorted(places.tolist(), key=lambda c: (price[c], c)):
        domain = int(rule.domain[place])
        rank[domain] = rank.get(domain, 0) + 1
        order.append((rank[domain], float(price[place]), place))
    order.sort()
    count = len(order)
    while count > size and comb(count, size) > MAX_SETS:
        count -= 1
    return np.array(sorted(place for _, _, place in order[:count]), dtype=np.int64)


@lru_cache(maxsize=64)
def _sets(count: int, size: int) -> NDArray[np.int16]:
    """[N, size] all sets of that size out of so many things, in order."""
    made = np.array(list(combinations(range(count), size)), dtype=np.int16).reshape(-1, size)
    made.setflags(write=False)
    return made


def _divided(replicas: int, size: int, places: Ints) -> Parts:
    """Every set of `size` places, with every choice of those that run one replica more than the others."""
    sets = places.astype(np.int16)[_sets(len(places), size)]
    least, more = divmod(replicas, size)
    counts = np.full((comb(size, more), size), least, dtype=np.int32)
    for row, chosen in enumerate(combinations(range(size), more)):
        counts[row, list(chosen)] += 1
    return Parts(np.repeat(sets, len(counts), axis=0), np.tile(counts, (len(sets), 1)))


def _joined(first: Parts, second: Parts) -> Parts:
    width = max(first.places.shape[1], second.places.shape[1])

    def padded(values: Ints) -> Ints:
        return np.pad(values, ((0, 0), (0, width - values.shape[1])))

    return Parts(
        np.concatenate([padded(first.places), padded(second.places)]),
        np.concatenate([padded(first.counts), padded(second.counts)]),
    )

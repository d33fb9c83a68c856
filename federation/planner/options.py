"""How the replicas of one service may be divided: the rows of counts that keep its spread rules.

A service without spread rules runs in one sub-cluster. One with rules runs in as few sub-clusters as they ask for, of
different domains, its replicas divided as equally as possible; which sub-clusters, cost decides. What runs already
stays where it may: scaling up only adds, scaling down only takes away.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.problem import TOLERANCE, Problem, SpreadRule

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

MAX_SETS = 8192
"""Sets of sub-clusters that are looked at for one service; beyond, only the cheapest of each domain compete."""


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
    """The rows of counts open to each service, made when first asked for and shared between services alike."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._made: dict[int, Ints] = {}
        self._shared: dict[tuple[object, ...], Ints] = {}
        divided = np.zeros(len(problem.replicas), dtype=bool)
        divided[list(problem.spread)] = True
        runs_in_several = (problem.current > 0).sum(axis=1) > 1
        self.listed: Bools = runs_in_several | problem.fixed | (divided & (problem.replicas > 0))
        self.listed[list(problem.growth)] = True
        """[S] services whose options are rows of a list; the others take any one allowed sub-cluster."""

    def of(self, service: int) -> Ints:
        """[O, C] the service's options, in a fixed order: staying first, then by sub-clusters."""
        made = self._made.get(service)
        if made is None:
            made = self._made[service] = self._within(service, self._make(service))
        return made

    def rows(self, service: int) -> Ints:
        """[O, C] the same for every service, those that take any one allowed sub-cluster included."""
        if self.listed[service]:
            return self.of(service)
        allowed = self._problem.allowed[service]
        whole = max(int(self._problem.replicas[service]), 1)
        return np.asarray(np.eye(len(allowed), dtype=np.int64)[allowed] * whole)

    def stay(self, service: int) -> Ints | None:
        """What runs of the service, grown or shrunk to its replicas, where its own rules allow it."""
        if self._problem.fixed[service]:
            return np.asarray(self._problem.current[service])
        replicas = int(self._problem.replicas[service])
        rules = self._problem.spread.get(service, ()) if replicas > 0 else ()
        return self._stay(service, max(replicas, 1), rules)

    def _make(self, service: int) -> Ints:
        problem = self._problem
        if problem.fixed[service]:
            return problem.current[service : service + 1]
        if service in problem.growth:
            return problem.growth[service]
        rules = problem.spread.get(service, ()) if problem.replicas[service] > 0 else ()
        replicas = max(int(problem.replicas[service]), 1)
        allowed = problem.allowed[service]
        if rules:
            price = problem.unary[service]
            if problem.ordinal is not None:
                price = price + problem.ordinal[service]
            order = b"" if 2 ** len(allowed) <= MAX_SETS else np.argsort(price, kind="stable").tobytes()
            key = (replicas, allowed.tobytes(), order, *(id(rule) for rule in rules))
            rows = self._shared.get(key)
            if rows is None:
                rows = self._shared[key] = divisions(replicas, allowed, rules, price)
        else:
            rows = np.eye(len(allowed), dtype=np.int64)[allowed] * replicas
        stay = self._stay(service, replicas, rules)
        if stay is not None:
            rows = np.concatenate([stay[None], rows[(rows != stay).any(axis=1)]])
        return rows

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
            rows = self._make(service)
            adds = (rows >= current).all(axis=1)
            rows = rows[adds] if adds.any() else rows
        return np.asarray(rows)

    def _within(self, service: int, rows: Ints) -> Ints:
        """Those rows that go no further down the order of preference than the problem has it."""
        problem = self._problem
        if problem.ranks is None or problem.rank_limit is None or problem.fixed[service]:
            return rows
        depth = rows @ problem.ranks[service] / np.maximum(rows.sum(axis=1), 1)
        return np.asarray(rows[depth <= problem.rank_limit[service] + TOLERANCE])

    def _stay(self, service: int, replicas: int, rules: tuple[SpreadRule, ...]) -> Ints | None:
        current = self._problem.current[service]
        kept = np.where(self._problem.allowed[service], current, 0)
        if not current.any() or (kept != current).any():
            return None
        row = scaled(current, replicas, rules)
        return row if row.any() and all(rule.holds(row[None])[0] for rule in rules) else None


def divisions(replicas: int, allowed: Bools, rules: tuple[SpreadRule, ...], price: Floats) -> Ints:
    """All ways [O, C] to divide `replicas` that keep `rules`, over the fewest sub-clusters that can.

    Args: allowed [C]; price [C], which sub-clusters to prefer when there are too many sets to look at all of them.
    Returns no row when no division keeps the rules."""
    needed = [rule.domains_needed(replicas) for rule in rules]
    places = np.flatnonzero(allowed & np.logical_and.reduce([rule.domain >= 0 for rule in rules]))
    none = np.zeros((0, len(allowed)), dtype=np.int64)
    if any(number is None for number in needed):
        return none
    for size in range(max(number or 1 for number in needed), min(replicas, len(places)) + 1):
        short = _shortlist(places, size, rules[0], price)
        rows = _rows(replicas, size, short, len(allowed))
        kept = rows[np.logical_and.reduce([rule.holds(rows) for rule in rules])]
        if len(kept) or len(rules) == 1:
            return kept
    return none


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


def _rows(replicas: int, size: int, places: Ints, width: int) -> Ints:
    """Every set of `size` places, with every choice of those that run one replica more than the others."""
    sets = np.array(list(combinations(places.tolist(), size)), dtype=np.int64).reshape(-1, size)
    least, more = divmod(replicas, size)
    extras = np.zeros((comb(size, more), size), dtype=np.int64)
    for row, chosen in enumerate(combinations(range(size), more)):
        extras[row, list(chosen)] = 1
    rows = np.zeros((len(sets), len(extras), width), dtype=np.int64)
    for position in range(size):
        rows[np.arange(len(sets))[:, None], np.arange(len(extras))[None], sets[:, position, None]] = (
            least + extras[None, :, position]
        )
    return rows.reshape(-1, width)

"""The chosen choices as arrays, many services and pairs at a time: what they cost, what they take, what pairs cost.

Services that do not call each other and are of one sort form a group; groups have an order, plain before divided. All
arrays of a group have its services as their last axis, and the choices ("labels") as the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.prices.choices import Nodes, broken
from federation.planner.prices.order import colours, levels

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints
    from federation.planner.prices.dense import Singles

TYPICAL = 6
"""How many of a service's cheapest labels say what is much or little for it."""


@dataclass(eq=False)
class Group:
    """Nodes [n], those with the most pairs first. `own` [L, n] what labels cost; `scale` [n] what is much for a node.

    Plain: `place` [L, n], and `scarce` [L, n] its number among the scarce places, their count where it is none of them.
    Divided: `share` [L, n, K] of the replicas in the parts' places `places` [L, n, K], and `part` [Q, L, n] the shares
    in the scarce places.
    `given` [L, M] what the pairs' other ends gave, pairs by node; `starts` where each of the first nodes' begin."""

    nodes: Ints
    plain: bool
    own: Singles
    scale: Singles
    demand: Floats
    place: Ints
    scarce: Ints
    places: Ints
    share: Singles
    part: Singles
    given: Singles
    starts: Ints
    handed: Singles
    """[n] in how many equal parts a node hands on what it believes, as a fraction."""
    behind: Ints
    """[n] how many pairs it has with earlier groups."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Pairs of two groups, `first` the earlier: where their ends are in the groups, where in `Group.given`, and what
    each two labels cost together [A, B, e]."""

    pairs: Ints
    first: int
    second: int
    ends: tuple[Ints, Ints]
    slots: tuple[Ints, Ints]
    cost: Singles


class Network:
    """Nodes with the labels chosen for them. `label` [N, W] places, `which` the options of divided ones.

    `chained`: whether groups follow the calls, for few thorough sweeps instead of many quick ones."""

    def __init__(self, nodes: Nodes, label: Ints, which: dict[int, Ints], *, chained: bool = False):
        self.nodes, self.label, self.which = nodes, label, which
        pairs = nodes.pairs
        self.count = len(nodes)
        self.scarce = nodes.scarce
        self.capacity: Floats = nodes.capacity[nodes.scarce]
        self._number = np.full(nodes.own.shape[1], len(self.scarce))
        self._number[self.scarce] = np.arange(len(self.scarce))
        level = levels(nodes) if chained else colours(nodes)
        sort = level + (int(level.max(initial=0)) + 1) * ~nodes.plain
        of = np.unique(sort, return_inverse=True)[1].reshape(-1)
        turned = of[pairs.first] > of[pairs.second]
        self._ends = (np.where(turned, pairs.second, pairs.first), np.where(turned, pairs.first, pairs.second))
        self.turned: Bools = np.asarray(turned)
        self.group_of: Ints = of
        self.position: Ints = np.zeros(len(nodes), dtype=np.int64)
        degree = np.bincount(np.concatenate(self._ends), minlength=len(nodes))
        self.groups = [self._group(number, degree) for number in range(int(of.max(initial=-1)) + 1)]
        slots = self._slots()
        self.batches = self._batches(slots)
        self.ahead = [[b for b in self.batches if b.first == number] for number in range(len(self.groups))]
        self.back = [[b for b in self.batches if b.second == number] for number in range(len(self.groups))]

    @property
    def complete(self) -> bool:
        """Whether nobody has a choice that is not looked at."""
        nodes = self.nodes
        open_ = nodes.allowed[nodes.plain].sum(axis=1)
        looked_at = (self.label[nodes.plain] >= 0).sum(axis=1)
        parts = [(len(which), nodes.options.count(int(nodes.services[node]))) for node, which in self.which.items()]
        return bool((open_ == looked_at).all()) and all(few == every for few, every in parts)

    def _group(self, number: int, degree: Ints) -> Group:
        nodes = self.nodes
        mine = np.flatnonzero(self.group_of == number)
        mine = mine[np.argsort(-degree[mine], kind="stable")]
        self.position[mine] = np.arange(len(mine))
        plain = bool(nodes.plain[mine[0]])
        if plain:
            label = self.label[mine].T
            place = np.maximum(label, 0)
            own = np.where(label >= 0, nodes.own[mine[None], place], 2.0 * nodes.forbidden)
            scarce = np.where(label >= 0, self._number[place], len(self.scarce))
            nothing = np.zeros((0, len(mine), 1), dtype=np.float32)
            places, share, part = nothing.astype(np.int64), nothing, nothing
        else:
            place = scarce = np.zeros((0, len(mine)), dtype=np.int64)
            own, places, share, part = self._divided(mine)
        cheap = np.sort(own, axis=0)[:TYPICAL]
        open_ = cheap < nodes.forbidden
        scale = np.maximum(np.where(open_, cheap, 0.0).sum(axis=0) / np.maximum(open_.sum(axis=0), 1), 1e-9)
        ahead = np.bincount(self._ends[0], minlength=self.count)[mine]
        behind = np.bincount(self._ends[1], minlength=self.count)[mine]
        return Group(
            nodes=mine,
            plain=plain,
            own=own.astype(np.float32),
            scale=scale.astype(np.float32),
            demand=nodes.demand[mine],
            place=place,
            scarce=scarce,
            places=places,
            share=share,
            part=part,
            given=np.zeros((len(own), int((ahead + behind).sum())), dtype=np.float32),
            starts=np.concatenate([[0], np.cumsum((ahead + behind)[ahead + behind > 0])[:-1]]).astype(np.int64)
            if (ahead + behind).any()
            else np.zeros(0, dtype=np.int64),
            handed=(1.0 / np.maximum(np.maximum(ahead, behind), 1)).astype(np.float32),
            behind=behind,
        )

    def _divided(self, mine: Ints) -> tuple[Floats, Ints, Singles, Singles]:
        """What divided nodes' labels cost [L, n], their parts' places and shares [L, n, K], those in scarce places."""
        nodes = self.nodes
        parts = [nodes.options.parts(int(nodes.services[node])).take(self.which[node]) for node in mine.tolist()]
        shape = (max(map(len, parts)), len(mine), max(each.places.shape[1] for each in parts))
        places, share = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        own = np.full(shape[:2], 2.0 * nodes.forbidden)
        for position, (node, each) in enumerate(zip(mine.tolist(), parts, strict=True)):
            size = (slice(len(each)), position, slice(each.places.shape[1]))
            places[size], share[size] = each.places, each.shares()
            own[: len(each), position] = (each.shares() * nodes.own[node][each.places]).sum(axis=1)
            # Where others have more labels, the first one stands there again, and costs too much.
            places[len(each) :, position] = places[0, position]
            share[len(each) :, position] = share[0, position]
        part = np.zeros((len(self.scarce) + 1, *shape[:2]), dtype=np.float32)
        where = np.indices(shape[:2])
        for number in range(shape[2]):
            np.add.at(part, (self._number[places[:, :, number]], *where), share[:, :, number])
        return own, places, share, part[:-1]

    def _slots(self) -> Ints:
        """[2, E] where in its group's `given` each end of each pair stands."""
        count = len(self.turned)
        node = np.concatenate(self._ends)
        pair, end = np.tile(np.arange(count), 2), np.repeat((0, 1), count)
        slots = np.zeros((2, count), dtype=np.int64)
        for number in range(len(self.groups)):
            mine = np.flatnonzero(self.group_of[node] == number)
            mine = mine[np.argsort(self.position[node[mine]], kind="stable")]
            slots[end[mine], pair[mine]] = np.arange(len(mine))
        return slots

    def _batches(self, slots: Ints) -> list[Batch]:
        first, second = self._ends
        key = self.group_of[first] * len(self.groups) + self.group_of[second]
        found = []
        for number in np.unique(key).tolist():
            pairs = np.flatnonzero(key == number)
            one, other = divmod(number, len(self.groups))
            ends = (self.position[first[pairs]], self.position[second[pairs]])
            cost = self._cost(pairs, (one, other), ends)
            found.append(Batch(pairs, one, other, ends, (slots[0, pairs], slots[1, pairs]), cost))
        return found

    def _cost(self, pairs: Ints, groups: tuple[int, int], ends: tuple[Ints, Ints]) -> Singles:
        shape = (len(self.groups[groups[0]].own), len(self.groups[groups[1]].own), len(pairs))
        result = np.zeros(shape, dtype=np.float32)
        for way in (0, 1):
            weight = self.nodes.pairs.weight[pairs, np.where(self.turned[pairs], 1 - way, way)]
            caller, callee = self.groups[groups[way]], self.groups[groups[1 - way]]
            for term in range(weight.shape[1]):
                some = np.flatnonzero(weight[:, term])
                if not len(some):
                    continue
                price = self.nodes.problem.price[term].astype(np.float32)
                cost = _calls(price, caller, callee, ends[way][some], ends[1 - way][some])
                cost = cost * weight[some, term].astype(np.float32)
                result[:, :, some] += cost if way == 0 else cost.transpose(1, 0, 2)
        for position, pair in enumerate(pairs.tolist()):
            for way, barrier in self.nodes.pairs.barriers.get(pair, ()):
                caller_end = way if not self.turned[pair] else 1 - way
                where = [self._where(groups[end], int(ends[end][position])) for end in (caller_end, 1 - caller_end)]
                bad = broken(self.nodes.problem.forbidden[barrier], *where)
                result[:, :, position][bad if caller_end == 0 else bad.T] = self.nodes.forbidden
        return result

    def _where(self, group: int, position: int) -> Bools:
        """[L, C] in which places a node would be, by label."""
        mine = self.groups[group]
        if not mine.plain:
            there = np.zeros((len(mine.own), self.nodes.own.shape[1]), dtype=bool)
            label = np.arange(len(there))[:, None]
            np.logical_or.at(there, (label, mine.places[:, position]), mine.share[:, position] > 0)
            return there
        return np.asarray(mine.place[:, position, None] == np.arange(self.nodes.own.shape[1])[None])


def _calls(price: Singles, caller: Group, callee: Group, one: Ints, other: Ints) -> Singles:
    """[A, B, e] the price of a call by the labels of caller and callee."""
    if callee.plain:
        there = callee.place[:, other]
        if caller.plain:
            return np.asarray(price[caller.place[:, None, one], there[None]])
        places, share = caller.places[:, one], caller.share[:, one]
        parts = range(places.shape[2])
        return np.asarray(sum(share[:, None, :, k] * price[places[:, None, :, k], there[None]] for k in parts))
    routes = _routes(price, callee.places[:, other], callee.share[:, other])
    if caller.plain:
        place = caller.place[:, one]
        return np.stack([np.take_along_axis(routes, row[None, :, None], axis=2)[:, :, 0] for row in place])
    places, share = caller.places[:, one], caller.share[:, one]
    pair = np.arange(len(one))
    parts = range(places.shape[2])
    return np.asarray(sum(share[:, None, :, k] * routes[:, pair, places[:, :, k]].transpose(1, 0, 2) for k in parts))


def _routes(price: Singles, places: Ints, share: Singles) -> Singles:
    """[B, e, C] the price of a call from each place to a callee with these parts [B, e, K]: to the part that is there,
    else to all by their share."""
    result = np.zeros((*places.shape[:2], len(price)), dtype=np.float32)
    near = np.zeros(result.shape, dtype=bool)
    where = np.indices(places.shape[:2])
    for part in range(places.shape[2]):
        result += share[:, :, part, None] * price.T[places[:, :, part]]
        np.logical_or.at(near, (*where, places[:, :, part]), share[:, :, part] > 0)
    return np.asarray(np.where(near, price.diagonal(), result))

"""A lower bound on what labels cost together, by messages along the pairs that call each other.

Each pair gives each of its services a vector of costs, one for each label, and keeps the rest. However these vectors
are chosen, the sum of what is least for every service and every pair by itself is no more than what any choice of
labels costs. A sweep visits the services in order: each takes all that its pairs can give it, and hands it on in equal
parts to those that follow. Sources: V. Kolmogorov, "Convergent tree-reweighted message passing for energy
minimization" (2006), and "A new look at reweighted message passing" (2015), whose form this is.

Sweeps over all labels are dear; `window` has quick ones over a few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.labels import FORBIDDEN, Labels

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

AT_ONCE = 1 << 22
"""How many numbers one array of pair costs may hold."""


def colours(count: int, first: Ints, second: Ints) -> Ints:
    """[N] numbers such that no pair has the same twice: services of one number can be worked on together."""
    near: list[list[int]] = [[] for _ in range(count)]
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        near[a].append(b)
        near[b].append(a)
    found = [-1] * count
    for node in sorted(range(count), key=lambda each: (-len(near[each]), each)):
        used = {found[other] for other in near[node]}
        found[node] = next(number for number in range(len(used) + 1) if number not in used)
    return np.array(found, dtype=np.int64)


class Messages:
    """What every pair gives to its first (0) and second (1) service, for all labels: `given[end][pair]` [L].

    `price` [Q] is what each scarce resource costs; the bound counts it on every label, and its capacity against it."""

    def __init__(self, labels: Labels):
        self.labels = labels
        self.price: Floats = np.zeros(len(labels.capacity))
        self.colour = colours(len(labels), labels.first, labels.second)
        self._plain = _PlainPairs(labels, self.colour)
        self.given: tuple[list[Floats], list[Floats]] = ([], [])
        for end, nodes in enumerate((labels.first, labels.second)):
            for pair, node in enumerate(nodes.tolist()):
                row = self._plain.row_of.get(pair)
                new = np.zeros(len(labels.own[node])) if row is None else self._plain.given[end, row]
                self.given[end].append(new)
        self._others: list[list[tuple[int, int, int]]] = [[] for _ in range(len(labels))]
        for pair, (a, b) in enumerate(zip(labels.first.tolist(), labels.second.tolist(), strict=True)):
            if pair not in self._plain.row_of:
                self._others[a].append((pair, 0, b))
                self._others[b].append((pair, 1, a))
        last = int(self.colour.max(initial=-1))
        self._nodes = [np.flatnonzero(self.colour == number).tolist() for number in range(last + 1)]
        self._part = _parts(labels, self.colour)
        self.beliefs: list[Floats] = [self.alone(node) for node in range(len(labels))]

    def alone(self, node: int) -> Floats:
        """[L] what the labels cost by themselves, scarce resources at their price."""
        return np.asarray(self.labels.own[node] + self.labels.demand[node] @ self.price)

    def sweep(self) -> None:
        """Once through all services and back. `beliefs` are what each found when it was visited on the way back."""
        for colour in range(len(self._nodes)):
            self._visit(colour, forward=True)
        for colour in reversed(range(len(self._nodes))):
            self._visit(colour, forward=False)

    def _visit(self, colour: int, *, forward: bool) -> None:
        nodes = self._nodes[colour]
        for node in nodes:
            self.beliefs[node] = self.alone(node)
        self._plain.take(colour, self.beliefs)
        taken = [(node, *each, self._least(*each[:2])) for node in nodes for each in self._others[node]]
        for node, _, _, _, least in taken:
            self.beliefs[node] += least
        self._plain.hand_on(colour, self.beliefs, self._part, forward=forward)
        for node, pair, end, other, least in taken:
            on = (self.colour[other] > colour) == forward
            handed = self._part[node] * np.minimum(self.beliefs[node], FORBIDDEN) if on else 0.0
            self.given[end][pair] = least - handed

    def _least(self, pair: int, end: int) -> Floats:
        """[L] all that the pair can give to that end, and stay at zero or above."""
        cost = self.labels.pair_cost(pair)
        cost = cost - (self.given[1][pair][None] if end == 0 else self.given[0][pair][:, None])
        return np.asarray(np.minimum(cost.min(axis=1 - end), FORBIDDEN))

    def bound(self) -> float:
        """USD per hour, as the messages and prices stand."""
        labels = self.labels
        left = [self.alone(node) for node in range(len(labels))]
        for pair, (a, b) in enumerate(zip(labels.first.tolist(), labels.second.tolist(), strict=True)):
            left[a] = left[a] + self.given[0][pair]
            left[b] = left[b] + self.given[1][pair]
        total = sum(float(each.min()) for each in left) - float(self.price @ labels.capacity) + self._plain.least()
        for node in range(len(labels)):
            for pair, end, _ in self._others[node]:
                if end == 0:
                    total += float((self._least(pair, 0) - self.given[0][pair]).min())
        return total


class _PlainPairs:
    """The pairs of plain services, many at a time: `given` [2, P, C]."""

    def __init__(self, labels: Labels, colour: Ints):
        self._labels = labels
        self._pairs = np.flatnonzero(labels.free_plain)
        self.row_of = {pair: row for row, pair in enumerate(self._pairs.tolist())}
        price = labels.problem.price
        width = labels.problem.shape[1]
        self.given: Floats = np.zeros((2, len(self._pairs), width))
        self._matrix = np.concatenate([price, price.transpose(0, 2, 1)]).reshape(-1, width * width)
        self._step = max(1, AT_ONCE // max(width * width, 1))
        ends = (labels.first[self._pairs], labels.second[self._pairs])
        row, end = np.tile(np.arange(len(self._pairs)), 2), np.repeat((0, 1), len(self._pairs))
        node, other = np.concatenate(ends), np.concatenate(ends[::-1])
        self._visits: list[tuple[Ints, Ints, Ints, Bools]] = []
        for number in range(int(colour.max(initial=-1)) + 1):
            mine = np.flatnonzero(colour[node] == number)
            self._visits.append((row[mine], end[mine], node[mine], np.asarray(colour[other[mine]] > number)))
        self._taken: Floats = np.zeros((0, width))

    def _cost(self, rows: Ints, ends: Ints) -> Floats:
        """[n, C, C] of these pairs, the label of that end first."""
        weight = self._labels.weight[self._pairs[rows]]
        weight = np.where((ends == 0)[:, None, None], weight, weight[:, ::-1])
        width = self.given.shape[2]
        cost: Floats = weight.reshape(len(rows), -1) @ self._matrix
        return cost.reshape(len(rows), width, width)

    def take(self, colour: int, beliefs: list[Floats]) -> None:
        """Add to the beliefs of that colour's services what these pairs can give them."""
        rows, ends, nodes, _ = self._visits[colour]
        self._taken = np.zeros((len(rows), self.given.shape[2]))
        for start in range(0, len(rows), self._step):
            part = slice(start, start + self._step)
            kept = self.given[1 - ends[part], rows[part]]
            self._taken[part] = (self._cost(rows[part], ends[part]) - kept[:, None, :]).min(axis=2)
        np.minimum(self._taken, FORBIDDEN, out=self._taken)
        for node, least in zip(nodes.tolist(), self._taken, strict=True):
            beliefs[node] += least

    def hand_on(self, colour: int, beliefs: list[Floats], part: Floats, *, forward: bool) -> None:
        """Leave with the pairs to the services that follow their part of what is believed."""
        rows, ends, nodes, later = self._visits[colour]
        if not len(rows):
            return
        belief = np.minimum(np.array([beliefs[node] for node in nodes.tolist()]), FORBIDDEN)
        on = later if forward else ~later
        self.given[ends, rows] = self._taken - np.where(on[:, None], part[nodes][:, None] * belief, 0.0)

    def least(self) -> float:
        """The sum of what is left at least in each pair."""
        total = 0.0
        for start in range(0, len(self._pairs), self._step):
            rows = np.arange(start, min(start + self._step, len(self._pairs)))
            left = self._cost(rows, np.zeros(len(rows), dtype=np.int64))
            left -= self.given[0, rows][:, :, None]
            left -= self.given[1, rows][:, None, :]
            total += float(left.min(axis=(1, 2)).sum())
        return total


def _parts(labels: Labels, colour: Ints) -> Floats:
    """[N] in how many equal parts a service hands on what it believes, as a fraction."""
    later = colour[labels.second] > colour[labels.first]
    ahead = np.zeros(len(labels))
    behind = np.zeros(len(labels))
    for ends, before in ((labels.first, later), (labels.second, ~later)):
        np.add.at(ahead, ends[before], 1.0)
        np.add.at(behind, ends[~before], 1.0)
    return np.asarray(1.0 / np.maximum(np.maximum(ahead, behind), 1.0))

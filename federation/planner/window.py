"""Quick sweeps over a few labels of each service, the best ones so far; what they find is put back among all labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.labels import FORBIDDEN
from federation.planner.messages import Messages

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class _Block:
    """The ends of pairs at services of one colour, service by service: pair, which end, cost with the own label first;
    where each service's ends begin; which go on to later colours; each service's part."""

    pair: Ints
    end: Ints
    cost: Floats
    starts: Ints
    nodes: Ints
    of: Ints
    later: Bools
    part: Floats


class Window:
    """A few labels of each service: `label` [N, W], -1 where there are fewer."""

    def __init__(self, messages: Messages, width: int):
        self._messages = messages
        labels = self._labels = messages.labels
        self.label: Ints = np.full((len(labels), width), -1, dtype=np.int64)
        for node, belief in enumerate(messages.beliefs):
            few = min(width, len(belief))
            self.label[node, :few] = np.sort(np.argpartition(belief, few - 1)[:few])
        self.open: Bools = self.label >= 0
        self.own: Floats = np.full(self.label.shape, FORBIDDEN)
        self.demand: Floats = np.zeros((*self.label.shape, len(labels.capacity)))
        for node, chosen in enumerate(self._chosen()):
            self.own[node, : len(chosen)] = labels.own[node][chosen]
            self.demand[node, : len(chosen)] = labels.demand[node][chosen]
        self._ends = (labels.first, labels.second)
        self.given = np.zeros((2, len(labels.first), width))
        self.cost = np.full((len(labels.first), width, width), FORBIDDEN)
        self._fill()
        self._blocks = [self._block(colour) for colour in range(int(messages.colour.max(initial=-1)) + 1)]
        self.beliefs: Floats = self.alone()

    def _chosen(self) -> list[Ints]:
        return [row[row >= 0] for row in self.label]

    def _fill(self) -> None:
        chosen = self._chosen()
        for pair, (a, b) in enumerate(zip(*(end.tolist() for end in self._ends), strict=True)):
            one, other = chosen[a], chosen[b]
            self.cost[pair, : len(one), : len(other)] = self._labels.pair_cost(pair, one, other)
            self.given[0, pair, : len(one)] = self._messages.given[0][pair][one]
            self.given[1, pair, : len(other)] = self._messages.given[1][pair][other]

    def _block(self, colour: int) -> _Block:
        number = self._messages.colour
        count = len(self._ends[0])
        pair, end = np.tile(np.arange(count), 2), np.repeat((0, 1), count)
        node, other = np.concatenate(self._ends), np.concatenate(self._ends[::-1])
        mine = np.flatnonzero(number[node] == colour)
        mine = mine[np.argsort(node[mine], kind="stable")]
        pair, end, node, other = pair[mine], end[mine], node[mine], other[mine]
        nodes, starts, of = np.unique(node, return_index=True, return_inverse=True)
        later = number[other] > colour
        ahead = np.bincount(of, weights=later, minlength=len(nodes))
        behind = np.bincount(of, weights=~later, minlength=len(nodes))
        cost = np.where((end == 0)[:, None, None], self.cost[pair], self.cost[pair].transpose(0, 2, 1))
        part = 1.0 / np.maximum(np.maximum(ahead, behind), 1.0)
        return _Block(pair, end, cost, starts, nodes, of, np.asarray(later), part)

    def alone(self) -> Floats:
        """[N, W] what the labels cost by themselves, scarce resources at their price."""
        return np.asarray(self.own + self.demand @ self._messages.price)

    def sweep(self) -> None:
        """As `Messages.sweep`, over these labels only."""
        for forward in (True, False):
            alone = self.alone()
            self.beliefs = alone.copy()
            for block in self._blocks if forward else reversed(self._blocks):
                if len(block.pair):
                    self._visit(block, alone, forward=forward)

    def _visit(self, block: _Block, alone: Floats, *, forward: bool) -> None:
        least = (block.cost - self.given[1 - block.end, block.pair][:, None, :]).min(axis=2)
        np.minimum(least, FORBIDDEN, out=least)
        belief = alone[block.nodes] + np.add.reduceat(least, block.starts, axis=0)
        self.beliefs[block.nodes] = belief
        onwards = block.later if forward else ~block.later
        handed = (block.part[:, None] * np.minimum(belief, FORBIDDEN))[block.of]
        self.given[block.end, block.pair] = least - np.where(onwards[:, None], handed, 0.0)

    def put_back(self) -> None:
        """Give what was found to the messages over all labels."""
        chosen = self._chosen()
        for end in (0, 1):
            for pair, node in enumerate(self._ends[end].tolist()):
                self._messages.given[end][pair][chosen[node]] = self.given[end, pair, : len(chosen[node])]

"""From beliefs to a placement: each service in turn takes its best label, what is used being kept near what should be.

At good prices many services are torn between places of nearly the same cost, and if each took the very cheapest, some
places would be asked for many times over. So what is used is kept near what it would be were every service divided by
its chances; to fall behind or run ahead costs something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.prices.messages import Messages
from federation.planner.prices.multipliers import HARDEST
from federation.planner.prices.network import Batch, Network

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints
    from federation.planner.prices.dense import Singles

KEEP_NEAR = 1.0
"""What it costs to be a whole capacity off, by what that capacity is worth."""


def decode(messages: Messages, softness: float = HARDEST) -> Ints:
    """[N, C] counts of every node of the network; zeros for one that may stand nowhere. Limits on room may be overrun a
    little, and where no choice keeps the limits on calls, these too. Deterministic."""
    network = messages.network
    tracker = _Tracker(messages)
    labels: list[Ints] = []
    for number, group in enumerate(network.groups):
        belief = messages.belief(number)
        for batch in network.back[number]:
            told = _cost_given_first(batch, labels[batch.first]) - group.given[:, batch.slots[1]]
            np.add.at(belief.T, batch.ends[1], told.T)
        chance = np.exp((belief.min(axis=0) - belief) / (softness * group.scale))
        labels.append(tracker.choose(number, belief, chance / chance.sum(axis=0)))
    return _counts(network, labels)


def _cost_given_first(batch: Batch, labels: Ints) -> Singles:
    """[B, e] what the pairs cost by the labels of their second ends."""
    return np.asarray(batch.cost[labels[batch.ends[0]], :, np.arange(len(batch.pairs))].T)


class _Tracker:
    """What is used of what is scarce so far, and what should be [Q, R]."""

    def __init__(self, messages: Messages):
        self._network = messages.network
        capacity = np.where(np.isfinite(self._network.capacity), self._network.capacity, 0.0)
        worth = (messages.price * capacity).sum(axis=0)
        self._unit = worth / np.maximum(capacity.sum(axis=0), 1e-30) / max(capacity.shape[1], 1)
        """[R] USD per hour that a unit of each resource is worth on average."""
        self._keen = np.where(capacity > 0, KEEP_NEAR * self._unit / np.maximum(capacity, 1e-30), 0.0)
        self._ahead: Floats = np.zeros(capacity.shape)

    def choose(self, number: int, belief: Singles, chance: Singles) -> Ints:
        """[n] a label for every node of a group, those that ask for the most first."""
        group = self._network.groups[number]
        places = len(self._ahead)
        chosen = np.zeros(belief.shape[1], dtype=np.int64)
        for node in np.argsort(-(group.demand @ self._unit), kind="stable").tolist():
            demand = group.demand[node]
            if group.plain:
                scarce = group.scarce[:, node]
                wanted = np.bincount(scarce, weights=chance[:, node], minlength=places + 1)[:places]
                self._ahead -= wanted[:, None] * demand
                extra = np.append((self._keen * self._ahead) @ demand, 0.0)[scarce]
            else:
                part = group.part[:, :, node]
                self._ahead -= (part @ chance[:, node])[:, None] * demand
                extra = ((self._keen * self._ahead) @ demand) @ part
            label = chosen[node] = int(np.argmin(belief[:, node] + extra))
            if not group.plain:
                self._ahead += part[:, label, None] * demand
            elif scarce[label] < places:
                self._ahead[scarce[label]] += demand
        return chosen


def _counts(network: Network, labels: list[Ints]) -> Ints:
    nodes = network.nodes
    counts = np.zeros(nodes.own.shape, dtype=np.int64)
    for group, chosen in zip(network.groups, labels, strict=True):
        if group.plain:
            place = np.take_along_axis(group.place, chosen[None], axis=0)[0]
            open_ = np.take_along_axis(group.own, chosen[None], axis=0)[0] < nodes.forbidden
            counts[group.nodes[open_], place[open_]] = nodes.replicas[group.nodes[open_]]
            continue
        for node, label in zip(group.nodes.tolist(), chosen.tolist(), strict=True):
            parts = nodes.options.parts(int(nodes.services[node]))
            which = network.which[node]
            option = which[label] if label < len(which) else which[0]
            counts[node] = parts.row(int(option), nodes.own.shape[1])
    return counts

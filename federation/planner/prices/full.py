"""From a few labels to all: what every service would cost in every place, and a bound that holds for all choices.

It begins with the messages of a network, extended to the labels that were not looked at; any messages do, good ones
give a good bound. Sweeps go over all places of the plain services, and over the divided ones as `stars`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.prices.dense import least
from federation.planner.prices.messages import Messages
from federation.planner.prices.network import Batch
from federation.planner.prices.stars import Caller, Star, level

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints
    from federation.planner.prices.dense import Singles


class Full:
    """`cost` [N, C] is what each node costs in each place with what its pairs give it (of a divided one: were all of it
    there, without its pairs, which are in its star); `bound()` holds for any placement of the nodes."""

    def __init__(self, messages: Messages):
        network = self._network = messages.network
        nodes = self._nodes = network.nodes
        self._price, self._most = messages.price, nodes.forbidden
        self._alone: Floats = nodes.own.copy()
        self._alone[:, network.scarce] += nodes.demand @ messages.price.T
        self.cost: Floats = self._alone
        groups = network.groups
        self._plain = [batch for batch in network.batches if groups[batch.second].plain]
        self._weight = {id(batch): self._weights(batch) for batch in network.batches}
        self.stars = {node: Star(nodes, node, which) for node, which in network.which.items()}
        self._join()
        self._callers = {node: Caller(nodes, node) for star in self.stars.values() for _, node, _ in star.callers}
        self._share()
        width = self._alone.shape[1]
        self._back: dict[int, Singles] = {}
        """By batch [e, C]: what was given to the first ends; `_ahead`: to the second ends."""
        self._ahead: dict[int, Singles] = {id(b): np.zeros((len(b.pairs), width)) for b in self._plain}
        self._given: dict[int, Singles] = {}
        """By pair with a divided end [C]: what its star gave to the other end."""
        self._kept: dict[int, Floats] = {}
        """What the other end keeps for the star."""
        self._extend(messages)
        self._fresh = True

    def _weights(self, batch: Batch) -> Floats:
        """[e, 2, K] from the first to the second end as the batch has them, and back."""
        weight = self._nodes.pairs.weight[batch.pairs]
        return np.asarray(np.where(self._network.turned[batch.pairs][:, None, None], weight[:, ::-1], weight))

    def _ends(self, batch: Batch) -> tuple[Ints, Ints]:
        groups = self._network.groups
        return groups[batch.first].nodes[batch.ends[0]], groups[batch.second].nodes[batch.ends[1]]

    def _join(self) -> None:
        """Give each star its pairs. A call between two divided nodes has a key of its own for each way."""
        count = len(self._nodes.pairs)
        for batch in self._network.batches:
            one, other = (each.tolist() for each in self._ends(batch))
            if self._network.groups[batch.second].plain:
                continue
            for pair, a, b, weight in zip(batch.pairs.tolist(), one, other, self._weight[id(batch)], strict=True):
                if self._nodes.plain[a]:
                    self.stars[b].plain.append((pair, a, weight))
                    continue
                for way, (caller, callee) in enumerate(((a, b), (b, a))):
                    if weight[way].any() and Caller(self._nodes, caller).known:
                        self.stars[callee].callers.append(
                            (count * (1 + way) + pair, caller, np.stack([weight[way], np.zeros_like(weight[way])]))
                        )

    def _share(self) -> None:
        """In how many parts each node hands on what it costs, ahead and back."""
        nodes = len(self._nodes)
        ahead, behind = np.zeros(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.int64)
        for batch in self._plain:
            one, other = self._ends(batch)
            np.add.at(ahead, one, 1)
            np.add.at(behind, other, 1)
        for node, star in self.stars.items():
            behind[node] += len(star.plain) + len(star.callers)
            for _, end, _ in [*star.plain, *star.callers]:
                ahead[end] += 1
        self._handed: Floats = 1.0 / np.maximum(np.maximum(ahead, behind), 1)
        # A divided node keeps a part for its own star, too.
        divided = ~self._nodes.plain
        self._on: Floats = np.where(divided, 1.0 / (1 + ahead), self._handed)
        self._left: Floats = 1.0 - ahead * self._on

    def _extend(self, messages: Messages) -> None:
        """Give the plain nodes what later groups' labels have for them, by all places."""
        groups = self._network.groups
        zero = np.zeros(self._alone.shape[1])
        for star in self.stars.values():
            for key, _, _ in star.callers:
                self._given[key] = zero
        for batch in self._network.batches:
            first, second = groups[batch.first], groups[batch.second]
            if not first.plain:
                continue
            kept = (messages.belief(batch.second) * second.handed)[:, batch.ends[1]]
            kept -= second.given[:, batch.slots[1]]
            if second.plain:
                place = second.place[:, batch.ends[1]]
                self._back[id(batch)] = level(self._least(batch, kept, place, to_first=True), self._most)[0]
                continue
            for position, (pair, node) in enumerate(zip(batch.pairs.tolist(), self._ends(batch)[1], strict=True)):
                star = self.stars[int(node)]
                cost = star.rows.pair_cost(self._weight[id(batch)][position])
                message = (cost + kept[: len(cost), position, None]).min(axis=0)
                self._given[pair] = level(message[None], self._most)[0][0]

    def sweep(self) -> None:
        """Once through all groups and back. Divided nodes are looked at by their close options only."""
        self._forward()
        self._backward()

    def look_closer(self) -> None:
        """Look from now on at the options of divided nodes that seem best."""
        for node, star in self.stars.items():
            star.look_closer(self._left[node] * self.cost[node], self._kept, self._callers)

    def bound(self) -> float:
        """USD per hour; after a sweep back, a good one. Looks closer, too."""
        finite = np.isfinite(self._network.capacity)
        total = self._forward() - float((self._price[finite] * self._network.capacity[finite]).sum())
        for node, star in self.stars.items():
            total += star.least(self._left[node] * self.cost[node], self._kept, self._callers)
        return total

    def _forward(self) -> float:
        """Returns what plain nodes and their pairs cost at least, prices included."""
        network, total = self._network, 0.0
        self.cost = self._alone.copy()
        for batch in self._plain:
            np.add.at(self.cost, self._ends(batch)[0], self._back[id(batch)])
        for star in self.stars.values():
            for pair, end, _ in [*star.plain, *star.callers]:
                self.cost[end] += self._given[pair]
        for number, group in enumerate(network.groups):
            if not group.plain:
                continue
            if self._fresh:
                self._shrink(number)
            total += float((self._left[group.nodes] * self.cost[group.nodes].min(axis=1)).sum())
            for batch in network.ahead[number]:
                if not network.groups[batch.second].plain:
                    continue
                one, other = self._ends(batch)
                kept = self.cost[one] * self._on[one, None] - self._back[id(batch)]
                message, low = level(self._least(batch, kept.T, None, to_first=False), self._most)
                total += float(low.sum(dtype=np.float64))
                self._ahead[id(batch)] = message
                np.add.at(self.cost, other, message)
        self._fresh = False
        for star in self.stars.values():
            for pair, end, _ in [*star.plain, *star.callers]:
                self._kept[pair] = self._on[end] * self.cost[end] - self._given[pair]
        return total

    def _shrink(self, number: int) -> None:
        """Take back from the labels that were not looked at what they do not need to be no node's best: it was given
        to them by pairs that know of a few labels only, and is too much."""
        network = self._network
        nodes = network.groups[number].nodes
        label = network.label[nodes]
        looked_at = np.zeros((len(nodes), self._alone.shape[1] + 1), dtype=bool)
        looked_at[np.arange(len(nodes))[:, None], label] = True
        looked_at = looked_at[:, :-1]
        cost = self.cost[nodes]
        low = np.where(looked_at, cost, np.inf).min(axis=1)
        given = np.zeros_like(cost)
        position = np.full(len(self._alone), -1)
        position[nodes] = np.arange(len(nodes))
        batches = [b for b in network.ahead[number] if network.groups[b.second].plain]
        for batch in batches:
            np.add.at(given, position[self._ends(batch)[0]], self._back[id(batch)])
        stars = [
            (pair, position[other])
            for star in self.stars.values()
            for pair, other, _ in star.plain
            if position[other] >= 0
        ]
        for pair, at in stars:
            given[at] += self._given[pair]
        over = np.clip(cost - low[:, None], 0.0, given)
        part = np.where(looked_at | (given <= 0), 1.0, 1.0 - over / np.maximum(given, 1e-30))
        for batch in batches:
            self._back[id(batch)] = self._back[id(batch)] * part[position[self._ends(batch)[0]]]
        for pair, at in stars:
            self._given[pair] = self._given[pair] * part[at]
        self.cost[nodes] = cost - given * (1.0 - part)

    def _backward(self) -> None:
        network = self._network
        cost = self._alone.copy()
        for batch in self._plain:
            np.add.at(cost, self._ends(batch)[1], self._ahead[id(batch)])
        for node, star in self.stars.items():
            told = star.told(self._kept, self._callers)
            whole = (star.rows.share @ self.cost[node] + sum(told.values())) * self._handed[node]
            for pair, end, weight in [*star.plain, *star.callers]:
                self._give(pair, end, star.rows.pair_cost(weight) + (whole - told[pair])[:, None], cost)
        for number in reversed(range(len(network.groups))):
            if not network.groups[number].plain:
                continue
            for batch in network.back[number]:
                one, other = self._ends(batch)
                kept = cost[other] * self._handed[other, None] - self._ahead[id(batch)]
                message = level(self._least(batch, kept.T, None, to_first=True), self._most)[0]
                self._back[id(batch)] = message
                np.add.at(cost, one, message)

    def _give(self, pair: int, other: int, cost: Singles, costs: Floats) -> None:
        message = level(cost.min(axis=0)[None], self._most)[0][0]
        self._given[pair] = message
        costs[other] += message

    def _least(self, batch: Batch, kept: Floats, label: Ints | None, *, to_first: bool) -> Singles:
        """[e, C] the least of what one end keeps [L, e] and the pair costs, by the places of the other end."""
        weight, price = self._weight[id(batch)], self._nodes.problem.price
        result = least(kept, label, weight, price, to_first=to_first)
        barriers = self._nodes.pairs.barriers
        for position, pair in enumerate(batch.pairs.tolist()) if barriers else ():
            limits = barriers.get(pair)
            if not limits:
                continue
            cost = np.einsum("k,kcd->cd", weight[position, 0], price)
            cost = cost + np.einsum("k,kdc->cd", weight[position, 1], price)
            for way, barrier in limits:
                forbidden = self._nodes.problem.forbidden[barrier]
                turned = bool(self._network.turned[pair])
                cost = np.where(forbidden if (way == 0) != turned else forbidden.T, self._most, cost)
            cost = cost if to_first else cost.T
            where = np.arange(len(cost)) if label is None else label[:, position]
            result[position] = (cost[:, where] + kept[:, position]).min(axis=1)
        return result

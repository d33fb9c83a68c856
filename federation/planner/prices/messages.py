"""Messages along the pairs of a network: what each pair gives to either end, and what all believe by it.

However messages are chosen, the sum of what is least for every node and every pair by itself is no more than what any
choice of labels costs. A sweep visits the groups in order and back; each node hands what it believes on in equal parts.
Source: V. Kolmogorov, "Convergent tree-reweighted message passing for energy minimization" (2006).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from federation.planner.prices.network import Group, Network

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints
    from federation.planner.prices.dense import Singles


class Messages:
    """Messages (in `Group.given`) and the `price` [Q, R] of what is scarce, USD per unit and hour."""

    def __init__(self, network: Network, price: Floats | None = None):
        self.network = network
        self.price: Floats = np.zeros(network.capacity.shape) if price is None else price.copy()
        self.beliefs: list[Singles] = [self.belief(number) for number in range(len(network.groups))]
        """By group [L, n]: what each label costs with all that was given, as the last sweep found it."""

    def pay(self, group: Group, price: Floats | None = None) -> Singles:
        """[L, n] what each label pays for what is scarce."""
        each = group.demand @ (self.price if price is None else price).T
        if group.plain:
            free = np.zeros((len(each), 1))
            return np.concatenate([each, free], axis=1).astype(np.float32)[np.arange(len(each)), group.scarce]
        return np.asarray(np.einsum("qln,nq->ln", group.part, each.astype(np.float32)))

    def belief(self, number: int) -> Singles:
        """[L, n] of one group, by the messages as they are."""
        return self._believed(number, np.float32)

    def _believed(self, number: int, precision: type[np.floating[Any]]) -> Singles:
        group = self.network.groups[number]
        belief = group.own.astype(precision) + self.pay(group)
        if len(group.starts):
            belief[:, : len(group.starts)] += np.add.reduceat(group.given, group.starts, axis=1, dtype=precision)
        return np.asarray(belief)

    def sweep(self) -> None:
        """Once through all groups and back."""
        network = self.network
        for number, batches in enumerate(network.ahead):
            if batches:
                self._hand_on(number, self.belief(number), forward=True)
        for number in reversed(range(len(network.groups))):
            self.beliefs[number] = belief = self.belief(number)
            self._hand_on(number, belief, forward=False)

    def _hand_on(self, number: int, belief: Singles, *, forward: bool) -> None:
        network = self.network
        part = belief * network.groups[number].handed
        for batch in network.ahead[number] if forward else network.back[number]:
            mine, other = (0, 1) if forward else (1, 0)
            kept = part[:, batch.ends[mine]] - network.groups[number].given[:, batch.slots[mine]]
            both = kept[:, None] if forward else kept[None]
            message = (both + batch.cost).min(axis=0 if forward else 1)
            message -= message.min(axis=0)
            np.minimum(message, network.nodes.forbidden, out=message)
            network.groups[batch.second if forward else batch.first].given[:, batch.slots[other]] = message

    def bound(self) -> float:
        """USD per hour: what the network's labels cost at least, whatever is chosen."""
        network = self.network
        finite = np.isfinite(network.capacity)
        total = -float((self.price[finite] * network.capacity[finite]).sum())
        beliefs = [self._believed(number, np.float64) for number in range(len(network.groups))]
        for group, belief in zip(network.groups, beliefs, strict=True):
            left = 1.0 - group.behind * group.handed.astype(np.float64)
            total += float((left * belief.min(axis=0)).sum())
        for batch in network.batches:
            one, other = network.groups[batch.first], network.groups[batch.second]
            kept = (beliefs[batch.second] * other.handed.astype(np.float64))[:, batch.ends[1]]
            kept = kept - other.given[:, batch.slots[1]]
            message = (kept[None] + batch.cost).min(axis=1) - one.given[:, batch.slots[0]]
            total += float(message.min(axis=0).sum())
        return total

    def chances(self, number: int, softness: float) -> Singles:
        """[L, n] how likely each label is, by what is believed of it; `softness` says how torn nodes are."""
        belief, scale = self.beliefs[number], self.network.groups[number].scale
        chance = np.exp((belief.min(axis=0) - belief) / (softness * scale))
        return np.asarray(chance / chance.sum(axis=0))

    def use(self, softness: float) -> Floats:
        """[Q, R] what would be used of what is scarce, were labels chosen by chance."""
        result = np.zeros(self.price.shape)
        for number, group in enumerate(self.network.groups):
            result += taken(group, self.chances(number, softness), len(result))
        return result


def taken(group: Group, chance: Singles, places: int) -> Floats:
    """[Q, R] what a group takes of what is scarce if its labels are chosen so often [L, n]."""
    if not group.plain:
        return np.asarray(np.einsum("qln,ln->qn", group.part, chance) @ group.demand)
    flat: Ints = group.scarce.ravel()
    columns = [
        np.bincount(flat, weights=(chance * demand).ravel(), minlength=places + 1)[:places] for demand in group.demand.T
    ]
    return np.column_stack(columns) if columns else np.zeros((places, 0))

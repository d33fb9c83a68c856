"""The dual of a plan: what scarce room is worth, what services cost at those prices, and a bound on every plan's cost.

Capacity is relaxed: who takes of a scarce resource pays its price instead, and the prices are moved until what is asked
for at them is about what there is. At any prices the messages' bound holds; near the right ones it is tight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.labels import Labels
from federation.planner.messages import Messages
from federation.planner.state import State
from federation.planner.window import Window

if TYPE_CHECKING:
    from federation.contracts.policy import Floats

WINDOW = 12
"""How many labels of each service the quick sweeps look at."""
ROUNDS = 6
FULL_SWEEPS = 2
QUICK_SWEEPS = 20
LAST_SWEEPS = 4
SOFTNESS, LEAST_SOFTNESS, COOLING = 1.0, 0.03, 0.9
"""At first services are taken to be torn between labels, later they make up their minds."""
GROW, SHRINK = 1.25, 0.5
FIRST_STEP = 0.3
MOST_WORK = 50_000_000
"""How many pairs of labels may be looked at in a sweep."""
ROUNDING = 1e-9
KEEN = 4.0
"""How much of a step is made for how much of a resource is over- or underused."""


class _Prices:
    """Moves the price of each resource by steps that grow while they go one way and shrink when they turn."""

    def __init__(self, labels: Labels):
        self._labels = labels
        own = [float(each.min()) for each in labels.own]
        self._scale = np.maximum(np.array([np.sort(each)[:6].mean() for each in labels.own]), 1e-9)
        asks = np.array([each.max(axis=0) for each in labels.demand]).reshape(len(labels), -1)
        typical = np.array([np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in asks.T])
        self._most: Floats = np.median(own) / np.maximum(typical, 1e-12) if own else typical
        self._step = FIRST_STEP * self._most
        self._way: Floats = np.zeros(len(labels.capacity))

    def move(self, messages: Messages, window: Window, softness: float) -> None:
        """One step, by what would be used if labels were chosen by their beliefs."""
        capacity = self._labels.capacity
        if not len(capacity):
            return
        belief = np.where(window.open, window.beliefs, np.inf)
        belief = belief - belief.min(axis=1, keepdims=True)
        chance = np.exp(-belief / (self._scale * softness)[:, None])
        chance /= chance.sum(axis=1, keepdims=True)
        use = np.einsum("nw,nwq->q", chance, window.demand)
        over = (use - capacity) / np.maximum(capacity, 1e-9)
        way = np.sign(over)
        turned, same = way * self._way < 0, way * self._way > 0
        self._step = np.where(turned, self._step * SHRINK, np.where(same, self._step * GROW, self._step))
        self._step = np.minimum(self._step, self._most)
        self._way = way
        messages.price = np.maximum(messages.price + self._step * way * np.minimum(KEEN * np.abs(over), 1.0), 0.0)


def dual_bound(state: State) -> float:
    """A lower bound, USD per hour, on any placement of the services that `state` has placed. Deterministic.

    Where that would take too long, as for many divided services in a large fleet, zero."""
    labels = Labels(state)
    if not len(labels) or labels.work() > MOST_WORK:
        return 0.0
    messages = Messages(labels)
    prices, softness, best = _Prices(labels), SOFTNESS, 0.0
    for _ in range(ROUNDS):
        for _ in range(FULL_SWEEPS):
            messages.sweep()
        best = max(best, messages.bound())
        window = Window(messages, min(WINDOW, max(len(own) for own in labels.own)))
        for _ in range(QUICK_SWEEPS):
            window.sweep()
            prices.move(messages, window, softness)
            softness = max(softness * COOLING, LEAST_SOFTNESS)
        window.sweep()
        window.put_back()
    for _ in range(LAST_SWEEPS):
        messages.sweep()
        best = max(best, messages.bound())
    return best * (1.0 - ROUNDING)

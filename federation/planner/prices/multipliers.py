"""The prices of what is scarce: raised where more is asked for than there is, lowered where less is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.prices.messages import Messages

if TYPE_CHECKING:
    from federation.contracts.policy import Floats

GROW, SHRINK = 1.25, 0.5
"""Steps grow while they go one way and shrink when they turn (resilient propagation; M. Riedmiller, H. Braun, 1993)."""
FIRST_STEP = 0.3
KEEN = 4.0
"""How much of a step is made for how much of a resource is over- or underused."""
SOFTEST, HARDEST = 1.0, 0.005
"""At first services are taken to be torn between labels, later they make up their minds."""
SWEEPS = 150
AGAIN_SWEEPS, AGAIN_SOFTEST, AGAIN_STEP = 60, 0.05, 0.05
"""When prices are about right already."""
COOL_BY = 0.8
"""After which part of the sweeps softness stays as it is."""


def settle(messages: Messages) -> None:
    """Sweep, and move the prices until what is asked for is about what there is. Deterministic."""
    _settle(messages, sweeps=SWEEPS, softest=SOFTEST, first=FIRST_STEP)


def resettle(messages: Messages) -> None:
    """The same from prices that are about right."""
    _settle(messages, sweeps=AGAIN_SWEEPS, softest=AGAIN_SOFTEST, first=AGAIN_STEP)


def _settle(messages: Messages, *, sweeps: int, softest: float, first: float) -> None:
    network = messages.network
    finite = np.isfinite(network.capacity)
    capacity = np.where(finite, network.capacity, 0.0)
    cooling = (HARDEST / softest) ** (1.0 / (COOL_BY * sweeps))
    most = _worth(messages)
    step, way, softness = first * most, np.zeros_like(most), softest
    for _ in range(sweeps):
        messages.sweep()
        if finite.any():
            use = messages.use(softness)
            over = np.where(finite, (use - capacity) / np.maximum(capacity, 1e-9 + 1e-6 * use), 0.0)
            now = np.sign(over)
            step = np.where(now * way < 0, step * SHRINK, np.where(now * way > 0, step * GROW, step))
            step, way = np.minimum(step, most), now
            messages.price = np.maximum(messages.price + step * now * np.minimum(KEEN * np.abs(over), 1.0), 0.0)
        softness = max(softness * cooling, HARDEST)


def _worth(messages: Messages) -> Floats:
    """[Q, R] what a unit may be worth about: what services cost by what they ask for."""
    network = messages.network
    cost, asked = [], []
    for group in network.groups:
        cost.append(group.scale)
        asked.append(group.demand)
    if not cost:
        return np.zeros(messages.price.shape)
    typical = float(np.median(np.concatenate(cost)))
    demand = np.concatenate(asked)
    unit = [typical / max(float(np.median(d[d > 0])), 1e-12) if (d > 0).any() else typical for d in demand.T]
    return np.tile(np.array(unit), (len(network.scarce), 1))

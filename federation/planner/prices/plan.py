"""Plans from prices, and what no plan costs less than.

First over a few choices of every service, until prices are settled; a placement is read off, mended and searched by the
caller. Then, for a bound that holds for all choices, over all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.options import Options
from federation.planner.prices.choices import Nodes, choose, near_costs, placeable
from federation.planner.prices.decode import decode
from federation.planner.prices.full import Full
from federation.planner.prices.messages import Messages
from federation.planner.prices.multipliers import resettle, settle
from federation.planner.prices.network import Network
from federation.planner.prices.repair import mend
from federation.planner.problem import Problem
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Ints

CHAINED_SWEEPS = 20
SWEEPS = 4
"""How many sweeps over all choices are made before divided services are looked at closer ..."""
LOOKS, MORE_ROUNDS = (2,), 4
"""... how often that is done before the first bound, and how many bounds are tried for after it."""
WORTHWHILE = 0.001
"""By how much of itself the bound has to rise for another round."""
ROUNDING = 1e-6
"""What single precision may cost the bound, of its size."""


class Prices:
    """The prices of one problem's scarce room, and the messages at them. Deterministic."""

    def __init__(self, problem: Problem, options: Options):
        self._problem, self._options = problem, options
        self._messages: Messages | None = None

    @property
    def known(self) -> bool:
        """Whether prices were settled already."""
        return self._messages is not None

    def plan(self) -> State:
        """A placement of all services that have any choice, near the cheapest; what overruns room is moved on or taken
        out. No limit is broken but those on spending, which are not looked at."""
        state = State(self._problem, self._options)
        state.load(np.where(self._problem.fixed[:, None], self._problem.current, 0))
        messages = self._settle(state, placeable(state), staying=True)
        nodes = messages.network.nodes
        counts = np.zeros(self._problem.shape, dtype=np.int64)
        counts[nodes.services] = decode(messages)
        state = State(self._problem, self._options)
        state.load(np.where(self._problem.fixed[:, None], self._problem.current, counts))
        pay = np.zeros(self._problem.shape)
        pay[np.ix_(nodes.services, messages.network.scarce)] = nodes.demand @ messages.price.T
        mend(state, pay)
        return state

    def bound(self, state: State, enough: float) -> float:
        """No placement of the services that `state` has placed costs less, USD per hour; looks no further once it is
        no less than `enough`."""
        services = np.flatnonzero(_stand_by_a_choice(state))
        if not len(services):
            return 0.0
        known = self._messages
        same = known is not None and np.array_equal(known.network.nodes.services, services)
        if known is None or not same or state.stay_usd.any():
            known = self._settle(state, services, staying=False)
        network = known.network
        if network.complete:
            known.sweep()
            return known.bound() * (1.0 - ROUNDING)
        chained = Messages(Network(network.nodes, network.label, network.which, chained=True), known.price)
        for _ in range(CHAINED_SWEEPS):
            chained.sweep()
        full, best = Full(chained), 0.0
        for looks in (*LOOKS, *(1,) * MORE_ROUNDS):
            for look in range(looks):
                if look:
                    full.look_closer()
                for _ in range(SWEEPS):
                    full.sweep()
            bound = full.bound() * (1.0 - ROUNDING)
            if bound >= enough or bound < best * (1.0 + WORTHWHILE):
                return max(best, bound)
            best = bound
        return best

    def _settle(self, state: State, services: Ints, *, staying: bool) -> Messages:
        nodes = Nodes(state, services, staying=staying)
        before = self._messages
        messages = Messages(Network(nodes, *choose(nodes, near_costs(nodes))))
        if before is not None and np.array_equal(before.network.scarce, nodes.scarce):
            messages.price = before.price.copy()
            resettle(messages)
        else:
            settle(messages)
        self._messages = messages
        return messages


def _stand_by_a_choice(state: State) -> Bools:
    """[S] who stands somewhere, and just so as one of its options has it."""
    counts, options = state.counts, state.options
    whole = np.maximum(state.problem.replicas, 1)
    found = ((counts > 0).sum(axis=1) == 1) & (counts.sum(axis=1) == whole)
    for service in np.flatnonzero(options.listed).tolist():
        parts = options.parts(service)
        found[service] = bool(counts[service].any() and not parts.others(counts[service]).all())
    return np.asarray(found)

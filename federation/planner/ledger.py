"""What a placement costs, term by term: where it stands, and where each service could stand instead.

A call's cost stands with its caller. What a service's place costs its callers is kept apart, so that a choice can be
explained by all that it changes.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.request import PlanRequest
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints

DIGITS = 9
"""Amounts are given to the billionth of a dollar, so that they add up exactly as decimals."""
CALLERS = "callers' calls"
"""The term for what a service's place would change for those that call it."""


class Ledger:
    """The costs of one placement. Everything is linear in services, calls and sub-clusters, and made once."""

    def __init__(self, request: PlanRequest, state: State):
        self.request = request
        self.state = state
        self.terms: tuple[str, ...] = tuple(dict.fromkeys([*sorted(request.prices), *request.pair_terms]))

    @cached_property
    def own(self) -> Floats:
        """[term, S, C] what each service itself would cost as a whole in c, its calls included."""
        problem = self.state.problem
        result = np.zeros((len(self.terms), *problem.shape))
        for index, term in enumerate(self.terms):
            if term in self.request.prices:
                result[index] += np.nan_to_num(self.request.prices[term], nan=0.0)
        callee = self.state.share[problem.callee]
        for pair, term in enumerate(self.request.pair_terms):
            route = np.where(callee > 0, self.state.diagonal[pair], callee @ problem.price[pair].T)
            np.add.at(result[self.terms.index(term)], problem.caller, problem.weight[pair][:, None] * route)
        return result

    @cached_property
    def callers(self) -> Floats:
        """[S, C] what those that call each service would pay for these calls, were it as a whole in c."""
        problem = self.state.problem
        result = np.zeros(problem.shape)
        caller = self.state.share[problem.caller]
        for pair in range(len(problem.price)):
            np.add.at(result, problem.callee, problem.weight[pair][:, None] * (caller @ problem.price[pair]))
        return result

    @cached_property
    def calls(self) -> Floats:
        """[E] what each call costs, its pair terms added up; ties left out."""
        costs = self.state.call_costs()[:, : len(self.request.view.edges)]
        return np.asarray(np.round(costs.sum(axis=0), DIGITS))

    @cached_property
    def now(self) -> Floats:
        """[S, term] what each service costs as it stands."""
        problem = self.state.problem
        part = self._part(self.state.counts)
        result = np.zeros((problem.shape[0], len(self.terms)))
        for index, term in enumerate(self.terms):
            if term in self.request.prices:
                price = np.nan_to_num(self.request.prices[term], nan=0.0)
                result[:, index] += (part * price).sum(axis=1)
        costs = self.state.call_costs()
        for pair, term in enumerate(self.request.pair_terms):
            np.add.at(result[:, self.terms.index(term)], problem.caller, costs[pair])
        return np.round(result, DIGITS)

    def _part(self, counts: Ints) -> Floats:
        return np.asarray(counts / np.maximum(counts.sum(axis=1), 1)[:, None])

    def terms_now(self, service: int) -> dict[str, float]:
        """The service's terms as it stands, zeros left out."""
        return {term: float(x) for term, x in zip(self.terms, self.now[service], strict=True) if x}

    def terms_at(self, service: int, row: Ints) -> dict[str, float]:
        """The service's terms if it stood so, all others where they are, with what changes for its callers.

        So the sum is always what the service costs now plus what the whole plan's total would change by."""
        share = row / max(int(row.sum()), 1)
        own = self.own[:, service] @ share
        result = {term: round(float(x), DIGITS) for term, x in zip(self.terms, own, strict=True)}
        calls = self.state.calls_of(service)[1]
        if len(calls):
            change = self._callers_pay(calls, share) - self._callers_pay(calls, self.state.share[service])
            result[CALLERS] = round(change, DIGITS)
        return {term: amount for term, amount in result.items() if amount}

    def terms_alone(self, service: int, subcluster: int) -> dict[str, float]:
        """`terms_at` for a service that stands as a whole in one sub-cluster, or nowhere, and would in another."""
        result = dict(zip(self.terms, np.round(self.own[:, service, subcluster], DIGITS).tolist(), strict=True))
        result[CALLERS] = round(float(self.callers[service, subcluster]) - self._callers_now[service], DIGITS)
        return {term: amount for term, amount in result.items() if amount}

    @cached_property
    def _callers_now(self) -> list[float]:
        """[S] what the callers of each service pay for their calls as it stands, for one that stands as a whole."""
        counts = self.state.counts
        paid = np.take_along_axis(self.callers, counts.argmax(axis=1)[:, None], axis=1)[:, 0]
        found: list[float] = np.where(counts.any(axis=1), paid, 0.0).tolist()
        return found

    def _callers_pay(self, calls: Ints, share: Floats) -> float:
        problem = self.state.problem
        route = self.state.routes(share)
        caller = self.state.share[problem.caller[calls]]
        return float(np.einsum("ke,kc,ec->", problem.weight[:, calls], route, caller))

"""The solver's working state: a placement, what each service would cost elsewhere, and what is used of each limit.

`cost_at[s, c]` is always what the total would change by if all of service s stood in c, every other service where it
is; so a move is judged by two look-ups, and made by updating the rows of the service's neighbours only.

The cost of a call is counted the way gateways route it: a caller's replica in c uses the callee's replicas in c if
there are any, else all of the callee's replicas by their share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from federation.planner.options import Options, Parts, parts_of
from federation.planner.problem import TOLERANCE, Problem

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints


class State:
    """A placement under way. Mutable; lives inside one call of the solver."""

    def __init__(self, problem: Problem, options: Options):
        services, subclusters = problem.shape
        self.problem = problem
        self.options = options
        self.counts: Ints = np.zeros((services, subclusters), dtype=np.int64)
        self.share: Floats = np.zeros((services, subclusters))
        self.slack: Floats = problem.capacity.copy()
        self.spent: Floats = np.zeros(len(problem.limits))
        self._caps = _Caps(problem)
        self.stay_usd = problem.stay_usd()
        self.cost_at: Floats = problem.unary + self.stay_usd[:, None] * (1.0 - self.kept_alone())
        if problem.ordinal is not None:
            self.cost_at += problem.ordinal
        self.blocked: Ints = np.zeros((services, subclusters), dtype=np.int64)
        self.touched: Bools = np.ones(services, dtype=bool)
        """[S] whose neighbours were placed anew since a search last looked; for searches to set."""
        self.diagonal: Floats = np.einsum("kcc->kc", problem.price).copy()
        self.has_barriers = bool((problem.barrier >= 0).any())
        self._out = _incidence(problem.caller, services)
        self._in = _incidence(problem.callee, services)
        self._room = np.where(np.isfinite(problem.capacity), problem.capacity * TOLERANCE, 0.0)

    def kept_alone(self) -> Floats:
        """[S, C] the share of its replicas that stays if the whole service stood in c."""
        problem = self.problem
        total = np.minimum(problem.current.sum(axis=1), np.maximum(problem.replicas, 1))
        kept = np.minimum(problem.current, np.maximum(problem.replicas, 1)[:, None])
        return np.asarray(kept / np.maximum(total, 1)[:, None])

    # --- what a service's options cost

    def placed(self, service: int) -> bool:
        """Whether the service stands anywhere."""
        return bool(self.counts[service].any())

    def option_costs(self, service: int, rows: Ints) -> Floats:
        """[O] what the service costs with each row [O, C] of counts, its calls and its callers' calls included."""
        return self.part_costs(service, parts_of(rows))

    def part_costs(self, service: int, parts: Parts) -> Floats:
        """[O] the same for options by their parts."""
        problem, places, some = self.problem, parts.places, parts.counts > 0
        share = parts.shares()
        cost = (share * self.cost_at[service][places]).sum(axis=1)
        if places.shape[1] == 1:
            return np.asarray(cost)
        stay = self.stay_usd[service]
        if stay:
            current = problem.current[service]
            most = max(min(int(current.sum()), int(problem.replicas[service])), 1)
            kept = np.minimum(parts.counts, current[places]).sum(axis=1) / most
            alone = (share * self._kept_row(service)[places]).sum(axis=1)
            cost = cost + stay * (alone - kept)
        calls = self._in[service]
        if len(calls):
            mass = problem.weight[:, calls] @ self.share[problem.caller[calls]]
            for term in range(len(problem.price)):
                near = np.where(some, mass[term][places], 0.0)
                cost = cost + (near * self.diagonal[term][places]).sum(axis=1)
                for one in range(places.shape[1]):
                    for other in range(places.shape[1]):
                        far = problem.price[term][places[:, one], places[:, other]]
                        cost -= near[:, one] * share[:, other] * far
        return np.asarray(cost)

    def _kept_row(self, service: int) -> Floats:
        current, replicas = self.problem.current[service], max(int(self.problem.replicas[service]), 1)
        return np.asarray(np.minimum(current, replicas) / max(min(int(current.sum()), replicas), 1))

    def cost_now(self, service: int) -> float:
        """What the service costs where it stands."""
        return float(self.option_costs(service, self.counts[service][None])[0])

    # --- what may be

    def fits(self, services: Ints) -> Bools:
        """[n, C] whether all replicas of each service fit into what is left, its own use given back."""
        problem = self.problem
        free = self.slack + self._room
        whole = np.maximum(problem.replicas[services], 1)
        result = np.ones((len(services), self.slack.shape[0]), dtype=bool)
        for resource in range(self.slack.shape[1]):
            more = (whole[:, None] - self.counts[services]) * problem.demand[services, resource][:, None]
            result &= (more <= free[None, :, resource]) | (more <= 0)
        return result

    def rows_fit(self, service: int, rows: Ints) -> Bools:
        """[O] whether the rows' replicas fit into what is left, the service's own use given back."""
        return self.parts_fit(service, parts_of(rows))

    def parts_fit(self, service: int, parts: Parts) -> Bools:
        """[O] the same for options by their parts."""
        more = parts.counts - self.counts[service][parts.places]
        need = more[:, :, None] * self.problem.demand[service]
        return np.asarray(((need <= (self.slack + self._room)[parts.places]) | (need <= 0)).all(axis=(1, 2)))

    def rows_unblocked(self, service: int, rows: Ints) -> Bools:
        """[O] whether no call's hard limit is broken by the routes that each row leads to."""
        result = np.ones(len(rows), dtype=bool)
        if not self.has_barriers:
            return result
        problem = self.problem
        near = rows > 0
        for barrier, calls in self._by_barrier(self._out[service]):
            forbidden: Bools = problem.forbidden[barrier]
            callee: Bools = self.share[problem.callee[calls]] > 0
            beyond = callee.astype(np.int64) @ forbidden.T.astype(np.int64) > 0
            broken: Bools = np.asarray(np.where(callee, np.diag(forbidden)[None], beyond).any(axis=0))
            result &= ~(near & broken[None]).any(axis=1)
        for barrier, calls in self._by_barrier(self._in[service]):
            forbidden = problem.forbidden[barrier]
            caller: Bools = np.asarray((self.share[problem.caller[calls]] > 0).any(axis=0))
            if caller.any():
                far = (near.astype(np.int64) @ forbidden.T.astype(np.int64)) > 0
                broken_rows = np.where(near, np.diag(forbidden)[None], far)
                result &= ~(broken_rows & caller[None]).any(axis=1)
        return result

    def _by_barrier(self, calls: Ints) -> list[tuple[int, Ints]]:
        """The calls that have a hard limit, those with the same limits together."""
        barriers = self.problem.barrier[calls]
        return [(each, calls[barriers == each]) for each in sorted(set(barriers.tolist())) if each >= 0]

    def spend_allows(self, service: int, row: Ints) -> bool:
        """Whether every spending limit holds, or is at least not overrun further, with the service so placed."""
        if not len(self.spent):
            return True
        after = self.spent_with(service, row)
        return bool((after <= np.maximum(self._caps.most, self.spent) * (1.0 + TOLERANCE) + 1e-12).all())

    def overspends(self) -> bool:
        """Whether some spending limit is overrun."""
        return bool((self.spent > self._caps.most * (1.0 + TOLERANCE) + 1e-12).any())

    def spent_with(self, service: int, row: Ints) -> Floats:
        """What each spending limit would count with the service so placed, all others where they are."""
        return self.spent + self._spend(service, _shares(row)) - self._spend(service, self.share[service])

    def _spend(self, service: int, share: Floats) -> Floats:
        """[L] what the limits count of this service so placed: itself, its calls, and its callers' calls to it."""
        problem, caps = self.problem, self._caps
        if not share.any():
            return np.zeros(len(problem.limits))
        out, into = self._out[service], self._in[service]
        own = np.array([limit.price[service] for limit in problem.limits])
        if len(out):
            callee = self.share[problem.callee[out]]
            route = np.where(callee > 0, self.diagonal[:, None], np.einsum("kcd,ed->kec", problem.price, callee))
            own = own + caps.terms @ np.einsum("ke,kec->kc", problem.weight[:, out], route)
        result = caps.services[:, service] * (own * share * caps.subclusters).sum(axis=1)
        if len(into):
            callers = problem.caller[into]
            mass = np.einsum("le,ke,ec->lkc", caps.services[:, callers], problem.weight[:, into], self.share[callers])
            result = result + np.einsum("lk,lkc,kc,lc->l", caps.terms, mass, self.routes(share), caps.subclusters)
        return np.asarray(result)

    def best(self, service: int, below: float = np.inf) -> tuple[float, Ints] | None:
        """The cheapest option that may be taken now and costs less than `below`; ties go to the first option."""
        if self.options.listed[service]:
            parts = self.options.parts(service)
            if not len(parts):
                return None
            good = self.parts_fit(service, parts)
            if self.has_barriers:
                good &= self.rows_unblocked(service, parts.rows(self.problem.shape[1]))
            costs = np.where(good, self.part_costs(service, parts), np.inf)
        else:
            good = self.problem.allowed[service] & (self.blocked[service] == 0) & self.fits(np.array([service]))[0]
            costs = np.where(good, self.cost_at[service], np.inf)
        for choice in _ascending(costs):
            cost = float(costs[choice])
            if not cost < below:
                return None
            row = self.row(service, choice)
            if self.spend_allows(service, row):
                return cost, row
        return None

    def row(self, service: int, choice: int) -> Ints:
        """The counts of the service's option of that number."""
        if self.options.listed[service]:
            return self.options.parts(service).row(choice, self.counts.shape[1])
        row = np.zeros(self.counts.shape[1], dtype=np.int64)
        row[choice] = max(int(self.problem.replicas[service]), 1)
        return row

    # --- changing it

    def load(self, counts: Ints) -> None:
        """Place every service as `counts` [S, C] says, in one sweep; the state must be empty."""
        problem = self.problem
        self.counts = counts.copy()
        self.share = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
        self.slack = problem.capacity - np.einsum("sc,sr->cr", counts, problem.demand)
        caller, callee = self.share[problem.caller], self.share[problem.callee]
        for term in range(len(problem.price)):
            weight = problem.weight[term][:, None]
            route = np.where(callee > 0, self.diagonal[term], callee @ problem.price[term].T)
            np.add.at(self.cost_at, problem.caller, weight * route)
            np.add.at(self.cost_at, problem.callee, weight * (caller @ problem.price[term]))
        if self.has_barriers:
            for service in np.flatnonzero(counts.any(axis=1)):
                self._block(int(service), self.share[service], 1)
        if len(self.spent):
            self.spent = self._spend_all()

    def _spend_all(self) -> Floats:
        """What each spending limit counts of the whole placement."""
        problem = self.problem
        caller, callee = self.share[problem.caller], self.share[problem.callee]
        result = np.zeros(len(problem.limits))
        for index, limit in enumerate(problem.limits):
            inside = limit.subclusters
            result[index] = (self.share * limit.price)[limit.services][:, inside].sum()
            for term in np.flatnonzero(limit.terms):
                weight = problem.weight[term] * limit.services[problem.caller]
                route = np.where(callee > 0, self.diagonal[term], callee @ problem.price[term].T)
                result[index] += float(weight @ (caller * route)[:, inside].sum(axis=1))
        return result

    def routes(self, share: Floats) -> Floats:
        """[K, C] the price of a GiB (or what the term weighs) from each c to a callee so divided; zero if nowhere."""
        return np.where(share > 0, self.diagonal, self.problem.price @ share)

    def put(self, service: int, row: Ints) -> None:
        """Place the service so (zeros: nowhere) and bring everything that depends on it up to date."""
        problem = self.problem
        old, new = self.share[service].copy(), _shares(row)
        if len(self.spent):
            self.spent += self._spend(service, new) - self._spend(service, old)
        self.slack -= (row - self.counts[service])[:, None] * problem.demand[service]
        self.counts[service] = row
        self.share[service] = new
        into, out = self._in[service], self._out[service]
        if len(into):
            change = self.routes(new) - self.routes(old)
            np.add.at(self.cost_at, problem.caller[into], problem.weight[:, into].T @ change)
            self.touched[problem.caller[into]] = True
        if len(out):
            change = (new - old) @ problem.price
            np.add.at(self.cost_at, problem.callee[out], problem.weight[:, out].T @ change)
            self.touched[problem.callee[out]] = True
        if self.has_barriers:
            self._block(service, old, -1)
            self._block(service, new, 1)

    def _block(self, service: int, share: Floats, by: int) -> None:
        """Count for each neighbour the places that this placement closes to it by a hard limit on their call."""
        used = share > 0
        if not used.any():
            return
        problem = self.problem
        for barrier, calls in self._by_barrier(self._in[service]):
            np.add.at(self.blocked, problem.caller[calls], by * _broken(problem.forbidden[barrier], used))
        for barrier, calls in self._by_barrier(self._out[service]):
            np.add.at(self.blocked, problem.callee[calls], by * problem.forbidden[barrier][used].any(axis=0))

    def neighbours(self, service: int) -> list[int]:
        """The services it calls or is called by, each once, in order."""
        problem = self.problem
        both = np.concatenate([problem.callee[self._out[service]], problem.caller[self._in[service]]])
        return sorted(set(both.tolist()))

    def calls_of(self, service: int) -> tuple[Ints, Ints]:
        """The calls it makes and the calls made to it, by index."""
        return self._out[service], self._in[service]

    def objective(self) -> float:
        """The total that the search minimises: the cost of the plan plus what its moves have to be worth."""
        services = np.flatnonzero(self.counts.any(axis=1))
        problem = self.problem
        whole = float((self.share * problem.unary).sum())
        current = problem.current[services]
        total = np.maximum(np.minimum(current.sum(axis=1), np.maximum(problem.replicas[services], 1)), 1)
        kept = np.minimum(self.counts[services], current).sum(axis=1) / total
        return whole + float((self.stay_usd[services] * (1.0 - kept)).sum()) + float(self.call_costs().sum())

    def call_costs(self) -> Floats:
        """[K, E] what each call costs by each pair term, as its two ends stand."""
        problem = self.problem
        result = np.zeros((len(problem.price), len(problem.caller)))
        for term in range(len(problem.price)):
            callee = self.share[problem.callee]
            route = np.where(callee > 0, self.diagonal[term], callee @ problem.price[term].T)
            result[term] = problem.weight[term] * (self.share[problem.caller] * route).sum(axis=1)
        return result


class _Caps:
    """The spending limits as arrays: services [L, S], sub-clusters [L, C], terms [L, K], amounts [L]."""

    def __init__(self, problem: Problem):
        services, places = problem.shape
        limits, count = problem.limits, len(problem.limits)
        self.services: Floats = np.array([x.services for x in limits], dtype=np.float64).reshape(count, services)
        self.subclusters: Floats = np.array([x.subclusters for x in limits], dtype=np.float64).reshape(count, places)
        self.terms: Floats = np.array([x.terms for x in limits], dtype=np.float64).reshape(count, len(problem.price))
        self.most: Floats = np.array([x.max_usd_per_hour for x in limits], dtype=np.float64)


def _ascending(costs: Floats) -> Iterator[int]:
    """The options by their cost, ties by number; the first of them without sorting the others."""
    yield int(np.argmin(costs))
    yield from np.argsort(costs, kind="stable")[1:].tolist()


def _shares(row: Ints) -> Floats:
    return np.asarray(row / max(int(row.sum()), 1))


def _broken(forbidden: Bools, callee: Bools) -> Bools:
    """[C] where a caller must not stand, given where the callee stands: its route from there breaks the limit."""
    return np.asarray(np.where(callee, np.diag(forbidden), forbidden[:, callee].any(axis=1)))


def _incidence(ends: Ints, services: int) -> list[Ints]:
    """For each service the calls of which it is that end."""
    order = np.argsort(ends, kind="stable")
    return np.split(order, np.searchsorted(ends[order], np.arange(1, services))) if services else []

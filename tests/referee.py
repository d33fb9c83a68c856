"""An exact solver of placement problems by HiGHS, independent of the planner: what the least cost really is.

A mixed-integer programme: one binary column for each option of each service (`Options.rows`), exactly one of them
taken. A call costs by the options of both its ends, so continuous columns stand for pairs and are tied to the binary
ones by their sums, which is exact wherever these are integral:

- for two services of few options, or of one place each, a column for every pair of options; all calls between the two,
  either way, are one table;
- else, for each direction, a column for every (place c of the caller, share there, place d that serves it). `routes`
  says what serves a caller in c: the callee's replicas in c if there are any, else all of them by their share. It is
  linear in the callee's options, and the columns are its products with "the caller has that share in c".

Pairs that a hard limit forbids have no column. Capacities and spending limits are one row each. Everyone is placed, or
there is no answer. What moves have to be worth is no cost here, as it is none in a plan's total.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import highspy
import numpy as np
from planning import judge

from federation.planner.options import Options
from federation.planner.problem import Problem

PAIR_TABLE = 4000
"""Up to how many pairs of options two services, one of them divided, are one table."""
FEASIBLE = 1e-9
"""What HiGHS may overrun a row by; as strict as the planner is, relative to the capacity or limit."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """`optimal`: proven within the gap asked for; `feasible`: the best found when time was up; `infeasible`: not
    everyone can be placed; `unknown`: time was up and nothing found. `counts` [S, C] with what they cost by `judge`,
    USD per hour, None where nothing was found; `bound_usd_per_hour`: no placement of everyone costs less;
    `solver_seconds`: in HiGHS alone, setting up the programme not counted."""

    status: Literal["optimal", "feasible", "infeasible", "unknown"]
    counts: np.ndarray | None
    usd_per_hour: float | None
    bound_usd_per_hour: float
    solver_seconds: float
    columns: int


def referee(
    problem: Problem, *, time_limit_s: float = np.inf, relative_gap: float = 1e-9, pair_table: int = PAIR_TABLE
) -> Verdict:
    """The cheapest placement of every service, by one thread of HiGHS.

    Raises ValueError for a problem with orders of preference, whose plans are not the cheapest; RuntimeError where
    HiGHS gives up, or its answer breaks a limit after all."""
    if not problem.shape[0]:
        return Verdict("optimal", np.zeros(problem.shape, dtype=np.int64), 0.0, 0.0, 0.0, 0)
    programme = _Programme(problem, pair_table)
    if programme.impossible:
        return Verdict("infeasible", None, None, np.inf, 0.0, 0)
    solver = programme.solver(integral=True)
    if np.isfinite(time_limit_s):
        solver.setOptionValue("time_limit", float(time_limit_s))
    solver.setOptionValue("mip_rel_gap", relative_gap)
    solver.setOptionValue("mip_abs_gap", 0.0)
    solver.run()
    status, info = solver.getModelStatus(), solver.getInfo()
    took_s, columns = solver.getRunTime(), len(programme.cost)
    known = highspy.HighsModelStatus
    if status in (known.kInfeasible, known.kUnboundedOrInfeasible):
        return Verdict("infeasible", None, None, np.inf, took_s, columns)
    if status not in (known.kOptimal, known.kTimeLimit):
        raise RuntimeError(f"HiGHS stopped with {solver.modelStatusToString(status)}")
    bound = float(info.mip_dual_bound)
    if not np.isfinite(info.objective_function_value):
        return Verdict("unknown", None, None, bound, took_s, columns)
    counts = programme.counts(np.array(solver.getSolution().col_value))
    cost = judge(problem, counts)
    if cost is None:
        raise RuntimeError("the placement that HiGHS found breaks a capacity or limit: is a tolerance too wide?")
    return Verdict("optimal" if status == known.kOptimal else "feasible", counts, cost, bound, took_s, columns)


def relaxation(problem: Problem, *, pair_table: int = PAIR_TABLE) -> float:
    """What the cheapest placement would cost if services could be split between options; infinite where not even that
    places everyone. A lower bound on the cost of every placement."""
    if not problem.shape[0]:
        return 0.0
    programme = _Programme(problem, pair_table)
    if programme.impossible:
        return float(np.inf)
    solver = programme.solver(integral=False)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return float(solver.getInfo().objective_function_value)
    if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
        return float(np.inf)
    raise RuntimeError(f"HiGHS stopped with {solver.modelStatusToString(status)}")


@dataclass(eq=False)
class _Rows:
    """Rows of a programme under way, entry by entry; a row is named by its number."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    at: list[np.ndarray] = field(default_factory=list)
    column: list[np.ndarray] = field(default_factory=list)
    value: list[np.ndarray] = field(default_factory=list)

    def new(self, count: int, lower: float, upper: float) -> np.ndarray:
        """The numbers of so many new rows."""
        first = len(self.lower)
        self.lower += [lower] * count
        self.upper += [upper] * count
        return np.arange(first, first + count)

    def add(self, row: np.ndarray, column: np.ndarray, value: np.ndarray | float) -> None:
        row, column, value = np.broadcast_arrays(row, column, np.asarray(value, dtype=np.float64))
        some = value.ravel() != 0.0
        self.at.append(row.ravel()[some])
        self.column.append(column.ravel()[some])
        self.value.append(value.ravel()[some])

    def matrix(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Starts, columns and values, row after row; no column comes twice in a row."""
        at, column, value = (np.concatenate(each) for each in (self.at, self.column, self.value))
        order = np.lexsort((column, at))
        at, column, value = at[order], column[order], value[order]
        first = np.ones(len(at), dtype=bool)
        first[1:] = (at[1:] != at[:-1]) | (column[1:] != column[:-1])
        value = np.add.reduceat(value, np.flatnonzero(first)) if len(value) else value
        at, column = at[first], column[first]
        return np.searchsorted(at, np.arange(len(self.lower) + 1)), column, value


@dataclass(frozen=True, eq=False)
class _Service:
    """The options of one service: `first` column, `share` [O, C], `used` [O, C], whether each is one place."""

    first: int
    share: np.ndarray
    used: np.ndarray
    single: bool

    @property
    def columns(self) -> np.ndarray:
        return np.arange(self.first, self.first + len(self.share))


@dataclass(frozen=True, eq=False)
class _Call:
    """All calls from one service to another: `prices` [1 + L, C, C], a whole call's by the places of both ends, first
    what it costs and then what each spending limit counts of it; `forbidden` [C, C]."""

    prices: np.ndarray
    forbidden: np.ndarray

    def tables(self, caller: _Service, callee: _Service) -> tuple[np.ndarray, np.ndarray]:
        """[1 + L, O, P] the same by the options of both, and [O, P] which of them are forbidden."""
        near = np.diagonal(self.prices, axis1=1, axis2=2)
        there = np.where(callee.used, near[:, None], np.einsum("lcd,pd->lpc", self.prices, callee.share))
        broken = callee.used.astype(int) @ self.forbidden.T.astype(int) > 0
        broken = np.where(callee.used, np.diag(self.forbidden), broken)
        costs = np.einsum("oc,lpc->lop", caller.share, there)
        return costs, caller.used.astype(int) @ broken.T.astype(int) > 0


class _Programme:
    """The programme as columns and rows; `cost` of each column, `upper` bounds, all lower bounds zero."""

    def __init__(self, problem: Problem, pair_table: int):
        if problem.ranks is not None or problem.ordinal is not None:
            raise ValueError("problems with orders of preference are not for the referee: drop `ranks` and `ordinal`")
        self._problem, self._pair_table = problem, pair_table
        self._options = Options(problem)
        self._rows_of = [self._options.rows(service) for service in range(problem.shape[0])]
        self.impossible = any(len(rows) == 0 for rows in self._rows_of)
        self.cost: list[float] = []
        self.rows = _Rows()
        self._routes: dict[int, np.ndarray] = {}
        if not self.impossible:
            self._limits = [self.rows.new(1, -np.inf, 1.0)[0] for _ in problem.limits]
            self._services = [self._place(service) for service in range(problem.shape[0])]
            self._binary = len(self.cost)
            self._capacities()
            self._calls()

    def _columns(self, costs: np.ndarray) -> np.ndarray:
        """New columns by what they cost [1 + L, ...] and count for each limit; their numbers [...]."""
        first = len(self.cost)
        self.cost += costs[0].ravel().tolist()
        numbers = np.arange(first, len(self.cost)).reshape(costs.shape[1:])
        for row, limit, spent in zip(self._limits, self._problem.limits, costs[1:], strict=True):
            self.rows.add(row, numbers, spent / max(limit.max_usd_per_hour, 1e-9))
        return numbers

    def _place(self, service: int) -> _Service:
        problem, rows = self._problem, self._rows_of[service]
        share = rows / np.maximum(rows.sum(axis=1), 1)[:, None]
        costs = [share @ problem.unary[service]]
        for limit in problem.limits:
            price = np.where(limit.subclusters, limit.price[service], 0.0) * limit.services[service]
            costs.append(share @ price)
        columns = self._columns(np.array(costs))
        self.rows.add(self.rows.new(1, 1.0, 1.0), columns, 1.0)
        return _Service(int(columns[0]), share, rows > 0, bool(((rows > 0).sum(axis=1) == 1).all()))

    def _capacities(self) -> None:
        problem = self._problem
        for place, resource in np.argwhere(np.isfinite(problem.capacity)).tolist():
            room = float(problem.capacity[place, resource])
            row = self.rows.new(1, -np.inf, 1.0 if room > 0 else 0.0)
            for service, each in enumerate(self._services):
                need = self._rows_of[service][:, place] * problem.demand[service, resource]
                self.rows.add(row, each.columns, need / (room if room > 0 else 1.0))

    def _calls(self) -> None:
        merged: dict[tuple[int, int], _Call] = {}
        problem = self._problem
        for index, ends in enumerate(zip(problem.caller.tolist(), problem.callee.tolist(), strict=True)):
            made = self._call(index)
            known = merged.get(ends)
            if known is not None:
                made = _Call(known.prices + made.prices, known.forbidden | made.forbidden)
            merged[ends] = made
        for ends in sorted(merged):
            caller, callee = ends
            first, second = self._services[caller], self._services[callee]
            few = (first.single and second.single) or len(first.share) * len(second.share) <= self._pair_table
            if caller == callee:
                self._to_itself(first, merged[ends])
            elif not few:
                self._by_places(caller, callee, merged[ends])
            elif (callee, caller) not in merged:
                self._by_options(first, second, *merged[ends].tables(first, second))
            elif caller < callee:
                costs, broken = merged[ends].tables(first, second)
                back, back_broken = merged[callee, caller].tables(second, first)
                self._by_options(first, second, costs + back.transpose(0, 2, 1), broken | back_broken.T)

    def _call(self, index: int) -> _Call:
        problem = self._problem
        terms = problem.weight[:, index, None, None] * problem.price
        caller = problem.caller[index]
        prices = [terms.sum(axis=0)]
        for limit in problem.limits:
            counted = limit.subclusters[:, None] * limit.services[caller]
            prices.append(terms[limit.terms].sum(axis=0) * counted)
        barrier = int(problem.barrier[index])
        none = np.zeros(problem.price.shape[1:], dtype=bool)
        return _Call(np.array(prices), none if barrier < 0 else problem.forbidden[barrier])

    def _to_itself(self, service: _Service, call: _Call) -> None:
        near = np.diagonal(call.prices, axis1=1, axis2=2)
        costs = np.einsum("oc,lc->lo", service.share, near)
        copies = self._columns(costs)
        rows = self.rows.new(len(copies), 0.0, 0.0)
        self.rows.add(rows, service.columns, 1.0)
        self.rows.add(rows, copies, -1.0)
        broken = (service.used & np.diag(call.forbidden)).any(axis=1)
        self.rows.add(self.rows.new(1, 0.0, 0.0), service.columns, broken.astype(float))

    def _by_options(self, first: _Service, second: _Service, costs: np.ndarray, broken: np.ndarray) -> None:
        """A column for every pair of options that is not forbidden; their sums are the options' own columns."""
        if not costs.any() and not broken.any():
            return
        one, other = np.nonzero(~broken)
        columns = self._columns(costs[:, one, other])
        for service, option in ((first, one), (second, other)):
            rows = self.rows.new(len(service.share), 0.0, 0.0)
            self.rows.add(rows, service.columns, -1.0)
            self.rows.add(rows[option], columns, 1.0)

    def _by_places(self, caller: int, callee: int, call: _Call) -> None:
        """A column for every place and share of the caller, by every place that may serve it."""
        if not call.prices.any() and not call.forbidden.any():
            return
        first, second = self._services[caller], self._services[callee]
        served = np.flatnonzero(second.used.any(axis=0))
        by_place: dict[int, list[np.ndarray]] = {}
        for place in np.flatnonzero(first.used.any(axis=0)).tolist():
            shares = first.share[:, place]
            to = served[~call.forbidden[place, served]]
            by_place[place] = []
            for share in np.unique(shares[shares > 0]).tolist():
                columns = self._columns(share * call.prices[:, place, to])
                row = self.rows.new(1, 0.0, 0.0)
                self.rows.add(row, first.columns, -(shares == share).astype(float))
                self.rows.add(row, columns, 1.0)
                weights = np.full(len(to), share)
                by_place[place].append(np.array([to, columns, weights]))
        if second.single:
            everything = np.concatenate([each for parts in by_place.values() for each in parts], axis=1)
            rows = self.rows.new(len(call.forbidden), 0.0, 0.0)
            self.rows.add(rows[everything[0].astype(int)], everything[1].astype(int), everything[2])
            option, place = np.nonzero(second.used)
            self.rows.add(rows[place], second.first + option, -1.0)
            return
        routes = self._routes_to(callee)
        for place, parts in by_place.items():
            rows = self.rows.new(len(call.forbidden), -np.inf, 0.0)
            for to, columns, _ in parts:
                self.rows.add(rows[to.astype(int)], columns.astype(int), 1.0)
            self.rows.add(rows, routes[place], -1.0)

    def _routes_to(self, callee: int) -> np.ndarray:
        """[C, C] columns: which share of what is asked in c is served by the callee's replicas in d."""
        known = self._routes.get(callee)
        if known is not None:
            return known
        service, places = self._services[callee], self._problem.shape[1]
        columns = self._columns(np.zeros((1 + len(self._limits), places, places)))
        rows = self.rows.new(places * places, 0.0, 0.0).reshape(places, places)
        self.rows.add(rows, columns, -1.0)
        for place in range(places):
            near = service.used[:, place]
            self.rows.add(rows[place, place], service.columns, near.astype(float))
            option, to = np.nonzero(service.used & ~near[:, None])
            self.rows.add(rows[place, to], service.first + option, service.share[option, to])
        self._routes[callee] = columns
        return columns

    def counts(self, values: np.ndarray) -> np.ndarray:
        """[S, C] the placement that the binary columns say."""
        pairs = zip(self._services, self._rows_of, strict=True)
        return np.array([rows[int(np.argmax(values[each.columns]))] for each, rows in pairs])

    def solver(self, *, integral: bool) -> highspy.Highs:
        with _unheard():
            solver = highspy.Highs()
        for option, value in (
            ("output_flag", False), ("threads", 1), ("parallel", "off"), ("primal_feasibility_tolerance", FEASIBLE),
            ("mip_feasibility_tolerance", FEASIBLE),
        ):  # fmt: skip
            solver.setOptionValue(option, value)
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(self.cost), len(self.rows.lower)
        model.col_cost_ = np.array(self.cost)
        model.col_lower_, model.col_upper_ = np.zeros(len(self.cost)), np.full(len(self.cost), 1.0)
        model.row_lower_, model.row_upper_ = np.array(self.rows.lower), np.array(self.rows.upper)
        start, index, value = self.rows.matrix()
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = start, index, value
        if integral:
            kinds = [highspy.HighsVarType.kInteger] * self._binary
            model.integrality_ = kinds + [highspy.HighsVarType.kContinuous] * (len(self.cost) - self._binary)
        solver.passModel(model)
        return solver


@contextmanager
def _unheard() -> Iterator[None]:
    """Nothing reaches standard output: making a solver prints its version, before any option could be set."""
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)

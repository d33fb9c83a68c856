"""A placement that overruns room, mended: who loses least by it moves on, until everything fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.problem import TOLERANCE
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints

ROUNDS = 100
LEAST = 4
SHARE = 6
"""In one round a place gives up at least so many services, and no more than this part of them: others' costs change."""


def mend(state: State, pay: Floats) -> None:
    """Move services on until all room is kept to; who finds no other place is taken out.

    Args: pay [S, C], what each service pays for scarce room wherever it stands."""
    problem = state.problem
    _unblock(state)
    room = np.where(np.isfinite(problem.capacity), problem.capacity * TOLERANCE, 0.0)
    for _ in range(ROUNDS):
        over = np.flatnonzero((state.slack + room < 0).any(axis=1)).tolist()
        if not over:
            return
        for place in over:
            if not _relieve(state, pay, place, room[place]):
                _take_out(state, place, room[place])


def _unblock(state: State) -> None:
    """Take out who stands where a limit on its calls forbids it, each back to its best place if there is one."""
    problem = state.problem
    if not (problem.barrier >= 0).any():
        return
    tied = np.unique(np.concatenate([ends[problem.barrier >= 0] for ends in (problem.caller, problem.callee)]))
    blank = np.zeros(problem.shape[1], dtype=np.int64)
    out = []
    for service in tied[~problem.fixed[tied]].tolist():
        if state.placed(service) and not state.rows_unblocked(service, state.counts[service][None])[0]:
            state.put(service, blank)
            out.append(service)
    for service in out:
        found = state.best(service)
        if found is not None:
            state.put(service, found[1])


def _relieve(state: State, pay: Floats, place: int, room: Floats) -> int:
    """Move some of the plain services in an overrun place on, who loses least for the room first; how many."""
    problem = state.problem
    here = np.flatnonzero((state.counts[:, place] > 0) & ~state.options.listed & ~problem.fixed)
    good = problem.allowed[here] & (state.blocked[here] == 0) & state.fits(here)
    good[:, place] = False
    cost = np.where(good, state.cost_at[here] + pay[here], np.inf)
    other = cost.argmin(axis=1)
    loss = np.maximum(cost[np.arange(len(here)), other] - state.cost_at[here, place] - pay[here, place], 0.0)
    short = np.maximum(-state.slack[place], 0.0)
    takes = problem.demand[here] * np.maximum(problem.replicas[here], 1)[:, None]
    gives = (np.minimum(takes, short) / np.where(short > 0, short, np.inf)).sum(axis=1)
    useful = (gives > 0) & np.isfinite(loss)
    order = np.flatnonzero(useful)[np.argsort(((loss + TOLERANCE) / np.maximum(gives, 1e-12))[useful], kind="stable")]
    moved = 0
    for index in order[: max(LEAST, len(order) // SHARE)].tolist():
        service, there = int(here[index]), int(other[index])
        still = state.slack[place] + room < 0
        if not still.any():
            break
        if (takes[index][still] > 0).any() and state.fits(here[index : index + 1])[0, there]:
            state.put(service, state.row(service, there))
            moved += 1
    return moved


def _take_out(state: State, place: int, room: Floats) -> None:
    """Let services go one by one, the largest first, each back to its best place elsewhere if there is one."""
    problem = state.problem
    here: Ints = np.flatnonzero((state.counts[:, place] > 0) & ~problem.fixed)
    size = (state.counts[here, place][:, None] * problem.demand[here])[:, state.slack[place] + room < 0].sum(axis=1)
    for service in here[np.argsort(-size, kind="stable")].tolist():
        if not (state.slack[place] + room < 0).any():
            return
        state.put(service, np.zeros(problem.shape[1], dtype=np.int64))
        found = state.best(service)
        if found is not None:
            state.put(service, found[1])
            if not (state.slack[place] + room < 0).any():
                return

"""Out of a dead end: a few services are taken out of a placement and put back in another order, again and again.

Steps that each save something end where no single one does. Taking out several services that stand in each other's way,
those of one sub-cluster or around one call, and giving each its best place anew finds placements that no step leads to.
The draws are always the same ones for the same problem.
Source: G. Schrimpf et al., "Record breaking optimization results using the ruin and recreate principle" (2000).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.room import lacking
from federation.planner.search import improve, least
from federation.planner.state import State

if TYPE_CHECKING:
    from federation.contracts.policy import Ints

MOST_OUT = 8
"""How many services are taken out at once at most."""
VAIN_TRIES = 150
"""After so many tries in a row that came to nothing no more are made."""
PATIENCE = 0.01
"""How much dearer than where it was before a placement may be to go on from, of the least cost; less and less."""


def shake(state: State, tries: int, enough: float) -> int:
    """Improve the placement by so many tries, or until it costs no more than `enough`, USD per hour; how many helped.

    Nobody who stood is left out for it."""
    movable = np.flatnonzero(~state.problem.fixed & state.counts.any(axis=1))
    if len(movable) < 2:
        return 0
    draw = np.random.default_rng(len(movable))
    best, counts, out = state.objective(), state.counts.copy(), int(lacking(state).sum())
    cost, here, helped = best, counts, 0
    since = 0
    for number in range(tries):
        since += 1
        if since > VAIN_TRIES or (best <= enough and not out):
            break
        whole = _recreate(state, _some(state, movable, draw), draw)
        if whole:
            improve(state)
        left, after = int(lacking(state).sum()), state.objective()
        if whole and (left < out or (left == out and after < best - least(best))):
            best, out, counts = after, left, state.counts.copy()
            cost, here = best, counts
            helped += 1
            since = 0
        elif whole and left == out and after < cost + PATIENCE * best * (1.0 - number / tries):
            # A little dearer will do for a while: the way to a better place may lead over it.
            cost, here = after, state.counts.copy()
        else:
            restore(state, here)
    restore(state, counts)
    return helped


def _some(state: State, movable: Ints, draw: np.random.Generator) -> list[int]:
    """Services that have to do with each other: of one place, or around one service; or any."""
    many = int(draw.integers(2, min(MOST_OUT, len(movable)) + 1))
    kind, start = int(draw.integers(4)), int(movable[draw.integers(len(movable))])
    if kind == 0:
        near = movable[(state.counts[movable][:, state.counts[start] > 0] > 0).any(axis=1)]
    elif kind == 1:
        near = np.intersect1d(movable, [start, *state.neighbours(start)])
    else:
        near = movable
    picked = draw.permutation(near)[:many]
    more = draw.permutation(movable)[: max(many - len(picked), 1)]
    return list(dict.fromkeys([start, *picked.tolist(), *more.tolist()]))


def _recreate(state: State, services: list[int], draw: np.random.Generator) -> bool:
    """Take them out and give each its best place in a drawn order; whether all found one."""
    blank = np.zeros(state.counts.shape[1], dtype=np.int64)
    for service in services:
        state.put(service, blank)
    missing = np.flatnonzero(lacking(state)).tolist()
    order = list(dict.fromkeys([*services, *missing]))
    for index in draw.permutation(len(order)).tolist():
        found = state.best(order[index])
        if found is not None:
            state.put(order[index], found[1])
    return all(state.placed(service) for service in services)


def restore(state: State, counts: Ints) -> None:
    """Put all services back to where they were."""
    blank = np.zeros(counts.shape[1], dtype=np.int64)
    other = np.flatnonzero((state.counts != counts).any(axis=1)).tolist()
    for service in other:
        state.put(service, blank)
    for service in other:
        state.put(service, counts[service])

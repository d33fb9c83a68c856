"""The least that pairs of plain services cost, by the place of one end: over all places, or a few, of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from federation.contracts.policy import Floats, Ints

    Singles = NDArray[np.floating[Any]]
    """Of single precision, where much is worked on."""

AT_ONCE = 1 << 16
"""How many numbers are worked on at a time: few enough to stay near the processor."""


def least(kept: Floats, label: Ints | None, weight: Floats, price: Floats, *, to_first: bool) -> Singles:
    """[e, C] the least of what one end keeps and the pair costs, by the place of the other end.

    Args: kept [L, e], what the one end keeps by label, and the place [L, e] of each label (None: all places, in order);
    weight [e, 2, K] of the calls from the first to the second end, and back; price [K, C, C]; to_first, whether the
    other end is the first. Rounded to single precision."""
    width = price.shape[1]
    result = np.empty((kept.shape[1], width), dtype=np.float32)
    tables, times, row = price.astype(np.float32), weight.astype(np.float32), kept.astype(np.float32)
    used = (weight != 0).reshape(len(weight), 2 * len(price))
    sorts, of = np.unique(used, axis=0, return_inverse=True)
    step = max(AT_ONCE // width, 1)
    for sort, terms in enumerate(sorts):
        mine = np.flatnonzero(of.reshape(-1) == sort)
        for start in range(0, len(mine), step):
            some = mine[start : start + step]
            used_tables: list[tuple[Singles, Singles]] = []
            for way, term in np.argwhere(terms.reshape(2, len(price))).tolist():
                # Rows of the table are places of the end with the labels: it answers the call, or makes it.
                answers = (way == 0) == to_first
                used_tables.append((times[some, way, term, None], tables[term].T if answers else tables[term]))
            where = None if label is None else label[:, some]
            result[some] = _least(row[:, some], where, used_tables, width)
    return result


def _least(kept: Singles, label: Ints | None, tables: list[tuple[Singles, Singles]], width: int) -> Singles:
    best = np.full((kept.shape[1], width), np.inf, dtype=np.float32)
    cost, more = np.empty_like(best), np.empty_like(best)
    for number, row in enumerate(kept):
        place = number if label is None else label[number]
        cost[:] = row[:, None]
        for times, table in tables:
            np.multiply(times, table[place], out=more)
            cost += more
        np.minimum(best, cost, out=best)
    return best

"""A divided service with all that calls it or is called by it: what its options cost, pairs included.

Only some of the options, `close`, are looked at exactly; a lower bound of the others says whether that is enough. Where
two divided services call each other, the one that is called deals with the call, and the caller is told what each of
its places would cost: what it pays is the sum over its places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from federation.planner.options import Parts
from federation.planner.prices.choices import Nodes

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints
    from federation.planner.prices.dense import Singles

EXACT = 64
"""How many options of a divided service are looked at closely at once ..."""
MOST_CLOSE = 400
"""... how many are kept in view ..."""
MOST_EXACT = 1024
"""... and how many others are looked at for a bound."""
TELLING = 4
"""How many of the other end's best places are looked at for all options."""
MOST_ROWS = 512
"""A caller with more options than these has to have all of one form to be dealt with."""


class Caller:
    """A divided service as one that calls: the least that its options cost by any costs of places."""

    def __init__(self, nodes: Nodes, node: int):
        service = int(nodes.services[node])
        parts = nodes.options.parts(service)
        counts = -np.sort(-parts.counts, axis=1)
        rules = nodes.problem.spread.get(service, ())
        self._rows: Floats | None = None
        self._division: tuple[Ints, Ints, Floats] | None = None
        if len(rules) == 1 and (counts == counts[:1]).all():
            domain = rules[0].domain
            usable = np.unique(parts.places)
            order = usable[np.argsort(domain[usable], kind="stable")]
            starts = np.flatnonzero(np.diff(domain[order], prepend=-1))
            self._division = (order, starts, counts[0][counts[0] > 0] / counts[0].sum())
        elif len(parts) <= MOST_ROWS:
            width = nodes.own.shape[1]
            self._rows = parts.rows(width) / parts.counts.sum(axis=1)[:, None]

    @property
    def known(self) -> bool:
        """Whether the least can be told."""
        return self._rows is not None or self._division is not None

    def least(self, cost: Floats) -> Floats:
        """[R] no more than the least of the options, by costs [R, C] of all of it in each place."""
        if self._division is not None:
            order, starts, share = self._division
            by_domain = np.sort(np.minimum.reduceat(cost[:, order], starts, axis=1), axis=1)
            if by_domain.shape[1] >= len(share):
                return np.asarray(by_domain[:, : len(share)] @ share)
        if self._rows is not None:
            return np.asarray((cost @ self._rows.T).min(axis=1))
        return np.asarray(cost.min(axis=1))


class Rows:
    """Some options of a divided node, by place: `share` [K, C] of its replicas; what a call to it costs from each place
    `to[k]` [K, C], by term, and what one from it costs `back[k]`."""

    def __init__(self, parts: Parts, price: Floats):
        width = price.shape[1]
        places, share = parts.places, parts.shares().astype(np.float32)
        rows = np.arange(len(places))[:, None]
        self.share = np.zeros((len(places), width), dtype=np.float32)
        np.add.at(self.share, (rows, places), share)
        near = self.share > 0
        self.to: list[Singles] = []
        self.back: list[Singles] = []
        for table in price.astype(np.float32):
            to, back = np.zeros_like(self.share), np.zeros_like(self.share)
            for part in range(places.shape[1]):
                to += share[:, part, None] * table.T[places[:, part]]
                back += share[:, part, None] * table[places[:, part]]
            self.to.append(np.where(near, table.diagonal(), to))
            self.back.append(back)

    def pair_cost(self, weight: Floats) -> Singles:
        """[K, C] what calls to it and from it, of `weight` [2, K], cost by option and the other end's place."""
        cost: Singles | None = None
        for way, tables in enumerate((self.to, self.back)):
            for times, table in zip(weight[way].tolist(), tables, strict=True):
                if times:
                    cost = np.float32(times) * table if cost is None else cost + np.float32(times) * table
        return np.zeros_like(self.share) if cost is None else cost


class Star:
    """One divided node. `plain`: its pairs with plain nodes (pair, other node, weight [2, K] from the other and back);
    `callers`: the divided nodes that call it (key, node, weight [2, K])."""

    def __init__(self, nodes: Nodes, node: int, which: Ints):
        self._price = nodes.problem.price
        self.parts: Parts = nodes.options.parts(int(nodes.services[node]))
        self._share = self.parts.shares()
        self.plain: list[tuple[int, int, Floats]] = []
        self.callers: list[tuple[int, int, Floats]] = []
        self.close: Ints = which
        self.rows = Rows(self.parts.take(which), self._price)

    def told(self, kept: dict[int, Floats], callers: dict[int, Caller]) -> dict[int, Floats]:
        """By pair [K]: the least of what the other end keeps [C] and the pair costs, by close option."""
        return self._told(self.rows, kept, callers)

    def _told(self, rows: Rows, kept: dict[int, Floats], callers: dict[int, Caller]) -> dict[int, Floats]:
        result: dict[int, Floats] = {}
        for pair, _, weight in self.plain:
            result[pair] = (rows.pair_cost(weight) + kept[pair].astype(np.float32)).min(axis=1)
        for key, caller, weight in self.callers:
            result[key] = callers[caller].least(rows.pair_cost(weight) + kept[key])
        return result

    def look_closer(self, cost: Floats, kept: dict[int, Floats], callers: dict[int, Caller]) -> Floats:
        """Look from now on at the options that seem best; returns [O], no more than what each option costs.

        Args: cost [C], were all of it in one place, its pairs left out; kept, what the other ends keep [C]."""
        score = self._score(cost, kept, callers)
        best = _best_ones(self.parts, np.argsort(score, kind="stable"))
        close = np.union1d(self.close, best)
        if len(close) > MOST_CLOSE:
            close = np.union1d(close[np.argsort(score[close], kind="stable")[:MOST_CLOSE]], best)
        self.close = close
        self.rows = Rows(self.parts.take(close), self._price)
        return score

    def least(self, cost: Floats, kept: dict[int, Floats], callers: dict[int, Caller]) -> float:
        """No more than what any option costs with its pairs, and just the least unless too many seem good; arguments
        as those of `look_closer`, which it does."""
        score = self.look_closer(cost, kept, callers)
        best = float((self.rows.share @ cost + sum(self.told(kept, callers).values())).min())
        left = np.flatnonzero(score < best)
        left = left[~np.isin(left, self.close)]
        left = left[np.argsort(score[left], kind="stable")]
        for start in range(0, len(left), EXACT):
            some = left[start : start + EXACT]
            if score[some[0]] >= best:
                break
            if start >= MOST_EXACT:
                return min(best, float(score[some[0]]))
            rows = Rows(self.parts.take(some), self._price)
            told = self._told(rows, kept, callers)
            best = min(best, float((rows.share @ cost + sum(told.values())).min()))
        return best

    def _score(self, cost: Floats, kept: dict[int, Floats], callers: dict[int, Caller]) -> Floats:
        """[O] no more than what each option costs, and about as much."""
        price = self._price
        score = (self._share * cost[self.parts.places]).sum(axis=1)
        for pair, _, weight in self.plain:
            to, back = np.einsum("k,kcd->cd", weight[0], price), np.einsum("k,kdc->cd", weight[1], price)
            score += self._no_more(kept[pair], to, back)
        for key, caller, weight in self.callers:
            to = np.einsum("k,kcd->cd", weight[0], price)
            least = (kept[key][:, None] + to).min(axis=0)
            alone = float(callers[caller].least(kept[key][None])[0]) + float(to.min())
            there = np.where(self.parts.counts > 0, least[self.parts.places], np.inf).min(axis=1)
            score += np.maximum(there, alone)
        return np.asarray(score)

    def _no_more(self, kept: Floats, to: Floats, back: Floats) -> Floats:
        """[O] no more than the least of what a plain node keeps and the pair costs; exact if one of its best places is
        the best.

        A call goes to the part in the caller's place, or to all parts by their share; and the least of a sum over parts
        is no less than the sum of the least."""
        places, share, some = self.parts.places, self._share, self.parts.counts > 0
        near = kept + to.diagonal()
        if back.any():
            there = (share[:, None, :] * back[places[:, :, None], places[:, None, :]]).sum(axis=2)
            result = np.where(some, near[places] + there, np.inf).min(axis=1)
        else:
            result = np.where(some, near[places], np.inf).min(axis=1)
        far = to + back
        order = np.argsort(kept, kind="stable")
        few, rest = order[:TELLING], order[TELLING:]
        for place in few.tolist():
            np.minimum(result, kept[place] + (share * far[place][places]).sum(axis=1), out=result)
        if len(rest):
            # A caller in the place of a part is near, and that is counted already.
            np.fill_diagonal(far, np.inf)
            least = (kept[rest, None] + far[rest]).min(axis=0)
            np.minimum(result, (share * least[places]).sum(axis=1), out=result)
        return np.asarray(result)


def _best_ones(parts: Parts, order: Ints) -> Ints:
    """The numbers of the first options in an order, and for each place of the first one that has a part there."""
    first = order[:EXACT]
    places = parts.places[order]
    flat = np.where(parts.counts[order] > 0, places, -1).ravel()
    named, at = np.unique(flat, return_index=True)
    return np.union1d(first, order[at[named >= 0] // places.shape[1]])


def level(message: Singles, most: float) -> tuple[Singles, Singles]:
    """The messages [e, C], the least of each taken off, and these [e]; none is more than `most`."""
    least = message.min(axis=1)
    return np.minimum(message - least[:, None], most), least

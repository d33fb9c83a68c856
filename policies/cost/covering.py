"""The cheapest machines that hold a service's replicas: whole ones, each replica on one of them.

Exact, in columns, over all demands and all places at once. A machine counts by how many replicas of the service it
holds, so a price list is, for a demand, "the cheapest machine that holds at least k", for k = 1, 2, ...; and the least
cost of n replicas is `cost(n) = min over k of (price(k) + cost(n - k))`, the unbounded covering knapsack. Demands that
fit the same sizes share one list: it is read from a grid of the sizes that exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.model.offers import Offer

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints

MOST_EXACT = 1000
"""Of more replicas than this, those beyond are bought machines of the type that is the cheapest for a replica, and at
spot prices goes all that may or nothing. That is dearer than the cheapest of all by less than two machines' price."""
_CELLS = 4_000_000
"""How many numbers are worked on at a time: 32 MB."""
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Bought:
    """So many machines of a type, on demand or at spot prices; `usd_per_hour` for one of them."""

    machine: Offer
    count: int
    spot: bool
    usd_per_hour: float


@dataclass(frozen=True, eq=False)
class Market:
    """What machines cost in C places: `grid[x, y, c]` is the cheapest of at least `cores[x]` and `memory[y]` bytes,
    infinite where there is none; the last x and y are beyond all sizes. `spot`: the same at spot prices."""

    cores: Floats
    memory: Floats
    grid: Floats
    spot: Floats

    def cells(self, demand: Floats, counts: Ints) -> tuple[Ints, Ints]:
        """[K, G] where in the grid the machines begin that hold `counts` [K] replicas of each demand [G, 2]."""
        wanted = counts[:, None, None] * demand[None] * (1.0 - _TOLERANCE)
        return np.searchsorted(self.cores, wanted[:, :, 0]), np.searchsorted(self.memory, wanted[:, :, 1])


def market_of(places: Sequence[Sequence[Offer]]) -> Market:
    """The market of the machines that each place sells. An unknown price is no price."""
    cores = np.unique([one.cpu_cores for place in places for one in place])
    memory = np.unique([one.memory_bytes for place in places for one in place])
    grids = np.full((2, len(cores) + 1, len(memory) + 1, len(places)), np.inf)
    for column, place in enumerate(places):
        for one in place:
            x, y = np.searchsorted(cores, one.cpu_cores), np.searchsorted(memory, one.memory_bytes)
            for grid, usd in enumerate((one.usd_per_hour, one.spot_usd_per_hour)):
                if usd is not None:
                    grids[grid, x, y, column] = min(grids[grid, x, y, column], usd)
    for axis in (1, 2):
        grids = np.flip(np.minimum.accumulate(np.flip(grids, axis), axis=axis), axis)
    return Market(cores, memory, *grids)


def holds(machine: Offer, cpu_cores: float, memory_bytes: float) -> bool:
    """Whether so many cores and bytes fit on one such machine."""
    least = 1.0 - _TOLERANCE
    return machine.cpu_cores >= cpu_cores * least and machine.memory_bytes >= memory_bytes * least


def least_cost(market: Market, demand: Floats, replicas: Ints, spot: Ints) -> Floats:
    """[G, C] what the cheapest machines for so many replicas cost, in USD per hour; infinite where none are known.

    Args: demand [G, 2], cores and bytes of one replica; replicas [G], >= 0; spot [G], how many of them may run on
    machines at spot prices. Without replicas nothing is bought, and it costs nothing where one would have a machine."""
    rows, index = np.unique(np.column_stack([demand, replicas, spot]), axis=0, return_inverse=True)
    counts, allowed = rows[:, 2].astype(np.int64), np.minimum(rows[:, 3], rows[:, 2]).astype(np.int64)
    result = np.empty((len(rows), market.grid.shape[2]))
    top = np.minimum(counts, MOST_EXACT + 1)
    for count in np.unique(top).tolist():
        most = min(count, MOST_EXACT)
        for part in _parts(np.flatnonzero(top == count), (2 * most + 2) * result.shape[1]):
            result[part] = _least(market, rows[part, :2], counts[part], allowed[part], most)
    return np.asarray(result[index.reshape(-1)])


def _parts(rows: Ints, each: int) -> Iterator[Ints]:
    """`rows` in parts that keep what is worked on at a time within bounds."""
    size = max(_CELLS // max(each, 1), 1)
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _least(market: Market, demand: Floats, replicas: Ints, spot: Ints, most: int) -> Floats:
    """`least_cost` of groups of `most` replicas each, or all of more than `most` = MOST_EXACT."""
    if most == 0:
        return np.where(np.isfinite(_Table.of(market.grid, market, demand, 1).cost[1]), 0.0, np.inf)
    whole = _Table.of(market.grid, market, demand, most)
    best = whole.at(replicas)
    if not spot.any():
        return best
    part = _Table.of(market.spot, market, demand, most)
    beyond = bool((replicas > most).any())
    for some in [spot] if beyond else [np.minimum(spot, m) for m in range(1, int(spot.max()) + 1)]:
        best = np.minimum(best, part.at(some) + whole.at(replicas - some))
    return best


@dataclass(frozen=True, eq=False)
class _Table:
    """`cost[n]` [G, C] of n replicas, up to as many as were asked for; `price[i]` [G, C] of the cheapest machine that
    holds `counts[i]`, which are all numbers that it makes sense to buy for."""

    cost: Floats
    price: Floats
    counts: Ints

    @classmethod
    def of(cls, grid: Floats, market: Market, demand: Floats, most: int) -> _Table:
        """The table for up to `most` replicas, >= 1."""
        counts = np.arange(1, most + 1)
        x, y = market.cells(demand, counts)
        ends = np.ones(most, dtype=bool)
        ends[:-1] = ((x[1:] != x[:-1]) | (y[1:] != y[:-1])).any(axis=1)
        price, counts = grid[x[ends], y[ends]], counts[ends]
        cost = np.zeros((most + 1, *price.shape[1:]))
        for n in range(1, most + 1):
            cost[n] = np.inf
            for usd, held in zip(price, counts.tolist(), strict=True):
                np.minimum(cost[n], usd + cost[max(n - held, 0)], out=cost[n])
                if held >= n:
                    break
        return cls(cost, price, counts)

    def at(self, replicas: Ints) -> Floats:
        """[G, C] of so many replicas [G]; beyond the table by the machine that is the cheapest for a replica."""
        groups = np.arange(len(replicas))
        if (replicas < len(self.cost)).all():
            return np.asarray(self.cost[replicas, groups])
        many, rest, usd = self.beyond(replicas)
        return np.asarray(many * usd + self.cost[rest, groups[:, None], np.arange(self.cost.shape[2])[None]])

    def beyond(self, replicas: Ints) -> tuple[Ints, Ints, Floats]:
        """[G, C] how many machines of the type that is the cheapest for a replica are bought ahead, for how many
        replicas the rest is, and what such a machine costs."""
        best = (self.price / self.counts[:, None, None]).argmin(axis=0)
        held = self.counts[best]
        usd = np.take_along_axis(self.price, best[None], axis=0)[0]
        excess = np.maximum(replicas - (len(self.cost) - 1), 0)[:, None]
        many = -(-excess // held)
        return many, np.maximum(replicas[:, None] - many * held, 0), np.where(many > 0, usd, 0.0)

    def choice(self, replicas: int) -> Iterator[tuple[int, int]]:
        """For the only group and place: how many replicas each machine that is bought holds, and how many such."""
        many, rest, _ = (int(each[0, 0]) for each in self.beyond(np.array([replicas])))
        if many:
            yield int(self.counts[(self.price[:, 0, 0] / self.counts).argmin()]), many
        while rest > 0:
            before = np.maximum(rest - self.counts, 0)
            index = int((self.price[:, 0, 0] + self.cost[before, 0, 0]).argmin())
            rest = int(before[index])
            yield int(self.counts[index]), 1


def purchase(place: Sequence[Offer], cpu_cores: float, memory_bytes: float, replicas: int, spot: int) -> list[Bought]:
    """What `least_cost` is the price of, for one service and place: on demand first, then by price, the dearest first.
    Empty without replicas, and where no machine of known price holds one."""
    market, demand, most = market_of([place]), np.array([[cpu_cores, memory_bytes]]), min(replicas, MOST_EXACT)
    if replicas < 1 or not np.isfinite(least_cost(market, demand, np.array([replicas]), np.array([spot]))[0, 0]):
        return []
    whole, part = (_Table.of(grid, market, demand, most) for grid in (market.grid, market.spot))
    spot = min(spot, replicas)
    shares = [0, spot] if replicas > most else range(spot + 1)
    count = np.arange(1)

    def cost(at_spot: int) -> float:
        return float((part.at(count + at_spot) + whole.at(count + replicas - at_spot))[0, 0])

    at_spot = min(shares, key=cost)
    found: dict[tuple[bool, str], Bought] = {}
    for table, is_spot, number in ((whole, False, replicas - at_spot), (part, True, at_spot)):
        for held, many in table.choice(number):
            machine, usd = _cheapest(place, market, demand, held, is_spot=is_spot)
            old = found.get((is_spot, machine.instance_type))
            found[is_spot, machine.instance_type] = Bought(machine, (old.count if old else 0) + many, is_spot, usd)
    return sorted(found.values(), key=lambda one: (one.spot, -one.usd_per_hour, one.machine.instance_type))


def _cheapest(
    place: Sequence[Offer], market: Market, demand: Floats, held: int, *, is_spot: bool
) -> tuple[Offer, float]:
    """The machine that `grid` has the price of, for one that holds so many replicas; of equals the first by name."""
    x, y = (int(each[0, 0]) for each in market.cells(demand, np.array([held])))
    priced = [(one.spot_usd_per_hour if is_spot else one.usd_per_hour, one) for one in place]
    fitting = [
        (usd, one.instance_type, one)
        for usd, one in priced
        if usd is not None and one.cpu_cores >= market.cores[x] and one.memory_bytes >= market.memory[y]
    ]
    usd, _, machine = min(fitting, key=lambda each: each[:2])
    return machine, usd

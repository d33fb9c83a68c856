"""Whole machines: the cheapest mix that holds a service's replicas, against all mixes there are."""

from __future__ import annotations

from functools import cache
from math import inf, isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.model.offers import Offer
from policies.cost import covering
from policies.cost.covering import holds, least_cost, market_of, purchase

GIB = 2.0**30


def machine(name: str, cores: float, gib: float, usd: float | None, spot: float | None = None) -> Offer:
    return Offer(
        name=name,
        instance_type=name,
        cpu_cores=cores,
        memory_bytes=gib * GIB,
        usd_per_hour=usd,
        spot_usd_per_hour=spot,
    )


SMALL = machine("small", 2, 4, 0.048, 0.016)
LARGE = machine("large", 4, 16, 0.2, 0.09)


def cost(place: list[Offer], cores: float, gib: float, replicas: int, spot: int = 0) -> float:
    demand = np.array([[cores, gib * GIB]])
    return float(least_cost(market_of([place]), demand, np.array([replicas]), np.array([spot]))[0, 0])


def by_force(place: list[Offer], cores: float, gib: float, replicas: int, spot: int) -> float:
    """The same by trying every machine next, of either kind."""
    kinds = [
        (int(min(one.cpu_cores / cores if cores else 99, one.memory_bytes / GIB / gib if gib else 99)), usd, at_spot)
        for one in place
        for usd, at_spot in ((one.usd_per_hour, False), (one.spot_usd_per_hour, True))
        if usd is not None
    ]

    @cache
    def least(safe: int, loose: int) -> float:
        if safe <= 0 and loose <= 0:
            return 0.0
        found = [inf]
        for held, usd, at_spot in kinds:
            if held and at_spot and loose > 0:
                found.append(usd + least(safe, max(loose - held, 0)))
            elif held and not at_spot and safe > 0:
                found.append(usd + least(max(safe - held, 0), loose))
        return min(found)

    return min(least(replicas - some, some) for some in range(min(spot, replicas) + 1))


QUARTERS = st.integers(1, 32).map(lambda n: n / 4)
USD = st.one_of(st.none(), st.integers(1, 400).map(lambda n: n / 1000))
PLACE = st.lists(st.tuples(QUARTERS, QUARTERS, USD, USD), min_size=1, max_size=5).map(
    lambda rows: [machine(f"m{index}", *row) for index, row in enumerate(rows)]
)
DEMAND = st.tuples(
    st.integers(0, 16).map(lambda n: n / 4),
    st.integers(0, 16).map(lambda n: n / 4),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(st.lists(PLACE, min_size=1, max_size=3), st.lists(DEMAND, min_size=1, max_size=5))
def test_it_is_the_cheapest_mix_there_is(
    places: list[list[Offer]], demands: list[tuple[float, float, int, int]]
) -> None:
    asked = np.array([[cores, gib * GIB] for cores, gib, _, _ in demands])
    replicas, spot = (np.array([each[i] for each in demands]) for i in (2, 3))
    found = least_cost(market_of(places), asked, replicas, spot)
    for row, (cores, gib, count, loose) in enumerate(demands):
        for column, place in enumerate(places):
            if count == 0:
                assert (found[row, column] == 0) == (by_force(place, cores, gib, 1, 0) < inf)
            else:
                assert isclose(found[row, column], by_force(place, cores, gib, count, loose), abs_tol=1e-9)


@given(PLACE, DEMAND)
def test_what_is_bought_costs_that_and_holds_all(place: list[Offer], demand: tuple[float, float, int, int]) -> None:
    cores, gib, replicas, spot = demand
    bought = purchase(place, cores, gib * GIB, replicas, spot)
    usd = cost(place, cores, gib, replicas, spot)
    if not bought:
        assert usd in (0.0, inf)
        return
    assert isclose(sum(one.count * one.usd_per_hour for one in bought), usd, abs_tol=1e-9)
    held = {True: 0, False: 0}
    for one in bought:
        assert one.usd_per_hour == (one.machine.spot_usd_per_hour if one.spot else one.machine.usd_per_hour)
        by_cores = one.machine.cpu_cores / cores if cores else replicas
        by_memory = one.machine.memory_bytes / (gib * GIB) if gib else replicas
        assert min(by_cores, by_memory) >= 1
        held[one.spot] += one.count * int(min(by_cores, by_memory, replicas))
    assert held[False] + min(held[True], spot) >= replicas


@given(PLACE, QUARTERS, QUARTERS, st.integers(1, 60), st.integers(0, 60))
def test_beyond_the_exact_range_it_is_dearer_by_less_than_two_machines(
    place: list[Offer], cores: float, gib: float, replicas: int, spot: int
) -> None:
    exact = cost(place, cores, gib, replicas, spot)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(covering, "MOST_EXACT", 5)
        found = cost(place, cores, gib, replicas, spot)
        bought = purchase(place, cores, gib * GIB, replicas, spot)
    assert exact <= found + 1e-9
    if exact < inf:
        prices = [[one.usd_per_hour or 0.0, one.spot_usd_per_hour or 0.0] for one in place]
        assert found < exact + sum(np.max(prices, axis=0)) + 1e-9
        assert isclose(sum(one.count * one.usd_per_hour for one in bought), found, abs_tol=1e-9)


def test_what_is_exact_stays_so_beside_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three at spot prices, though only two of them are worth it."""
    place = [machine("two", 2, 2, 0.05, 0.04), machine("one", 1, 1, 0.03, 0.1)]
    demand = np.array([[1.0, GIB], [1.0, GIB]])
    exact = cost(place, 1, 1, 6, 3)
    monkeypatch.setattr(covering, "MOST_EXACT", 6)
    found = least_cost(market_of([place]), demand, np.array([6, 7]), np.array([3, 3]))
    assert found[0, 0] == exact == pytest.approx(0.05 + 0.05 + 0.04)


@given(PLACE, QUARTERS, QUARTERS, st.integers(1, 9), st.integers(0, 9))
def test_more_replicas_cost_no_less_and_more_spot_no_more(
    place: list[Offer], cores: float, gib: float, replicas: int, spot: int
) -> None:
    usd = cost(place, cores, gib, replicas, spot)
    assert cost(place, cores, gib, replicas + 1, spot) >= usd - 1e-12
    assert cost(place, cores, gib, replicas, spot + 1) <= usd + 1e-12


def test_machines_are_whole() -> None:
    assert cost([SMALL], 0.5, 1, 1) == 0.048
    assert cost([SMALL], 0.5, 1, 4) == 0.048
    assert cost([SMALL], 0.5, 1, 5) == 0.096
    assert cost([SMALL, LARGE], 1.5, 4, 3) == pytest.approx(3 * 0.048)
    assert cost([SMALL, LARGE], 1.0, 8, 3) == pytest.approx(2 * 0.2)


def test_a_replica_that_fits_no_machine_has_no_price() -> None:
    assert cost([SMALL, LARGE], 8, 1, 1) == inf
    assert [holds(LARGE, cores, GIB) for cores in (1, 4, 4.01)] == [True, True, False]


def test_an_unknown_price_is_not_bought() -> None:
    unknown = machine("unknown", 64, 256, None)
    assert cost([unknown], 1, 1, 1) == inf
    assert cost([unknown, LARGE], 1, 1, 1) == 0.2


def test_no_more_than_the_share_is_at_spot() -> None:
    names = [(one.machine.instance_type, one.count, one.spot) for one in purchase([SMALL], 2, 4 * GIB, 3, 1)]
    assert names == [("small", 2, False), ("small", 1, True)]
    assert cost([SMALL], 2, 4, 3, 1) == pytest.approx(2 * 0.048 + 0.016)
    assert cost([SMALL], 2, 4, 3, 3) == pytest.approx(3 * 0.016)

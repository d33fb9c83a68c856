"""Prices of compute and transfer, and ceilings on spending.

Ceilings count this engine's own terms, `compute` and `transfer`: money, not what a preference is worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, Field, model_validator

from federation.atlas.transfer import transfer_matrix
from federation.contracts.policy import Ceiling, FleetView, Opinion, PairTerm, Reason, Section
from federation.contracts.sections import by_section, grouped, strongest, ties
from federation.errors import InvalidInput
from federation.model.meta import Value
from federation.model.offers import Offer, divisible
from federation.model.quantity import Share, Usd
from federation.model.subcluster import SubCluster
from policies.cost.covering import Bought, holds, least_cost, market_of, purchase

if TYPE_CHECKING:
    from federation.contracts.policy import Floats, Ints

GIB = 2.0**30
_TOLERANCE = 1e-9


class CostSection(Value):
    """`max_hourly`: what all services that the policy selects may cost together, USD per hour. A hard rule.
    `spot`: which share of a service's replicas, rounded down, may run on machines at spot prices; none where nobody
    says so. It is of consequence where whole machines are bought."""

    max_hourly: Annotated[Usd, Field(gt=0)] | None = None
    spot: Share | None = None

    @model_validator(mode="after")
    def _says_something(self) -> CostSection:
        if self.max_hourly is None and self.spot is None:
            raise ValueError("says nothing; give maxHourly, spot or both")
        return self


class CostEngine:
    """Prices compute and transfer; limits spending."""

    name = "cost"
    section = "cost"
    schema: type[BaseModel] = CostSection

    def opine(self, view: FleetView) -> Opinion:
        """`compute`: replicas * (cores * core price + GiB * GiB price); where whole machines are bought, the cheapest
        mix of them that holds the replicas. NaN where a price is unknown, or no machine is large enough for a replica.
        Of a service that has to be divided, the mix is that of one of as many equal parts; so a part that is
        as large costs just what it buys, one that is smaller that much less, and the whole that many times as much.
        `transfer`: GiB per hour of a call times what a GiB costs from the caller's place to the callee's."""
        replicas = _replicas(view)
        cores, memory = replicas * view.cpu_cores, replicas * view.memory_bytes / GIB
        compute = np.outer(cores, view.cpu_hour_usd) + np.outer(memory, view.memory_gib_hour_usd)
        transfer = PairTerm(
            term="transfer",
            calls=np.arange(len(view.edges), dtype=np.int64),
            weight=np.array([edge.gib_per_hour for edge in view.edges], dtype=np.float64),
            price=transfer_matrix(view.places),
        )
        ceilings = (*_policies(view), *_budgets(view))
        columns = [index for index, machines in enumerate(view.machines) if machines]
        old = [index for index, there in enumerate(view.subclusters) if _outdated(there, view.now)]
        if not columns and not old:
            return Opinion(prices={"compute": compute}, pairs=(transfer,), ceilings=ceilings)
        noted = np.zeros(compute.shape, dtype=bool)
        noted[:, [*columns, *old]] = True
        if columns:
            compute[:, columns] = _machines(view, columns)
        return Opinion(prices={"compute": compute}, pairs=(transfer,), ceilings=ceilings, noted=noted)

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Where whole machines are bought: which, or that none is large enough. Which price is old or doubtful; an
        unknown one is the planner's to tell."""
        machines = view.machines[subcluster] if view.machines else ()
        if not machines:
            old = _outdated(view.subclusters[subcluster], view.now)
            return tuple(Reason("OldPrice", "", text, note=True) for text in _marks(old, view.now))
        cores, memory = float(view.cpu_cores[service]), float(view.memory_bytes[service])
        if not any(holds(one, cores, memory) for one in machines):
            largest = max(machines, key=lambda one: (one.cpu_cores, one.memory_bytes, one.instance_type))
            text = f"no instance type there holds a replica of {_size(cores, memory)}; the largest is {_named(largest)}"
            return (Reason("NoInstanceFits", "without a large enough instance type", text, "spec.instances"),)
        whole = view.services[service].spec.replicas
        replicas = whole if view.parts is None else -(-whole // int(view.parts[service]))
        share = strongest(view.sections[self.name][service], _share) if view.sections.get(self.name) else None
        bought = _purchase(_Same(machines), cores, memory, replicas, _at_spot(share, replicas))
        if not bought:
            return ()
        text = f"buys {' + '.join(_words(one) for one in bought)}"
        if replicas < whole:
            text += f" for {replicas} replica{'s' if replicas > 1 else ''}"
        marks = _marks([one.machine for one in bought], view.now)
        return (Reason("Instances", "", f"{text} ({'; '.join(marks)})" if marks else text, note=True),)

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Different spot shares of the same precedence; ceilings add up."""
        return ties(sections, "cost.spot", _share, lambda share: f"{share:.0%}")


def _section(section: Section) -> CostSection:
    if not isinstance(section.value, CostSection):
        raise InvalidInput(f"{section.origin}: not a cost section")
    return section.value


def _share(section: Section) -> float | None:
    return _section(section).spot


def _replicas(view: FleetView) -> Ints:
    return np.array([service.spec.replicas for service in view.services], dtype=np.int64)


def _spot(view: FleetView, replicas: Ints) -> Ints:
    """[S] how many of so many replicas of each service may run on machines at spot prices."""
    found = np.zeros(len(view.services), dtype=np.int64)
    for sections, services in grouped(view, CostEngine.name):
        share = strongest(sections, _share)
        found[list(services)] = [_at_spot(share, int(replicas[service])) for service in services]
    return found


def _at_spot(share: float | None, replicas: int) -> int:
    """How many of so many replicas the share is."""
    return floor((share or 0.0) * replicas + _TOLERANCE)


def _machines(view: FleetView, columns: list[int]) -> Floats:
    """[S, columns] what the cheapest machines cost; NaN where none is large enough, or no price is known."""
    market = market_of([view.machines[column] for column in columns])
    demand = np.column_stack([view.cpu_cores, view.memory_bytes]).reshape(len(view.services), 2)
    replicas = _replicas(view)
    part = replicas if view.parts is None else -(-replicas // view.parts)
    times = np.where(part > 0, replicas / np.maximum(part, 1), 1.0)
    usd = least_cost(market, demand, part, _spot(view, part)) * times[:, None]
    return np.where(np.isinf(usd), np.nan, usd)


class _Same:
    """A key that is its value: equal to no other, however alike. Views are made anew, their machines never change."""

    __slots__ = ("machines",)

    def __init__(self, machines: tuple[Offer, ...]):
        self.machines = machines

    def __hash__(self) -> int:
        return id(self.machines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.machines is other.machines


@lru_cache(maxsize=1 << 12)
def _purchase(place: _Same, cpu_cores: float, memory_bytes: float, replicas: int, spot: int) -> tuple[Bought, ...]:
    return tuple(purchase(place.machines, cpu_cores, memory_bytes, replicas, spot))


def _words(one: Bought) -> str:
    """`2x t3.medium on demand`."""
    return f"{one.count}x {one.machine.instance_type} {'spot' if one.spot else 'on demand'}"


def _named(machine: Offer) -> str:
    return f"{machine.instance_type} of {_size(machine.cpu_cores, machine.memory_bytes)}"


def _size(cores: float, memory: float) -> str:
    return f"{cores:g} CPU and {memory / GIB:.3g} GiB"


def _outdated(subcluster: SubCluster, now: float) -> list[Offer]:
    """The offers of divisible capacity whose price is older than its limit."""
    offers = divisible(subcluster.status.offers)
    return [one for one in offers if one.outdated(now) and (one.cpu_hour_usd, one.memory_gib_hour_usd) != (None, None)]


def _marks(offers: Iterable[Offer], now: float) -> list[str]:
    """Where their prices are from, if they are old or doubtful."""
    found = []
    for one in offers:
        if one.outdated(now) and one.as_of is not None:
            day = datetime.fromtimestamp(one.as_of, UTC).date()
            found.append(f"old price: of {day}, by {one.origin}")
        if one.doubt:
            found.append(f"the price of {one.instance_type or one.name} is doubtful: {one.doubt}")
    return list(dict.fromkeys(found))


def _policies(view: FleetView) -> list[Ceiling]:
    everywhere = np.ones(len(view.subclusters), dtype=bool)
    result = []
    for section, services in by_section(view, CostEngine.name):
        most = _section(section).max_hourly
        if most is not None:
            marked = np.zeros(len(view.services), dtype=bool)
            marked[list(services)] = True
            result.append(Ceiling(f"maxHourly of {section.origin}", marked, everywhere, most))
    return result


def _budgets(view: FleetView) -> list[Ceiling]:
    everyone = np.ones(len(view.services), dtype=bool)
    result = []
    for index, subcluster in enumerate(view.subclusters):
        if subcluster.spec.budget is not None:
            marked = np.zeros(len(view.subclusters), dtype=bool)
            marked[index] = True
            name = f"budget of {subcluster.metadata.name}"
            result.append(Ceiling(name, everyone, marked, subcluster.spec.budget.hourly))
    return result


ENGINE = CostEngine()

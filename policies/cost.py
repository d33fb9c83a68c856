"""Cost: what cores, memory and traffic between sub-clusters cost, and how much may be spent.

Ceilings count this engine's own terms, `compute` and `transfer`: money, not what a preference is worth.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field

from federation.atlas.transfer import transfer_matrix
from federation.contracts.policy import Ceiling, FleetView, Opinion, PairTerm, Reason, Section
from federation.contracts.sections import by_section
from federation.errors import InvalidInput
from federation.model.meta import Value
from federation.model.quantity import Usd

GIB = 2.0**30


class CostSection(Value):
    """`max_hourly`: what all services that the policy selects may cost together, USD per hour. A hard rule."""

    max_hourly: Annotated[Usd, Field(gt=0)]


class CostEngine:
    """Prices compute and transfer; limits spending."""

    name = "cost"
    section = "cost"
    schema: type[BaseModel] = CostSection

    def opine(self, view: FleetView) -> Opinion:
        """`compute`: replicas * (cores * core price + GiB * GiB price), NaN where either price is unknown.
        `transfer`: GiB per hour of a call times what a GiB costs from the caller's place to the callee's."""
        replicas = np.array([service.spec.replicas for service in view.services], dtype=np.float64)
        cores, memory = replicas * view.cpu_cores, replicas * view.memory_bytes / GIB
        compute = np.outer(cores, view.cpu_hour_usd) + np.outer(memory, view.memory_gib_hour_usd)
        transfer = PairTerm(
            term="transfer",
            calls=np.arange(len(view.edges), dtype=np.int64),
            weight=np.array([edge.gib_per_hour for edge in view.edges], dtype=np.float64),
            price=transfer_matrix(view.places),
        )
        return Opinion(prices={"compute": compute}, pairs=(transfer,), ceilings=(*_policies(view), *_budgets(view)))

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Nothing: this engine prices and limits sums. An unknown price is the planner's to tell."""
        del view, service, subcluster
        return ()

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Nothing: ceilings add up."""
        del sections
        return ()


def _policies(view: FleetView) -> list[Ceiling]:
    everywhere = np.ones(len(view.subclusters), dtype=bool)
    result = []
    for section, services in by_section(view, CostEngine.name):
        if not isinstance(section.value, CostSection):
            raise InvalidInput(f"{section.origin}: not a cost section")
        marked = np.zeros(len(view.services), dtype=bool)
        marked[list(services)] = True
        result.append(Ceiling(f"maxHourly of {section.origin}", marked, everywhere, section.value.max_hourly))
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

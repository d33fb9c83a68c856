"""Prefer: which sub-clusters a service goes to first, which next, and so on, whatever they cost.

An order, not a price: a service goes to the first entry that has room and is allowed, fails over down the list, and
back up when there is room again. What no entry matches comes last and is still allowed.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, RootModel, model_validator

from federation.contracts.policy import FleetView, Opinion, Reason, Section
from federation.contracts.sections import grouped, strongest, ties
from federation.errors import InvalidInput
from federation.model.meta import Selector

Order = tuple[Selector, ...]


class PreferSection(RootModel[Order]):
    """Selectors of sub-clusters by their labels, the most preferred first."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _says_something(self) -> PreferSection:
        if not self.root:
            raise ValueError("says nothing; give at least one selector such as {matchLabels: {tier: onprem}}")
        if any(entry in self.root[:index] for index, entry in enumerate(self.root)):
            raise ValueError("has an entry twice; the second one says nothing")
        return self


class PreferEngine:
    """Ranks the sub-clusters of a service by the first entry that matches them."""

    name = "prefer"
    section = "prefer"
    schema: type[BaseModel] = PreferSection

    def opine(self, view: FleetView) -> Opinion:
        """The number of the first entry that matches, counted from 0; beyond the last one for a sub-cluster that none
        does. No service without a preference, and no preference at all without a difference."""
        ranks = np.zeros((len(view.services), len(view.subclusters)), dtype=np.int64)
        labels = [subcluster.metadata.labels for subcluster in view.subclusters]
        for sections, services in grouped(view, self.name):
            order = strongest(sections, _order) or ()
            ranks[list(services)] = [_rank(order, each) for each in labels]
        return Opinion(ranks=ranks if ranks.any() else None)

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Nothing: this engine denies nothing."""
        del view, service, subcluster
        return ()

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Different orders of the same precedence."""
        return ties(sections, "prefer", _order, _shown)


def _order(section: Section) -> Order:
    if not isinstance(section.value, PreferSection):
        raise InvalidInput(f"{section.origin}: not a list of preferences")
    return section.value.root


def _rank(order: Order, labels: dict[str, str]) -> int:
    return next((index for index, selector in enumerate(order) if selector.matches(labels)), len(order))


def _shown(order: Order) -> str:
    return "[" + ", ".join(_words(selector) for selector in order) + "]"


def _words(selector: Selector) -> str:
    words = [f"{key}={value}" for key, value in sorted(selector.match_labels.items())]
    for each in selector.match_expressions:
        values = f" ({', '.join(each.values)})" if each.values else ""
        words.append(f"{each.key} {each.operator}{values}")
    return ",".join(words) or "any"


ENGINE = PreferEngine()

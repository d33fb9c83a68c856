"""Importance: who gets the room when not everything fits. What runs and may stay never gives up its place for it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, RootModel

from federation.contracts.policy import FleetView, Opinion, Reason, Section
from federation.contracts.sections import grouped, strongest, ties
from federation.errors import InvalidInput
from federation.model.meta import Int


class ImportanceSection(RootModel[Annotated[Int, Field(ge=-(10**9), le=10**9)]]):
    """A whole number, the larger the more important; a service of which nobody says anything has 0."""

    model_config = ConfigDict(frozen=True)


class ImportanceEngine:
    """Tells who is placed before whom."""

    name = "importance"
    section = "importance"
    schema: type[BaseModel] = ImportanceSection

    def opine(self, view: FleetView) -> Opinion:
        """The importance of each service, by its policy of the highest precedence."""
        result = np.zeros(len(view.services), dtype=np.int64)
        for sections, services in grouped(view, self.name):
            result[list(services)] = strongest(sections, _value) or 0
        return Opinion(importance=result if result.any() else None)

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Nothing: this engine denies nothing."""
        del view, service, subcluster
        return ()

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Different numbers of the same precedence."""
        return ties(sections, "importance", _value)


def _value(section: Section) -> int:
    if not isinstance(section.value, ImportanceSection):
        raise InvalidInput(f"{section.origin}: not an importance")
    return section.value.root


ENGINE = ImportanceEngine()

"""The engine of the `rules` section: which sub-clusters its rules deny, and which they warn of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import BaseModel

from federation.contracts.policy import FleetView, Opinion, Reason, Section
from federation.contracts.sections import by_section
from federation.errors import InvalidInput
from policies.rules.columns import TRUE, Columns
from policies.rules.expression import expression
from policies.rules.section import Rule, RulesSection
from policies.rules.variables import PRESENCE, Known

_SHOWN = 6
"""How many of the values that a rule read its reason tells."""


class RulesEngine:
    """Denies where a rule is not true, or can't be evaluated; warns where a rule only warns."""

    name = "rules"
    section = "rules"
    schema: type[BaseModel] = RulesSection

    def opine(self, view: FleetView) -> Opinion:
        """Denials and warnings. Each part of a rule is evaluated once for all services and all sub-clusters that are
        alike in what it reads, so mostly a few times; at worst once for each of its services in each sub-cluster."""
        denied = np.zeros((len(view.services), len(view.subclusters)), dtype=bool)
        warned = np.zeros_like(denied)
        columns = Columns(view)
        for section, services in by_section(view, self.name):
            for rule in _rules(section):
                broken = columns.verdicts(expression(rule.expression), services) != TRUE
                (denied if rule.enforcement == "deny" else warned)[list(services)] |= broken
        return Opinion(denied=denied, warned=warned if warned.any() else None)

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Every rule that does not hold there, those that only warn marked so: by section, then as they are written."""
        sections = view.sections.get(self.name, ())
        columns = Columns(view)
        found = (
            _reason(columns, section, rule, service, subcluster)
            for section in (sections[service] if sections else ())
            for rule in _rules(section)
        )
        return tuple(reason for reason in found if reason is not None)

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Nothing: rules add up."""
        del sections
        return ()


def _rules(section: Section) -> tuple[Rule, ...]:
    if not isinstance(section.value, RulesSection):
        raise InvalidInput(f"{section.origin}: not a list of rules")
    return section.value.root


def _reason(columns: Columns, section: Section, rule: Rule, service: int, subcluster: int) -> Reason | None:
    term = expression(rule.expression)
    verdict = columns.verdict(term, service, subcluster)
    if verdict is True:
        return None
    name, warning = f"rule '{rule.message}'", rule.enforcement == "warn"
    if isinstance(verdict, str):
        text = f"{name} could not be evaluated: {verdict}"
        return Reason("RuleFailed", f"not judged by {name}", text, section.origin, warning=warning)
    values = ", ".join(_values(columns.read_by(term, service, subcluster)))
    text = f"{name} does not hold" + (f": {values}" if values else "")
    return Reason("RuleBroken", f"against {name}", text, section.origin, warning=warning)


def _values(found: Mapping[str, Known | None]) -> Iterator[str]:
    """`service.replicas is 5`, of what can be told in a word."""
    plain = [(name, value) for name, value in found.items() if value is None or isinstance(value, str | int | float)]
    for variable, value in plain[:_SHOWN]:
        name = f"has({PRESENCE[variable].name})" if variable in PRESENCE else variable
        if value is None:
            yield f"{name} is not set"
        elif isinstance(value, bool):
            yield f"{name} is {str(value).lower()}"
        else:
            yield f"{name} is {value:.60}" if isinstance(value, str) else f"{name} is {value:.10g}"


ENGINE = RulesEngine()

"""Compliance: in which countries a service may run, who may operate the ground, what must be attested.

Hard rules, and they add up: a sub-cluster has to keep every one. What is unknown is never permitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from federation.atlas.lookup import members
from federation.atlas.places import Place
from federation.contracts.policy import FleetView, Opinion, Reason, Section
from federation.contracts.sections import by_section
from federation.errors import InvalidInput
from federation.model.meta import Value
from federation.model.quantity import Duration, parse_duration_s
from federation.model.subcluster import SubCluster


def _code(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f'{value} is not a country: YAML reads an unquoted NO as false; write "NO"')
    if isinstance(value, str):
        try:
            members(value)
        except InvalidInput as error:
            raise ValueError(error.message) from error
    return value


Code = Annotated[str, BeforeValidator(_code)]
"""A country (ISO 3166-1 alpha-2) or a jurisdiction that the atlas knows."""
Codes = Annotated[tuple[Code, ...], Field(min_length=1)]
Attestation = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]


Members = Mapping[str, frozenset[str]]


def _countries(codes: tuple[str, ...], instead: Members | None = None) -> frozenset[str]:
    return frozenset().union(*(members(code, instead) for code in codes))


class CountryRule(Value):
    """Countries or jurisdictions that are allowed (no others then) or denied."""

    allow: Codes | None = None
    deny: Codes | None = None

    @model_validator(mode="after")
    def _says_something(self) -> CountryRule:
        if self.allow is None and self.deny is None:
            raise ValueError("says nothing; give allow, deny or both")
        if self.allow and self.deny and not _countries(self.allow) - _countries(self.deny):
            raise ValueError(f"denies all that it allows: allow {_list(self.allow)}, deny {_list(self.deny)}")
        return self


class ComplianceSection(Value):
    """`residency`: the countries a service may run in. `operators`: the countries whose companies may operate the
    ground. `attestations`: what the sub-cluster has to attest. `grace`: by when a copy that
    one of these rules overtakes has to be gone, unset for no limit. `on_violation`: whether it is stopped then when
    there is nowhere to go, and without a grace at once, or keeps running, flagged."""

    residency: CountryRule | None = None
    operators: CountryRule | None = None
    attestations: Annotated[tuple[Attestation, ...], Field(min_length=1)] | None = None
    grace: Duration | None = None
    on_violation: Literal["move", "stop"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ComplianceSection:
        if self.residency is None and self.operators is None and self.attestations is None:
            raise ValueError("says nothing; give residency, operators or attestations")
        return self


class ComplianceEngine:
    """Denies what the sections' rules do not permit."""

    name = "compliance"
    section = "compliance"
    schema: type[BaseModel] = ComplianceSection

    def opine(self, view: FleetView) -> Opinion:
        """Denials only. Each section is judged once per sub-cluster, whatever the number of services."""
        denied = np.zeros((len(view.services), len(view.subclusters)), dtype=bool)
        for section, services in by_section(view, self.name):
            row = [
                bool(_reasons(section, subcluster, place, view.jurisdictions))
                for subcluster, place in zip(view.subclusters, view.places, strict=True)
            ]
            denied[list(services)] |= np.array(row, dtype=bool)
        return Opinion(denied=denied)

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Every rule that the sub-cluster breaks: by section, then residency, operators, attestations."""
        sections = view.sections.get(self.name, ())
        found = (
            reason
            for section in (sections[service] if sections else ())
            for reason in _reasons(section, view.subclusters[subcluster], view.places[subcluster], view.jurisdictions)
        )
        return tuple(found)

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Allow lists without a common country. Grace and consequence belong to each section's own rules."""
        return (
            *_disjoint(sections, "residency", lambda value: value.residency),
            *_disjoint(sections, "operators", lambda value: value.operators),
        )


def _value(section: Section) -> ComplianceSection:
    if not isinstance(section.value, ComplianceSection):
        raise InvalidInput(f"{section.origin}: not a compliance section")
    return section.value


def _list(codes: tuple[str, ...]) -> str:
    return f"[{', '.join(codes)}]"


def _reasons(section: Section, subcluster: SubCluster, place: Place, instead: Members) -> list[Reason]:
    value, origin = _value(section), section.origin
    found = [
        *_residency(value.residency, place.country, origin, instead),
        *_operators(value.operators, place, origin, instead),
        *_attestations(value.attestations or (), subcluster, origin),
    ]
    stop = value.on_violation == "stop"
    grace = parse_duration_s(value.grace) if value.grace is not None else (0.0 if stop else None)
    return found if grace is None else [replace(reason, grace_s=grace, stop=stop) for reason in found]


def _residency(rule: CountryRule | None, country: str | None, origin: str, instead: Members) -> list[Reason]:
    if rule is None:
        return []
    if country is None:
        text = "its country is unknown, and residency is restricted; state spec.location.country"
        return [Reason("CountryUnknown", "in an unknown country", text, origin)]
    found = []
    if rule.allow and country not in _countries(rule.allow, instead):
        allowed = _list(rule.allow)
        found.append(Reason("OutsideResidency", f"outside {allowed}", f"outside {allowed}: runs in {country}", origin))
    if rule.deny and country in _countries(rule.deny, instead):
        denied = _list(rule.deny)
        found.append(
            Reason(
                "DeniedResidency", f"inside denied {denied}", f"runs in {country}, residency denies {denied}", origin
            )
        )
    return found


def _operators(rule: CountryRule | None, place: Place, origin: str, instead: Members) -> list[Reason]:
    if rule is None:
        return []
    country = place.operator_country
    if country is None:
        who = f"the country of its operator {place.operator}" if place.operator else "its operator's country"
        text = f"{who} is unknown, and operators are restricted; state spec.location.operatorCountry"
        return [Reason("OperatorUnknown", "with an unknown operator", text, origin)]
    who = f"operated by {place.operator or 'a company'} ({country})"
    found = []
    if rule.allow and country not in _countries(rule.allow, instead):
        allowed = _list(rule.allow)
        text = f"{who}, operators allow only {allowed}"
        found.append(Reason("OperatorOutside", f"operated from outside {allowed}", text, origin))
    if rule.deny and country in _countries(rule.deny, instead):
        denied = _list(rule.deny)
        found.append(Reason("OperatorDenied", f"operated from {denied}", f"{who}, operators deny {denied}", origin))
    return found


def _attestations(wanted: tuple[str, ...], subcluster: SubCluster, origin: str) -> list[Reason]:
    held = {attestation.casefold() for attestation in subcluster.spec.attestations}
    missing = [attestation for attestation in wanted if attestation.casefold() not in held]
    return [Reason("NotAttested", f"lacks {name}", f"lacks {name}", origin) for name in missing]


def _disjoint(
    sections: tuple[Section, ...], name: str, read: Callable[[ComplianceSection], CountryRule | None]
) -> list[str]:
    """The first two sections whose rules together leave no country, if there are such."""
    rules = [(section.origin, rule) for section in sections if (rule := read(_value(section))) is not None]
    for index, (origin, rule) in enumerate(rules):
        for other_origin, other in rules[index + 1 :]:
            allowed = [_countries(each.allow) for each in (rule, other) if each.allow]
            denied = _countries((*(rule.deny or ()), *(other.deny or ())))
            if allowed and not frozenset.intersection(*allowed) - denied:
                return [f"compliance.{name}: {origin} and {other_origin} together leave no country"]
    return []


ENGINE = ComplianceEngine()

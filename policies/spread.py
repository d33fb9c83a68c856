"""Spread: over how many providers, regions, countries or sub-clusters a service runs at least.

Hard rules, and they add up: of several on one topology the strictest counts.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator

from federation.atlas.data import countries
from federation.atlas.places import Place
from federation.contracts.policy import FleetView, Opinion, Reason, Section, SpreadTerm
from federation.contracts.sections import grouped
from federation.errors import InvalidInput
from federation.model.meta import Int, Value
from federation.model.quantity import Share

Topology = Literal["provider", "region", "country", "subcluster"]
PLURAL = {"provider": "providers", "region": "regions", "country": "countries", "subcluster": "sub-clusters"}


class SpreadSection(Value):
    """`topology`: what a domain is (a provider is a cloud, whatever drives it). `min_domains`: in how many the service
    runs at least. `max_share`: which share of its replicas runs in one at most."""

    topology: Topology
    min_domains: Annotated[Int, Field(ge=1, le=1000)] | None = None
    max_share: Annotated[Share, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> SpreadSection:
        if self.min_domains is None and self.max_share is None:
            raise ValueError("says nothing; give minDomains, maxShare or both")
        if self.topology == "country" and (self.min_domains or 0) > len(countries()):
            raise ValueError(f"minDomains: there are no {self.min_domains} countries, only {len(countries())}")
        return self


class SpreadEngine:
    """Asks the planner to divide services, and denies those that can't be divided so."""

    name = "spread"
    section = "spread"
    schema: type[BaseModel] = SpreadSection

    def opine(self, view: FleetView) -> Opinion:
        """One term per topology, the rules of several sections on one service taken together; denied are services
        with too few replicas, and sub-clusters whose domain is unknown."""
        denied = np.zeros((len(view.services), len(view.subclusters)), dtype=bool)
        rows: dict[str, list[tuple[int, int, float]]] = {}
        domains: dict[str, list[int]] = {}
        for sections, services in grouped(view, self.name):
            for topology, (least, most) in _rules(sections).items():
                domain = domains.setdefault(topology, _domains(view, topology))
                for service in services:
                    replicas = view.services[service].spec.replicas
                    if replicas == 0:
                        continue
                    denied[service] |= np.array(domain) < 0 if _too_few(replicas, least, most) is None else True
                    rows.setdefault(topology, []).append((service, least, most))
        terms = tuple(_term(topology, sorted(rows[topology]), domains[topology]) for topology in sorted(rows))
        return Opinion(denied=denied, spread=terms)

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Too few replicas, or an unknown domain, by topology."""
        every = view.sections.get(self.name, ())
        sections = every[service] if every else ()
        replicas = view.services[service].spec.replicas
        found = []
        for topology, (least, most) in sorted(_rules(sections).items()):
            origin = _origin(sections, topology)
            needed = _too_few(replicas, least, most) if replicas else None
            if needed is not None:
                asks = [f"at least {least} {PLURAL[topology]}"] if least > 1 else []
                asks += [f"at most {most:.0%} in one {_one(topology)}"] if most < 1 else []
                text = f"spread asks for {' and '.join(asks)}, {replicas} replicas are too few: give it {needed}"
                found.append(Reason("TooFewReplicas", "of no use to so few replicas", text, origin))
            elif (
                replicas
                and _domain(view.subclusters[subcluster].metadata.name, view.places[subcluster], topology) is None
            ):
                text = f"its {_one(topology)} is unknown, and spread goes by {PLURAL[topology]}; state spec.region"
                found.append(Reason("DomainUnknown", f"in an unknown {_one(topology)}", text, origin))
        return tuple(found)

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Nothing: of several rules on one topology the strictest counts."""
        del sections
        return ()


def _value(section: Section) -> SpreadSection:
    if not isinstance(section.value, SpreadSection):
        raise InvalidInput(f"{section.origin}: not a spread section")
    return section.value


def _one(topology: str) -> str:
    return "sub-cluster" if topology == "subcluster" else topology


def _rules(sections: tuple[Section, ...]) -> dict[str, tuple[int, float]]:
    """Topology to the strictest minimum of domains and share."""
    rules: dict[str, tuple[int, float]] = {}
    for section in sections:
        value = _value(section)
        least, most = rules.get(value.topology, (1, 1.0))
        rules[value.topology] = (
            max(least, value.min_domains or 1),
            min(most, 1.0 if value.max_share is None else value.max_share),
        )
    return rules


def _origin(sections: tuple[Section, ...], topology: str) -> str:
    return " and ".join(sorted({s.origin for s in sections if _value(s).topology == topology}))


def _too_few(replicas: int, least: int, most: float) -> int | None:
    """How many replicas the rule needs if so many can't keep it; None when they can."""
    if replicas >= least and int(most * replicas + 1e-9) >= 1:
        return None
    return max(least, ceil(1.0 / most - 1e-9))


def _domain(name: str, place: Place, topology: str) -> str | None:
    named = {"provider": place.cloud, "region": place.region, "country": place.country, "subcluster": name}
    return named[topology]


def _domains(view: FleetView, topology: str) -> list[int]:
    """Each sub-cluster's domain, numbered by name; -1 where unknown."""
    names = [
        _domain(subcluster.metadata.name, place, topology)
        for subcluster, place in zip(view.subclusters, view.places, strict=True)
    ]
    number = {name: index for index, name in enumerate(sorted({name for name in names if name is not None}))}
    return [-1 if name is None else number[name] for name in names]


def _term(topology: str, rows: list[tuple[int, int, float]], domain: list[int]) -> SpreadTerm:
    return SpreadTerm(
        topology=topology,
        services=np.array([service for service, _, _ in rows], dtype=np.int64),
        min_domains=np.array([least for _, least, _ in rows], dtype=np.int64),
        max_share=np.array([most for _, _, most in rows], dtype=np.float64),
        domain=np.array(domain, dtype=np.int64),
    )


ENGINE = SpreadEngine()

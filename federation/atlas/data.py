"""The atlas's data files, parsed once, when first asked for.

Each row names its source and the date for which it holds (`as_of`). City coordinates are degrees, rounded; a country's
point is its main centre of population or network, good for an estimate of distance only.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

ONPREM = "onprem"


@dataclass(frozen=True, slots=True)
class Region:
    """A cloud's region. `operator` differs from the cloud's own where another company runs the ground (China)."""

    name: str
    cloud: str
    country: str
    city: str
    latitude: float
    longitude: float
    operator: str
    operator_country: str


@dataclass(frozen=True, slots=True)
class Country:
    """`continent`: AF, AN, AS, EU, NA, OC or SA; `point` is the place whose coordinates stand for the country."""

    code: str
    name: str
    continent: str
    latitude: float
    longitude: float
    point: str


@dataclass(frozen=True, slots=True)
class Operator:
    """The company behind a cloud, and the country whose law it answers to."""

    name: str
    country: str


def rows(name: str) -> list[dict[str, str]]:
    """The rows of the data file `name`, each column as text."""
    from importlib.resources import files

    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), strict=True))


@cache
def regions() -> Mapping[str, Region]:
    """Regions by name; names are unique across the clouds."""
    return {
        row["name"]: Region(
            row["name"],
            row["cloud"],
            row["country"],
            row["city"],
            float(row["latitude"]),
            float(row["longitude"]),
            row["operator"] or operators()[row["cloud"]].name,
            row["operator_country"] or operators()[row["cloud"]].country,
        )
        for row in rows("regions.csv")
    }


@cache
def countries() -> Mapping[str, Country]:
    """All ISO 3166-1 countries by alpha-2 code."""
    return {
        row["code"]: Country(
            row["code"],
            row["name"],
            row["continent"],
            float(row["latitude"]),
            float(row["longitude"]),
            row["point"],
        )
        for row in rows("countries.csv")
    }


@cache
def jurisdictions() -> Mapping[str, frozenset[str]]:
    """Member countries by jurisdiction code."""
    return {row["code"]: frozenset(row["members"].split()) for row in rows("jurisdictions.csv")}


@cache
def operators() -> Mapping[str, Operator]:
    """Who operates a cloud, by cloud."""
    return {row["cloud"]: Operator(row["operator"], row["country"]) for row in rows("operators.csv")}


@cache
def tariffs() -> Mapping[tuple[str, str, str], float]:
    """USD per GiB by (cloud, continent, relation); the continent `*` stands for all that have no row of their own."""
    return {(row["cloud"], row["continent"], row["relation"]): float(row["usd_per_gib"]) for row in rows("tariffs.csv")}

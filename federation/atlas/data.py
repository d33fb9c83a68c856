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
    """A cloud's region. `operator` differs from the cloud's own where another company runs the ground (China, S3NS); a
    company that belongs to another answers to that one's country as well, and to be safe has its `operator_country`.
    `partition`: None, or the part of a cloud that has accounts and networks of its own (China, GovCloud, sovereign)."""

    name: str
    cloud: str
    partition: str | None
    country: str
    city: str
    latitude: float
    longitude: float
    operator: str
    operator_country: str
    source: str
    as_of: str

    @property
    def full_name(self) -> str:
        """`cloud/name`, which is unique."""
        return f"{self.cloud}/{self.name}"


@dataclass(frozen=True, slots=True)
class Country:
    """`continent`: AF, AN, AS, EU, NA, OC or SA; `point` is the place whose coordinates stand for the country."""

    code: str
    name: str
    continent: str
    latitude: float
    longitude: float
    point: str
    source: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """Countries that a rule can name together, by ISO 3166-1 alpha-2 code."""

    code: str
    name: str
    members: frozenset[str]
    source: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Operator:
    """The company behind a cloud, and the country whose law it answers to. `regions`: how many of the cloud's regions
    the atlas has: all, some or none; only where it has all is a name that it does not know a mistake."""

    cloud: str
    name: str
    country: str
    regions: str
    source: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a cloud asks for a GiB that leaves, in USD. `sender`: the region or continent that it leaves, or `*` for all
    that have no row of their own; `relation`: how far it goes (see `transfer.relation`)."""

    cloud: str
    sender: str
    relation: str
    usd_per_gib: float
    source: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Instance:
    """The size of a cloud's machines of one type. Of types that share a core, the part of it that is theirs."""

    type: str
    cloud: str
    cpu_cores: float
    memory_gib: float
    source: str
    as_of: str


def rows(name: str) -> list[dict[str, str]]:
    """The rows of the data file `name`, each column as text."""
    from importlib.resources import files

    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), strict=True))


@cache
def regions() -> Mapping[tuple[str, str], Region]:
    """Regions by (cloud, name), in the order of the file: aws, azure, gcp, then the others by name."""
    return {
        (row["cloud"], row["name"]): Region(
            row["name"],
            row["cloud"],
            row["partition"] or None,
            row["country"],
            row["city"],
            float(row["latitude"]),
            float(row["longitude"]),
            row["operator"] or operators()[row["cloud"]].name,
            row["operator_country"] or operators()[row["cloud"]].country,
            row["source"],
            row["as_of"],
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
            row["source"],
            row["as_of"],
        )
        for row in rows("countries.csv")
    }


@cache
def jurisdictions() -> Mapping[str, Jurisdiction]:
    """Jurisdictions by code."""
    return {
        row["code"]: Jurisdiction(
            row["code"], row["name"], frozenset(row["members"].split()), row["source"], row["as_of"]
        )
        for row in rows("jurisdictions.csv")
    }


@cache
def operators() -> Mapping[str, Operator]:
    """Who operates a cloud, by cloud."""
    return {
        row["cloud"]: Operator(
            row["cloud"], row["operator"], row["country"], row["regions"], row["source"], row["as_of"]
        )
        for row in rows("operators.csv")
    }


@cache
def complete_clouds() -> frozenset[str]:
    """The clouds of which the atlas has all regions."""
    return frozenset(operator.cloud for operator in operators().values() if operator.regions == "all")


@cache
def tariffs() -> Mapping[tuple[str, str, str], Tariff]:
    """Tariffs by (cloud, sender, relation)."""
    return {
        (row["cloud"], row["sender"], row["relation"]): Tariff(
            row["cloud"],
            row["sender"],
            row["relation"],
            float(row["usd_per_gib"]),
            row["source"],
            row["as_of"],
        )
        for row in rows("tariffs.csv")
    }


@cache
def instances() -> Mapping[tuple[str, str], Instance]:
    """Instance types by (cloud, type). Of aws all that are no bare metal, of azure and gcp the common ones."""
    return {
        (row["cloud"], row["type"]): Instance(
            row["type"],
            row["cloud"],
            float(row["cpu_cores"]),
            float(row["memory_gib"]),
            row["source"],
            row["as_of"],
        )
        for row in rows("instances.csv")
    }

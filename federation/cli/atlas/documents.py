"""The atlas's facts as JSON-like data: snake_case, units in names, each with its source and date."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from federation.atlas import data
from federation.atlas.lookup import jurisdictions_of, short_name
from federation.atlas.transfer import ANYWHERE, OTHER

Document = dict[str, Any]


def region(found: data.Region) -> Document:
    """A region, and the jurisdictions of its country."""
    document = {name: value for name, value in asdict(found).items() if name not in ("source", "as_of")}
    document["jurisdictions"] = list(jurisdictions_of(found.country))
    return {**document, "source": found.source, "as_of": found.as_of}


def country(found: data.Country) -> Document:
    """A country, its jurisdictions, and the regions there by the name that finds them."""
    document = {name: value for name, value in asdict(found).items() if name not in ("source", "as_of")}
    document["jurisdictions"] = list(jurisdictions_of(found.code))
    document["regions"] = [short_name(one) for one in data.regions().values() if one.country == found.code]
    return {**document, "source": found.source, "as_of": found.as_of}


def jurisdiction(found: data.Jurisdiction) -> Document:
    """A jurisdiction, its members in order."""
    return {**asdict(found), "members": sorted(found.members)}


def cloud(found: data.Operator) -> Document:
    """Who operates a cloud; how many of its regions are known, and whether these are all or some; whether its transfer
    has prices of its own or assumed ones."""
    own = (found.cloud, ANYWHERE, "internet") in data.tariffs()
    return {
        "cloud": found.cloud,
        "operator": found.name,
        "country": found.country,
        "regions": sum(one.cloud == found.cloud for one in data.regions().values()),
        "coverage": found.regions,
        "tariff": found.cloud if own else OTHER,
        "source": found.source,
        "as_of": found.as_of,
    }


def tariff(found: data.Tariff) -> Document:
    """A price, and whether it is an assumed one."""
    document = {name: value for name, value in asdict(found).items() if name not in ("source", "as_of")}
    document["assumed"] = found.cloud in (OTHER, data.ONPREM)
    return {**document, "source": found.source, "as_of": found.as_of}

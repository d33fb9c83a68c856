"""All facts of a kind, in a table or as documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from federation.atlas import data
from federation.atlas.lookup import members, short_name
from federation.atlas.transfer import RELATIONS
from federation.cli.atlas import documents
from federation.cli.output import note, print_json, print_yaml
from federation.cli.table import print_table
from federation.errors import InvalidInput
from federation.model.nearest import suggestion

_SOURCE = {"SOURCE": "source", "AS-OF": "as_of"}
_COLUMNS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "regions": (
        {"NAME": "name", "CLOUD": "cloud", "COUNTRY": "country", "CITY": "city", "OPERATOR": "operator"},
        {"LAW": "operator_country", "PARTITION": "partition", "AT": "at", **_SOURCE},
    ),
    "clouds": (
        {"CLOUD": "cloud", "OPERATOR": "operator", "LAW": "country", "REGIONS": "regions", "KNOWN": "coverage"},
        {"TARIFF": "tariff", **_SOURCE},
    ),
    "jurisdictions": ({"CODE": "code", "COUNTRIES": "count", "NAME": "name"}, {"MEMBERS": "members", **_SOURCE}),
    "countries": (
        {"CODE": "code", "NAME": "name", "CONTINENT": "continent", "JURISDICTIONS": "jurisdictions"},
        {"POINT": "point", "AT": "at", **_SOURCE},
    ),
    "tariffs": (
        {
            "CLOUD": "cloud",
            "SENDER": "sender",
            "ZONE": "same_zone",
            "REGION": "same_region",
            "CONTINENT": "same_continent",
            "OTHER": "other_continent",
            "INTERNET": "internet",
        },
        _SOURCE,
    ),
}
"""Titles and fields: of every table, and of a wide one only."""


def show_list(subject: str, *, cloud: str | None, country: str | None, within: str | None, output: str) -> None:
    """Print them. Raises: InvalidInput for a filter by something that nobody knows."""
    if cloud is not None and cloud not in _known(subject):
        raise InvalidInput(f"--cloud: unknown cloud {cloud!r}; {suggestion(cloud, _known(subject))}")
    found = _documents(subject, cloud, _countries(country, within))
    if not found and output in ("table", "wide"):
        where = f" in {country or within}" if country or within else ""
        note(f"The atlas has no {subject}{f' of {cloud}' if cloud else ''}{where}.")
    elif output == "name":
        for one in found:
            print(name_of(subject, one))
    elif output == "json":
        print_json(found)
    elif output == "yaml":
        print_yaml(found)
    else:
        rows = _by_sender(found) if subject == "tariffs" else found
        usual, more = _COLUMNS[subject]
        columns = {**usual, **(more if output == "wide" else {})}
        print_table(list(columns), [[cell(row, field) for field in columns.values()] for row in rows], wrap=True)


def name_of(subject: str, document: Mapping[str, Any]) -> str:
    """`region/eu-central-1`, by which `roam atlas` finds it again."""
    if subject == "regions":
        return f"region/{short_name(data.regions()[document['cloud'], document['name']])}"
    if subject == "tariffs":
        return f"tariff/{document['cloud']}/{document['sender']}/{document['relation']}"
    if subject == "clouds":
        return f"cloud/{document['cloud']}"
    return f"{'country' if subject == 'countries' else 'jurisdiction'}/{document['code']}"


def cell(row: Mapping[str, Any], field: str) -> str:
    """A field as people read it."""
    if field == "count":
        return str(len(row["members"]))
    if field == "at":
        return f"{row['latitude']:.2f}, {row['longitude']:.2f}"
    value = row.get(field)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _known(subject: str) -> Sequence[str]:
    return list(dict.fromkeys(key[0] for key in (data.tariffs() if subject == "tariffs" else data.regions())))


def _countries(country: str | None, within: str | None) -> frozenset[str] | None:
    """The countries that both filters leave; None for all. Raises: InvalidInput."""
    found = None
    for option, code in (("--country", country), ("--in", within)):
        if code is None:
            continue
        if option == "--country" and code in data.jurisdictions() and code not in data.countries():
            raise InvalidInput(f"--country: {code} is a jurisdiction; write --in {code}")
        try:
            these = members(code)
        except InvalidInput as error:
            raise InvalidInput(f"{option}: {error.message}") from error
        found = these if found is None else found & these
    return found


def _documents(subject: str, cloud: str | None, countries: frozenset[str] | None) -> list[documents.Document]:
    if subject == "regions":
        return [
            documents.region(one)
            for one in data.regions().values()
            if cloud in (None, one.cloud) and (countries is None or one.country in countries)
        ]
    if subject == "countries":
        return [
            documents.country(one) for one in data.countries().values() if countries is None or one.code in countries
        ]
    if subject == "jurisdictions":
        return [documents.jurisdiction(one) for one in data.jurisdictions().values()]
    if subject == "clouds":
        return [documents.cloud(one) for one in data.operators().values()]
    return [documents.tariff(one) for one in data.tariffs().values() if cloud in (None, one.cloud)]


def _by_sender(tariffs: Iterable[documents.Document]) -> list[documents.Document]:
    """A row for each cloud and sender, a field for each relation; `-` where the cloud's `*` holds."""
    rows: dict[tuple[str, str], documents.Document] = {}
    for one in tariffs:
        row = rows.setdefault((one["cloud"], one["sender"]), {**one, **dict.fromkeys(RELATIONS, "-")})
        row[one["relation"]] = one["usd_per_gib"]
    return list(rows.values())

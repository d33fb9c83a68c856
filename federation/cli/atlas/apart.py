"""How far two places are apart, how long a packet takes, and what a GiB costs each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from federation.atlas import data
from federation.atlas.distance import distance_km, latency_ms, measured_ms
from federation.atlas.lookup import country_place, place_of, region_place, regions_named
from federation.atlas.places import Place
from federation.atlas.transfer import ANYWHERE, OTHER, relation, tariff
from federation.cli.atlas import documents
from federation.cli.atlas.lists import cell
from federation.cli.atlas.pages import region_named
from federation.cli.output import print_json, print_yaml
from federation.cli.sheet import Sheet
from federation.errors import NotFound
from federation.model.nearest import nearest

_RELATIONS = {
    "same_region": "another zone of the region",
    "same_continent": "the same continent",
    "other_continent": "another continent",
    "internet": "the internet",
}


def show_distance(names: Sequence[str], files: Sequence[str], output: str) -> None:
    """Print it. Raises: NotFound for a place that nobody knows; InvalidInput."""
    fleet = _fleet(files) if files else {}
    first, second = (_place(name, fleet) for name in names)
    found = _document(names, first, second)
    if output == "json":
        print_json(found)
    elif output == "yaml":
        print_yaml([found])
    else:
        _show(found, wide=output == "wide")


def _fleet(files: Sequence[str]) -> Mapping[str, Place]:
    """The places of the sub-clusters in files, by name. Raises: InvalidInput."""
    from federation.app import provider, schemas
    from federation.intake.loading import load
    from federation.model.subcluster import SubCluster

    resources = load(files, schemas()).resources
    return {
        one.metadata.name: place_of(one.spec, provider(one.spec.provider).cloud)
        for one in resources
        if isinstance(one, SubCluster)
    }


def _place(name: str, fleet: Mapping[str, Place]) -> Place:
    if name in fleet:
        return fleet[name]
    if name in data.countries():
        return country_place(name)
    if "/" in name or regions_named(name):
        region_named(name)
        return region_place(name)
    codes = {one.name: one.code for one in data.countries().values()}
    close = [codes[one] for one in nearest(name, codes)]
    close = close or list(nearest(name, [*fleet, *(region for _, region in data.regions())], 3))
    hint = f"did you mean {' or '.join(close)}?" if close else "write for instance eu-central-1 or DE"
    what = "no sub-cluster of the files, no region" if fleet else "no region"
    raise NotFound(f"{what} and no country is called {name!r}; {hint}")


def _document(names: Sequence[str], a: Place, b: Place) -> dict[str, Any]:
    measured, latency, distance = measured_ms(a, b), latency_ms(a, b), distance_km(a, b)
    how = "measured" if measured is not None else "estimated"
    ways = [(names[0], names[1], tariff(a, b)), (names[1], names[0], tariff(b, a))]
    document: dict[str, Any] = {
        "from": _end(names[0], a),
        "to": _end(names[1], b),
        "distance_km": None if distance is None else round(distance, 1),
        "latency_ms": None if latency is None else round(latency, 2),
        "latency_is": None if latency is None else how,
        "transfer": [
            {"from": sender, "to": receiver, **documents.tariff(price)}
            for sender, receiver, price in (ways if a != b else ways[:1])
        ],
    }
    if relation(a, b) == "same_region":
        inside = data.tariffs().get((a.cloud, ANYWHERE, "same_zone")) or data.tariffs()[OTHER, ANYWHERE, "same_zone"]
        document["within_zone_usd_per_gib"] = inside.usd_per_gib
    return document


def _end(name: str, place: Place) -> dict[str, Any]:
    return {
        "name": name,
        "region": place.region,
        "cloud": place.cloud,
        "country": place.country,
        "latitude": place.latitude,
        "longitude": place.longitude,
    }


def _show(found: Mapping[str, Any], *, wide: bool) -> None:
    sheet = Sheet()
    sheet.field("From", _end_text(found["from"]))
    sheet.field("To", _end_text(found["to"]))
    distance, latency = found["distance_km"], found["latency_ms"]
    sheet.field("Distance", "<unknown>" if distance is None else f"{distance:,.0f} km")
    sheet.field("Round trip", "<unknown>" if latency is None else f"{latency:.1f} ms, {found['latency_is']}")
    sheet.heading("Transfer", "list prices, USD per GiB")
    titles = ["FROM", "TO", "USD/GIB", "OVER", "RULE", *(["SOURCE", "AS-OF"] if wide else [])]
    sheet.table(titles, [_row(one, wide=wide) for one in found["transfer"]])
    if "within_zone_usd_per_gib" in found:
        sheet.line(f"Within one zone of it: {found['within_zone_usd_per_gib']:g} USD per GiB.")


def _row(one: Mapping[str, Any], *, wide: bool) -> list[str]:
    sender = "" if one["sender"] == ANYWHERE else f" from {one['sender']}"
    rule = f"{one['cloud']}{sender}" + (", assumed" if one["assumed"] else "")
    row = [one["from"], one["to"], cell(one, "usd_per_gib"), _RELATIONS[one["relation"]], rule]
    return [*row, *([one["source"], one["as_of"]] if wide else [])]


def _end_text(end: Mapping[str, Any]) -> str:
    if end["region"] is None:
        where = "no cloud" if end["cloud"] == data.ONPREM else end["cloud"]
        return f"{end['name']} ({end['country'] or 'country unknown'}, {where})"
    region = "" if end["region"] == end["name"] or end["name"].endswith(f"/{end['region']}") else f"{end['region']}, "
    return f"{end['name']} ({region}{end['cloud']}, {end['country'] or 'country unknown'})"

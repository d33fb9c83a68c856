"""All about one fact, on a page or as a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from federation.atlas import data
from federation.atlas.lookup import country_place, find_region, members, regions_named
from federation.cli.atlas import documents
from federation.cli.atlas.lists import cell, name_of
from federation.cli.output import print_json, print_yaml
from federation.cli.sheet import Sheet
from federation.errors import InvalidInput, NotFound
from federation.model.nearest import suggestion

Document = documents.Document


def show_pages(subject: str, names: Sequence[str], output: str) -> None:
    """Print each. Raises: NotFound with the nearest names."""
    find, show = _OF[subject]
    found = [find(name) for name in names]
    if output == "name":
        for one in found:
            print(name_of(subject, one))
    elif output == "json":
        print_json(found[0] if len(found) == 1 else found)
    elif output == "yaml":
        print_yaml(found)
    else:
        for number, one in enumerate(found):
            if number:
                print("\n")
            sheet = Sheet()
            show(sheet, one)


def region_named(name: str) -> data.Region:
    """As `find_region`. Raises: NotFound for one that no cloud has; InvalidInput for one that several have."""
    try:
        return find_region(name)
    except InvalidInput as error:
        if regions_named(name):
            raise
        raise NotFound(error.message) from error


def _country(code: str) -> Document:
    try:
        country_place(code)
    except InvalidInput as error:
        several = code in data.jurisdictions() and len(members(code)) > 1
        hint = f"{code} is a jurisdiction, not a country: roam atlas jurisdiction {code}"
        raise NotFound(hint if several else error.message) from error
    return documents.country(data.countries()[code])


def _jurisdiction(code: str) -> Document:
    found = data.jurisdictions().get(code)
    if found is not None:
        return documents.jurisdiction(found)
    if code in data.countries():
        raise NotFound(f"{code} is a country, not a jurisdiction: roam atlas country {code}")
    raise NotFound(f"unknown jurisdiction {code!r}; {suggestion(code, data.jurisdictions())}")


def _cloud(name: str) -> Document:
    found = data.operators().get(name)
    if found is None:
        raise NotFound(f"unknown cloud {name!r}; {suggestion(name, data.operators())}")
    return documents.cloud(found)


def _show_region(sheet: Sheet, one: Document) -> None:
    sheet.field("Region", one["name"])
    sheet.field("Cloud", one["cloud"])
    sheet.field("Partition", one["partition"])
    sheet.field("City", one["city"])
    sheet.field("Country", _named(one["country"]))
    sheet.field("Coordinates", cell(one, "at"))
    sheet.field("Operator", f"{one['operator']}, under the law of {_named(one['operator_country'])}")
    sheet.field("Jurisdictions", ", ".join(one["jurisdictions"]) or "<none>")
    _show_source(sheet, one)


def _show_country(sheet: Sheet, one: Document) -> None:
    sheet.field("Country", one["code"])
    sheet.field("Name", one["name"])
    sheet.field("Continent", one["continent"])
    sheet.field("Users", f"taken to be in {one['point']}: {cell(one, 'at')}")
    sheet.field("Jurisdictions", ", ".join(one["jurisdictions"]) or "<none>")
    sheet.field("Regions", ", ".join(one["regions"]) or "<none>")
    _show_source(sheet, one)


def _show_jurisdiction(sheet: Sheet, one: Document) -> None:
    sheet.field("Jurisdiction", one["code"])
    sheet.field("Name", one["name"])
    _show_source(sheet, one)
    sheet.heading("Members", f"{len(one['members'])} countries" if len(one["members"]) > 1 else "one country")
    standing = [region.country for region in data.regions().values()]
    sheet.table(
        ("CODE", "NAME", "REGIONS"),
        [(code, data.countries()[code].name, str(standing.count(code) or "")) for code in one["members"]],
    )


def _show_cloud(sheet: Sheet, one: Document) -> None:
    sheet.field("Cloud", one["cloud"])
    sheet.field("Operator", f"{one['operator']}, under the law of {_named(one['country'])}")
    known = {"all": "all of them", "some": "the common ones", "none": "none are listed"}[one["coverage"]]
    sheet.field("Regions", f"{one['regions']}, {known}")
    sheet.field("Tariff", "of its own" if one["tariff"] == one["cloud"] else "none of its own: the assumed one")
    _show_source(sheet, one)


def _show_source(sheet: Sheet, one: Document) -> None:
    sheet.field("Source", f"{one['source']}, as of {one['as_of']}")


def _named(code: str) -> str:
    return f"{code} ({data.countries()[code].name})"


_OF: dict[str, tuple[Callable[[str], Document], Callable[[Sheet, Document], None]]] = {
    "regions": (lambda name: documents.region(region_named(name)), _show_region),
    "countries": (_country, _show_country),
    "jurisdictions": (_jurisdiction, _show_jurisdiction),
    "clouds": (_cloud, _show_cloud),
}

"""Instance types: their size, and what they cost in which region by the price file, with its age and its doubts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from federation.atlas import data
from federation.atlas.lookup import short_name
from federation.atlas.prices import Price, Prices, bundled
from federation.cli import clock
from federation.cli.atlas.lists import cell
from federation.cli.atlas.pages import region_named
from federation.cli.output import note, print_json, print_yaml
from federation.cli.sheet import Sheet
from federation.cli.table import print_table
from federation.errors import InvalidInput, NotFound
from federation.model.nearest import suggestion
from federation.model.offers import PRICE_LIMIT_S

Document = dict[str, Any]
_UNKNOWN = "<unknown>"
_DAY_S = 86400.0


def show_instances(names: Sequence[str], *, cloud: str | None, region: str | None, output: str) -> None:
    """Print the types of those names, or all of a cloud or region. Raises: NotFound; InvalidInput."""
    there = None if region is None else region_named(region)
    if cloud is not None and cloud not in _clouds():
        raise InvalidInput(f"--cloud: the atlas has no instance types of {cloud!r}; {suggestion(cloud, _clouds())}")
    if there is not None and cloud not in (None, there.cloud):
        raise InvalidInput(f"--region: {there.name} is a region of {there.cloud}, not of {cloud}")
    prices, cloud = bundled(), there.cloud if there is not None else cloud
    found = [_find(name, cloud) for name in names] or [
        one for one in data.instances().values() if cloud in (None, one.cloud)
    ]
    if output == "name":
        for one in found:
            print(f"instance/{one.type}")
    elif output in ("json", "yaml"):
        shown = [_document(one, _regions(one, there), prices) for one in found]
        print_yaml(shown) if output == "yaml" else print_json(shown[0] if len(names) == 1 else shown)
    elif names:
        for number, one in enumerate(found):
            if number:
                print("\n")
            _show_page(_document(one, _regions(one, there), prices), prices)
    else:
        _show_list(found, there, prices, wide=output == "wide")


def _clouds() -> list[str]:
    return list(dict.fromkeys(cloud for cloud, _ in data.instances()))


def _find(name: str, cloud: str | None) -> data.Instance:
    known = {one.type: one for one in data.instances().values() if cloud in (None, one.cloud)}
    if name not in known:
        where = f" of {cloud}" if cloud else ""
        raise NotFound(f"unknown instance type {name!r}{where}; {suggestion(name, known)}")
    return known[name]


def _regions(one: data.Instance, there: data.Region | None) -> list[data.Region]:
    return [each for each in data.regions().values() if each.cloud == one.cloud and there in (None, each)]


def _document(one: data.Instance, regions: Iterable[data.Region], prices: Prices | None) -> Document:
    """A type with its prices by region; of all regions, those that are known."""
    return {
        "type": one.type,
        "cloud": one.cloud,
        "cpu_cores": one.cpu_cores,
        "memory_gib": one.memory_gib,
        "source": one.source,
        "as_of": one.as_of,
        "prices": [found for region in regions if (found := _price(one, region, prices)) is not None],
    }


def _price(one: data.Instance, region: data.Region, prices: Prices | None) -> Document | None:
    """What it costs there; None where nothing is known."""
    on_demand, spot = (
        prices.machine(one.cloud, region.name, one.type, spot=each) if prices else None for each in (False, True)
    )
    known = [price for price in (on_demand, spot) if price is not None]
    if not known:
        return None
    return {
        "region": short_name(region),
        "country": region.country,
        "usd_per_hour": _usd(on_demand),
        "spot_usd_per_hour": _usd(spot),
        "doubt": "; ".join(dict.fromkeys(price.doubt for price in known if price.doubt)),
        "source": known[0].origin,
        "as_of": known[0].as_of.isoformat(),
        "age_days": _age_days(known[0]),
        "outdated": _age_days(known[0]) * _DAY_S > PRICE_LIMIT_S,
    }


def _usd(price: Price | None) -> float | None:
    return None if price is None else price.usd_per_hour


def _age_days(price: Price) -> int:
    return price.age_days(datetime.fromtimestamp(clock.now(), UTC).date())


def _origin(prices: Prices | None) -> str:
    """Where prices are from and how old they are."""
    if prices is None:
        return "unknown: no price file is installed (pip install 'roam-federation[libcloud]')"
    if not prices.all:
        return "unknown: the price file has none"
    days = _age_days(prices.all[0])
    old = f", older than {PRICE_LIMIT_S / _DAY_S:.0f} days" if days * _DAY_S > PRICE_LIMIT_S else ""
    return f"USD per hour by {prices.all[0].origin}, as of {prices.as_of}: {days} days old{old}"


def _show_page(one: Document, prices: Prices | None) -> None:
    sheet = Sheet()
    sheet.field("Instance", one["type"])
    sheet.field("Cloud", one["cloud"])
    sheet.field("Size", f"{one['cpu_cores']:g} CPU, {one['memory_gib']:g} GiB")
    sheet.field("Source", f"{one['source']}, as of {one['as_of']}")
    sheet.heading("Prices", _origin(prices) if one["prices"] or prices is None else "unknown")
    rows = [
        [each["region"], each["country"], *(_shown(each[name]) for name in _PRICES), each["doubt"]]
        for each in one["prices"]
    ]
    if rows:
        sheet.table(("REGION", "COUNTRY", "USD/H", "SPOT", "DOUBT"), rows)


_PRICES = ("usd_per_hour", "spot_usd_per_hour")


def _shown(usd: float | None) -> str:
    return _UNKNOWN if usd is None else f"{usd:.6g}"


def _show_list(found: Sequence[data.Instance], there: data.Region | None, prices: Prices | None, *, wide: bool) -> None:
    known = [_price(one, there, prices) or {} if there else {} for one in found]
    doubts = any(price.get("doubt") for price in known)
    titles = ["TYPE", "CLOUD", "CPU", "MEMORY", *(["USD/H", "SPOT"] if there else []), *(["DOUBT"] if doubts else [])]
    rows = []
    for one, price in zip(found, known, strict=True):
        row = [one.type, one.cloud, f"{one.cpu_cores:g}", f"{one.memory_gib:g}Gi"]
        row += [_shown(price.get(name)) for name in _PRICES] if there else []
        row += [cell(price, "doubt")] if doubts else []
        rows.append([*row, *([one.source, one.as_of] if wide else [])])
    print_table([*titles, *(["SOURCE", "AS-OF"] if wide else [])], rows, wrap=True)
    if there is not None:
        note(f"Prices in {there.name}: {_origin(prices)}.")

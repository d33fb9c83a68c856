"""What machines cost by the price file that comes with Apache Libcloud: for where a provider can't be asked.

The file is part of the extra `libcloud` and is read only where that is installed; nothing of libcloud is imported. It
covers Linux machines of aws and azure, and cores and memory of gcp's families, all on demand. It is as old as it says
(`as_of`), it has gaps, and a zero there means unknown, never free.
Source: libcloud/data/pricing.json of Apache Libcloud.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from statistics import median
from typing import Any, Literal

from federation.atlas import data
from federation.errors import InvalidInput

ORIGIN = "the price file of Apache Libcloud"
FAR_OFF = 10.0
"""A price so many times its neighbours', or such a part of theirs, is taken for a mistake."""
_FEWEST = 3
"""So many neighbours it takes to tell."""
_TABLES = {"aws": "ec2_linux", "azure": "azure_linux"}
_WHOLE = {"f1": "f1-micro", "g1": "g1-small"}
"""Families of gcp with one machine, priced as a whole."""
_SIZES = {"nano": 1 / 32, "micro": 1 / 16, "small": 1 / 8, "medium": 1 / 4, "large": 1 / 2, "xlarge": 1.0}


@dataclass(frozen=True, slots=True)
class Price:
    """What one `unit` of a shape costs in a region: a machine, or a core or a GiB of memory of a gcp family.
    `usd_per_hour` > 0. `as_of`: the file's date. `doubt`: why it may be a mistake, else empty."""

    cloud: str
    region: str
    shape: str
    unit: Literal["machine", "core", "gib"]
    usd_per_hour: float
    as_of: date
    doubt: str = ""
    origin: str = ORIGIN

    def age_days(self, today: date) -> int:
        """How old it is."""
        return (today - self.as_of).days


@dataclass(frozen=True)
class Prices:
    """All prices that are known, of regions that the atlas has."""

    as_of: date
    all: tuple[Price, ...]
    _found: Mapping[tuple[str, str, str, str], Price] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {(one.cloud, one.region, _plain(one.shape), one.unit): one for one in self.all}
        object.__setattr__(self, "_found", found)

    def machine(self, cloud: str, region: str, shape: str) -> Price | None:
        """Of a machine such as m5.large or Standard_D2s_v3; None where unknown."""
        return self._found.get((cloud, region, _plain(shape), "machine"))

    def family(self, region: str, name: str) -> tuple[Price | None, Price | None]:
        """Of a core and of a GiB of memory in a family of gcp, such as n2; None where unknown."""
        core, gib = (self._found.get(("gcp", region, _plain(name), unit)) for unit in ("core", "gib"))
        return core, gib


@cache
def bundled() -> Prices | None:
    """The prices of the libcloud that is installed; None where none is, or it brings no price file.

    Raises: InvalidInput when the file is not what it was."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("libcloud")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / "pricing.json"
        if path.is_file():
            try:
                return read(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InvalidInput(f"not a price file of libcloud: {type(error).__name__}", file=str(path)) from error
    return None


def read(document: Mapping[str, Any]) -> Prices:
    """The prices in a price file's JSON, doubtful ones marked; ordered as there. Raises: KeyError, TypeError, ..."""
    as_of = datetime.fromtimestamp(document["updated"], UTC).date()
    found = [
        Price(cloud, region, shape, unit, float(usd), as_of)
        for cloud, shape, unit, by_region in _rows(document["compute"])
        for region, usd in by_region.items()
        if float(usd) > 0 and (cloud, region) in data.regions()
    ]
    return Prices(as_of, tuple(_doubted(found)))


def _rows(compute: Mapping[str, Any]) -> Iterator[tuple[str, str, Literal["machine", "core", "gib"], dict[str, Any]]]:
    for cloud, table in _TABLES.items():
        for shape, by_region in compute[table].items():
            yield cloud, shape, "machine", by_region
    units: dict[str, Literal["core", "gib"]] = {"cpu": "core", "ram": "gib"}
    for family, parts in compute["gce_instances"].items():
        if family in _WHOLE:
            yield "gcp", _WHOLE[family], "machine", _on_demand(parts["cpu"])
            continue
        for part, unit in units.items():
            if part in parts:
                yield "gcp", family, unit, _on_demand(parts[part])


def _on_demand(part: Mapping[str, Any]) -> dict[str, Any]:
    return {region: one["price"] for region, one in part.get("on_demand", {}).items()}


def _doubted(prices: Iterable[Price]) -> Iterator[Price]:
    """Each price, compared to the same shape's elsewhere, and to its family's there for the same size."""
    elsewhere: dict[tuple[str, str, str], list[float]] = {}
    beside: dict[tuple[str, str, str], list[float]] = {}
    known = list(prices)
    for one in known:
        elsewhere.setdefault((one.cloud, one.shape, one.unit), []).append(one.usd_per_hour)
        family, size = _family(one)
        if size:
            beside.setdefault((one.cloud, one.region, family), []).append(one.usd_per_hour / size)
    for one in known:
        family, size = _family(one)
        doubt = _far_off(one.usd_per_hour, elsewhere[one.cloud, one.shape, one.unit], "in other regions")
        if size and not doubt:
            doubt = _far_off(one.usd_per_hour / size, beside[one.cloud, one.region, family], "of its family, by size")
        yield replace(one, doubt=doubt) if doubt else one


def _far_off(usd: float, neighbours: list[float], whose: str) -> str:
    """Why a price is doubtful beside these, of which it is one; empty if it is not."""
    if len(neighbours) <= _FEWEST:
        return ""
    ratio = usd / median(neighbours)
    return f"{ratio:.2g} times those {whose}" if ratio >= FAR_OFF or ratio <= 1 / FAR_OFF else ""


def _family(one: Price) -> tuple[str, float | None]:
    """A machine's family, and its size within it where its name tells: a part of an xlarge, or its number of cores."""
    if one.unit != "machine":
        return one.shape, None
    if one.cloud == "aws":
        family, _, size = one.shape.partition(".")
        several = re.fullmatch(r"(\d+)xlarge", size)
        return family, float(several[1]) if several else _SIZES.get(size)
    numbered = re.fullmatch(r"(\D+)(\d+)(\D.*)?", one.shape)
    return (f"{numbered[1]}*{numbered[3] or ''}", float(numbered[2]) or None) if numbered else (one.shape, None)


def _plain(shape: str) -> str:
    """A shape's name as the file writes it: Standard_D2s_v3 is standardd2sv3 there."""
    return re.sub("[-_ ]", "", shape).lower()

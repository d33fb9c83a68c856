"""What machines cost by the price file that comes with Apache Libcloud: for where a provider can't be asked.

The file is part of the extra `libcloud` and is read only where that is installed; nothing of libcloud is imported. It
covers Linux machines of aws and azure on demand, and cores and memory of gcp's families on demand and at spot prices.
It is as old as it says (`as_of`), it has gaps, and a zero there means unknown, never free.
Source: libcloud/data/pricing.json of Apache Libcloud.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from statistics import median
from typing import Any, Literal

from federation.atlas import data
from federation.errors import InvalidInput

ORIGIN = "libcloud's price file"
FAR_OFF = 10.0
"""A price so many times its neighbours', or such a part of theirs, is taken for a mistake."""
_FEWEST = 3
"""So many neighbours it takes to tell."""
_TABLES = {"aws": "ec2_linux", "azure": "azure_linux"}
_WHOLE = {"f1": "f1-micro", "g1": "g1-small"}
"""Families of gcp with one machine, priced as a whole."""
_SIZES = {"nano": 1 / 32, "micro": 1 / 16, "small": 1 / 8, "medium": 1 / 4, "large": 1 / 2, "xlarge": 1.0}

Unit = Literal["machine", "core", "gib"]


@dataclass(frozen=True, slots=True)
class Price:
    """What one `unit` of a shape costs in a region: a machine, or a core or a GiB of memory of a gcp family.
    `usd_per_hour` > 0. `spot`: for a machine that may be taken away. `as_of`: the file's date. `doubt`: why it may be a
    mistake, else empty."""

    cloud: str
    region: str
    shape: str
    unit: Unit
    usd_per_hour: float
    as_of: date
    spot: bool = False
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
    _found: Mapping[tuple[str, str, str, str, bool], Price] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {(one.cloud, one.region, _plain(one.shape), one.unit, one.spot): one for one in self.all}
        object.__setattr__(self, "_found", found)

    def machine(self, cloud: str, region: str, shape: str, *, spot: bool = False) -> Price | None:
        """Of a machine such as m5.large, Standard_D2s_v3 or n2-standard-4; None where unknown."""
        found = self._found.get((cloud, region, _plain(shape), "machine", spot))
        return self._added_up(region, shape, spot=spot) if found is None and cloud == "gcp" else found

    def _added_up(self, region: str, shape: str, *, spot: bool) -> Price | None:
        """Of a machine of a gcp family: its cores and its memory."""
        size = data.instances().get(("gcp", shape))
        family = shape.partition("-")[0]
        core, gib = (self._found.get(("gcp", region, family, unit, spot)) for unit in ("core", "gib"))
        if size is None or core is None or gib is None:
            return None
        usd = size.cpu_cores * core.usd_per_hour + size.memory_gib * gib.usd_per_hour
        doubt = "; ".join(f"its {one.unit} price is {one.doubt}" for one in (core, gib) if one.doubt)
        return replace(core, shape=shape, unit="machine", usd_per_hour=round(usd, 9), doubt=doubt)


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
        Price(cloud, region, shape, unit, float(usd), as_of, spot)
        for cloud, shape, unit, spot, by_region in _rows(document["compute"])
        for region, usd in by_region.items()
        if float(usd) > 0 and (cloud, region) in data.regions()
    ]
    return Prices(as_of, tuple(_doubted(found)))


def _rows(compute: Mapping[str, Any]) -> Iterator[tuple[str, str, Unit, bool, dict[str, Any]]]:
    for cloud, table in _TABLES.items():
        for shape, by_region in compute[table].items():
            yield cloud, shape, "machine", False, by_region
    units: dict[str, Unit] = {"cpu": "core", "ram": "gib"}
    for family, parts in compute["gce_instances"].items():
        for part, unit in units.items():
            for name, spot in (("on_demand", False), ("preemptible", True)) if part in parts else ():
                by_region = {region: one["price"] for region, one in parts[part].get(name, {}).items()}
                if family not in _WHOLE:
                    yield "gcp", family, unit, spot, by_region
                elif part == "cpu":
                    yield "gcp", _WHOLE[family], "machine", spot, by_region


def _doubted(prices: Iterable[Price]) -> Iterator[Price]:
    """Each price, compared to the same shape's elsewhere, and to its family's there for the same size."""
    elsewhere: dict[tuple[str, str, str, bool], list[float]] = {}
    beside: dict[tuple[str, str, str, bool], list[float]] = {}
    known = list(prices)
    for one in known:
        elsewhere.setdefault((one.cloud, one.shape, one.unit, one.spot), []).append(one.usd_per_hour)
        family, size = _family(one)
        if size:
            beside.setdefault((one.cloud, one.region, family, one.spot), []).append(one.usd_per_hour / size)
    usual = {name: usual_of(each) for name, each in elsewhere.items()}
    by_size = {name: usual_of(each) for name, each in beside.items()}
    for one in known:
        family, size = _family(one)
        doubt = far_off(one.usd_per_hour, usual[one.cloud, one.shape, one.unit, one.spot], "in other regions")
        if size and not doubt:
            there = by_size[one.cloud, one.region, family, one.spot]
            doubt = far_off(one.usd_per_hour / size, there, "of its family, by size")
        yield replace(one, doubt=doubt) if doubt else one


def usual_of(neighbours: Sequence[float]) -> float | None:
    """What is usual among these; None where they are too few to tell."""
    return median(neighbours) if len(neighbours) > _FEWEST else None


def far_off(usd: float, usual: float | None, whose: str) -> str:
    """Why a price is doubtful beside the usual one; empty if it is not."""
    if usual is None:
        return ""
    ratio = usd / usual
    return f"{ratio:.3g} times those {whose}" if ratio >= FAR_OFF or ratio <= 1 / FAR_OFF else ""


@cache
def _split(cloud: str, shape: str) -> tuple[str, float | None]:
    if cloud == "aws":
        family, _, size = shape.partition(".")
        several = re.fullmatch(r"(\d+)xlarge", size)
        return family, float(several[1]) if several else _SIZES.get(size)
    numbered = re.fullmatch(r"(\D+)(\d+)(\D.*)?", shape)
    return (f"{numbered[1]}*{numbered[3] or ''}", float(numbered[2]) or None) if numbered else (shape, None)


def _family(one: Price) -> tuple[str, float | None]:
    """A machine's family, and its size within it where its name tells: a part of an xlarge, or its number of cores."""
    return _split(one.cloud, one.shape) if one.unit == "machine" else (one.shape, None)


@cache
def _plain(shape: str) -> str:
    """A shape's name as the file writes it: Standard_D2s_v3 is standardd2sv3 there."""
    return re.sub("[-_ ]", "", shape).lower()

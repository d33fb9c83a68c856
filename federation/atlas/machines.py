"""Which machines a sub-cluster sells whole, how large they are and what they cost: by its driver, else by its spec,
else by the price file."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, NamedTuple

from federation.atlas import data
from federation.atlas.places import Place
from federation.atlas.prices import ORIGIN, Prices, far_off, usual_of
from federation.errors import InvalidInput
from federation.model.nearest import suggestion
from federation.model.offers import Offer, machines
from federation.model.quantity import parse_quantity

if TYPE_CHECKING:
    from federation.model.subcluster import InstanceType, SubCluster, SubClusterSpec

STATED = "spec.instances"
"""The origin of a price that the platform team states."""
GIB_PER_CORE = 7.46
"""How much memory costs as much as a core: Google's proportion, which prices them apart."""
_GIB = 2.0**30


class _Known(NamedTuple):
    """A price with all that is to be told of it."""

    usd_per_hour: float
    origin: str
    as_of: float | None = None
    doubt: str = ""


def machines_of(subcluster: SubCluster, place: Place, prices: Prices | None) -> tuple[Offer, ...]:
    """The machines that may be bought there, by name; none where cores and memory are had in any division.

    They are the types of `spec.instances`, or all that the driver offers. Each price, on demand and spot, is the
    driver's if it knows one, else the spec's, else the one of `prices`, else unknown; so it is of a type that is not
    among those that the driver offers. A type of unknown size holds nothing (see `check_instances`). A price that is
    ten times the price file's, or by size ten times the others' there, or a tenth, is doubtful.
    """
    offered = {offer.instance_type: offer for offer in machines(subcluster.status.offers)}
    stated = {each.type: each for each in subcluster.spec.instances}
    found = [
        _machine(name, offered.get(name), stated.get(name), place, prices)
        if name in offered or not offered
        else _unsold(name, stated[name], place)
        for name in sorted(stated or offered)
    ]
    usual = usual_of([usd for one in found if (usd := _by_size(one)) is not None])
    return tuple(_doubted(one, usual, place, prices) for one in found)


def is_sold(subcluster: SubCluster) -> bool:
    """Whether whole machines are bought there."""
    return bool(subcluster.spec.instances or machines(subcluster.status.offers))


def check_instances(spec: SubClusterSpec, place: Place) -> None:
    """Raises: InvalidInput (field `spec.instances.N.type`) for a type that the cloud does not have, or whose size
    nobody states."""
    for index, each in enumerate(spec.instances):
        if each.cpu is not None and each.memory is not None:
            continue
        known = [name for cloud, name in data.instances() if cloud == place.cloud]
        if each.type in known:
            continue
        remedy = "state its cpu and memory"
        if not known:
            text = f"the atlas has no instance types of {place.cloud}; {remedy}"
        else:
            close = suggestion(each.type, known)
            hint = f"{close} Else {remedy}" if close.startswith("did") else remedy
            others = [cloud for cloud, name in data.instances() if name == each.type]
            whose = f"it is one of {others[0]}" if others else hint
            text = f"unknown instance type {each.type!r} of {place.cloud}; {whose}"
        raise InvalidInput(text, field=f"spec.instances.{index}.type")


def _machine(
    name: str, offered: Offer | None, stated: InstanceType | None, place: Place, prices: Prices | None
) -> Offer:
    size = _size(offered, stated, place, name)
    on_demand, spot = (_price(name, offered, stated, place, prices, spot=spot) for spot in (False, True))
    known = [one for one in (on_demand, spot) if one is not None]
    times = [one.as_of for one in known if one.as_of is not None]
    return Offer(
        name=name,
        cpu_cores=size[0],
        memory_bytes=size[1],
        instance_type=name,
        usd_per_hour=on_demand.usd_per_hour if on_demand else None,
        spot_usd_per_hour=spot.usd_per_hour if spot else None,
        doubt="; ".join(dict.fromkeys(one.doubt for one in known if one.doubt)),
        origin=_origins(on_demand, spot),
        as_of=min(times, default=None),
    )


def _by_size(one: Offer) -> float | None:
    """What a core costs on demand, memory counted as so many more cores; None where unknown."""
    size = one.cpu_cores + one.memory_bytes / _GIB / GIB_PER_CORE
    return None if one.usd_per_hour is None or size == 0 else one.usd_per_hour / size


def _doubted(one: Offer, usual: float | None, place: Place, prices: Prices | None) -> Offer:
    """The same with a doubt where its price on demand is far off, and nobody doubts it yet."""
    by_size = _by_size(one)
    if one.doubt or by_size is None or one.usd_per_hour is None:
        return one
    filed = prices.machine(place.cloud, place.region, one.instance_type) if prices and place.region else None
    doubt = far_off(one.usd_per_hour, None if filed is None else filed.usd_per_hour, f"in {ORIGIN}")
    doubt = doubt or far_off(by_size, usual, "of the others there, by size")
    return one.model_copy(update={"doubt": doubt}) if doubt else one


def _unsold(name: str, stated: InstanceType, place: Place) -> Offer:
    cores, memory = _size(None, stated, place, name)
    return Offer(name=name, instance_type=name, cpu_cores=cores, memory_bytes=memory)


def _origins(on_demand: _Known | None, spot: _Known | None) -> str:
    known = on_demand or spot
    if known is None:
        return ""
    return known.origin if spot is None or spot.origin == known.origin else f"{known.origin}, spot by {spot.origin}"


def _size(offered: Offer | None, stated: InstanceType | None, place: Place, name: str) -> tuple[float, float]:
    """Cores and bytes; none of either where nobody knows."""
    if offered is not None:
        return offered.cpu_cores, offered.memory_bytes
    if stated is not None and stated.cpu is not None and stated.memory is not None:
        return parse_quantity(stated.cpu), parse_quantity(stated.memory)
    found = data.instances().get((place.cloud, name))
    return (0.0, 0.0) if found is None else (found.cpu_cores, found.memory_gib * _GIB)


def _price(
    name: str,
    offered: Offer | None,
    stated: InstanceType | None,
    place: Place,
    prices: Prices | None,
    *,
    spot: bool,
) -> _Known | None:
    if offered is not None:
        usd = offered.spot_usd_per_hour if spot else offered.usd_per_hour
        if usd is not None:
            return _Known(usd, offered.origin, offered.as_of, offered.doubt)
    usd = None if stated is None else stated.spot_hourly if spot else stated.hourly
    if usd is not None:
        return _Known(usd, STATED)
    found = prices.machine(place.cloud, place.region, name, spot=spot) if prices and place.region else None
    if found is None:
        return None
    read = datetime.combine(found.as_of, time(), UTC).timestamp()
    return _Known(found.usd_per_hour, found.origin, read, found.doubt)

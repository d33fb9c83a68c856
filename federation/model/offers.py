"""What a sub-cluster offers: capacity at a price, and machines that are bought whole."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Annotated

from pydantic import Field

from federation.model.meta import Timestamp, Value

PRICE_LIMIT_S = 30 * 86400.0
"""A price that is older than this is used all the same, and marked wherever it is shown."""

_Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Offer(Value):
    """Either capacity that can be taken in any division, up to `cpu_cores` and `memory_bytes` in all, at the price of
    a core and of a GiB; or, with an `instance_type`, machines of that type with so many cores and bytes each, bought
    whole and as many as wanted, at `usd_per_hour` on demand and `spot_usd_per_hour` where they may be taken away.

    Capacity is what is there for Roam's services, in use or not: the planner counts its own services against it.
    A price of None is unknown, never free. `origin` says where the price is from, `as_of` when it was read; `doubt` why
    it may be a mistake, else empty.
    """

    name: str
    cpu_cores: float
    memory_bytes: float
    cpu_hour_usd: float | None = None
    memory_gib_hour_usd: float | None = None
    instance_type: str = ""
    usd_per_hour: _Price | None = None
    spot_usd_per_hour: _Price | None = None
    doubt: str = ""
    origin: str = ""
    as_of: Timestamp | None = None

    def outdated(self, now: float) -> bool:
        """Whether the price is older than its limit. Args: now, seconds since 1970."""
        return self.as_of is not None and now - self.as_of > PRICE_LIMIT_S

    @property
    def priced(self) -> bool:
        """Whether some price of the machine is known."""
        return self.usd_per_hour is not None or self.spot_usd_per_hour is not None

    def at_times(self, factor: float) -> Offer:
        """The same machine at `factor` times its prices, > 0; an unknown one stays unknown."""
        prices = {name: getattr(self, name) for name in ("usd_per_hour", "spot_usd_per_hour")}
        return self.model_copy(update={name: usd * factor for name, usd in prices.items() if usd is not None})


def remembered(new: Iterable[Offer], old: Iterable[Offer]) -> tuple[Offer, ...]:
    """`new`; machines whose price is unknown now have the one that `old` knows of them, as old as that is."""
    known = {offer.instance_type: offer for offer in machines(old) if offer.usd_per_hour is not None}
    return tuple(
        known[offer.instance_type].model_copy(
            update={name: getattr(offer, name) for name in ("name", "cpu_cores", "memory_bytes")}
        )
        if offer.usd_per_hour is None and offer.instance_type in known
        else offer
        for offer in new
    )


def divisible(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Those that can be taken in any division, in order."""
    return tuple(offer for offer in offers if not offer.instance_type)


def machines(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Those that are machines, in order."""
    return tuple(offer for offer in offers if offer.instance_type)


def capacity_of(offers: Iterable[Offer]) -> tuple[float, float]:
    """Cores and bytes of all divisible offers; infinite without any: machines are bought as many as wanted."""
    found = divisible(offers)
    if not found:
        return inf, inf
    return sum(offer.cpu_cores for offer in found), sum(offer.memory_bytes for offer in found)

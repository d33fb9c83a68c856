"""What a sub-cluster offers: capacity at a price."""

from __future__ import annotations

from federation.model.meta import Timestamp, Value


class Offer(Value):
    """Capacity that can be taken in any division, up to `cpu_cores` and `memory_bytes` in all.

    This is what is there for Roam's services, in use or not: the planner counts its own services against it.
    A price of None is unknown, never free. `origin` says where the price is from, `as_of` when it was read.
    """

    name: str
    cpu_cores: float
    memory_bytes: float
    cpu_hour_usd: float | None = None
    memory_gib_hour_usd: float | None = None
    origin: str = ""
    as_of: Timestamp | None = None

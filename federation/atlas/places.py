"""`Place`: what is known of where a sub-cluster stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Facts on one place; None where unknown. `cloud` is aws, gcp, azure, ... or onprem; `country` and
    `operator_country` are ISO 3166-1 alpha-2; latitude and longitude are degrees. `partition`: see `data.Region`.
    `latencies`: measured round trips, milliseconds, to `cloud/region` or a country; they go before any estimate."""

    region: str | None
    cloud: str
    country: str | None
    continent: str | None
    latitude: float | None
    longitude: float | None
    operator: str | None
    operator_country: str | None
    partition: str | None = None
    latencies: tuple[tuple[str, float], ...] = ()

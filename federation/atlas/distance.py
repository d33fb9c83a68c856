"""How far apart places are, and how long a packet takes there and back.

`latency_ms` is an estimate: `FLOOR_MS + 2 * distance * STRETCH / FIBRE_KM_PER_MS`. Light in fibre of refractive index
1.468 (the usual figure for fibre after ITU-T G.652) travels 204 km a millisecond. Cables are not laid along great
circles: a stretch of 1.4 brings the estimate within about a fifth of what cloud vendors and public measurements give
for long routes (Frankfurt to northern Virginia about 90 ms, Tokyo to northern Virginia about 150 ms).

What somebody measured goes before it: `Place.latencies`, from a sub-cluster's `location.latencies`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from federation.atlas import data
from federation.atlas.places import Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EARTH_RADIUS_KM = 6371.0
"""Mean radius of the Earth (IUGG)."""
FIBRE_KM_PER_MS = 204.0
STRETCH = 1.4
FLOOR_MS = 1.0
"""Round trip between two places of one region: what clouds give for two of its zones, and switching at the ends."""


def distance_km(a: Place, b: Place) -> float | None:
    """Great-circle distance (haversine); None where coordinates are unknown."""
    if a.latitude is None or a.longitude is None or b.latitude is None or b.longitude is None:
        return None
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    lambda_half = math.radians(b.longitude - a.longitude) / 2
    h = math.sin((phi_b - phi_a) / 2) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(lambda_half) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(h, 1.0)))


def latency_ms(a: Place, b: Place) -> float | None:
    """The round trip between two places, milliseconds: measured, else estimated; None where unknown."""
    measured = measured_ms(a, b)
    return estimated_ms(a, b) if measured is None else measured


def measured_ms(a: Place, b: Place) -> float | None:
    """What one of the two was told of the way to the other, the longer where both were; None where neither was.

    The other's region goes before its country, which stands for the places there that are in no cloud, and for users.
    """
    said = [dict(one.latencies).get(name) for one, name in ((a, _region_name(b)), (b, _region_name(a)))]
    if said == [None, None]:
        said = [dict(one.latencies).get(name) for one, name in ((a, _country_name(b)), (b, _country_name(a)))]
    return max((one for one in said if one is not None), default=None)


def estimated_ms(a: Place, b: Place) -> float | None:
    """The estimate of the round trip, milliseconds; None where unknown. See the module for the formula."""
    if same_region(a, b):
        return FLOOR_MS
    distance = distance_km(a, b)
    return None if distance is None else FLOOR_MS + 2 * distance * STRETCH / FIBRE_KM_PER_MS


def same_region(a: Place, b: Place) -> bool:
    """Whether both stand in one region of one cloud."""
    return a.region is not None and a.region == b.region and a.cloud == b.cloud


def latency_matrix(places: Sequence[Place]) -> NDArray[np.float64]:
    """`latency_ms` for all pairs [C, C]; NaN where unknown; 0 on the diagonal, a place to itself."""
    import numpy as np

    radians = np.radians(np.array([(_nan(p.latitude), _nan(p.longitude)) for p in places], float).reshape(-1, 2))
    latitude, longitude = radians[:, 0], radians[:, 1]
    h = np.sin((latitude[:, None] - latitude) / 2) ** 2
    h += np.cos(latitude[:, None]) * np.cos(latitude) * np.sin((longitude[:, None] - longitude) / 2) ** 2
    distance = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
    result = FLOOR_MS + 2 * distance * STRETCH / FIBRE_KM_PER_MS
    result[_same_region(places)] = FLOOR_MS
    _put_measured(places, result)
    np.fill_diagonal(result, 0.0)
    return np.asarray(result, dtype=np.float64)


def _same_region(places: Sequence[Place]) -> NDArray[np.bool_]:
    import numpy as np

    numbers: dict[tuple[str | None, str], int] = {}
    codes = np.array([numbers.setdefault((p.region, p.cloud), len(numbers)) for p in places], int)
    known = np.array([p.region is not None for p in places], bool)
    return np.asarray((codes[:, None] == codes) & known[:, None] & known)


def _put_measured(places: Sequence[Place], result: NDArray[np.float64]) -> None:
    """Replace estimates by what is measured; costs nothing where nothing is."""
    import numpy as np

    telling = [index for index, place in enumerate(places) if place.latencies]
    if not telling:
        return
    for name_of in (_country_name, _region_name):
        named: dict[str, list[int]] = {}
        for index, place in enumerate(places):
            named.setdefault(name_of(place), []).append(index)
        said = np.full_like(result, math.nan)
        for index in telling:
            for name, latency in places[index].latencies:
                said[index, named.get(name, [])] = latency
        both = np.fmax(said, said.T)
        result[~np.isnan(both)] = both[~np.isnan(both)]


def _region_name(place: Place) -> str:
    """The name by which a measurement means the place's region; empty without one."""
    return f"{place.cloud}/{place.region}" if place.region is not None else ""


def _country_name(place: Place) -> str:
    """The name by which a measurement means places of its country; empty for a place in a cloud."""
    return place.country or "" if place.cloud == data.ONPREM else ""


def _nan(value: float | None) -> float:
    return math.nan if value is None else value

"""How far apart places are, and how long a packet takes there and back.

`latency_ms` is an estimate: `FLOOR_MS + 2 * distance * STRETCH / FIBRE_KM_PER_MS`. Light in fibre of refractive index
1.468 (the usual figure for fibre after ITU-T G.652) travels 204 km a millisecond. Cables are not laid along great
circles: a stretch of 1.4 brings the estimate within about a fifth of what cloud vendors and public measurements give
for long routes (Frankfurt to northern Virginia about 90 ms, Tokyo to northern Virginia about 150 ms). Measurements by
the gateways are to override it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    """Estimated round trip between two places, milliseconds; None where unknown. See the module for the formula."""
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
    np.fill_diagonal(result, 0.0)
    return np.asarray(result, dtype=np.float64)


def _same_region(places: Sequence[Place]) -> NDArray[np.bool_]:
    import numpy as np

    numbers: dict[tuple[str | None, str], int] = {}
    codes = np.array([numbers.setdefault((p.region, p.cloud), len(numbers)) for p in places], int)
    known = np.array([p.region is not None for p in places], bool)
    return np.asarray((codes[:, None] == codes) & known[:, None] & known)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value

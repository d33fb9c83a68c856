"""What it costs to move data out of one place into another: list prices by the sender's cloud and the relation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from federation.atlas import data
from federation.atlas.distance import same_region
from federation.atlas.places import Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OTHER = "other"
"""The tariff of clouds that have none of their own: assumed, not free."""
ANYWHERE = "*"
RELATIONS = ("same_zone", "same_region", "same_continent", "other_continent", "internet")
"""All relations, the nearest first. Places know no zones: `same_zone` is for one and the same sub-cluster."""


def relation(a: Place, b: Place) -> str:
    """How `b` stands to `a` for billing: same_region, same_continent, other_continent (of one cloud) or internet.

    The partitions of a cloud (China, GovCloud, sovereign ones) reach each other over the internet only."""
    if same_region(a, b):
        return "same_region"
    if a.cloud != b.cloud or a.partition != b.partition or a.cloud == data.ONPREM:
        return "internet"
    return "same_continent" if a.continent is not None and a.continent == b.continent else "other_continent"


def tariff(a: Place, b: Place) -> data.Tariff:
    """The row that prices a GiB from `a` to `b`: of the sender's region, else its continent, else of its cloud.

    A cloud without a tariff gets an assumed one (`OTHER`)."""
    table = data.tariffs()
    cloud = a.cloud if (a.cloud, ANYWHERE, "internet") in table else OTHER
    how = relation(a, b)
    for sender in (a.region, a.continent):
        found = table.get((cloud, sender or ANYWHERE, how))
        if found is not None:
            return found
    return table[cloud, ANYWHERE, how]


def transfer_usd_per_gib(a: Place, b: Place) -> float:
    """The sender's list price for a GiB from `a` to `b`, at the first paid tier; receiving is free everywhere.

    On-premises sending costs 0 (its line is paid by capacity). Two sub-clusters of one region pay for crossing zones;
    whether it is one and the same sub-cluster is the caller's to know. A cloud without a tariff gets an assumed one.
    """
    return tariff(a, b).usd_per_gib


def transfer_matrix(places: Sequence[Place]) -> NDArray[np.float64]:
    """`transfer_usd_per_gib` from row to column [C, C]; 0 on the diagonal, a place to itself.

    Places of one cloud, region and continent share their prices; work in Python grows with the square of those only.
    """
    import numpy as np

    kinds: dict[tuple[str, str | None, str | None, str | None], int] = {}
    keys = [(p.cloud, p.partition, p.region, p.continent) for p in places]
    codes = np.array([kinds.setdefault(key, len(kinds)) for key in keys], int)
    examples: dict[int, Place] = {}
    for code, place in zip(codes.tolist(), places, strict=True):
        examples.setdefault(code, place)
    prices = np.array([[transfer_usd_per_gib(a, b) for b in examples.values()] for a in examples.values()], float)
    result = prices.reshape(len(kinds), len(kinds))[np.ix_(codes, codes)]
    np.fill_diagonal(result, 0.0)
    return np.asarray(result, dtype=np.float64)

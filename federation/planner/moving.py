"""What moving a service costs once: data to copy, two copies that run for a while, time in which it does not answer.

Divided by the time within which a move has to repay itself it is a price per hour like any other (the term `MOVING`),
which a service pays wherever it does not run yet: so nothing moves for less than its move is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from federation.atlas.transfer import transfer_matrix
from federation.contracts.policy import FleetView
from federation.model.microservice import Microservice
from federation.model.plan import MoveCost
from federation.model.policy import MigrationRules
from federation.model.volumes import NONE, Volumes, volumes

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints

GIB = 2.0**30
HOUR_S = 3600.0
DIGITS = 9
IMAGES = "the size of its images"
PAUSE = "how long it is down (its volumes are copied once more while nobody writes)"
AGAIN = "how long it is down (its work begins anew)"
LOST = "what has to be copied (the place that has it is lost)"


@dataclass(frozen=True, eq=False)
class Moving:
    """The one-off costs of every service that runs [M], at every sub-cluster [C].

    `rows`: a service's index to its row; `here` [M, C]: replicas that run, or are lost with their place; `gone` [M]:
    none of them is left; `volume_bytes` [M] as far as known; `transfer_usd` and `overlap_usd` [M, C]: of a move of the
    whole service, zero where it runs already; `payback_s` [M]."""

    view: FleetView
    images: Bools
    rows: Mapping[int, int]
    kept: tuple[Volumes, ...]
    here: Ints
    gone: Bools
    volume_bytes: Floats
    transfer_usd: Floats
    overlap_usd: Floats
    payback_s: Floats

    def price(self) -> Floats | None:
        """[S, C] USD per hour for whole services that run elsewhere; None where no move costs anything. What is not
        known of a move is not in it."""
        once = self.transfer_usd + self.overlap_usd
        if not once.any():
            return None
        result: Floats = np.zeros((len(self.view.services), len(self.view.subclusters)))
        result[list(self.rows)] = once * (HOUR_S / self.payback_s)[:, None]
        return result

    def cost(self, service: int, row: Ints, saving_usd_per_hour: float | None = None) -> MoveCost | None:
        """What it costs once to have the service so [C], of replica counts, instead of where it runs; None for one that
        runs nowhere, or gets no new place.

        Args: saving_usd_per_hour, of the new place against the present one; None where that can't be told."""
        index = self.rows.get(service)
        if index is None:
            return None
        new = np.where(self.here[index] > 0, 0, row)
        if not new.any():
            return None
        share = new / int(row.sum())
        spec, kept = self.view.services[service].spec, self.kept[index]
        lost = bool(self.gone[index]) and kept != NONE
        unknown = [f"the size of {name}" for name in kept.unsized]
        unknown += [IMAGES] if self.images[new > 0].any() else []
        unknown += ([LOST] if lost else []) + ([PAUSE if spec.stateful else AGAIN] if spec.bound else [])
        transfer, overlap = float(self.transfer_usd[index] @ share), float(self.overlap_usd[index] @ share)
        sized = not kept.unsized and not lost
        saving = saving_usd_per_hour
        return MoveCost(
            volume_bytes=round(float(self.volume_bytes[index] * share.sum())) if sized else None,
            image_bytes=None if IMAGES in unknown else 0,
            transfer_usd=round(transfer, DIGITS) if sized else None,
            overlap_usd=round(overlap, DIGITS),
            downtime_s=None if spec.bound else 0.0,
            unknown=tuple(unknown),
            saving_usd_per_hour=None if saving is None else round(saving, DIGITS),
            payback_hours=round((transfer + overlap) / saving, 6) if saving is not None and saving > 0 else None,
        )


def moving(view: FleetView, images: Bools, rules: Callable[[Microservice], MigrationRules]) -> Moving:
    """The one-off costs of moving what runs.

    Args: images [C], where images run; rules, by which a service moves. Volumes are copied from where they are at list
    prices; where replicas run in several places, each place sends its share. The new copy runs beside the old one while
    traffic is shifted and drained, except that of a single writer and of a Job. From a lost place nothing is copied,
    and nothing runs beside it. Linear in services that run, times sub-clusters."""
    found = [index for index, targets in enumerate(view.current) if any(each.replicas for each in targets)]
    services = [view.services[index] for index in found]
    here = _counts(view, found)
    alive = np.where([each.status.health == "Lost" for each in view.subclusters], 0, here)
    kept = tuple(volumes(service.spec) for service in services)
    held = np.array([each.of(count) for each, count in zip(kept, here.sum(axis=1).tolist(), strict=True)])
    mine = [rules(service) for service in services]
    beside = alive.any(axis=1) & ~np.array([service.spec.bound for service in services], dtype=bool)
    hours = np.array([each.strategy.canary.overlap_s for each in mine]) / HOUR_S
    overlap = (hours * beside)[:, None] * np.nan_to_num(_compute(view, found), nan=0.0)
    transfer: Floats = np.zeros(here.shape)
    if held.any():
        share = alive / np.maximum(alive.sum(axis=1), 1)[:, None]
        transfer = (held / GIB)[:, None] * (share @ transfer_matrix(view.places))
    transfer[here > 0], overlap[here > 0] = 0.0, 0.0
    return Moving(
        view=view,
        images=images,
        rows={index: row for row, index in enumerate(found)},
        kept=kept,
        here=here,
        gone=np.asarray(~alive.any(axis=1)),
        volume_bytes=held,
        transfer_usd=transfer,
        overlap_usd=overlap,
        payback_s=np.array([each.payback_s for each in mine]),
    )


def _counts(view: FleetView, found: list[int]) -> Ints:
    """[M, C] replicas that are committed now."""
    columns = {there.metadata.name: column for column, there in enumerate(view.subclusters)}
    result = np.zeros((len(found), len(columns)), dtype=np.int64)
    for row, index in enumerate(found):
        for target in view.current[index]:
            result[row, columns[target.subcluster]] = target.replicas
    return result


def _compute(view: FleetView, found: list[int]) -> Floats:
    """[M, C] what each service's cores and memory cost, USD per hour; NaN where a price is unknown."""
    replicas = np.array([view.services[index].spec.replicas for index in found], dtype=np.float64)
    cores, gib = replicas * view.cpu_cores[found], replicas * view.memory_bytes[found] / GIB
    return np.asarray(np.outer(cores, view.cpu_hour_usd) + np.outer(gib, view.memory_gib_hour_usd))

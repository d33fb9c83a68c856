"""What is impossible whatever the policies say: a lost or closed sub-cluster, a taint, no way to run an image or to
make the pod as the sub-cluster wants it.

A sub-cluster that only takes no new work (cordoned, NoSchedule) still keeps what runs there; one that is drained or
about to be removed does not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from federation.contracts.policy import FleetView, Reason
from federation.model.microservice import Microservice
from federation.model.overrides import Overrides, apply_plainly
from federation.model.podtemplate import has_command
from federation.model.subcluster import SubCluster
from federation.planner.taints import taint_reasons, tainted

if TYPE_CHECKING:
    from federation.contracts.policy import Bools


UNFIT = frozenset({"NeedsImages", "PatchFails"})
"""Reasons for which the service can run there in no way, whenever it was started."""


def runs_images(subcluster: SubCluster, by_name: Mapping[str, bool]) -> bool:
    """Whether the sub-cluster runs images: what it reported, else what its provider said; yes when neither is known."""
    reported = subcluster.status.runs_images
    return by_name.get(subcluster.metadata.name, True) if reported is None else reported


def infeasible(view: FleetView, images: Bools) -> Bools:
    """[S, C] what is impossible; `images` [C] tells where images run. `feasibility_reasons` says why."""
    runs = runs_there(view)
    column = np.array([bool(_closed(each, runs_there=True)) for each in view.subclusters], dtype=bool)
    result = np.broadcast_to(column, runs.shape).copy()
    new = np.array([bool(_closed(each, runs_there=False)) for each in view.subclusters], dtype=bool)
    if new.any():
        result |= new[None] & ~runs
    result |= tainted(view, runs)
    if not images.all():
        needs = np.array([not has_command(service.spec.template) for service in view.services], dtype=bool)
        result |= needs[:, None] & ~images[None]
    for place, there in enumerate(view.subclusters):
        if there.spec.overrides.patches:
            failed = [bool(patch_error(service, there.spec.overrides)) for service in view.services]
            result[:, place] |= np.array(failed, dtype=bool)
    return result


def feasibility_reasons(view: FleetView, images: Bools, service: int, subcluster: int) -> tuple[Reason, ...]:
    """Why that candidate is impossible, in a stable order; empty when it is not."""
    there = view.subclusters[subcluster]
    runs = any(target.subcluster == there.metadata.name and target.replicas for target in view.current[service])
    found = _closed(there, runs_there=runs)
    found += taint_reasons(view, service, subcluster, runs=runs)
    if not images[subcluster] and not has_command(view.services[service].spec.template):
        text = "runs no images, and the service's containers have no command of their own"
        found.append(Reason("NeedsImages", "runs no images", text, "spec.template"))
    failed = patch_error(view.services[service], there.spec.overrides) if there.spec.overrides.patches else ""
    if failed:
        text = f"its patches do not fit the service: {failed}"
        found.append(Reason("PatchFails", "with patches that do not fit", text, f"SubCluster {there.metadata.name}"))
    return tuple(found)


class _Same:
    """A key that is its object: equal to no other, however alike."""

    __slots__ = ("overrides", "service")

    def __init__(self, service: Microservice, overrides: Overrides):
        self.service = service
        self.overrides = overrides

    def __hash__(self) -> int:
        return hash((id(self.service), id(self.overrides)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.service is other.service and self.overrides is other.overrides


def patch_error(service: Microservice, overrides: Overrides) -> str:
    """Why the sub-cluster's patches do not apply to the service; "" when they do. Remembered: objects never change."""
    return _patch_error(_Same(service, overrides))


@lru_cache(maxsize=1 << 15)
def _patch_error(pair: _Same) -> str:
    return apply_plainly(pair.service, pair.service.spec.template, pair.service.spec.objects, pair.overrides)[2]


def runs_there(view: FleetView) -> Bools:
    """[S, C] where replicas of each service are committed now."""
    index = {each.metadata.name: c for c, each in enumerate(view.subclusters)}
    result = np.zeros((len(view.services), len(view.subclusters)), dtype=bool)
    for service, targets in enumerate(view.current):
        for target in targets:
            result[service, index[target.subcluster]] = target.replicas > 0
    return result


def draining(subcluster: SubCluster) -> Reason | None:
    """Why everything has to leave the sub-cluster; None when nothing has to."""
    if subcluster.metadata.deletion_timestamp is not None:
        return Reason("Draining", "being removed", "is being removed from the fleet", "metadata.deletionTimestamp")
    if subcluster.spec.drain is not None:
        return Reason("Draining", "being drained", "is being drained; uncordon it to use it again", "spec.drain")
    return None


def _closed(subcluster: SubCluster, *, runs_there: bool) -> list[Reason]:
    """Why the sub-cluster takes no service (none that does not run there already)."""
    found = []
    if subcluster.status.health == "Lost":
        found.append(Reason("Lost", "lost", "is lost: nothing was heard of it for longer than its detection window"))
    drain = draining(subcluster)
    if drain is not None:
        found.append(drain)
    elif subcluster.spec.unschedulable and not runs_there:
        text = "is cordoned and takes no new work; uncordon it"
        found.append(Reason("Cordoned", "cordoned", text, "spec.unschedulable"))
    return found

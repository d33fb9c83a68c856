"""What is impossible whatever the policies say: a lost or closed sub-cluster, a taint, no way to run an image.

A sub-cluster that only takes no new work (cordoned, NoSchedule) still keeps what runs there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from federation.contracts.policy import FleetView, Reason
from federation.model.podtemplate import has_command
from federation.model.subcluster import SubCluster

if TYPE_CHECKING:
    from federation.contracts.policy import Bools


def runs_images(subcluster: SubCluster, by_name: Mapping[str, bool]) -> bool:
    """Whether the sub-cluster runs images: what it reported, else what its provider said; yes when neither is known."""
    reported = subcluster.status.runs_images
    return by_name.get(subcluster.metadata.name, True) if reported is None else reported


def infeasible(view: FleetView, images: Bools) -> Bools:
    """[S, C] what is impossible; `images` [C] tells where images run. `feasibility_reasons` says why."""
    shape = (len(view.services), len(view.subclusters))
    column = np.array([bool(_closed(each, runs_there=True)) for each in view.subclusters], dtype=bool)
    result = np.broadcast_to(column, shape).copy()
    new = np.array([bool(_closed(each, runs_there=False)) for each in view.subclusters], dtype=bool)
    if new.any():
        result |= new[None] & ~_runs_there(view)
    if not images.all():
        needs = np.array([not has_command(service.spec.template) for service in view.services], dtype=bool)
        result |= needs[:, None] & ~images[None]
    return result


def feasibility_reasons(view: FleetView, images: Bools, service: int, subcluster: int) -> tuple[Reason, ...]:
    """Why that candidate is impossible, in a stable order; empty when it is not."""
    there = view.subclusters[subcluster]
    runs = any(target.subcluster == there.metadata.name and target.replicas for target in view.current[service])
    found = _closed(there, runs_there=runs)
    if not images[subcluster] and not has_command(view.services[service].spec.template):
        text = "runs no images, and the service's containers have no command of their own"
        found.append(Reason("NeedsImages", "runs no images", text, "spec.template"))
    return tuple(found)


def _runs_there(view: FleetView) -> Bools:
    index = {each.metadata.name: c for c, each in enumerate(view.subclusters)}
    result = np.zeros((len(view.services), len(view.subclusters)), dtype=bool)
    for service, targets in enumerate(view.current):
        for target in targets:
            result[service, index[target.subcluster]] = target.replicas > 0
    return result


def _closed(subcluster: SubCluster, *, runs_there: bool) -> list[Reason]:
    """Why the sub-cluster takes no service (none that does not run there already)."""
    found = []
    if subcluster.status.health == "Lost":
        found.append(Reason("Lost", "lost", "is lost: nothing was heard of it for longer than its detection window"))
    if subcluster.spec.unschedulable and not runs_there:
        text = "is cordoned and takes no new work; uncordon it"
        found.append(Reason("Cordoned", "cordoned", text, "spec.unschedulable"))
    for taint in subcluster.spec.taints:
        if taint.effect == "NoExecute" or (taint.effect == "NoSchedule" and not runs_there):
            name = f"{taint.key}={taint.value}" if taint.value else taint.key
            text = f"has the taint {name}:{taint.effect}, which the service does not tolerate"
            found.append(Reason("Tainted", f"tainted {name}", text, "spec.taints"))
    return found

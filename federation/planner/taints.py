"""Taints and what tolerates them, with Kubernetes' meaning: NoSchedule keeps new copies away, PreferNoSchedule makes a
place dearer for them, NoExecute makes those leave that run there, at once or after so many seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from federation.contracts.policy import FleetView, Reason
from federation.model.microservice import Microservice
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, Policy, Toleration
from federation.model.subcluster import SubCluster, Taint

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats

AVOIDED_USD_PER_HOUR = 0.02
"""What a PreferNoSchedule taint that is not tolerated counts for each new replica: about the price of half a core."""

Tolerations = tuple[Toleration, ...]


def tolerations(services: Sequence[Microservice], policies: Iterable[Policy]) -> tuple[Tolerations, ...]:
    """[S] what each service tolerates: what its policies say, in order of kind and name, then what its pod template
    says; an entry of the template that makes no sense tolerates nothing."""
    stating = sorted((p for p in policies if p.spec.tolerations), key=lambda each: (each.kind, each.key))
    known: dict[Tolerations, Tolerations] = {}
    result = []
    for service in services:
        found: list[Toleration] = []
        for policy in stating:
            here = isinstance(policy, ClusterPlacementPolicy) or policy.metadata.namespace == service.metadata.namespace
            if here and policy.spec.selector.matches(service.metadata.labels):
                found += policy.spec.tolerations
        mine = (*found, *_of_template(service))
        result.append(known.setdefault(mine, mine))
    return tuple(result)


def _of_template(service: Microservice) -> list[Toleration]:
    spec = service.spec.template.get("spec")
    stated = spec.get("tolerations") if isinstance(spec, Mapping) else None
    found = []
    for each in stated if isinstance(stated, list) else ():
        if not isinstance(each, Mapping):
            continue
        given = {name: value for name, value in each.items() if value not in (None, "")}
        seconds = given.get("tolerationSeconds")
        if isinstance(seconds, int) and seconds < 0:
            given["tolerationSeconds"] = 0
        try:
            found.append(Toleration.model_validate(given))
        except ValidationError:
            continue
    return found


def tainted_since(placement: Placement | None) -> dict[str, float]:
    """Since when a taint would have the service leave a place, by sub-cluster."""
    if placement is None:
        return {}
    return {each.subcluster: each.since for each in placement.status.overtaken if each.cause == "Taint"}


def borne_s(taint: Taint, tolerated: Tolerations) -> float:
    """For how many seconds a copy that runs bears the taint: 0 not at all, infinite for good."""
    if taint.effect != "NoExecute":
        return inf
    fitting = [each.toleration_seconds for each in tolerated if each.tolerates(taint)]
    return min((inf if seconds is None else float(seconds) for seconds in fitting), default=0.0)


def repels(taint: Taint, tolerated: Tolerations) -> bool:
    """Whether the taint keeps new copies away."""
    if taint.effect == "NoExecute":
        return borne_s(taint, tolerated) < inf
    return taint.effect == "NoSchedule" and not any(each.tolerates(taint) for each in tolerated)


def avoided(taint: Taint, tolerated: Tolerations) -> bool:
    """Whether the taint only makes the place dearer for new copies."""
    return taint.effect == "PreferNoSchedule" and not any(each.tolerates(taint) for each in tolerated)


def tainted(view: FleetView, runs: Bools) -> Bools:
    """[S, C] where a taint is against the service: against a new copy, or where it runs, against its staying now."""
    result = np.zeros(runs.shape, dtype=bool)
    for column, there in enumerate(view.subclusters):
        if not any(taint.effect != "PreferNoSchedule" for taint in there.spec.taints):
            continue
        new: dict[int, bool] = {}
        for service, mine in enumerate(view.tolerations):
            if runs[service, column]:
                result[service, column] = _elapsed_s(view, service, there) >= delay_s(there, mine)
                continue
            if id(mine) not in new:
                new[id(mine)] = any(repels(taint, mine) for taint in there.spec.taints)
            result[service, column] = new[id(mine)]
    return result


def avoidance(view: FleetView, runs: Bools) -> Floats | None:
    """[S, C] the price of PreferNoSchedule taints for services that do not run there, USD per hour; None without."""
    result: Floats = np.zeros(runs.shape)
    replicas = [service.spec.replicas for service in view.services]
    for column, there in enumerate(view.subclusters):
        if any(taint.effect == "PreferNoSchedule" for taint in there.spec.taints):
            counts = [sum(avoided(taint, mine) for taint in there.spec.taints) for mine in view.tolerations]
            result[:, column] = np.array(counts) * np.array(replicas) * AVOIDED_USD_PER_HOUR
    result[runs] = 0.0
    return result if result.any() else None


def delay_s(there: SubCluster, tolerated: Tolerations) -> float:
    """For how long a copy that runs there may stay after its taints were seen; infinite for good."""
    return min((borne_s(taint, tolerated) for taint in there.spec.taints), default=inf)


def _elapsed_s(view: FleetView, service: int, there: SubCluster) -> float:
    return max(view.now - view.tainted_since[service].get(there.metadata.name, view.now), 0.0)


def taint_reasons(view: FleetView, service: int, subcluster: int, *, runs: bool) -> tuple[Reason, ...]:
    """The taints that are against the service there now, in their order; code `Tainted`, or `Evicted` for NoExecute."""
    there, mine = view.subclusters[subcluster], view.tolerations[service]
    elapsed = _elapsed_s(view, service, there)
    return tuple(
        _reason(taint, mine)
        for taint in there.spec.taints
        if (elapsed >= borne_s(taint, mine) if runs else repels(taint, mine))
    )


def leaving_reasons(view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
    """The taints that a copy there does not bear for good, whether or not its time is up."""
    mine = view.tolerations[service]
    taints = view.subclusters[subcluster].spec.taints
    return tuple(_reason(taint, mine) for taint in taints if borne_s(taint, mine) < inf)


def _reason(taint: Taint, tolerated: Tolerations) -> Reason:
    name = f"{taint.key}={taint.value}" if taint.value else taint.key
    seconds = borne_s(taint, tolerated)
    borne = f"tolerates for {seconds:.0f} s only" if 0 < seconds < inf else "does not tolerate"
    text = f"has the taint {name}:{taint.effect}, which the service {borne}"
    code = "Evicted" if taint.effect == "NoExecute" else "Tainted"
    return Reason(code, f"tainted {name}", text, "spec.taints")

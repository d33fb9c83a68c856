"""What each sub-cluster holds: where it is, how much of it is taken by committed replicas, and what those cost."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from federation.app import policy_engines, price_file, provider
from federation.atlas.lookup import place_of
from federation.atlas.machines import is_sold
from federation.atlas.places import Place
from federation.contracts.policy import FleetView, PolicyEngine
from federation.contracts.store import Store
from federation.errors import InvalidInput
from federation.model.microservice import Microservice
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import SubCluster
from federation.planner.parts import ask
from federation.planner.world import World, build_view

if TYPE_CHECKING:
    from federation.contracts.policy import Floats

KINDS = (SubCluster, Microservice, Placement, PlacementPolicy, ClusterPlacementPolicy)
_GIB = 2.0**30
_NOWHERE = Place(None, "", None, None, None, None, None, None)


def sum_up(store: Store, now: float) -> dict[str, Any]:
    """`{"items": [...]}`, one for each sub-cluster in the order of names: `name`, `place`, `cpuCores` and `memoryBytes`
    with what is used of them (`cpuUsedCores`, `memoryUsedBytes`), prices, and `usdPerHour`, what the committed replicas
    cost there in cores and memory, or in whole machines. Null where unknown or unlimited.

    Raises: InvalidInput (a stored template that asks for something unreadable)."""
    subclusters = store.list(SubCluster).items
    places = {each.metadata.name: _place(each) for each in subclusters}
    placements = {each.key: each for each in store.list(Placement).items}
    policies: tuple[Policy, ...] = ()
    engines: tuple[PolicyEngine, ...] = ()
    if any(is_sold(each) for each in subclusters):
        policies = (*store.list(PlacementPolicy).items, *store.list(ClusterPlacementPolicy).items)
        engines = policy_engines()
    world = World(subclusters, store.list(Microservice).items, policies, placements)
    view = build_view(world, engines, places, now, price_file(subclusters))
    return {"items": _items(view)}


def _items(view: FleetView) -> list[dict[str, Any]]:
    column = {each.metadata.name: index for index, each in enumerate(view.subclusters)}
    cpu, memory = np.zeros(len(column)), np.zeros(len(column))
    for service, targets in enumerate(view.current):
        for target in targets:
            cpu[column[target.subcluster]] += target.replicas * view.cpu_cores[service]
            memory[column[target.subcluster]] += target.replicas * view.memory_bytes[service]
    cost = cpu * view.cpu_hour_usd + memory / _GIB * view.memory_gib_hour_usd
    sold = [index for index, machines in enumerate(view.machines) if machines]
    if sold:
        cost[sold] = _of_machines(view)[sold]
    return [
        {
            "name": each.metadata.name,
            "place": _shown(view.places[index]),
            "cpuCores": _number(view.capacity_cpu_cores[index]),
            "cpuUsedCores": _number(cpu[index]),
            "memoryBytes": _number(view.capacity_memory_bytes[index]),
            "memoryUsedBytes": _number(memory[index]),
            "cpuHourUsd": _number(view.cpu_hour_usd[index]),
            "memoryGibHourUsd": _number(view.memory_gib_hour_usd[index]),
            "usdPerHour": _number(cost[index]),
        }
        for index, each in enumerate(view.subclusters)
    ]


def _of_machines(view: FleetView) -> Floats:
    """[C] what the committed replicas cost by the policy engines' price for compute; NaN where it is unknown."""
    opinions = ask(view, policy_engines())[1]
    compute = sum(opinion.prices["compute"] for opinion in opinions if "compute" in opinion.prices)
    column = {each.metadata.name: index for index, each in enumerate(view.subclusters)}
    share = np.zeros((len(view.services), len(column)))
    for service, targets in enumerate(view.current):
        for target in targets:
            share[service, column[target.subcluster]] = target.replicas
    share /= np.maximum(share.sum(axis=1), 1)[:, None]
    return np.asarray(np.where(share > 0, share * compute, 0.0).sum(axis=0))


def _place(subcluster: SubCluster) -> Place:
    """The place, or nowhere: a sub-cluster whose place makes no sense is shown all the same."""
    try:
        return place_of(subcluster.spec, provider(subcluster.spec.provider).cloud)
    except InvalidInput:
        return _NOWHERE


def _shown(place: Place) -> dict[str, Any]:
    return {
        "cloud": place.cloud,
        "region": place.region,
        "country": place.country,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "operator": place.operator,
        "operatorCountry": place.operator_country,
    }


def _number(value: float) -> float | None:
    return round(float(value), 9) if isfinite(value) else None

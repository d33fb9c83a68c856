"""Amounts that keep a service out of a sub-cluster, or make it the dearer choice, changed by as little as is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, isinf
from typing import TYPE_CHECKING

from federation.cli.plantable import money
from federation.cli.remedies import Remedy, World, named, on_subcluster, with_latency, with_spec
from federation.model.meta import Key, Resource
from federation.model.offers import divisible
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import Budget, Capacity, SubCluster
from federation.planner.explain import state_of
from federation.planner.levers import more_money, more_room, price_factor, slow_calls
from federation.planner.wording import cores, memory

if TYPE_CHECKING:
    from federation.planner.decide import Judgement

_MARGIN = 1e-6
AMOUNTS = frozenset({"capacity", "budget", "max-hourly", "latency"})
"""The kinds of edits that are by so much, prices apart."""


@dataclass(frozen=True)
class Amounts:
    """The amounts of one service in one sub-cluster. `judgement`: of `world`."""

    world: World
    judgement: Judgement
    key: Key
    subcluster: str

    def enough(self) -> list[Remedy]:
        """What would give it room, money and near enough neighbours; the smaller changes first."""
        request = self.judgement.request
        state = state_of(request, self.judgement.plan)
        at = request.service_index[self.key], request.subcluster_index[self.subcluster]
        return [
            *(self._call(found.edge, found.needed_s) for found in slow_calls(request, state, *at)),
            *(self._room(*short) for short in more_room(request, state, *at)),
            *self._money(more_money(request, state, *at)),
        ]

    def cheaper(self) -> Remedy | None:
        """Cores and memory there at a price at which it would be the choice; None when no price is low enough."""
        request, there = self.judgement.request, self._there()
        column = request.subcluster_index[self.subcluster]
        state = state_of(request, self.judgement.plan)
        factor = price_factor(request, state, request.service_index[self.key], column)
        if factor is None:
            return None
        view = request.view
        machines = view.machines[column]
        if machines:
            offers = (*divisible(there.status.offers), *(one.at_times(factor) for one in machines if one.priced))
            status = there.status.model_copy(update={"offers": offers})
            text = f"its machines for at most {factor:.3g} times their price there ({factor - 1:+.0%})"
            edit = {"kind": "price", "subcluster": self.subcluster, "factor": factor}
            return Remedy(text, edit, on_subcluster(there, lambda old: old.model_copy(update={"status": status})))
        core, gib = float(view.cpu_hour_usd[column]), float(view.memory_gib_hour_usd[column])
        prices = {"cpu_hour": core * factor, "memory_gib_hour": gib * factor}

        def apply(old: SubCluster) -> SubCluster:
            offers = tuple(
                each.model_copy(update={"cpu_hour_usd": core * factor, "memory_gib_hour_usd": gib * factor})
                for each in old.status.offers
            )
            pricing = old.spec.pricing.model_copy(update=prices)
            spec = old.spec.model_copy(update={"pricing": pricing})
            return old.model_copy(update={"spec": spec, "status": old.status.model_copy(update={"offers": offers})})

        text = f"a core for at most {core * factor:.4g} instead of {core:.4g} USD per hour there, a GiB for "
        edit = {
            "kind": "price",
            "subcluster": self.subcluster,
            "cpu_hour_usd": core * factor,
            "memory_gib_hour_usd": gib * factor,
            "factor": factor,
        }
        text += f"{gib * factor:.4g} instead of {gib:.4g} ({factor - 1:+.0%})"
        return Remedy(text, edit, on_subcluster(there, apply))

    def _there(self) -> SubCluster:
        return next(each for each in self.world if isinstance(each, SubCluster) and each.key.name == self.subcluster)

    def _room(self, more_cores: float, more_bytes: float) -> Remedy:
        """So much more than what the sub-cluster has, whoever says so: its spec or its offers."""
        there, view = self._there(), self.judgement.request.view
        column = self.judgement.request.subcluster_index[self.subcluster]
        cpu = float(view.capacity_cpu_cores[column]) + more_cores * (1 + _MARGIN)
        ram = float(view.capacity_memory_bytes[column]) + more_bytes * (1 + _MARGIN)
        capacity = Capacity(
            cpu=there.spec.capacity.cpu if isinf(cpu) else f"{cpu:.9f}",
            memory=there.spec.capacity.memory if isinf(ram) else str(ceil(ram)),
        )

        def apply(old: SubCluster) -> SubCluster:
            first = tuple(
                each.model_copy(
                    update={
                        "cpu_cores": each.cpu_cores + 2 * more_cores,
                        "memory_bytes": each.memory_bytes + 2 * more_bytes,
                    }
                )
                for each in old.status.offers[:1]
            )
            status = old.status.model_copy(update={"offers": (*first, *old.status.offers[1:])})
            spec = old.spec.model_copy(update={"capacity": capacity})
            return old.model_copy(update={"spec": spec, "status": status})

        said = [f"{cores(more_cores)} more cores"] if more_cores else []
        said += [f"{memory(more_bytes)} more memory"] if more_bytes else []
        edit = {
            "kind": "capacity",
            "subcluster": self.subcluster,
            "more_cpu_cores": more_cores,
            "more_memory_bytes": more_bytes,
        }
        return Remedy(f"{' and '.join(said)} in {self.subcluster}", edit, on_subcluster(there, apply), group="room")

    def _money(self, needed: dict[str, float]) -> Iterator[Remedy]:
        there = self._there()
        least = needed.get(f"budget of {self.subcluster}")
        if least is not None and there.spec.budget is not None:
            text = f"a budget of {self.subcluster} of at least {money(least)}"
            text += f" instead of {money(there.spec.budget.hourly)} USD per hour (spec.budget)"
            edit = {"kind": "budget", "subcluster": self.subcluster, "hourly_usd": least}
            yield Remedy(text, edit, with_spec(there, budget=Budget(hourly=least)))
        for policy in self.world:
            if isinstance(policy, PlacementPolicy | ClusterPlacementPolicy):
                least = needed.get(f"maxHourly of {policy.kind} {policy.key}")
                if least is not None:
                    text = f"{policy.kind} {policy.key} with spec.cost.maxHourly of at least {money(least)} USD"
                    edit = {"kind": "max-hourly", **named(policy), "max_hourly_usd": least}
                    group = f"{policy.kind} {policy.key} without spec.cost.maxHourly"
                    yield Remedy(text, edit, _with_ceiling(policy, least), group=group)

    def _call(self, edge: int, needed_s: float) -> Remedy:
        view = self.judgement.request.view
        index = view.edges[edge].call
        caller, callee = view.services[view.edges[edge].caller], view.services[view.edges[edge].callee]
        milliseconds = ceil(needed_s * 1e9) / 1e6
        most = f"{milliseconds:.6f}ms"
        text = f"{caller.key} with maxLatency {milliseconds:.4g}ms instead of {caller.spec.calls[index].max_latency}"
        edit = {"kind": "latency", **named(caller), "field": f"spec.calls[{index}].maxLatency", "max_latency": most}
        apply = with_latency(caller.key, index, most)
        return Remedy(f"{text} for its call to {callee.key}", edit, apply, group=f"{caller.key} {index}")


def _with_ceiling(policy: Policy, usd: float) -> Callable[[World], World]:
    """The world with another `maxHourly` of the policy."""

    def change(old: Resource) -> Resource:
        if not isinstance(old, PlacementPolicy | ClusterPlacementPolicy) or (old.kind, old.key) != mark:
            return old
        spec = {name: getattr(old.spec, name) for name in type(old.spec).model_fields}
        extra = {**old.spec.sections, "cost": {"maxHourly": usd}}
        return old.model_copy(update={"spec": type(old.spec)(**spec, **extra)})

    mark = (policy.kind, policy.key)
    return lambda world: tuple(change(each) for each in world)

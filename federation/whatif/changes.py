"""Changes carried out on a state, each giving another state; the state before stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from federation.atlas import data
from federation.atlas.lookup import members, place_of
from federation.atlas.machines import is_sold, machines_of
from federation.atlas.prices import bundled
from federation.errors import InvalidInput
from federation.intake.checking import Path, Spot
from federation.model.meta import Key, Resource
from federation.model.microservice import Call, Microservice
from federation.model.nearest import suggestion
from federation.model.offers import divisible
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy
from federation.model.subcluster import Drain, SubCluster
from federation.planner.world import ASSUMED_GIB_PER_HOUR
from federation.whatif.documents import Change, Prices, Replicas, Traffic

if TYPE_CHECKING:
    from federation.whatif.state import PolicyKey, State


@dataclass(frozen=True)
class BoundChange:
    """A change with where it stands (`spot`, `path`), the `namespace` of names without one, and the object that it
    brings (`resource`), checked."""

    change: Change
    spot: Spot
    path: Path
    namespace: str
    resource: Resource | None = None

    def error(self, message: str, *below: str | int) -> InvalidInput:
        """An error about the part at `below`, with its file and line."""
        return self.spot.error(message, (*self.path, self.change.kind, *below))


def carry_out(state: State, bound: BoundChange) -> State:
    """`state` with the change. Raises: InvalidInput where it names what is not there."""
    return _DOERS[bound.change.kind](state, bound)


def describe(change: Change, resource: Resource | None) -> str:
    """The change in words, on one line."""
    name = resource.metadata.name if resource is not None else ""
    one_word = {
        "lose": "is lost",
        "regain": "is there again",
        "cordon": "is cordoned",
        "drain": "is drained",
        "uncordon": "is uncordoned",
    }
    if change.kind in one_word:
        return f"{getattr(change, change.kind)} {one_word[change.kind]}"
    if change.kind == "add":
        return f"{name} is added"
    if change.kind == "apply" and resource is not None:
        return f"{resource.kind_name} {resource.key} is applied"
    if change.kind == "remove":
        return f"policy {change.remove} is removed"
    return _described(change)


def _described(change: Change) -> str:
    if change.prices is not None:
        labels = [f"{key}={value}" for key, value in sorted(change.prices.match_labels.items())]
        which = [each for each in (change.prices.subcluster, change.prices.provider, *labels) if each]
        return f"{' and '.join(change.prices.of)} prices of {', '.join(which) or 'all'} x {change.prices.factor:g}"
    if change.traffic is not None:
        return f"traffic of {', '.join(change.traffic.services) or 'all'} x {change.traffic.factor:g}"
    if change.replicas is not None:
        how = f"x {change.replicas.factor:g}" if change.replicas.factor is not None else f"= {change.replicas.count}"
        return f"replicas of {', '.join(change.replicas.services) or 'all'} {how}"
    if change.jurisdiction is not None:
        parts = [("with", change.jurisdiction.add), ("without", change.jurisdiction.remove)]
        said = [f"{how} {', '.join(codes)}" for how, codes in parts if codes]
        return f"{change.jurisdiction.name} {' and '.join(said)}"
    return change.kind


def _subcluster(state: State, bound: BoundChange) -> SubCluster:
    name = getattr(bound.change, bound.change.kind)
    found = state.subclusters.get(name)
    if found is None:
        raise bound.error(f"there is no sub-cluster {name}; {suggestion(name, state.subclusters)}")
    return found


def _with_subcluster(state: State, new: SubCluster) -> State:
    return replace(state, subclusters={**state.subclusters, new.metadata.name: new})


def _set_health(health: str) -> Callable[[State, BoundChange], State]:
    def do(state: State, bound: BoundChange) -> State:
        old = _subcluster(state, bound)
        if (old.status.health == "Lost") == (health == "Lost"):
            said = "lost already" if health == "Lost" else "not lost"
            raise bound.error(f"{old.metadata.name} is {said} at this point")
        return _with_subcluster(
            state, old.model_copy(update={"status": old.status.model_copy(update={"health": health})})
        )

    return do


def _set_spec(**update: object) -> Callable[[State, BoundChange], State]:
    def do(state: State, bound: BoundChange) -> State:
        old = _subcluster(state, bound)
        return _with_subcluster(state, old.model_copy(update={"spec": old.spec.model_copy(update=update)}))

    return do


def _add(state: State, bound: BoundChange) -> State:
    new = bound.resource
    if not isinstance(new, SubCluster):
        raise bound.error("only a SubCluster can be added")
    if new.metadata.name in state.subclusters:
        raise bound.error(f"there is a sub-cluster {new.metadata.name} already", "metadata", "name")
    status = new.status.model_copy(update={"health": "Healthy"})
    return _with_subcluster(state, new.model_copy(update={"status": status}))


def _apply(state: State, bound: BoundChange) -> State:
    new = bound.resource
    if not isinstance(new, PlacementPolicy | ClusterPlacementPolicy):
        raise bound.error("only a policy can be applied")
    return replace(state, policies={**state.policies, (new.kind_name, new.key): new})


def _remove(state: State, bound: BoundChange) -> State:
    name = bound.change.remove or ""
    found = policies_named(state.policies, name, bound.namespace)
    if not found:
        known = (str(key) if "/" in name else key.name for _, key in state.policies)
        raise bound.error(f"there is no policy {name}; {suggestion(name, known)}")
    if len(found) > 1:
        raise bound.error(f"{' and '.join(f'{kind} {key}' for kind, key in found)} are both named so; add a namespace")
    return replace(state, policies={key: policy for key, policy in state.policies.items() if key != found[0]})


def policies_named(policies: Iterable[PolicyKey], name: str, namespace: str) -> list[PolicyKey]:
    """The policies that `name` may stand for: one of the fleet or of `namespace`, or, with a slash, exactly that."""
    space, slash, plain = name.partition("/")
    wanted = [Key(space, plain)] if slash else [Key("", name), Key(namespace, name)]
    return sorted(policy for policy in policies if policy[1] in wanted)


def _prices(state: State, bound: BoundChange) -> State:
    prices = bound.change.prices or Prices(factor=1.0)
    if prices.subcluster is not None and prices.subcluster not in state.subclusters:
        hint = suggestion(prices.subcluster, state.subclusters)
        raise bound.error(f"there is no sub-cluster {prices.subcluster}; {hint}", "subcluster")
    sold = [name for name, each in state.subclusters.items() if is_sold(each) and _matches(each, prices)]
    if sold and set(prices.of) != {"cpu", "memory"}:
        raise bound.error(
            f"{', '.join(sold)}: machines are bought whole there, with cores and memory; leave this out", "of"
        )
    changed = {name: _dearer(each, prices) for name, each in state.subclusters.items() if _matches(each, prices)}
    if not changed:
        raise bound.error("matches no sub-cluster")
    return replace(state, subclusters={**state.subclusters, **changed})


def _matches(subcluster: SubCluster, prices: Prices) -> bool:
    if prices.provider is not None:
        cloud = place_of(subcluster.spec, None).cloud
        if prices.provider not in (subcluster.spec.provider, cloud):
            return False
    labels = subcluster.metadata.labels
    return prices.subcluster in (None, subcluster.metadata.name) and all(
        labels.get(key) == value for key, value in prices.match_labels.items()
    )


def _dearer(subcluster: SubCluster, prices: Prices) -> SubCluster:
    fields = {"cpu": "cpu_hour", "memory": "memory_gib_hour"}

    def scaled(old: object, suffix: str = "") -> dict[str, float]:
        found = {f"{fields[one]}{suffix}": getattr(old, f"{fields[one]}{suffix}") for one in prices.of}
        return {name: price * prices.factor for name, price in found.items() if price is not None}

    pricing = subcluster.spec.pricing
    spec = subcluster.spec.model_copy(update={"pricing": pricing.model_copy(update=scaled(pricing))})
    offers = tuple(offer.model_copy(update=scaled(offer, "_usd")) for offer in divisible(subcluster.status.offers))
    if is_sold(subcluster):
        machines = machines_of(subcluster, place_of(subcluster.spec, None), bundled())
        offers += tuple(one.at_times(prices.factor) for one in machines if one.priced)
    status = subcluster.status.model_copy(update={"offers": offers})
    return subcluster.model_copy(update={"spec": spec, "status": status})


def _named(state: State, bound: BoundChange, names: tuple[str, ...]) -> frozenset[Key]:
    """The services of those names; all without any."""
    found = []
    for index, name in enumerate(names):
        key = key_of(name, bound.namespace)
        if key not in state.services:
            raise bound.error(unknown_service(key, state.services), "services", index)
        found.append(key)
    return frozenset(found if names else state.services)


def key_of(name: str, namespace: str) -> Key:
    """The service that `name` or `namespace/name` stands for."""
    space, slash, plain = name.partition("/")
    return Key(space, plain) if slash else Key(namespace, name)


def unknown_service(key: Key, known: Mapping[Key, Microservice]) -> str:
    """What to say of a service that is not there."""
    return f"there is no microservice {key}; {suggestion(str(key), map(str, known))}"


def _traffic(state: State, bound: BoundChange) -> State:
    traffic = bound.change.traffic or Traffic(factor=1.0)
    named = _named(state, bound, traffic.services)
    names = {(key.namespace, alias): key for key in named for alias in (key.name, *state.services[key].spec.aliases)}

    def louder(service: Microservice) -> Microservice:
        calls = tuple(
            _scaled(call, traffic.factor)
            if service.key in named or tuple(key_of(call.service, service.key.namespace)) in names
            else call
            for call in service.spec.calls
        )
        return service.model_copy(update={"spec": service.spec.model_copy(update={"calls": calls})})

    return replace(state, services={key: louder(service) for key, service in state.services.items()})


def _scaled(call: Call, factor: float) -> Call:
    """The call carrying more; one whose volume is assumed stays marked so."""
    stated = call.gib_per_hour is not None
    gib = (call.gib_per_hour if call.gib_per_hour is not None else ASSUMED_GIB_PER_HOUR) * factor
    return call.model_copy(update={"gib_per_hour": gib, "assumed": call.assumed or not stated})


def _replicas(state: State, bound: BoundChange) -> State:
    wanted = bound.change.replicas or Replicas(factor=1.0)
    changed = {}
    for key in _named(state, bound, wanted.services):
        service = state.services[key]
        factor = wanted.factor if wanted.factor is not None else 1.0
        # 3 x 1.1 is a little more than 3.3 in binary, and 10 x 1.1 a little more than 11.
        count = math.ceil(round(service.spec.replicas * factor, 9)) if wanted.count is None else wanted.count
        changed[key] = service.model_copy(update={"spec": service.spec.model_copy(update={"replicas": count})})
    return replace(state, services={**state.services, **changed})


def _jurisdiction(state: State, bound: BoundChange) -> State:
    change = bound.change.jurisdiction
    if change is None:
        return state
    if change.name not in data.jurisdictions():
        hint = suggestion(change.name, data.jurisdictions())
        raise bound.error(f"there is no jurisdiction {change.name}; {hint}", "name")
    now = members(change.name, state.jurisdictions)
    for field, codes in (("add", change.add), ("remove", change.remove)):
        for index, code in enumerate(codes):
            if code not in data.countries():
                raise bound.error(f"{code} is no country", field, index)
            if (code in now) == (field == "add"):
                said = "a member already" if field == "add" else "no member"
                raise bound.error(f"{code} is {said} of {change.name}", field, index)
    after = (now | frozenset(change.add)) - frozenset(change.remove)
    return replace(state, jurisdictions={**state.jurisdictions, change.name: after})


_DOERS: dict[str, Callable[[State, BoundChange], State]] = {
    "lose": _set_health("Lost"),
    "regain": _set_health("Healthy"),
    "cordon": _set_spec(unschedulable=True),
    "drain": _set_spec(unschedulable=True, drain=Drain()),
    "uncordon": _set_spec(unschedulable=False, drain=None),
    "add": _add,
    "apply": _apply,
    "remove": _remove,
    "prices": _prices,
    "traffic": _traffic,
    "replicas": _replicas,
    "jurisdiction": _jurisdiction,
}

"""Carrying out the schedule: what people do goes through the store, what fate does hits the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from federation.contracts.store import Create, Delete, Replace, Write
from federation.errors import Unavailable
from federation.model.meta import FLEET, Key, Metadata, Selector
from federation.model.microservice import Call, Disruption, Microservice, MicroserviceSpec, Port
from federation.model.migration import Migration, MigrationSpec
from federation.model.placement import Placement
from federation.model.policy import Canary, ClusterPlacementPolicy, MigrationRules, PolicySpec, Strategy
from federation.model.subcluster import (
    Detection,
    Drain,
    Gateway,
    GatewaySpec,
    Location,
    Pricing,
    SubCluster,
    SubClusterSpec,
    Taint,
)
from federation.testing.simulation.scenario import Action, PlaceSpec, Scenario, ServiceSpec

if TYPE_CHECKING:
    from federation.testing.simulation.simulation import Simulation

NAMESPACE = "default"
USER_RETRY_S = 1.0
CANARY = Strategy(canary=Canary(steps=(50, 100), interval="1s", drain_timeout="3s"))


def fleet_records(scenario: Scenario) -> list[Write]:
    """The records that are there from the beginning: sub-clusters, gateways, policies."""
    writes: list[Write] = []
    for index, place in enumerate(scenario.places):
        writes.append(Create(SubCluster(metadata=Metadata(name=place.name), spec=_place_spec(place))))
        address = f"127.0.{index + 1}.1"
        spec = GatewaySpec(driver="scripted", subcluster=place.name, address=address)
        writes.append(Create(Gateway(metadata=Metadata(name=f"gw-{place.name}"), spec=spec)))
    edge = GatewaySpec(driver="scripted", address="127.0.0.1")
    writes.append(Create(Gateway(metadata=Metadata(name="edge"), spec=edge)))
    rules = MigrationRules(mode="automatic" if scenario.automatic else "manual", strategy=CANARY)
    moving = ClusterPlacementPolicy(metadata=Metadata(name="moving"), spec=PolicySpec(migration=rules))
    writes.append(Create(moving))
    if scenario.residency:
        writes.append(Create(_residency("residency", scenario.residency)))
    return writes


def _place_spec(place: PlaceSpec) -> SubClusterSpec:
    return SubClusterSpec(
        provider="scripted",
        location=Location(country=place.country),
        detection=Detection(window="4s", recovery="2s"),
        pricing=Pricing(cpu_hour=place.cpu_hour_usd, memory_gib_hour=0.0),
    )


def _residency(name: str, allow: tuple[str, ...], **more: str) -> ClusterPlacementPolicy:
    section = {"compliance": {"residency": {"allow": list(allow)}, **more}}
    selector = Selector(match_labels={"data": "personal"})
    return ClusterPlacementPolicy(
        metadata=Metadata(name=name), spec=PolicySpec.model_validate({"selector": selector, **section})
    )


def _template(version: int) -> dict[str, Any]:
    container = {
        "name": "main",
        "command": ["serve"],
        "env": [{"name": "VERSION", "value": str(version)}],
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
    }
    return {"spec": {"containers": [container]}}


def _microservice(spec: ServiceSpec) -> Microservice:
    labels = {"data": "personal" if spec.personal else "public", "spread": "yes" if spec.spread else "no"}
    return Microservice(
        metadata=Metadata(name=spec.name, namespace=NAMESPACE, labels=labels),
        spec=MicroserviceSpec(
            replicas=spec.replicas,
            template=_template(1),
            disruption=Disruption(min_available=spec.min_available),
            ports=(Port(name="http", port=80, protocol="http"),),
            calls=tuple(Call(service=name) for name in spec.calls if name != spec.name),
            stateful=spec.stateful,
        ),
    )


def carry_out(simulation: Simulation, action: Action) -> None:
    """Do what the action says; a person whose store does not answer tries again later."""
    simulation.note("action", str(action))
    try:
        _VERBS[action.verb](simulation, *action.args)
    except Unavailable:
        simulation.timeline.after(USER_RETRY_S, lambda: carry_out(simulation, action))


def _find(simulation: Simulation, kind: Any, name: str, namespace: str = NAMESPACE) -> Any:
    if simulation.store.down:
        raise Unavailable("the store does not answer")
    return simulation.store.find(kind, Key(namespace, name))


# People


def _create(simulation: Simulation, name: str) -> None:
    spec = next(spec for spec in simulation.scenario.services if spec.name == name)
    if _find(simulation, Microservice, name) is None:
        simulation.store.write_as_user([Create(_microservice(spec))])


def _delete(simulation: Simulation, name: str) -> None:
    if _find(simulation, Microservice, name) is not None:
        simulation.store.write_as_user([Delete(Microservice, Key(NAMESPACE, name))])


def _change_service(simulation: Simulation, name: str, **update: object) -> None:
    service = _find(simulation, Microservice, name)
    if service is not None:
        spec = service.spec.model_copy(update=update)
        simulation.store.write_as_user([Replace(service.model_copy(update={"spec": spec}))])


def _scale(simulation: Simulation, name: str, replicas: int) -> None:
    _change_service(simulation, name, replicas=replicas)


def _change_template(simulation: Simulation, name: str) -> None:
    simulation.template_version += 1
    _change_service(simulation, name, template=_template(simulation.template_version))


def _migrate(simulation: Simulation, name: str, target: str) -> None:
    if _open_migration(simulation, name) is None:
        _migrate_anyway(simulation, name, target)


def _migrate_twice(simulation: Simulation, name: str, target: str, other: str) -> None:
    """Two people at once, neither of whom knows of the other."""
    _migrate_anyway(simulation, name, target)
    _migrate_anyway(simulation, name, other)


def _migrate_anyway(simulation: Simulation, name: str, target: str) -> None:
    placement = _find(simulation, Placement, name)
    if placement is None:
        return
    source = next((t for t in placement.spec.targets if t.subcluster != target), None)
    if source is None:
        return
    simulation.migrations += 1
    record = Migration(
        metadata=Metadata(name=f"{name}-by-hand-{simulation.migrations}", namespace=NAMESPACE),
        spec=MigrationSpec(
            service=name, source=source.subcluster, target=target, replicas=source.replicas, strategy=CANARY
        ),
    )
    simulation.store.write_as_user([Create(record)])


def _open_migration(simulation: Simulation, name: str) -> Migration | None:
    items = simulation.store.known(Migration).values()
    return next((item for item in items if item.open and item.spec.service == name), None)


def _rollback(simulation: Simulation, name: str) -> None:
    migration = _open_migration(simulation, name)
    if migration is not None:
        spec = migration.spec.model_copy(update={"rollback": True})
        simulation.store.write_as_user([Replace(migration.model_copy(update={"spec": spec}))])


def _unpin(simulation: Simulation, name: str) -> None:
    placement = _find(simulation, Placement, name)
    if placement is not None and placement.spec.pinned is not None:
        spec = placement.spec.model_copy(update={"pinned": None})
        simulation.store.write_as_user([Replace(placement.model_copy(update={"spec": spec}))])


def _forbid(simulation: Simulation, place: str, grace_s: float = 0.0) -> None:
    """Personal data leaves the country of `place`; with a grace, what has nowhere to go is stopped at its end."""
    country = next(spec.country for spec in simulation.scenario.places if spec.name == place)
    allow = tuple(spec.country for spec in simulation.scenario.places if spec.country != country)
    if _find(simulation, ClusterPlacementPolicy, "ban", FLEET) is None:
        more = {"grace": f"{grace_s:g}s", "onViolation": "stop"} if grace_s else {}
        simulation.store.write_as_user([Create(_residency("ban", allow, **more))])


def _permit(simulation: Simulation) -> None:
    if _find(simulation, ClusterPlacementPolicy, "ban", FLEET) is not None:
        simulation.store.write_as_user([Delete(ClusterPlacementPolicy, Key(FLEET, "ban"))])


def _price(simulation: Simulation, place: str, usd: float) -> None:
    record = _find(simulation, SubCluster, place, FLEET)
    spec = record.spec.model_copy(update={"pricing": Pricing(cpu_hour=usd, memory_gib_hour=0.0)})
    simulation.store.write_as_user([Replace(record.model_copy(update={"spec": spec}))])


def _drain(simulation: Simulation, place: str, parallel: int) -> None:
    _change_place(simulation, place, drain=Drain(parallel=parallel), unschedulable=True)


def _undrain(simulation: Simulation, place: str) -> None:
    _change_place(simulation, place, drain=None, unschedulable=False)


def _taint(simulation: Simulation, place: str, effect: str) -> None:
    _change_place(simulation, place, taints=(Taint.model_validate({"key": "broken", "effect": effect}),))


def _untaint(simulation: Simulation, place: str) -> None:
    _change_place(simulation, place, taints=())


def _change_place(simulation: Simulation, place: str, **update: object) -> None:
    record = _find(simulation, SubCluster, place, FLEET)
    spec = record.spec.model_copy(update=update)
    simulation.store.write_as_user([Replace(record.model_copy(update={"spec": spec}))])


def _pause(simulation: Simulation, name: str, duration_s: float) -> None:
    """Hold the open migration of a service for a while."""
    migration = _open_migration(simulation, name)
    if migration is not None:
        _set_paused(simulation, migration.key, True)
        simulation.timeline.after(duration_s, lambda: _resume(simulation, migration.key))


def _resume(simulation: Simulation, key: Key) -> None:
    try:
        _set_paused(simulation, key, False)
    except Unavailable:
        simulation.timeline.after(USER_RETRY_S, lambda: _resume(simulation, key))


def _set_paused(simulation: Simulation, key: Key, paused: bool) -> None:
    migration = _find(simulation, Migration, key.name)
    if migration is not None and migration.open:
        spec = migration.spec.model_copy(update={"paused": paused})
        simulation.store.write_as_user([Replace(migration.model_copy(update={"spec": spec}))])


# Fate


def _kill_pod(simulation: Simulation, name: str, place: str) -> None:
    simulation.places[place].kill_pod(Key(NAMESPACE, name))


def _wipe(simulation: Simulation, name: str, place: str) -> None:
    simulation.places[place].wipe(Key(NAMESPACE, name))


def _errors(simulation: Simulation, place: str, duration_s: float) -> None:
    """Half of all requests there fail, though the pods are ready."""
    simulation.places[place].errors_until_s = simulation.timeline.now + duration_s


def _crash(simulation: Simulation, place: str, duration_s: float) -> None:
    simulation.places[place].crash(duration_s)
    if simulation.chance.random() < 0.5:
        simulation.gateways[f"gw-{place}"].reset()


def _cut_off(simulation: Simulation, place: str, duration_s: float) -> None:
    simulation.places[place].cut_off(duration_s)


def _trouble(simulation: Simulation, place: str, duration_s: float, rate: float) -> None:
    trouble = simulation.places[place].trouble
    trouble.until_s, trouble.rate = simulation.timeline.now + duration_s, rate


def _gateway_trouble(simulation: Simulation, place: str, duration_s: float, rate: float) -> None:
    trouble = simulation.gateways["edge" if place == "edge" else f"gw-{place}"].trouble
    trouble.until_s, trouble.rate = simulation.timeline.now + duration_s, rate


def _gateway_reset(simulation: Simulation, place: str) -> None:
    simulation.gateways["edge" if place == "edge" else f"gw-{place}"].reset()


def _store_outage(simulation: Simulation, duration_s: float) -> None:
    simulation.store.down_until_s = simulation.timeline.now + duration_s


def _set_clock(simulation: Simulation, by_s: float) -> None:
    simulation.timeline.wall_offset_s += by_s


def _kill_controller(simulation: Simulation, steps: int, pause_s: float) -> None:
    simulation.kill_controller(steps, pause_s)


def _kill_at_write(simulation: Simulation, writes: int, pause_s: float) -> None:
    simulation.kill_controller(writes, pause_s, only="write")


_VERBS: dict[str, Callable[..., None]] = {
    "create": _create,
    "delete": _delete,
    "scale": _scale,
    "template": _change_template,
    "migrate": _migrate,
    "migrate-twice": _migrate_twice,
    "rollback": _rollback,
    "unpin": _unpin,
    "forbid": _forbid,
    "permit": _permit,
    "drain": _drain,
    "undrain": _undrain,
    "taint": _taint,
    "untaint": _untaint,
    "pause": _pause,
    "price": _price,
    "kill-pod": _kill_pod,
    "wipe": _wipe,
    "errors": _errors,
    "crash": _crash,
    "cut-off": _cut_off,
    "trouble": _trouble,
    "gateway-trouble": _gateway_trouble,
    "gateway-reset": _gateway_reset,
    "store-outage": _store_outage,
    "set-clock": _set_clock,
    "kill-controller": _kill_controller,
    "kill-at-write": _kill_at_write,
}

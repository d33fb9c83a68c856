"""The composition root: finds plug-ins by their entry points and builds what others are handed."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar, cast

from federation.errors import InvalidInput, InvalidInputs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

    from federation.atlas.places import Place
    from federation.atlas.prices import Prices
    from federation.contracts.driver import Provider, SubClusterDriver
    from federation.contracts.gateway import Gateway as GatewayHandle
    from federation.contracts.gateway import GatewayPlugin
    from federation.contracts.policy import PolicyEngine
    from federation.engine.core import Plugins
    from federation.engine.judging import Situation
    from federation.intake.schemas import Schemas
    from federation.model.meta import Key, Resource
    from federation.model.microservice import Microservice
    from federation.model.offers import Offer
    from federation.model.placement import Target
    from federation.model.policy import Policy
    from federation.model.subcluster import Gateway, SubCluster
    from federation.planner.decide import Judgement
    from federation.planner.request import PlanRequest
    from federation.whatif.settle import Planner

WORTH_REMEMBERING = 100
"""From how many services on a judgement is worth beginning the next one with."""

P = TypeVar("P")
PROVIDERS, POLICIES, GATEWAYS = "roam.providers", "roam.policies", "roam.gateways"


@cache
def _found(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name, in the order of names, so that nothing depends on discovery order."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


@cache
def _load(group: str, name: str) -> Any:
    point = _found(group).get(name)
    if point is None:
        known = ", ".join(_found(group)) or "none"
        close = get_close_matches(name, list(_found(group)), 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InvalidInput(f"no plug-in {name!r} in {group}; known: {known}{hint}")
    try:
        return point.load()
    except ModuleNotFoundError as error:
        extra = f" (pip install 'roam-federation[{name}]')" if error.name and not _ours(error.name) else ""
        raise InvalidInput(f"the plug-in {name!r} needs the module {error.name!r}, which is missing{extra}") from error


def _ours(module: str) -> bool:
    return module.partition(".")[0] in ("federation", "providers", "policies")


def providers() -> Mapping[str, Provider]:
    """All providers by name, in the order of names."""
    return {name: cast("Provider", _load(PROVIDERS, name)) for name in _found(PROVIDERS)}


def gateway_plugins() -> Mapping[str, GatewayPlugin]:
    """All gateway drivers by name."""
    return {name: cast("GatewayPlugin", _load(GATEWAYS, name)) for name in _found(GATEWAYS)}


def policy_engines() -> tuple[PolicyEngine, ...]:
    """All policy engines, in the order of names."""
    return tuple(cast("PolicyEngine", _load(POLICIES, name)) for name in _found(POLICIES))


def provider(name: str) -> Provider:
    """The provider of that name. Raises: InvalidInput, listing the known ones."""
    return cast("Provider", _load(PROVIDERS, name))


def _connection(schema: type[BaseModel], value: Mapping[str, object], where: str) -> BaseModel:
    from pydantic import ValidationError

    try:
        return schema.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in ("spec", "connection", *first["loc"]))
        raise InvalidInput(first["msg"], field=f"{where}.{field}") from error


def open_driver(subcluster: SubCluster) -> SubClusterDriver:
    """A handle on a sub-cluster by its provider. Raises: InvalidInput, Denied."""
    plugin = provider(subcluster.spec.provider)
    connection = _connection(plugin.connection_schema, subcluster.spec.connection, subcluster.metadata.name)
    return plugin.open(subcluster, connection)


def open_gateway(gateway: Gateway) -> GatewayHandle:
    """A handle on a gateway by its driver. Raises: InvalidInput."""
    plugin = cast("GatewayPlugin", _load(GATEWAYS, gateway.spec.driver))
    connection = _connection(plugin.connection_schema, gateway.spec.connection, gateway.metadata.name)
    return plugin.open(gateway.metadata.name, gateway.spec.address, connection)


def schemas() -> Schemas:
    """What plug-ins bring for strict validation of documents."""
    from federation.intake.schemas import Schemas

    found = providers()
    return Schemas(
        providers={name: plugin.connection_schema for name, plugin in found.items()},
        gateways={name: plugin.connection_schema for name, plugin in gateway_plugins().items()},
        sections={engine.section: engine.schema for engine in policy_engines()},
        clouds={name: plugin.cloud for name, plugin in found.items() if plugin.cloud is not None},
    )


def engine_plugins() -> Plugins:
    """What the engine needs of the outside: drivers and gateways by plug-in, and the planner's judgement."""
    from federation.engine.core import Plugins

    return Plugins(open_driver, open_gateway, Judge())


class Judge:
    """The planner's judgement of what the engine sees, with the bound that costs no time: others wait meanwhile.

    What it said of a whole fleet it remembers, and looks at what is new since."""

    def __init__(self) -> None:
        self._last: Judgement | None = None

    def __call__(self, situation: Situation) -> Judgement:
        """Judge anew."""
        from federation.planner.decide import Judgement
        from federation.planner.request import prepare
        from federation.planner.world import World

        world = World(
            situation.subclusters,
            situation.services,
            situation.policies,
            situation.placements,
            situation.migrations,
            situation.moving,
            situation.jurisdictions,
        )
        request = prepare(
            world,
            policy_engines(),
            _places(situation.subclusters),
            situation.now,
            images=_images(situation.subclusters),
            fixed=situation.fixed,
            prices=price_file(situation.subclusters),
        )
        judgement = Judgement(request, certify=False, after=self._last)
        if len(situation.services) >= WORTH_REMEMBERING:
            self._last = judgement
        return judgement


def whatif_planner() -> Planner:
    """What scenarios and policy tests are played with."""
    from federation.whatif.settle import Planner

    return Planner(Judge(), lambda subcluster: _images((subcluster,))[subcluster.metadata.name])


def plan_resources(
    resources: Iterable[Resource],
    now: float,
    *,
    held: Mapping[Key, tuple[Target, ...]] | None = None,
    certify: bool = True,
) -> Judgement:
    """The plan for a set of resources (files, or the state of a server), with no side effect.

    Args: now, seconds since 1970; held, the only services that must not move, with their targets (None: those that are
    pinned or on the move); certify, whether to spend time on a close bound, for those who show the gap. The placements
    and open migrations among the resources are what runs now.
    Raises: InvalidInput, for policies or places that make no sense, or policies that contradict each other."""
    from federation.planner.decide import Judgement

    return Judgement(plan_request(resources, now, held=held), certify=certify)


def plan_request(
    resources: Iterable[Resource], now: float, *, held: Mapping[Key, tuple[Target, ...]] | None = None
) -> PlanRequest:
    """What `plan_resources` plans, not planned yet. Args and raises: as there."""
    from federation.model.microservice import Microservice
    from federation.model.migration import Migration
    from federation.model.placement import Placement
    from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy
    from federation.model.subcluster import SubCluster
    from federation.planner.request import prepare
    from federation.planner.world import World

    everything = tuple(resources)
    subclusters = tuple(each for each in everything if isinstance(each, SubCluster))
    world = World(
        subclusters,
        tuple(each for each in everything if isinstance(each, Microservice)),
        tuple(each for each in everything if isinstance(each, PlacementPolicy | ClusterPlacementPolicy)),
        {each.key: each for each in everything if isinstance(each, Placement)},
        tuple(each for each in everything if isinstance(each, Migration)),
    )
    places, images = _places(subclusters), _images(subclusters)
    request = prepare(world, policy_engines(), places, now, images=images, fixed=held, prices=price_file(subclusters))
    found = request.conflicts
    if found:
        lines = sorted({f"{key}: {message}" for key, messages in found.items() for message in messages})
        raise InvalidInputs(tuple(InvalidInput(line) for line in lines))
    return request


def contradictions(policies: Iterable[Policy], services: Iterable[Microservice]) -> Mapping[Key, tuple[str, ...]]:
    """What is contradictory in the policies, by the service that they are about; each message names both sides.

    Raises: InvalidInputs, for policies that no engine understands."""
    from federation.planner.request import prepare
    from federation.planner.world import World

    world = World((), tuple(services), tuple(policies))
    return prepare(world, policy_engines(), {}, 0.0).conflicts


def _places(subclusters: Iterable[SubCluster]) -> dict[str, Place]:
    from federation.atlas.lookup import place_of

    return {each.metadata.name: place_of(each.spec, provider(each.spec.provider).cloud) for each in subclusters}


def price_file(subclusters: Iterable[SubCluster]) -> Prices | None:
    """The prices of machines that come with what is installed; None where there are none, or no machines are bought:
    it takes a moment to read, once. Raises: InvalidInput (it is something else)."""
    from federation.atlas.machines import is_sold
    from federation.atlas.prices import bundled

    return bundled() if any(is_sold(each) for each in subclusters) else None


def machines_sold(subcluster: SubCluster) -> tuple[Offer, ...]:
    """The machines that are bought whole there, with what they cost by whom; none where capacity is divisible."""
    from federation.atlas.machines import machines_of

    return machines_of(subcluster, _places((subcluster,))[subcluster.metadata.name], price_file((subcluster,)))


def _images(subclusters: Iterable[SubCluster]) -> dict[str, bool]:
    """Whether each sub-cluster runs images, as its provider says of its connection, by sub-cluster name."""
    found = {}
    for each in subclusters:
        plugin = provider(each.spec.provider)
        connection = _connection(plugin.connection_schema, each.spec.connection, each.metadata.name)
        found[each.metadata.name] = plugin.capabilities(connection).runs_images
    return found

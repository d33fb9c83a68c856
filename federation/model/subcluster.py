"""`SubCluster`: one place of the fleet, and `Gateway`: where its traffic goes in and out."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from federation.model.meta import Condition, LabelKey, LabelValue, Name, PortNumber, Resource, Timestamp, Value
from federation.model.offers import Offer
from federation.model.overrides import Overrides
from federation.model.quantity import Duration, Quantity, Usd, parse_duration_s, parse_quantity

CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""
LONGEST_WINDOW_S = 30 * 86400.0
_TYPE = re.compile(r"^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?\Z")


class Location(Value):
    """Where a sub-cluster stands and who operates the ground; each field overrides the atlas's of the region.
    `latencies`: measured round trips from there, by region (`cloud/region` where several clouds have the name) or by
    country for what is there in no cloud; each replaces the estimate, in both directions."""

    country: CountryCode | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    cloud: str | None = None
    operator: str | None = None
    operator_country: CountryCode | None = None
    latencies: Annotated[dict[str, Duration], Field(max_length=1000)] = {}


class Pricing(Value):
    """What a core and a GiB of memory cost per hour where no provider quotes it. Unset is unknown, never free."""

    cpu_hour: Usd | None = None
    memory_gib_hour: Annotated[Usd | None, Field(alias="memoryGiBHour")] = None


def _type(name: str) -> str:
    if not _TYPE.match(name):
        raise ValueError(f"{name[:80]!r} is not an instance type: use at most 63 letters, digits, '-', '.' and '_'")
    return name


def _not_free(usd: float) -> float:
    if usd == 0:
        raise ValueError("0 is no price of a machine; leave it out where it is unknown")
    return usd


class InstanceType(Value):
    """A type of machine that is bought whole. `cpu` and `memory`: its size, where the atlas does not know the type.
    `hourly` and `spot_hourly`: its price, where no provider quotes it; unset is the price file's, or unknown."""

    type: Annotated[str, AfterValidator(_type)]
    cpu: Quantity | None = None
    memory: Quantity | None = None
    hourly: Annotated[Usd, AfterValidator(_not_free)] | None = None
    spot_hourly: Annotated[Usd, AfterValidator(_not_free)] | None = None

    @model_validator(mode="after")
    def _has_a_size_or_none(self) -> InstanceType:
        if (self.cpu is None) != (self.memory is None):
            raise ValueError("cpu and memory go together: state both, or neither where the atlas knows the type")
        for size in (self.cpu, self.memory):
            if size is not None and parse_quantity(size) == 0:
                raise ValueError("a machine has more than 0 cpu and memory")
        return self


def _each_once(types: tuple[InstanceType, ...]) -> tuple[InstanceType, ...]:
    names = [each.type for each in types]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is there twice; name each instance type once")
    return types


class Capacity(Value):
    """A ceiling on what Roam may use there: cores and bytes, as Kubernetes quantities."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class Budget(Value):
    """A ceiling on what Roam may spend there."""

    hourly: Usd


class Taint(Value):
    """Keeps services away that do not tolerate it."""

    key: LabelKey
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Drain(Value):
    """Everything moves away, at most `parallel` services at a time."""

    parallel: Annotated[int, Field(ge=1, le=1000)] = 2


def _some_time(value: str) -> str:
    seconds = parse_duration_s(value)
    if seconds <= 0:
        raise ValueError(f"{value!r} would lose a sub-cluster at once: it has to be longer than nothing, such as 10s")
    if seconds > LONGEST_WINDOW_S:
        raise ValueError(f"{value!r} would never lose a sub-cluster; write at most 30d")
    return value


def _once_each(taints: tuple[Taint, ...]) -> tuple[Taint, ...]:
    marks = [(taint.key, taint.effect) for taint in taints]
    twice = sorted({f"{key}:{effect}" for key, effect in marks if marks.count((key, effect)) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is there twice; a key has one value for each effect")
    return taints


class Detection(Value):
    """How long silence lasts before it counts as loss, and how long an answer must last before it counts as return."""

    window: Annotated[Duration, AfterValidator(_some_time)] = "10s"
    recovery: Duration = "5s"


class SubClusterSpec(Value):
    """What the platform team says of a sub-cluster. `connection` follows the provider's own schema. `instances`: the
    types of machines that are bought there, whole; empty where cores and memory are had in any division, or where the
    driver offers machines and all of them may be bought. `unschedulable`: no new work (cordon); `drain`: that, and what
    runs there moves away in waves."""

    provider: str
    region: str | None = None
    location: Location = Location()
    connection: dict[str, JsonValue] = {}
    credentials: dict[str, str] = {}
    capacity: Capacity = Capacity()
    budget: Budget | None = None
    taints: Annotated[tuple[Taint, ...], AfterValidator(_once_each)] = ()
    detection: Detection = Detection()
    overrides: Overrides = Overrides()
    attestations: tuple[str, ...] = ()
    pricing: Pricing = Pricing()
    instances: Annotated[tuple[InstanceType, ...], Field(max_length=1000), AfterValidator(_each_once)] = ()
    unschedulable: bool = False
    drain: Drain | None = None


class SubClusterStatus(Value):
    """What Roam sees of it. `health`: Unknown until first heard; Silent without an answer,
    Lost after the detection window; Returning when it answers again, until it did so for the recovery time."""

    health: Literal["Unknown", "Healthy", "Silent", "Lost", "Returning"] = "Unknown"
    last_heard: Timestamp | None = None
    offers: tuple[Offer, ...] = ()
    runs_images: bool | None = None
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0


class SubCluster(Resource):
    """One place of the fleet: a cluster or a region of a cloud, driven by a provider's driver."""

    kind_name: ClassVar[str] = "SubCluster"
    plural: ClassVar[str] = "subclusters"
    namespaced: ClassVar[bool] = False
    short_names: ClassVar[tuple[str, ...]] = ("sub", "subs", "subcluster")

    kind: Literal["SubCluster"] = "SubCluster"
    spec: SubClusterSpec
    status: SubClusterStatus = SubClusterStatus()


class GatewaySpec(Value):
    """Where a gateway is. `subcluster` None makes it the edge. `connection` follows the gateway driver's schema."""

    driver: str = "envoy"
    subcluster: Name | None = None
    address: str
    first_port: PortNumber = 20000
    connection: dict[str, JsonValue] = {}


class GatewayStatus(Value):
    """What Roam sees of it."""

    ready: bool = False
    conditions: tuple[Condition, ...] = ()


class Gateway(Resource):
    """One gateway: every microservice port listens there, at the same port number on every gateway."""

    kind_name: ClassVar[str] = "Gateway"
    plural: ClassVar[str] = "gateways"
    namespaced: ClassVar[bool] = False
    short_names: ClassVar[tuple[str, ...]] = ("gw", "gateway")

    kind: Literal["Gateway"] = "Gateway"
    spec: GatewaySpec
    status: GatewayStatus = GatewayStatus()

"""`SubCluster`: one place of the fleet, and `Gateway`: where its traffic goes in and out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue

from federation.model.meta import Condition, LabelKey, LabelValue, Name, PortNumber, Resource, Timestamp, Value
from federation.model.offers import Offer
from federation.model.overrides import Overrides
from federation.model.quantity import Duration, Quantity, Usd, parse_duration_s

CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""
LONGEST_WINDOW_S = 30 * 86400.0


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
    """What the platform team says of a sub-cluster. `connection` follows the provider's own schema. `unschedulable`: no
    new work (cordon); `drain`: that, and what runs there moves away in waves."""

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

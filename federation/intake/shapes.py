"""The Kubernetes kinds as far as Roam reads them; all other fields are free.

The shapes only check: the object itself is carried on as it was written. Source: Kubernetes API reference.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from federation.model.meta import Labels, Name, Namespace, Natural, PortNumber, Selector
from federation.model.quantity import Quantity

Seconds = Annotated[int, Field(ge=0, le=2**31 - 1)]


def _int_or_percent(value: object) -> object:
    if isinstance(value, str) and not (value.endswith("%") and value[:-1].isascii() and value[:-1].isdigit()):
        raise ValueError(f"{value!r} is neither a number nor a percentage; write for instance 1 or 50%")
    if isinstance(value, str) and len(value) > 4:
        raise ValueError(f"{value:.20} is more than 100%")
    return value


def _port_or_name(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        raise ValueError(f"{value!r} is a number in quotes; write it without them")
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= 65535:
        raise ValueError(f"{value} is not a port; it must lie between 1 and 65535")
    if not isinstance(value, int | str) or isinstance(value, bool) or value == "":
        raise ValueError(f"{value!r} is not a port; write its number, or the name of a container port")
    return value


IntOrPercent = Annotated[Natural | str, BeforeValidator(_int_or_percent)]
PortOrName = Annotated[int | str, BeforeValidator(_port_or_name)]


class Shape(BaseModel):
    """Base: unknown fields are free, and null counts as absent for optional ones, as in Kubernetes."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, frozen=True)


class Meta(Shape):
    """Metadata of a workload or service."""

    name: Name
    namespace: Namespace | None = None
    labels: Labels | None = None
    annotations: dict[str, str] | None = None


class AnyMeta(Shape):
    """Metadata of any other object; some kinds allow more than DNS names."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    namespace: Namespace | None = None
    labels: Labels | None = None
    annotations: dict[str, str] | None = None


class PodMeta(Shape):
    """Metadata of a pod template."""

    labels: Labels | None = None
    annotations: dict[str, str] | None = None


class KeyRef(Shape):
    """A reference to one key of a ConfigMap or Secret."""

    name: str = ""
    key: str


class ValueFrom(Shape):
    """Where a variable's value is taken from."""

    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None
    field_ref: dict[str, Any] | None = None
    resource_field_ref: dict[str, Any] | None = None


class Variable(Shape):
    """An environment variable."""

    name: Annotated[str, Field(min_length=1)]
    value: str | None = None
    value_from: ValueFrom | None = None


class NameRef(Shape):
    """A reference by name."""

    name: str = ""


class VariablesFrom(Shape):
    """All entries of a ConfigMap or Secret as variables."""

    prefix: str | None = None
    config_map_ref: NameRef | None = None
    secret_ref: NameRef | None = None


class ContainerPort(Shape):
    """A port that a container listens on."""

    name: str | None = None
    container_port: PortNumber
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None


class Resources(Shape):
    """What a container asks for and may use at most."""

    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None


class HttpGet(Shape):
    """A probe by HTTP."""

    port: PortOrName
    path: str | None = None
    scheme: Literal["HTTP", "HTTPS"] | None = None


class TcpSocket(Shape):
    """A probe by connecting."""

    port: PortOrName


class Grpc(Shape):
    """A probe by gRPC's health protocol."""

    port: PortNumber


class Exec(Shape):
    """A probe by command."""

    command: list[str] | None = None


class Probe(Shape):
    """How a container's health is asked for."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    exec: Exec | None = None
    initial_delay_seconds: Seconds | None = None
    timeout_seconds: Seconds | None = None
    period_seconds: Seconds | None = None
    success_threshold: Seconds | None = None
    failure_threshold: Seconds | None = None


class Container(Shape):
    """One container of a pod."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str | None = None
    env: list[Variable] | None = None
    env_from: list[VariablesFrom] | None = None
    ports: list[ContainerPort] | None = None
    resources: Resources | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    restart_policy: str | None = None
    volume_mounts: list[dict[str, Any]] | None = None


class PodSpec(Shape):
    """What runs in a pod."""

    containers: Annotated[list[Container], Field(min_length=1)]
    init_containers: list[Container] | None = None
    volumes: list[dict[str, Any]] | None = None
    service_account_name: str | None = None
    termination_grace_period_seconds: Seconds | None = None
    overhead: dict[str, Quantity] | None = None
    image_pull_secrets: list[dict[str, Any]] | None = None


class PodTemplate(Shape):
    """A pod template."""

    metadata: PodMeta | None = None
    spec: PodSpec


class WorkloadSpec(Shape):
    """What the kinds that keep pods running have in common."""

    replicas: Natural | None = None
    selector: Selector | None = None
    template: PodTemplate
    volume_claim_templates: list[dict[str, Any]] | None = None
    service_name: str | None = None


class Workload(Shape):
    """Deployment, StatefulSet, DaemonSet, ReplicaSet."""

    metadata: Meta
    spec: WorkloadSpec


class ControllerSpec(Shape):
    """ReplicationController's; its selector is labels."""

    replicas: Natural | None = None
    selector: dict[str, str] | None = None
    template: PodTemplate


class Controller(Shape):
    """ReplicationController."""

    metadata: Meta
    spec: ControllerSpec


class JobSpec(Shape):
    """A job's."""

    parallelism: Natural | None = None
    completions: Natural | None = None
    template: PodTemplate


class Job(Shape):
    """Job."""

    metadata: Meta
    spec: JobSpec


class JobTemplate(Shape):
    """The job that a CronJob starts."""

    spec: JobSpec


class CronJobSpec(Shape):
    """A CronJob's."""

    schedule: str
    job_template: JobTemplate


class CronJob(Shape):
    """CronJob."""

    metadata: Meta
    spec: CronJobSpec


class Pod(Shape):
    """Pod."""

    metadata: Meta
    spec: PodSpec


class ServicePort(Shape):
    """A port of a service."""

    name: str | None = None
    port: PortNumber
    target_port: PortOrName | None = None
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None
    app_protocol: str | None = None


class ServiceSpec(Shape):
    """A service's."""

    type: str | None = None
    selector: Labels | None = None
    ports: list[ServicePort] | None = None
    external_name: str | None = None


class Service(Shape):
    """Service."""

    metadata: Meta
    spec: ServiceSpec


class ConfigMap(Shape):
    """ConfigMap."""

    metadata: AnyMeta
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


class Secret(Shape):
    """Secret."""

    metadata: AnyMeta
    data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None


class DisruptionBudgetSpec(Shape):
    """A PodDisruptionBudget's."""

    selector: Selector | None = None
    min_available: IntOrPercent | None = None
    max_unavailable: IntOrPercent | None = None


class DisruptionBudget(Shape):
    """PodDisruptionBudget."""

    metadata: AnyMeta
    spec: DisruptionBudgetSpec


class TargetRef(Shape):
    """Which workload is meant."""

    kind: str
    name: str


class AutoscalerSpec(Shape):
    """A HorizontalPodAutoscaler's."""

    scale_target_ref: TargetRef
    min_replicas: Natural | None = None
    max_replicas: Natural


class Autoscaler(Shape):
    """HorizontalPodAutoscaler."""

    metadata: AnyMeta
    spec: AutoscalerSpec


class NetworkPolicySpec(Shape):
    """A NetworkPolicy's."""

    pod_selector: Selector | None = None


class NetworkPolicy(Shape):
    """NetworkPolicy."""

    metadata: AnyMeta
    spec: NetworkPolicySpec


class AnyObject(Shape):
    """Any other Kubernetes object."""

    metadata: AnyMeta

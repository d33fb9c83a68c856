"""The part of a Kubernetes pod template that an agent reads, checked; everything else in it is left alone.

Source: Kubernetes API reference, core/v1 PodSpec, Container, Probe, Lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, JsonValue, StrictInt, ValidationError
from pydantic import model_validator as validator

from federation.errors import InvalidInput, InvalidInputs
from providers.local.agent.volumespec import Amount, FieldRef, Mount, Part, ResourceFieldRef, Volume

Seconds = Annotated[StrictInt, Field(ge=0)]
AtLeastOne = Annotated[StrictInt, Field(ge=1)]
PortRef = Annotated[int, Field(strict=True, ge=1, le=65535)] | Annotated[str, Field(min_length=1)]

M = TypeVar("M", bound=BaseModel)


class KeyRef(Part):
    """A key of a ConfigMap or Secret."""

    name: str
    key: str
    optional: bool = False


class Source(Part):
    """Where the value of a variable comes from: exactly one of these."""

    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None

    @validator(mode="after")
    def _exactly_one(self) -> Source:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("must be one of configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef")
        return self


class Variable(Part):
    """One entry of `env`."""

    name: Annotated[str, Field(pattern=r"^[^=\x00]+$")]
    value: str = ""
    value_from: Source | None = None


class ObjectRef(Part):
    """A whole ConfigMap or Secret."""

    name: str
    optional: bool = False


class Bundle(Part):
    """One entry of `envFrom`."""

    prefix: str = ""
    config_map_ref: ObjectRef | None = None
    secret_ref: ObjectRef | None = None


class ContainerPort(Part):
    """A port the container listens on."""

    container_port: Annotated[StrictInt, Field(ge=1, le=65535)]
    name: str = ""


class Header(Part):
    """One HTTP header of a probe."""

    name: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
    value: Annotated[str, Field(pattern=r"^[^\r\n\x00]*$")] = ""


class HttpGet(Part):
    """Ask a path of the pod; any status from 200 to 399 is success."""

    port: PortRef
    path: Annotated[str, Field(pattern=r"^[^\s]*$")] = "/"
    host: Annotated[str, Field(pattern=r"^[^\s/]*$")] = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[Header, ...] = ()


class TcpSocket(Part):
    """Open a connection to the pod."""

    port: PortRef
    host: str = ""


class Exec(Part):
    """Run a program beside the container."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]


class Grpc(Part):
    """Ask the gRPC health service of the pod."""

    port: PortRef
    service: str = ""


class Sleep(Part):
    """Wait."""

    seconds: Seconds


class Action(Part):
    """What a probe or a hook does: exactly one of these. `sleep` is for hooks only, `grpc` for probes only."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    grpc: Grpc | None = None
    sleep: Sleep | None = None

    @validator(mode="after")
    def _exactly_one(self) -> Action:
        if sum(getattr(self, name) is not None for name in Action.model_fields) != 1:
            raise ValueError("must have one of httpGet, tcpSocket, exec, grpc (probes) or sleep (hooks)")
        return self


class Probe(Action):
    """How often and how patiently a container is asked; seconds. Defaults are Kubernetes'."""

    initial_delay_seconds: Seconds = 0
    period_seconds: AtLeastOne = 10
    timeout_seconds: AtLeastOne = 1
    success_threshold: AtLeastOne = 1
    failure_threshold: AtLeastOne = 3


class Lifecycle(Part):
    """Hooks of a container."""

    post_start: Action | None = None
    pre_stop: Action | None = None


class Resources(Part):
    """What a container asks for and may use at most: cores, bytes."""

    requests: dict[str, Amount] = {}
    limits: dict[str, Amount] = {}

    def request(self, resource: str) -> float:
        """What is reserved: the request, or the limit when only that is given, or nothing."""
        return self.requests.get(resource, self.limits.get(resource, 0.0))


class Container(Part):
    """One container: here, one process."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()
    env_from: tuple[Bundle, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    resources: Resources = Resources()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle = Lifecycle()
    restart_policy: Literal["Always"] | None = None
    volume_mounts: tuple[Mount, ...] = ()


class TemplateMetadata(Part):
    """Labels and annotations of the pods."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class PodSpec(Part):
    """What a pod runs."""

    containers: Annotated[tuple[Container, ...], Field(min_length=1)]
    init_containers: tuple[Container, ...] = ()
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: Seconds = 30
    service_account_name: str = ""
    volumes: tuple[Volume, ...] = ()


class Template(Part):
    """A pod template."""

    metadata: TemplateMetadata = TemplateMetadata()
    spec: PodSpec

    def request(self, resource: str) -> float:
        """What a pod reserves of `cpu` (cores) or `memory` (bytes).

        As Kubernetes counts: all containers and sidecars together, or one init container if that is more."""
        sidecars, largest_init = 0.0, 0.0
        for container in self.spec.init_containers:
            if container.restart_policy == "Always":
                sidecars += container.resources.request(resource)
            else:
                largest_init = max(largest_init, sidecars + container.resources.request(resource))
        running = sidecars + sum(container.resources.request(resource) for container in self.spec.containers)
        return max(running, largest_init)

    def port(self, target: int | str) -> int | None:
        """The number of a container port given by number or name; None for a name that no container has."""
        if isinstance(target, int):
            return target
        named = (port for container in self.containers() for port in container.ports if port.name == target)
        found = next(named, None)
        return found.container_port if found else None

    def containers(self) -> tuple[Container, ...]:
        """All containers, init containers first."""
        return self.spec.init_containers + self.spec.containers


def parse(model: type[M], value: Any, *, field: str) -> M:
    """`value` as `model`. Raises: InvalidInput with the path of each wrong field, under `field`; never its content."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = tuple(
            InvalidInput(problem["msg"].removeprefix("Value error, "), field=_path(field, problem["loc"]))
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise (problems[0] if len(problems) == 1 else InvalidInputs(problems)) from None


def _path(field: str, location: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return (field + "".join(parts)).lstrip(".")


def parse_template(raw: Mapping[str, JsonValue]) -> Template:
    """A pod template that a process can be made of.

    Raises: InvalidInput: a wrong field; a container that has only an image; a port name that no container has."""
    template = parse(Template, dict(raw), field="template")
    names = [container.name for container in template.containers()]
    for kind, containers in (
        ("initContainers", template.spec.init_containers),
        ("containers", template.spec.containers),
    ):
        for index, container in enumerate(containers):
            field = f"template.spec.{kind}[{index}]"
            if not container.command:
                raise InvalidInput(
                    f"container {container.name!r} has only an image ({container.image or 'none'}); a local "
                    "sub-cluster runs processes: give the container a command, or place it where images run",
                    field=f"{field}.command",
                )
            if names.count(container.name) > 1:
                raise InvalidInput(f"two containers are named {container.name!r}", field=f"{field}.name")
            _check_ports(template, container, field)
    return template


def _check_ports(template: Template, container: Container, field: str) -> None:
    actions = {
        "readinessProbe": container.readiness_probe,
        "livenessProbe": container.liveness_probe,
        "startupProbe": container.startup_probe,
        "lifecycle.postStart": container.lifecycle.post_start,
        "lifecycle.preStop": container.lifecycle.pre_stop,
    }
    for name, action in actions.items():
        asked = action and (action.http_get or action.tcp_socket or action.grpc)
        if asked and template.port(asked.port) is None:
            raise InvalidInput(f"no container has a port named {asked.port!r}", field=f"{field}.{name}.port")

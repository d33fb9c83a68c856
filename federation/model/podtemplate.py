"""What Roam reads of a Kubernetes pod template, and the one thing it changes: addresses of services.

All functions are pure and leave their arguments alone. A malformed field raises InvalidInput naming it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from federation.errors import InvalidInput
from federation.model.addresses import Directory, replace
from federation.model.microservice import Port
from federation.model.quantity import parse_quantity

Template = Mapping[str, Any]
"""A pod template as JSON: its fields are Kubernetes', checked where they are read."""

ASSUMED_CPU_CORES = 0.1
ASSUMED_MEMORY_BYTES = 128.0 * 2**20
"""What a container is taken to need when it states neither request nor limit."""


class Requests(NamedTuple):
    """What one replica asks for."""

    cpu_cores: float
    memory_bytes: float


def containers(template: Template, *, init: bool = True) -> tuple[Mapping[str, Any], ...]:
    """The containers in order, init containers first (left out unless `init`)."""
    spec = _mapping(template.get("spec"), "spec")
    kinds = ("initContainers", "containers") if init else ("containers",)
    return tuple(
        _mapping(container, f"spec.{kind}[{index}]")
        for kind in kinds
        for index, container in enumerate(_sequence(spec.get(kind), f"spec.{kind}"))
    )


def requests(template: Template) -> Requests:
    """CPU cores and bytes of memory that one replica asks for.

    The larger of what runs together (containers and sidecars) and the hungriest init container with the sidecars
    started before it, plus the pod's overhead. A limit stands in for a missing request, an assumed amount for both.
    Source: Kubernetes documentation, "Sidecar Containers: Resource sharing within containers".
    """
    return Requests(_request(template, "cpu", ASSUMED_CPU_CORES), _request(template, "memory", ASSUMED_MEMORY_BYTES))


def assumes_requests(template: Template) -> bool:
    """Whether `requests` had to assume an amount for a container."""
    return any(
        _stated(container, resource) is None
        for container in containers(template, init=False)
        for resource in ("cpu", "memory")
    )


def has_command(template: Template) -> bool:
    """Whether each container says what to run, so that no image is needed."""
    found = containers(template)
    return bool(found) and all(container.get("command") for container in found)


def named_ports(template: Template) -> dict[str, int]:
    """Container ports by name."""
    return {
        str(port["name"]): int(port["containerPort"])
        for container in containers(template)
        for port in _sequence(container.get("ports"), "ports")
        if isinstance(port, Mapping) and port.get("name") and isinstance(port.get("containerPort"), int)
    }


def target_port(template: Template, port: Port) -> int:
    """The pod's port number behind `port`. Raises InvalidInput when it names a container port that is not there."""
    if port.target_port is None:
        return port.port
    if isinstance(port.target_port, int):
        return port.target_port
    names = named_ports(template)
    if port.target_port not in names:
        known = ", ".join(sorted(names)) or "none"
        raise InvalidInput(f"no container port is named {port.target_port!r}; named ones: {known}", field="targetPort")
    return names[port.target_port]


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """The container's variables that have a literal value, in order."""
    return {
        str(variable["name"]): variable["value"]
        for variable in _sequence(container.get("env"), "env")
        if isinstance(variable, Mapping) and isinstance(variable.get("value"), str) and "name" in variable
    }


def rewrite(template: Template, addresses: Mapping[tuple[str, int], str], namespace: str) -> dict[str, Any]:
    """`template` with each known service's address in its environment replaced by another, e.g. a local gateway's.

    Args: addresses, (service, port) -> `host:port`; a service is `name` where it is of `namespace`, the template's own,
    or `namespace/name`. Aliases are services of their own here. The ports of one service: the first one first.
    Everything that is not such an address is equal in the result; what did not change is shared with the argument.
    `cart:7070`, `http://cart/x`, `cart.shop.svc.cluster.local:7070`, lists of them, and pairs of `DB_HOST` and
    `DB_PORT` are replaced; see `federation.model.addresses`. Idempotent unless a new address names a known service.
    """
    qualified = _qualified(addresses, namespace)
    directory = _directory(qualified)
    spec = dict(_mapping(template.get("spec"), "spec"))
    for kind in ("initContainers", "containers"):
        if kind in spec:
            spec[kind] = [
                _rewritten(container, directory, namespace, qualified) for container in _sequence(spec[kind], kind)
            ]
    return {**template, "spec": spec}


def rewrite_objects(
    objects: Sequence[Mapping[str, Any]], template: Template, addresses: Mapping[tuple[str, int], str], namespace: str
) -> tuple[dict[str, Any], ...]:
    """`objects` with the addresses replaced in those ConfigMap entries that `template` uses as environment variables.

    Only entries of one word are touched: an address or a list of them, never a text that happens to hold one.
    Arguments as for `rewrite`.
    """
    qualified = _qualified(addresses, namespace)
    directory = _directory(qualified)
    result = []
    for item in objects:
        used = _used_entries(item, template)
        if not used:
            result.append(dict(item))
            continue
        changed = replace(used, directory, namespace, lambda service, port: qualified[service, port])
        keys = _entry_names(item, template)
        data = {**item["data"], **{keys[variable]: value for variable, value in changed.items()}}
        result.append({**item, "data": data})
    return tuple(result)


def config_variables(template: Template) -> Iterator[tuple[str, str | None, str]]:
    """What the containers take from ConfigMaps: (ConfigMap, key or None for all keys, variable or prefix)."""
    for container in containers(template):
        for source in _sequence(container.get("envFrom"), "envFrom"):
            reference = source.get("configMapRef") if isinstance(source, Mapping) else None
            if isinstance(reference, Mapping) and isinstance(reference.get("name"), str):
                yield reference["name"], None, str(source.get("prefix") or "")
        for variable in _sequence(container.get("env"), "env"):
            origin = variable.get("valueFrom") if isinstance(variable, Mapping) else None
            reference = origin.get("configMapKeyRef") if isinstance(origin, Mapping) else None
            if isinstance(reference, Mapping) and isinstance(reference.get("name"), str):
                yield reference["name"], str(reference.get("key")), str(variable.get("name"))


def _entry_names(item: Mapping[str, Any], template: Template) -> dict[str, str]:
    """Variable -> key of the ConfigMap `item`; one key may serve several variables."""
    data = item.get("data")
    if item.get("kind") != "ConfigMap" or not isinstance(data, Mapping):
        return {}
    name = _mapping(item.get("metadata"), "metadata").get("name")
    found: dict[str, str] = {}
    for config, key, variable in config_variables(template):
        if config == name:
            found.update({variable + each: each for each in data} if key is None else {variable: key})
    return found


def _used_entries(item: Mapping[str, Any], template: Template) -> dict[str, str]:
    names = _entry_names(item, template)
    return {
        variable: item["data"][key]
        for variable, key in names.items()
        if isinstance(item["data"].get(key), str) and len(item["data"][key].split()) == 1
    }


def _qualified(addresses: Mapping[tuple[str, int], str], namespace: str) -> dict[tuple[str, int], str]:
    return {
        (service if "/" in service else f"{namespace}/{service}", port): address
        for (service, port), address in addresses.items()
    }


def _directory(addresses: Mapping[tuple[str, int], str]) -> Directory:
    ports: dict[str, tuple[int, ...]] = {}
    for service, port in addresses:
        ports[service] = (*ports.get(service, ()), port)
    return ports


def _rewritten(
    container: Mapping[str, Any], directory: Directory, namespace: str, addresses: Mapping[tuple[str, int], str]
) -> Mapping[str, Any]:
    before = environment(container)
    after = replace(before, directory, namespace, lambda service, port: addresses[service, port])
    if after == before:
        return container
    return {
        **container,
        "env": [
            # Of variables that stand there twice, the last one counts: only that one is in `before`.
            {**variable, "value": after[name]}
            if (name := variable.get("name")) in before and variable.get("value") == before[name]
            else variable
            for variable in container["env"]
        ],
    }


def _request(template: Template, resource: str, assumed: float) -> float:
    main = containers(template, init=False)
    together = sum(assumed if (amount := _stated(one, resource)) is None else amount for one in main)
    sidecars = hungriest = 0.0
    for container in containers(template)[: -len(main) or None]:
        amount = _stated(container, resource) or 0.0
        hungriest = max(hungriest, sidecars + amount)
        if container.get("restartPolicy") == "Always":
            sidecars += amount
    spec = _mapping(template.get("spec"), "spec")
    overhead = _mapping(spec.get("overhead"), "spec.overhead").get(resource, 0)
    return max(together + sidecars, hungriest) + _quantity(overhead, f"spec.overhead.{resource}")


def _stated(container: Mapping[str, Any], resource: str) -> float | None:
    name = container.get("name", "?")
    resources = _mapping(container.get("resources"), f"{name}.resources")
    for kind in ("requests", "limits"):
        amounts = _mapping(resources.get(kind), f"{name}.resources.{kind}")
        if amounts.get(resource) is not None:
            return _quantity(amounts[resource], f"{name}.resources.{kind}.{resource}")
    return None


def _quantity(value: object, field: str) -> float:
    try:
        return parse_quantity(value)
    except ValueError as error:
        raise InvalidInput(str(error), field=field) from error


def _mapping(value: object, field: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{value!r:.60} is not an object with fields", field=field)
    return value


def _sequence(value: object, field: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"{value!r:.60} is not a list", field=field)
    return value

"""Kubernetes workloads to microservices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.errors import InvalidInput
from federation.intake.calls import calls_in
from federation.intake.checking import Spot
from federation.intake.kinds import WORKLOADS
from federation.intake.objects import KubeObject
from federation.intake.ports import ports_of
from federation.intake.references import Index
from federation.model.meta import Key, Metadata
from federation.model.microservice import Call, Disruption, Microservice, MicroserviceSpec, Port

_KIND_ORDER = {kind: position for position, kind in enumerate(WORKLOADS)}
_NOT_KEPT = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Converted:
    """The microservices with the workload each was made of, every object that went into one, and what to tell."""

    services: list[tuple[Microservice, KubeObject]] = field(default_factory=list)
    attached: set[tuple[str, str, str, str]] = field(default_factory=set)
    notices: list[tuple[str, KubeObject]] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """A workload with what is known of it before calls are looked for."""

    workload: KubeObject
    key: Key
    template: dict[str, Any]
    services: list[KubeObject]
    ports: tuple[Port, ...]


def convert(objects: list[KubeObject], declared: Iterable[Microservice], errors: list[InvalidInput]) -> Converted:
    """One microservice for each workload among `objects`, in their order.

    Args: declared, Roam's own microservices that calls may lead to; faults go to `errors`.
    Objects that a controller made (they name an owner) are left out: their owner stands for them.
    """
    index = Index(objects)
    result = Converted()
    parts = [_part(workload, key, index, result, errors) for workload, key in _named(objects, result)]
    directory, owners = _directory(parts, declared, result)
    config_maps: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
    for item in objects:
        if item.built_in and item.kind == "ConfigMap":
            config_maps[item.namespace][item.name] = item.value.get("data") or {}
    for part in parts:
        named = calls_in(part.template, part.key.namespace, directory, config_maps[part.key.namespace])
        calls = tuple(
            Call(
                service=callee.name if callee.namespace == part.key.namespace else str(callee), port=port, assumed=True
            )
            for service, port in named
            for callee in owners[service]
            if part.key not in owners[service]
        )
        result.services.append((_microservice(part, calls, index, result), part.workload))
    return result


def _named(objects: list[KubeObject], result: Converted) -> list[tuple[KubeObject, Key]]:
    """The workloads with their microservices' names: where kinds share one, all but the first add their kind to it."""
    workloads = []
    for item in objects:
        if not item.built_in or item.kind not in WORKLOADS:
            continue
        owner = next(
            (one for one in item.value["metadata"].get("ownerReferences") or () if isinstance(one, dict)), None
        )
        if owner is not None:
            result.attached.add(item.identity)
            result.notices.append(
                (f"{item.kind} {item.name} is left out: {owner.get('kind')} {owner.get('name')} makes it", item)
            )
        else:
            workloads.append(item)
    names: dict[Key, KubeObject] = {}
    for item in sorted(workloads, key=lambda one: _KIND_ORDER[one.kind]):
        key = Key(item.namespace, item.name)
        if key in names:
            other, key = names[key], Key(item.namespace, f"{item.name}-{item.kind.lower()}")
            result.notices.append(
                (f"{item.kind} {item.name} becomes microservice {key.name}: {other.kind} has the name", item)
            )
        names[key] = item
    keys = {item.identity: key for key, item in names.items()}
    return [(item, keys[item.identity]) for item in workloads]


def _part(workload: KubeObject, key: Key, index: Index, result: Converted, errors: list[InvalidInput]) -> _Part:
    template = _template(workload)
    labels = (template.get("metadata") or {}).get("labels") or {}
    _check_selector(workload, labels, errors)
    services = index.services_of(workload.namespace, labels)
    services.sort(key=lambda one: one.name != key.name)
    return _Part(workload, key, template, services, ports_of(template, services, result.notices))


def _template(workload: KubeObject) -> dict[str, Any]:
    spec = workload.value["spec"]
    if workload.kind == "Pod":
        metadata = workload.value["metadata"]
        kept = {name: metadata[name] for name in ("labels", "annotations") if name in metadata}
        return {"metadata": kept, "spec": spec}
    template: dict[str, Any] = (spec["jobTemplate"]["spec"] if workload.kind == "CronJob" else spec)["template"]
    return template


def _check_selector(workload: KubeObject, labels: Mapping[str, str], errors: list[InvalidInput]) -> None:
    """A workload that does not select its own pods is refused by Kubernetes; better here than there."""
    if workload.kind in ("Job", "CronJob", "Pod"):
        return
    selector = workload.value["spec"].get("selector") or {}
    wanted = selector if workload.kind == "ReplicationController" else selector.get("matchLabels") or {}
    for name, value in wanted.items():
        if labels.get(name) != value:
            found = f"`{labels[name]}`" if name in labels else "not there"
            spot = Spot(workload.document.file, workload.document.lines)
            message = f"selects pods with `{name}: {value}`, but the template's label is {found}; make them equal"
            errors.append(spot.error(message, ("spec", "selector")))


def _directory(
    parts: list[_Part], declared: Iterable[Microservice], result: Converted
) -> tuple[dict[str, tuple[int, ...]], dict[str, list[Key]]]:
    """Addressable names, `namespace/name`, with their ports, and the microservices that answer there."""
    directory: dict[str, tuple[int, ...]] = {}
    owners: dict[str, list[Key]] = defaultdict(list)
    found: dict[str, KubeObject] = {}
    for part in parts:
        for service in part.services:
            name = f"{service.namespace}/{service.name}"
            entries = service.value["spec"].get("ports") or ()
            directory[name] = tuple(entry["port"] for entry in entries)
            owners[name].append(part.key)
            found[name] = service
    for name, service in found.items():
        if len(owners[name]) > 1:
            names = ", ".join(key.name for key in owners[name])
            result.notices.append(
                (f"Service {service.name} selects several workloads ({names}); calls count for each", service)
            )
    for microservice in declared:
        for alias in (microservice.metadata.name, *microservice.spec.aliases):
            name = f"{microservice.metadata.namespace}/{alias}"
            if name not in directory:
                directory[name] = tuple(port.port for port in microservice.spec.ports)
                owners[name].append(microservice.key)
    return directory, owners


def _microservice(part: _Part, calls: tuple[Call, ...], index: Index, result: Converted) -> Microservice:
    workload = part.workload
    carried = index.belonging_to(workload, part.template, part.services)
    result.attached.update(item.identity for item in carried)
    replicas = _replicas(workload, carried)
    metadata = workload.value["metadata"]
    template_labels = (part.template.get("metadata") or {}).get("labels") or {}
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != _NOT_KEPT}
    return Microservice(
        metadata=Metadata(
            name=part.key.name,
            namespace=part.key.namespace,
            labels={**template_labels, **(metadata.get("labels") or {})},
            annotations=annotations,
        ),
        spec=MicroserviceSpec(
            replicas=replicas,
            template=part.template,
            disruption=Disruption(min_available=_min_available(carried, replicas)),
            ports=part.ports,
            calls=calls,
            aliases=tuple(service.name for service in part.services if service.name != part.key.name),
            stateful=workload.kind == "StatefulSet" or _has_claim(part.template),
            workload=workload.kind,
            objects=tuple(item.value for item in carried),
        ),
    )


def _replicas(workload: KubeObject, carried: list[KubeObject]) -> int:
    spec = workload.value["spec"]
    # A Job counts its pods itself, in the one place where it runs; what runs beside its first takes the room there is.
    if workload.kind in ("Job", "CronJob", "Pod", "DaemonSet"):
        return 1
    stated = spec.get("replicas")
    if stated is None:
        stated = next((item.value["spec"].get("minReplicas") for item in carried if _scales(item)), None)
    return 1 if stated is None else int(stated)


def _scales(item: KubeObject) -> bool:
    return item.built_in and item.kind == "HorizontalPodAutoscaler"


def _min_available(carried: list[KubeObject], replicas: int) -> int | None:
    """What the strictest PodDisruptionBudget demands. Percentages round up, as in Kubernetes ("Specifying a
    Disruption Budget for your Application")."""
    found = []
    for item in carried:
        if not item.built_in or item.kind != "PodDisruptionBudget":
            continue
        spec = item.value["spec"]
        if spec.get("minAvailable") is not None:
            found.append(_amount(spec["minAvailable"], replicas))
        elif spec.get("maxUnavailable") is not None:
            found.append(replicas - _amount(spec["maxUnavailable"], replicas))
    return max(0, *found) if found else None


def _amount(value: int | str, replicas: int) -> int:
    return value if isinstance(value, int) else math.ceil(int(value.removesuffix("%")) * replicas / 100)


def _has_claim(template: Mapping[str, Any]) -> bool:
    return any("persistentVolumeClaim" in volume for volume in template["spec"].get("volumes") or ())

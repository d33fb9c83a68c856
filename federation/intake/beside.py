"""What the server has beside the files: objects that these leave out, and services that they change in passing.

As with kubectl, a file that holds only a Deployment leaves its Service and its ConfigMap as they are, and one that
holds only a ConfigMap changes every workload that reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from federation.intake.kinds import CLUSTER_WIDE
from federation.intake.objects import Identity, KubeObject, group_of
from federation.intake.tree import Document
from federation.intake.workloads import Converted
from federation.model.meta import Key, Metadata
from federation.model.microservice import Microservice


@dataclass(frozen=True)
class Beside:
    """`objects`: Kubernetes objects that are on the server and not in the files; `declared`: services of the server
    that no Kubernetes workload stands behind."""

    objects: tuple[KubeObject, ...]
    declared: tuple[Microservice, ...]


def beside(stored: Sequence[Microservice], given: Set[Identity], declared: Set[Key]) -> Beside:
    """What of `stored` stands beside the files' objects `given` and services `declared`; each object once."""
    found: dict[Identity, KubeObject] = {}
    for one in stored:
        for item in _objects(one):
            if item.identity not in given:
                found.setdefault(item.identity, item)
    bare = tuple(one for one in stored if not one.spec.objects and one.key not in declared)
    return Beside(tuple(found.values()), bare)


def changed_in_passing(
    stored: Iterable[Microservice], converted: Converted, given: Set[Identity]
) -> list[Microservice]:
    """The services of `stored` whose workload is not in the files, while something they carry is: with that in them.

    Labels, replicas and the pod template stay as they are on the server."""
    made = {service.key: (service, workload) for service, workload in converted.services}
    changed = []
    for one in stored:
        service, workload = made.get(one.key, (None, None))
        if service is None or workload is None or workload.identity in given:
            continue
        if any(item.identity in given for item in _objects(service)):
            changed.append(_with_parts_of(one, service))
    return changed


def left_out(service: Microservice, given: Set[Identity]) -> list[str]:
    """What `service` carries that is not in the files: `Kind name`."""
    return [f"{item.kind} {item.name}" for item in _objects(service) if item.identity not in given]


def _with_parts_of(stored: Microservice, new: Microservice) -> Microservice:
    assumed = all(call.assumed for call in stored.spec.calls)
    parts = {
        "objects": new.spec.objects,
        "ports": new.spec.ports,
        "aliases": new.spec.aliases,
        "disruption": new.spec.disruption,
        **({"calls": new.spec.calls} if assumed else {}),
    }
    metadata = stored.metadata
    return Microservice(
        metadata=Metadata(
            name=metadata.name,
            namespace=metadata.namespace,
            labels=metadata.labels,
            annotations=metadata.annotations,
        ),
        spec=stored.spec.model_copy(update=parts),
    )


def _objects(service: Microservice) -> Iterator[KubeObject]:
    values: tuple[dict[str, Any], ...] = service.spec.objects
    for value in values:
        kind, metadata = value["kind"], value["metadata"]
        yield KubeObject(
            value=value,
            document=Document("the server", value, 0),
            group=group_of(value["apiVersion"]),
            kind=kind,
            namespace="" if kind in CLUSTER_WIDE else metadata.get("namespace") or service.metadata.namespace,
            name=metadata["name"],
        )

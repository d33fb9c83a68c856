"""How much data a service keeps in volumes, as far as its manifests say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from federation.model.microservice import MicroserviceSpec
from federation.model.quantity import parse_quantity


class Volumes(NamedTuple):
    """Bytes that its claims ask for: the most that can be in them. `each_bytes`: of each replica's own; `shared_bytes`:
    of those that all replicas use; `unsized`: claims of which nobody says how large they are, by name."""

    each_bytes: float = 0.0
    shared_bytes: float = 0.0
    unsized: tuple[str, ...] = ()

    def of(self, replicas: int) -> float:
        """What so many replicas have in all, unsized claims left out."""
        return self.each_bytes * replicas + self.shared_bytes


NONE = Volumes()


def volumes(spec: MicroserviceSpec) -> Volumes:
    """The persistent volumes of a service: its claim templates, and the claims that its pods name.

    Volumes that go with the pod (`emptyDir`, ephemeral ones, configuration) are none. Never raises: a size that makes
    no sense is an unknown one."""
    each, shared, unsized = 0.0, 0.0, []
    templates: dict[str, Mapping[str, Any]] = {}
    claims: dict[str, Mapping[str, Any]] = {}
    for item in spec.objects:
        if item.get("kind") == "StatefulSet":
            templates.update((_name(claim), claim) for claim in _maps(_at(item, "spec"), "volumeClaimTemplates"))
        elif item.get("kind") == "PersistentVolumeClaim":
            claims[_name(item)] = item
    for name, claim in templates.items():
        size = _size(claim)
        each += size or 0.0
        unsized += [name] if size is None else []
    for name in dict.fromkeys(_claimed(spec.template)):
        size = _size(claims.get(name, {}))
        shared += size or 0.0
        unsized += [name] if size is None else []
    return Volumes(each, shared, tuple(unsized)) if each or shared or unsized else NONE


def _claimed(template: Mapping[str, Any]) -> Iterator[str]:
    for volume in _maps(_at(template, "spec"), "volumes"):
        name = _at(volume, "persistentVolumeClaim", "claimName")
        if isinstance(name, str):
            yield name


def _size(claim: Mapping[str, Any]) -> float | None:
    for where in (("status", "capacity"), ("spec", "resources", "requests")):
        try:
            return parse_quantity(_at(claim, *where, "storage"))
        except ValueError:
            continue
    return None


def _name(item: Mapping[str, Any]) -> str:
    return str(_at(item, "metadata", "name"))


def _maps(value: object, field: str) -> list[Mapping[str, Any]]:
    items = value.get(field) if isinstance(value, Mapping) else None
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list | tuple) else []


def _at(value: object, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value

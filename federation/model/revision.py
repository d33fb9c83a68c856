"""`Revision`: what one microservice's pods were made of at some time, kept so that one can go back to it."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar, Literal

from pydantic import JsonValue

from federation.model.meta import Json, Key, Name, Natural, Resource, Value
from federation.model.microservice import Microservice, MicroserviceSpec, Port

KEPT = 10
"""So many revisions of a microservice are kept, the newest."""
CAUSE = "kubernetes.io/change-cause"
"""The annotation that says why something was changed, as kubectl knows it."""
_CONFIGURATION = ("ConfigMap", "Secret")
_LONGEST = 240


class RevisionSpec(Value):
    """Template, ports and objects of `service` as they were. `number` grows with time; `content` is equal for equal
    pods; `cause`: why it was changed, as far as anybody said."""

    service: Name
    number: Natural
    content: str = ""
    cause: str = ""
    template: dict[str, JsonValue]
    ports: tuple[Port, ...] = ()
    objects: tuple[dict[str, Json], ...] = ()


class Revision(Resource):
    """One entry of a microservice's history. Written by Roam, with the change that it tells of."""

    kind_name: ClassVar[str] = "Revision"
    plural: ClassVar[str] = "revisions"
    short_names: ClassVar[tuple[str, ...]] = ("rev", "revision")

    kind: Literal["Revision"] = "Revision"
    spec: RevisionSpec


def revision_key(service: Key, number: int) -> Key:
    """Where the revision of that number is kept."""
    return Key(service.namespace, f"{service.name[:_LONGEST]}-{number}")


def kept_numbers(newest: int) -> range:
    """The numbers that may still be kept when the newest is `newest`."""
    return range(max(1, newest - KEPT + 1), newest + 1)


def content_of(spec: MicroserviceSpec) -> str:
    """A short hash of what pods are made of: template, ports and configuration; numbers of replicas have no part."""
    configuration = [item for item in spec.objects if item.get("kind") in _CONFIGURATION]
    ports = [port.model_dump(mode="json") for port in spec.ports]
    text = json.dumps([spec.template, ports, configuration], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def spec_at(service: Microservice, revision: Revision) -> MicroserviceSpec:
    """The spec of `service` with its pods made as of `revision`; all else, such as its replicas, stays."""
    then = revision.spec
    return service.spec.model_copy(update={"template": then.template, "ports": then.ports, "objects": then.objects})

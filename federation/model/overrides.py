"""`Overrides`: what is different for every service in one sub-cluster, and how that is put into what runs there.

In this order: variables, image registry, node selector, storage and ingress classes, patches."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from federation.errors import InvalidInput
from federation.model.meta import LabelKey, LabelValue, Name, Selector, Value

if TYPE_CHECKING:
    from federation.model.microservice import Microservice

_REGISTRY = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
POD_TEMPLATE = "PodTemplate"
Template = Mapping[str, Any]
Objects = tuple[Mapping[str, Any], ...]


def _registry(value: str) -> str:
    if not _REGISTRY.fullmatch(value):
        raise ValueError(f"{value!r} is no image registry; write host[:port][/path] such as mirror.example.com/hub")
    return value


def _pointer(value: str) -> str:
    if not _POINTER.fullmatch(value):
        raise ValueError(f"{value!r} is no JSON pointer; write for instance /spec/containers/0/image, with ~1 for a /")
    return value


Pointer = Annotated[str, AfterValidator(_pointer)]


class Operation(Value):
    """One step of a JSON patch. Source: RFC 6902."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: Pointer
    source: Annotated[Pointer | None, Field(alias="from")] = None
    value: JsonValue = None

    @model_validator(mode="after")
    def _complete(self) -> Operation:
        moves, says = self.op in ("move", "copy"), self.op in ("add", "replace", "test")
        if moves != (self.source is not None):
            raise ValueError(f"{self.op} {'needs `from`' if moves else 'has no `from`'}")
        if says != ("value" in self.model_fields_set):
            raise ValueError(f"{self.op} {'needs a `value`' if says else 'has no `value`'}")
        return self

    def as_json(self) -> dict[str, JsonValue]:
        """As RFC 6902 writes it."""
        given: dict[str, JsonValue] = {"op": self.op, "path": self.path}
        if self.source is not None:
            given["from"] = self.source
        if "value" in self.model_fields_set:
            given["value"] = self.value
        return given


class PatchTarget(Value):
    """What a patch is for: pod templates, by their service's name and labels, or Kubernetes objects of another kind
    that belong to a service, by their own."""

    kind: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")] = POD_TEMPLATE
    name: Name | None = None
    selector: Selector = Selector()

    def matches(self, kind: str, name: str, labels: Mapping[str, str]) -> bool:
        """Whether the patch is for an object of that kind, name and labels."""
        return self.kind == kind and self.name in (None, name) and self.selector.matches(dict(labels))


class Patch(Value):
    """A JSON patch on everything that `target` matches; it has to apply as a whole."""

    target: PatchTarget = PatchTarget()
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)]


class Overrides(Value):
    """What is different for every service in this sub-cluster. `image_registry` takes the place of each image's
    registry (`nginx` is `docker.io/library/nginx`, as container runtimes read it); `storage_class` that of every
    claim, `ingress_class` that of every ingress; `node_selector` and `env` are added to every pod template; `patches`
    come last."""

    env: dict[str, str] = {}
    image_registry: Annotated[str, AfterValidator(_registry)] | None = None
    storage_class: Name | None = None
    ingress_class: Name | None = None
    node_selector: dict[LabelKey, LabelValue] = {}
    patches: tuple[Patch, ...] = ()


def apply_overrides(
    service: Microservice, template: Template, objects: Objects, overrides: Overrides
) -> tuple[Template, Objects]:
    """`template` and `objects` of the service as the overrides have them; the arguments are left alone.

    Raises: InvalidInput, naming the operation, for a patch that does not apply."""
    template = _with_environment(template, overrides.env)
    if overrides.image_registry is not None:
        template = _with_registry(template, overrides.image_registry)
    if overrides.node_selector:
        template = _merged(template, ("spec", "nodeSelector"), overrides.node_selector)
    if overrides.storage_class is not None:
        template = _with_ephemeral(template, overrides.storage_class)
        objects = tuple(_with_storage(item, overrides.storage_class) for item in objects)
    if overrides.ingress_class is not None:
        objects = tuple(_with_ingress(item, overrides.ingress_class) for item in objects)
    for index, patch in enumerate(overrides.patches):
        field = f"spec.overrides.patches[{index}]"
        if patch.target.matches(POD_TEMPLATE, service.metadata.name, service.metadata.labels):
            template = _patched(template, patch, field, f"the pod template of {service.key}")
        objects = tuple(_patched_object(item, patch, field, service) for item in objects)
    return template, objects


def apply_plainly(
    service: Microservice, template: Template, objects: Objects, overrides: Overrides
) -> tuple[Template, Objects, str]:
    """The same, and "" for no error; with a patch that does not apply, everything but the patches, and the error."""
    try:
        return *apply_overrides(service, template, objects, overrides), ""
    except InvalidInput as error:
        plain = overrides.model_copy(update={"patches": ()})
        return *apply_overrides(service, template, objects, plain), f"{error.field}: {error.message}"


def _patched_object(item: Mapping[str, Any], patch: Patch, field: str, service: Microservice) -> Mapping[str, Any]:
    metadata = item.get("metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    kind, name, labels = str(item.get("kind")), str(known.get("name")), known.get("labels")
    if kind == POD_TEMPLATE or not patch.target.matches(kind, name, labels if isinstance(labels, Mapping) else {}):
        return item
    return _patched(item, patch, field, f"{kind} {name} of {service.key}")


def _patched(document: Mapping[str, Any], patch: Patch, field: str, what: str) -> Mapping[str, Any]:
    from jsonpatch import JsonPatch, JsonPatchException, JsonPatchTestFailed, JsonPointerException

    result: Any = document
    for index, operation in enumerate(patch.operations):
        try:
            result = JsonPatch([operation.as_json()]).apply(result)
        except JsonPatchTestFailed:
            raise _misfit(operation, what, "finds another value there", f"{field}.operations[{index}]") from None
        except (JsonPatchException, JsonPointerException, TypeError, ValueError, LookupError):
            # The library's own words hold the document, which may be a secret.
            raise _misfit(operation, what, "finds no such place", f"{field}.operations[{index}]") from None
    if not isinstance(result, Mapping):
        raise InvalidInput(f"leaves nothing of {what} that has fields", field=field)
    return result


def _misfit(operation: Operation, what: str, why: str, field: str) -> InvalidInput:
    source = f" from {operation.source}" if operation.source is not None else ""
    return InvalidInput(f"{operation.op} {operation.path or 'the whole'}{source} {why} in {what}", field=field)


def _with_environment(template: Template, env: Mapping[str, str]) -> Template:
    """`template` with the variables set in every container, in place of those of the same name."""
    if not env:
        return template
    added = [{"name": name, "value": value} for name, value in sorted(env.items())]

    def change(container: Mapping[str, Any]) -> Mapping[str, Any]:
        kept = [each for each in _list(container.get("env")) if _map(each).get("name") not in env]
        return {**container, "env": [*kept, *added]}

    return _each_container(template, change, kinds=("containers",))


def _with_registry(template: Template, registry: str) -> Template:
    def change(container: Mapping[str, Any]) -> Mapping[str, Any]:
        image = container.get("image")
        return {**container, "image": _from(registry, image)} if isinstance(image, str) and image else container

    return _each_container(template, change, kinds=("initContainers", "containers"))


def _from(registry: str, image: str) -> str:
    """The image's name with another registry. Source: distribution/reference, "normalized named"."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return f"{registry}/{rest}"
    return f"{registry}/{image}" if slash else f"{registry}/library/{image}"


def _each_container(
    template: Template, change: Callable[[Mapping[str, Any]], Mapping[str, Any]], kinds: Sequence[str]
) -> Template:
    spec = dict(_map(template.get("spec")))
    for kind in kinds:
        if kind in spec:
            spec[kind] = [change(each) if isinstance(each, Mapping) else each for each in _list(spec[kind])]
    return {**template, "spec": spec}


def _with_ephemeral(template: Template, storage_class: str) -> Template:
    """Claims that live as long as a pod."""
    spec = _map(template.get("spec"))
    if not any("ephemeral" in _map(volume) for volume in _list(spec.get("volumes"))):
        return template
    path = ("ephemeral", "volumeClaimTemplate", "spec")
    volumes = [
        _merged(volume, path, {"storageClassName": storage_class}) if "ephemeral" in _map(volume) else volume
        for volume in _list(spec.get("volumes"))
    ]
    return {**template, "spec": {**spec, "volumes": volumes}}


def _with_storage(item: Mapping[str, Any], storage_class: str) -> Mapping[str, Any]:
    changed = {"storageClassName": storage_class}
    if item.get("kind") == "PersistentVolumeClaim":
        return _merged(item, ("spec",), changed)
    spec = _map(item.get("spec"))
    if item.get("kind") != "StatefulSet" or "volumeClaimTemplates" not in spec:
        return item
    claims = [_merged(_map(claim), ("spec",), changed) for claim in _list(spec["volumeClaimTemplates"])]
    return {**item, "spec": {**spec, "volumeClaimTemplates": claims}}


def _with_ingress(item: Mapping[str, Any], ingress_class: str) -> Mapping[str, Any]:
    if item.get("kind") != "Ingress":
        return item
    changed = _merged(item, ("spec",), {"ingressClassName": ingress_class})
    # Kubernetes refuses an ingress that names its class in the old way, too.
    metadata = dict(_map(item.get("metadata")))
    if "annotations" in metadata:
        old = _map(metadata["annotations"])
        metadata["annotations"] = {key: value for key, value in old.items() if key != "kubernetes.io/ingress.class"}
    return {**changed, "metadata": metadata} if "metadata" in item else changed


def _merged(document: Mapping[str, Any], path: Sequence[str], added: Mapping[str, Any]) -> dict[str, Any]:
    if not path:
        return {**document, **added}
    return {**document, path[0]: _merged(_map(document.get(path[0])), path[1:], added)}


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()

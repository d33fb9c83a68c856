"""Many objects at once: all checked first, then written in one atomic batch, so nothing half-valid is ever stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.contracts.store import Create, Replace, Write
from federation.errors import AlreadyExists, InvalidInput, InvalidInputs, NotFound, StaleWrite
from federation.model.kinds import BY_KIND
from federation.model.meta import API_VERSION, FLEET, Key, Resource
from federation.model.migration import Migration
from federation.model.nearest import suggestion
from federation.server.admission import check_replace
from federation.server.answers import Answer, Refused, wire
from federation.server.objects import Objects
from federation.server.revisions import with_history
from federation.server.routes import Route

MOST_OBJECTS = 5_000
May = Callable[[str, Route], None]
"""Raises: Refused, when the verb may not be done there."""
_ATTEMPTS = 8


@dataclass(frozen=True)
class _Item:
    """What one document asks for: the object as it will be, and as it is now."""

    new: Resource
    old: Resource | None

    @property
    def result(self) -> str:
        if self.old is None:
            return "created"
        return "unchanged" if self.new == self.old else "configured"


def apply(objects: Objects, body: object, may: May, *, dry_run: bool) -> Answer:
    """Create each object, or give an existing one this spec, these labels and annotations; status and version stay.

    Args: body, a `List` with `items`, or a bare array; may, refuses what the caller has no right to, be it one object;
    dry_run, say what would happen and write nothing.
    Answers per object, in order: created, configured or unchanged. All are written or none.
    Raises: InvalidInputs with the causes of every object, Refused."""
    documents = _documents(body)
    for attempt in range(_ATTEMPTS):
        items = _accepted(objects, documents, may)
        objects.check_together([item.new for item in items if item.result != "unchanged"])
        if dry_run:
            return _answer(items, [item.new for item in items])
        try:
            return _answer(items, _write(objects, items))
        except (AlreadyExists, NotFound, StaleWrite):
            # The controller wrote one of them meanwhile (a status, mostly): lay the documents over what is there now.
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError  # the last attempt returns or raises


def _write(objects: Objects, items: Sequence[_Item]) -> list[Resource]:
    writes: dict[int, Write] = {
        index: Create(item.new) if item.old is None else Replace(item.new)
        for index, item in enumerate(items)
        if item.result != "unchanged"
    }
    stored = objects.store.write(with_history(objects.store, list(writes.values())), now=objects.clock())
    by_index = dict(zip(writes, stored, strict=False))
    return [by_index.get(index, item.new) for index, item in enumerate(items)]


def _documents(body: object) -> list[Mapping[str, Any]]:
    items = body.get("items") if isinstance(body, dict) else body
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refused(400, "the body must be a List whose `items` are the objects to apply")
    if len(items) > MOST_OBJECTS:
        raise Refused(413, f"at most {MOST_OBJECTS} objects are applied at once, not {len(items)}")
    return items


def _accepted(objects: Objects, documents: Sequence[Mapping[str, Any]], may: May) -> list[_Item]:
    errors: list[InvalidInput] = []
    items: dict[tuple[str, Key], _Item] = {}
    for index, document in enumerate(documents):
        try:
            item = _accept(objects, document, may)
            identity = (type(item.new).kind_name, item.new.key)
            if identity in items:
                errors.append(InvalidInput("stands here twice", file=_title(document, index), field="metadata.name"))
            items[identity] = item
        except InvalidInput as error:
            found = error.errors if isinstance(error, InvalidInputs) else (error,)
            errors += [InvalidInput(one.message, file=_title(document, index), field=one.field) for one in found]
    if errors:
        raise InvalidInputs(tuple(errors))
    return list(items.values())


def _accept(objects: Objects, document: Mapping[str, Any], may: May) -> _Item:
    route = _route(document)
    may("patch", route)
    old = objects.find(route.kind, route.key)
    if old is None:
        may("create", route)
    metadata = {key: value for key, value in document["metadata"].items() if key != "resourceVersion"}
    new = objects.accept({**document, "metadata": metadata}, route, old)
    if old is None:
        try:
            objects.check_new(new)
        except AlreadyExists as error:
            raise InvalidInput(str(error), field="spec.service") from error
        return _Item(new, None)
    update = {"labels": new.metadata.labels, "annotations": new.metadata.annotations}
    merged = new.model_copy(update={"metadata": old.metadata.model_copy(update=update)})
    if isinstance(old, Migration) and not old.open and merged.spec != old.spec:  # type: ignore[attr-defined]
        raise InvalidInput(f"the migration {old.key} has ended; give the new one another name", field="metadata.name")
    check_replace(old, merged)
    return _Item(merged, old)


def _route(document: Mapping[str, Any]) -> Route:
    kind = BY_KIND.get(str(document.get("kind")))
    if document.get("apiVersion") != API_VERSION or kind is None:
        given = f"{document.get('apiVersion')} {document.get('kind')}"
        raise InvalidInput(
            f"{given[:120]!r} is not a kind of {API_VERSION}: {suggestion(str(document.get('kind')), BY_KIND)}",
            field="kind",
        )
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise InvalidInput("every object needs a name", field="metadata.name")
    namespace = metadata.get("namespace") or FLEET
    if kind.namespaced and not (isinstance(namespace, str) and namespace):
        raise InvalidInput(f"a {kind.kind_name} needs a namespace", field="metadata.namespace")
    if not kind.namespaced and namespace:
        raise InvalidInput(f"a {kind.kind_name} belongs to the fleet, not to a namespace", field="metadata.namespace")
    return Route(kind, namespace or None, metadata["name"])


def _title(document: Mapping[str, Any], index: int) -> str:
    metadata = document.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    name = "/".join(str(names[part])[:63] for part in ("namespace", "name") if names.get(part))
    return f"{str(document.get('kind'))[:63]} {name}" if name else f"items[{index}]"


def _answer(items: Sequence[_Item], resources: Sequence[Resource]) -> Answer:
    results = [
        {
            "kind": type(resource).kind_name,
            "namespace": resource.metadata.namespace,
            "name": resource.metadata.name,
            "result": item.result,
            "resourceVersion": str(resource.metadata.resource_version),
            "object": wire(resource),
        }
        for item, resource in zip(items, resources, strict=True)
    ]
    return Answer(200, {"apiVersion": API_VERSION, "kind": "ApplyResult", "items": results})

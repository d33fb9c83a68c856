"""Read and write single objects and lists: what the verbs do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from federation.contracts.store import Create, Delete, Replace, Store, Write
from federation.errors import AlreadyExists, InvalidInput, NotFound, StaleWrite
from federation.model.meta import API_VERSION, FLEET, Key, Resource, Selector
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy, migration_rules
from federation.model.redact import is_redacted, restore
from federation.model.subcluster import SubCluster
from federation.server.admission import check_create, check_replace, refuse_delete
from federation.server.agreement import Contradictions, check_agreement
from federation.server.answers import Answer, Refused, status, wire
from federation.server.jsonpatch import apply_json_patch
from federation.server.requests import Request
from federation.server.revisions import with_history
from federation.server.routes import Route, could_be_name
from federation.server.selectors import FieldSelector, parse_field_selector, parse_selector

R = TypeVar("R", bound=Resource)
Validate = Callable[[Mapping[str, Any]], Resource]
"""Makes an object of a document, strictly. Raises: InvalidInput, InvalidInputs."""

_ATTEMPTS = 8
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_METADATA = ("uid", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "selfLink")
MERGE_PATCH, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"


@dataclass(frozen=True)
class Objects:
    """The verbs on objects. `clock` gives seconds since 1970; `contradictions` finds those between policies, None: they
    are not looked for."""

    store: Store
    validate: Validate
    clock: Callable[[], float]
    contradictions: Contradictions | None = None

    def get(self, route: Route) -> Answer:
        """The object. Raises: NotFound."""
        return Answer(200, wire(self.store.get(route.kind, route.key)))

    def list(self, route: Route, request: Request) -> Answer:
        """A list, or a page of one. Raises: Refused, Expired (start again without `continue`)."""
        selector, fields = selector_of(request), fields_of(request)
        limit = request.number("limit") or None
        more = request.query.get("continue") or None
        try:
            page = self.store.list(route.kind, namespace=route.namespace, selector=selector, limit=limit, more=more)
        except InvalidInput as error:
            raise Refused(400, str(error)) from error
        metadata = {"resourceVersion": str(page.version), **({"continue": page.more} if page.more else {})}
        return Answer(
            200,
            {
                "apiVersion": API_VERSION,
                "kind": f"{route.kind.kind_name}List",
                "metadata": metadata,
                "items": [wire(item) for item in page.items if fields.matches(item.metadata)],
            },
        )

    def create(self, route: Route, document: object) -> Answer:
        """Create an object; `metadata.generateName` lets the server choose the rest of the name.

        Raises: InvalidInput, AlreadyExists, Refused."""
        body = _addressed(document, route)
        metadata = dict(body["metadata"])
        if metadata.get("resourceVersion") not in (None, "", "0", 0):
            raise Refused(400, "resourceVersion must not be set on an object to be created")
        prefix = metadata.pop("generateName", None)
        generates = bool(prefix) and not metadata.get("name")
        for _ in range(_ATTEMPTS if generates else 1):
            if generates:
                metadata["name"] = f"{prefix}{''.join(secrets.choice(_ALPHABET) for _ in range(5))}"
            resource = self.accept({**body, "metadata": metadata}, route, None)
            self.check_new(resource)
            try:
                return Answer(201, wire(self._write(Create(resource))))
            except AlreadyExists:
                if not generates:
                    raise
        raise AlreadyExists(f"no free name begins with {prefix!r}")

    def replace(self, route: Route, document: object) -> Answer:
        """Replace an object that is still at the body's `metadata.resourceVersion`; its status stays.

        As for Kubernetes' custom resources, a replacement without a version is refused: use a patch, or apply.
        Raises: InvalidInput, NotFound, StaleWrite."""
        body = _addressed(document, route)
        if body["metadata"].get("resourceVersion") in (None, "", "0", 0):
            raise InvalidInput(
                "must be specified for an update: read the object first", field="metadata.resourceVersion"
            )
        old = self.store.get(route.kind, route.key)
        new = self.accept(body, route, old)
        check_replace(old, new)
        return Answer(200, wire(self._write(Replace(new))))

    def replace_status(self, route: Route, document: object) -> Answer:
        """Replace the status only, at the body's `metadata.resourceVersion`. Raises: as `replace`."""
        body = _addressed(document, route)
        old = self.store.get(route.kind, route.key)
        metadata = {**_dump(old)["metadata"], "resourceVersion": body["metadata"].get("resourceVersion", "")}
        try:
            new = route.kind.model_validate({**_dump(old), "metadata": metadata, "status": body.get("status", {})})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidInput(first["msg"], field=".".join(map(str, first["loc"]))) from error
        return Answer(200, wire(self._write(Replace(new))))

    def patch(self, route: Route, patch: object) -> Answer:
        """Lay a JSON merge patch (RFC 7396, an object) over an object, or carry out a JSON patch (RFC 6902, a list).

        One that names a `metadata.resourceVersion` applies to that version only; any other is laid over the newest.
        Raises: InvalidInput, NotFound, StaleWrite, Refused."""
        if not isinstance(patch, dict | list):
            raise Refused(400, "a patch is an object with the fields to change, or a list of operations")
        for attempt in range(_ATTEMPTS):
            old = self.store.get(route.kind, route.key)
            if isinstance(patch, dict):
                changed = merge(_dump(old), {**patch, "status": {}})
            else:
                # What a client may see is what it may test, copy or move: no Secret's values.
                changed = apply_json_patch(wire(old), patch)
            new = self.accept(_addressed(changed, route), route, old)
            check_replace(old, new)
            try:
                return Answer(200, wire(self._write(Replace(new))))
            except StaleWrite:
                if _names_version(patch) or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError  # the last attempt returns or raises

    def delete(self, route: Route, options: object) -> Answer:
        """Delete an object; the `preconditions` of DeleteOptions hold. Raises: NotFound, StaleWrite, Refused.

        A sub-cluster is emptied first: it is only marked here, and the controller removes it once nothing runs there.
        With `gracePeriodSeconds` 0 it is forgotten at once, whatever runs there."""
        conditions = options.get("preconditions") if isinstance(options, dict) else None
        wanted = conditions if isinstance(conditions, dict) else {}
        old = self.store.get(route.kind, route.key)
        if wanted.get("uid") not in (None, "", old.metadata.uid):
            raise StaleWrite(f"{route.kind.kind_name} {route.key} has another uid: {old.metadata.uid}")
        version = wanted.get("resourceVersion")
        if version not in (None, "", str(old.metadata.resource_version)):
            raise StaleWrite(f"{route.kind.kind_name} {route.key} is at version {old.metadata.resource_version}")
        if why := refuse_delete(old):
            raise Refused(409, why, reason="Conflict")
        grace = options.get("gracePeriodSeconds") if isinstance(options, dict) else None
        if isinstance(old, SubCluster) and grace != 0:
            return Answer(200, wire(self._mark(old)))
        write = Delete(route.kind, route.key, int(version) if version else None)
        gone = self._write(write)
        details = {**route.details, "uid": gone.metadata.uid}
        return Answer(200, status(200, "", f"{route.kind.kind_name} {route.key} deleted", details))

    def _mark(self, old: SubCluster) -> Resource:
        """The sub-cluster, marked as one that is to be removed."""
        if old.metadata.deletion_timestamp is not None:
            return old
        metadata = old.metadata.model_copy(update={"deletion_timestamp": self.clock()})
        return self._write(Replace(old.model_copy(update={"metadata": metadata})))

    def accept(self, document: Mapping[str, Any], route: Route, old: Resource | None) -> Resource:
        """A user's document as an object to be written: valid, for this route, with the stored status and Secrets.

        Raises: InvalidInput, Refused."""
        # The status is not the user's to write, and not theirs to get wrong either.
        own = {key: value for key, value in document.items() if key != "status"}
        own["metadata"] = {k: v for k, v in own["metadata"].items() if k not in _SERVER_METADATA}
        if is_redacted(own):
            own, missing = restore(own, {} if old is None else _dump(old))
            if missing:
                raise InvalidInput(f"a Secret's value is a placeholder: {missing[0]}", field="spec.objects")
        if old is None and route.kind is Migration:
            own = self._with_strategy(own)
        new = self.validate(own)
        if not isinstance(new, route.kind):
            raise Refused(400, f"a {type(new).kind_name} can't be written to {route.kind.plural}")
        kept = {} if old is None or "status" not in type(new).model_fields else {"status": old.status}  # type: ignore[attr-defined]
        return new.model_copy(update=kept) if kept else new

    def check_new(self, new: Resource) -> None:
        """Raises: InvalidInput, AlreadyExists when this may not be created now."""
        check_create(new)
        if isinstance(new, Migration):
            service = Key(new.metadata.namespace, new.spec.service)
            for other in self.store.list(Migration, namespace=service.namespace).items:
                if other.open and other.spec.service == service.name:
                    raise AlreadyExists(f"{service} is being moved already, by the migration {other.metadata.name}")

    def find(self, kind: type[R], key: Key) -> R | None:
        """The object, or None."""
        try:
            return self.store.get(kind, key)
        except NotFound:
            return None

    def _with_strategy(self, document: dict[str, Any]) -> dict[str, Any]:
        """A new migration moves as the service's policies say, as far as it does not say itself."""
        spec = document.get("spec")
        if not (isinstance(spec, dict) and could_be_name(spec.get("service"))):
            return document
        service = self.find(Microservice, Key(document["metadata"].get("namespace") or FLEET, spec["service"]))
        if service is None:
            return document
        policies: list[Policy] = [
            *self.store.list(ClusterPlacementPolicy).items,
            *self.store.list(PlacementPolicy, namespace=service.metadata.namespace).items,
        ]
        strategy = migration_rules(service, tuple(policies)).strategy.model_dump(mode="json", by_alias=True)
        return {**document, "spec": {**spec, "strategy": merge(strategy, spec.get("strategy") or {})}}

    def check_together(self, new: Sequence[Resource]) -> None:
        """Raises: InvalidInputs when these may not be stored beside what is there."""
        if self.contradictions is not None:
            check_agreement(self.store, new, self.contradictions)

    def _write(self, write: Write) -> Resource:
        if not isinstance(write, Delete):
            self.check_together([write.resource])
        return self.store.write(with_history(self.store, [write]), now=self.clock())[0]


def selector_of(request: Request) -> Selector | None:
    """The label selector of a request, None for all. Raises: Refused (400)."""
    text = request.query.get("labelSelector", "")
    try:
        return parse_selector(text) if text else None
    except InvalidInput as error:
        raise Refused(400, str(error)) from error


def fields_of(request: Request) -> FieldSelector:
    """The field selector of a request. Raises: Refused (400)."""
    try:
        return parse_field_selector(request.query.get("fieldSelector", ""))
    except InvalidInput as error:
        raise Refused(400, str(error)) from error


def _names_version(patch: dict[str, Any] | list[Any]) -> bool:
    """Whether a patch applies to one version only."""
    if isinstance(patch, list):
        return any(str(step.get("path")).startswith("/metadata/resourceVersion") for step in patch)
    return isinstance(patch.get("metadata"), dict) and bool(patch["metadata"].get("resourceVersion"))


def merge(target: Any, patch: Any) -> Any:
    """`target` with a merge patch laid over it: objects are merged, null removes, anything else replaces (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _addressed(document: object, route: Route) -> dict[str, Any]:
    """The document with kind, namespace and name as the path says. Raises: Refused (400) when it says otherwise."""
    if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), dict):
        raise Refused(400, "the body must be an object with apiVersion, kind, metadata and spec")
    metadata = dict(document.get("metadata", {}))
    namespace = FLEET if route.namespace is None else route.namespace
    if route.kind.namespaced and route.name is None and route.namespace is None:
        namespace = metadata.get("namespace") or FLEET
        if not could_be_name(namespace):
            raise InvalidInput(f"a {route.kind.kind_name} needs a namespace", field="metadata.namespace")
    said = {
        "kind": (document.get("kind"), route.kind.kind_name),
        "apiVersion": (document.get("apiVersion"), API_VERSION),
        "metadata.namespace": (metadata.get("namespace"), namespace),
        "metadata.name": (metadata.get("name"), route.name),
    }
    for field, (given, wanted) in said.items():
        if given not in (None, "") and wanted is not None and given != wanted:
            raise Refused(400, f"{field}: the body says {given!r:.80}, the path {wanted!r}")
    metadata["namespace"] = namespace
    if route.name is not None:
        metadata["name"] = route.name
    if not namespace:
        metadata.pop("namespace")
    return {**document, "apiVersion": API_VERSION, "kind": route.kind.kind_name, "metadata": metadata}


def _dump(resource: Resource) -> dict[str, Any]:
    """The object as a client would have to write it, secrets included: for the server's own use only."""
    return resource.model_dump(mode="json", by_alias=True)

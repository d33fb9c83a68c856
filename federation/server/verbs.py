"""What a request does to objects: method and route become a verb, the verb is checked, then carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from federation.model.meta import FLEET
from federation.server.access import Caller, refuse, refuse_role, weakest_role
from federation.server.answers import Answer, Refused
from federation.server.extras import Lines
from federation.server.guard import Guard, Trail, check, fields_of
from federation.server.objects import JSON_PATCH, MERGE_PATCH, Objects
from federation.server.requests import Request, only
from federation.server.routes import Route
from federation.server.tables import as_table, is_acceptable, wants_table
from federation.server.watching import Watches

_COLLECTION = {"GET": "list", "POST": "create"}
_OBJECT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_STATUS = {"GET": "get", "PUT": "update"}


class Verbs:
    """The verbs on collections, objects and their status. Safe to use from several threads."""

    def __init__(self, objects: Objects, watches: Watches, guard: Guard):
        self._objects = objects
        self._watches = watches
        self._guard = guard

    def run(self, route: Route, request: Request, trail: Trail) -> Answer | Lines:
        """Do what is asked for, if the caller may. Raises: Refused, FederationError."""
        verbs = _COLLECTION if route.name is None else _STATUS if route.subresource else _OBJECT
        only(request, *verbs)
        if not is_acceptable(request.accept):
            raise Refused(406, f"{request.accept[:80]!r} is not what there is: application/json")
        trail.verb = verbs[request.method]
        if trail.verb == "list" and request.flag("watch"):
            trail.verb = "watch"
        self._guard.begin(request, trail)
        body = _body(route, request, trail)
        if trail.verb in ("get", "list", "watch"):
            return self._read(route, request, trail.verb)
        return self._write(route, trail, body())

    def _read(self, route: Route, request: Request, verb: str) -> Answer | Lines:
        if verb == "watch":
            return self._watches.open(route, request)
        answer = self._objects.list(route, request) if verb == "list" else self._objects.get(route)
        if isinstance(answer.body, Mapping) and wants_table(request.accept):
            return replace(answer, body=as_table(answer.body, route.kind.kind_name))
        return answer

    def _write(self, route: Route, trail: Trail, body: object) -> Answer:
        if trail.verb == "create":
            return self._objects.create(route, body)
        if trail.verb == "patch":
            trail.fields = fields_of(body)
            return self._objects.patch(route, body)
        if trail.verb == "delete":
            return self._objects.delete(route, body)
        if route.subresource:
            return self._objects.replace_status(route, body)
        return self._objects.replace(route, body)


def may(caller: Caller, verb: str, route: Route) -> None:
    """Raises: Refused (403), unless `caller` may do `verb` there."""
    plural = f"{route.kind.plural}/{route.subresource}" if route.subresource else route.kind.plural
    try:
        check(refuse(caller, verb, plural, namespaced=route.kind.namespaced, namespace=route.namespace))
    except Refused as refused:
        refused.about = (route.kind.plural, route.namespace or "", route.name or "")
        raise


def _body(route: Route, request: Request, trail: Trail) -> Callable[[], object]:
    """Reads the body, once the caller is known to have the right to send one. Raises: Refused."""
    verb, kind = trail.verb, route.kind
    if verb == "create" and kind.namespaced and route.namespace is None:
        # The namespace stands in the body only.
        check(refuse_role(trail.caller, weakest_role(verb, kind.plural), f"{verb} {kind.plural}"))
        body = request.json()
        trail.namespace = _namespace_in(body)
        may(trail.caller, verb, Route(kind, trail.namespace or FLEET))
        return lambda: body
    may(trail.caller, verb, route)
    if verb == "patch":
        return partial(_patch, request)
    if verb == "delete" and request.length == "0":
        return lambda: None
    return request.json


def _patch(request: Request) -> object:
    """An object for a merge patch, a list for a JSON patch; the media type says which. Raises: Refused."""
    patch = request.json(MERGE_PATCH, JSON_PATCH)
    wanted = list if request.media_type.partition(";")[0].strip().lower() == JSON_PATCH else dict
    if not isinstance(patch, wanted):
        what = "a list of operations" if wanted is list else "an object with the fields to change"
        raise Refused(400, f"a patch of this content type is {what}")
    return patch


def _namespace_in(body: object) -> str:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    return namespace if isinstance(namespace, str) else FLEET

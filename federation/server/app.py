"""The HTTP API as a WSGI application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from federation.contracts.store import Store
from federation.errors import FederationError
from federation.model.meta import API_VERSION
from federation.server import discovery
from federation.server.access import ADMIN, NOBODY, Caller, refuse, refuse_place, refuse_role
from federation.server.answers import Answer, Refused, refusal
from federation.server.apply import apply
from federation.server.auth import is_authorised
from federation.server.extras import Extra, Extras, Lines, Page
from federation.server.objects import MERGE_PATCH, Objects, Validate
from federation.server.requests import Limits, Request, read_request
from federation.server.routes import Route, find_route
from federation.server.streaming import Streams
from federation.server.watching import Watches

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG = logging.getLogger(__name__)
_BASE = f"/apis/{API_VERSION}"
_APPLY = f"{_BASE}/apply"
_NO_CACHE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
_COLLECTION = {"GET": "list", "POST": "create"}
_OBJECT = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_STATUS = {"GET": "get", "PUT": "update"}


def make_wsgi(
    store: Store,
    *,
    token: str,
    validate: Validate,
    clock: Callable[[], float],
    version: str,
    limits: Limits | None = None,
    extras: Sequence[Extra] = (),
) -> Api:
    """The API on `store`.

    Args: token, what clients must show; validate, makes an object of a user's document; clock, seconds since 1970;
    version, Roam's own; extras, what other modules add (see `federation.server.extras`)."""
    return Api(Objects(store, validate, clock), token, version, limits or Limits(), extras)


class Api:
    """The WSGI application. Made by `make_wsgi`. Safe to use from several threads.

    Everything but `/healthz` and what extras open needs a token. An answer never shows what went wrong inside."""

    def __init__(self, objects: Objects, token: str, version: str, limits: Limits, extras: Sequence[Extra]):
        self.limits = limits
        self._objects = objects
        self._token = token
        self._streams = Streams(limits)
        self._watches = Watches(objects.store, limits, self._streams.stopping)
        self._extras = Extras((*self._own_pages(version), *extras))

    def stop(self) -> None:
        """End the open watches and open no more."""
        self._streams.stop()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        about: dict[str, str] = {}
        try:
            request = read_request(environ, self.limits)
            answer = self._answer(request, about)
            if isinstance(answer, Answer):
                return _send(answer, start_response, request)
            pieces = self._streams.open(answer, request)
            write = start_response("200 OK", [("Content-Type", answer.media_type), *_NO_CACHE])
            # Sends the head now: a client must not have to wait for the first change to know that it watches.
            write(b"")
        except Exception as error:
            # Whatever it is, the client gets a Status and nothing else.
            answer = refusal(error, about)
            return _send(answer, start_response, None, empty=environ.get("REQUEST_METHOD") == "HEAD")
        return pieces

    def _answer(self, request: Request, about: dict[str, str]) -> Answer | Lines:
        """Find what is asked for, check that it may be had, and do it. `about` is told what a refusal is about."""
        page = self._extras.page(request.path)
        if page is not None and page.role is None:
            _only(request, *page.methods)
            return page.handle(request, NOBODY)
        caller = self._identify(request)
        if page is not None:
            _check(refuse_role(caller, page.role or "view", f"{request.method[:20]} {page.path}"))
            _only(request, *page.methods)
            return page.handle(request, caller)
        route = find_route(request.path, self._extras.subresources)
        if route is None:
            raise Refused(404, f"nothing is at {request.path[:200]!r}; see {_BASE}")
        about.update(route.details)
        if "dryRun" in request.query:
            raise Refused(400, f"dryRun is for {_APPLY} only")
        added = self._extras.subresources.get((route.kind.plural, route.subresource))
        if added is not None:
            what = f"{request.method[:20]} {route.kind.plural}/{added.name}"
            _check(refuse_role(caller, added.role, what) or _refuse_place(caller, request.method, route))
            _only(request, *added.methods)
            return added.handle(route, request, caller)
        return self._object(route, request, caller)

    def _identify(self, request: Request) -> Caller:
        if not is_authorised(request.authorization, self._token):
            raise Refused(
                401,
                "send the token of this server's token file as `Authorization: Bearer <token>`",
                headers=(("WWW-Authenticate", 'Bearer realm="roam"'),),
            )
        return ADMIN

    def _object(self, route: Route, request: Request, caller: Caller) -> Answer | Lines:
        """The verbs on collections, objects and their status."""
        verbs = _COLLECTION if route.name is None else _STATUS if route.subresource else _OBJECT
        _only(request, *verbs)
        verb = verbs[request.method]
        watching = verb == "list" and request.flag("watch")
        plural = f"{route.kind.plural}/{route.subresource}" if route.subresource else route.kind.plural
        _check(refuse(caller, verb, plural, namespaced=route.kind.namespaced, namespace=route.namespace))
        objects = self._objects
        if watching:
            return self._watches.open(route, request)
        if verb == "list":
            return objects.list(route, request)
        if verb == "get":
            return objects.get(route)
        if verb == "create":
            return objects.create(route, request.json())
        if verb == "update":
            body = request.json()
            return objects.replace_status(route, body) if route.subresource else objects.replace(route, body)
        if verb == "patch":
            return objects.patch(route, request.json(MERGE_PATCH))
        return objects.delete(route, None if request.length == "0" else request.json())

    def _apply(self, request: Request, _caller: Caller) -> Answer:
        dry_run = request.query.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise Refused(400, f"dryRun: {dry_run[:40]!r} is not All")
        return apply(self._objects, request.json(), dry_run=bool(dry_run))

    def _own_pages(self, version: str) -> tuple[Page, ...]:
        return (
            Page("/healthz", lambda *_: Answer(200, "ok"), role=None),
            Page("/readyz", lambda *_: self._readiness()),
            Page("/version", lambda *_: Answer(200, {"version": version, "apiVersion": API_VERSION})),
            Page("/apis", lambda *_: Answer(200, discovery.groups())),
            Page(f"/apis/{discovery.GROUP}", lambda *_: Answer(200, discovery.group())),
            Page(_BASE, lambda *_: Answer(200, self._resources())),
            Page(_APPLY, self._apply, methods=("POST",), role="deploy"),
        )

    def _resources(self) -> dict[str, object]:
        return discovery.resources({key: added.methods for key, added in self._extras.subresources.items()})

    def _readiness(self) -> Answer:
        try:
            self._objects.store.version()
        except FederationError as error:
            _LOG.warning("not ready: %s", error)
            return Answer(503, "the store does not answer")
        return Answer(200, "ok")


def _refuse_place(caller: Caller, method: str, route: Route) -> str:
    verb = "get" if method in ("GET", "HEAD") else "update"
    namespaced = route.kind.namespaced
    return refuse_place(caller, verb, route.kind.plural, namespaced=namespaced, namespace=route.namespace)


def _check(why_not: str) -> None:
    if why_not:
        raise Refused(403, why_not)


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Refused(405, f"{request.method[:20]} is not allowed here; {allowed} is", headers=(("Allow", allowed),))


def _send(
    answer: Answer, start_response: StartResponse, request: Request | None, *, empty: bool = False
) -> Iterable[bytes]:
    body, media_type = (b"", "text/plain") if empty else answer.encoded()
    common = (("Content-Type", media_type), ("Content-Length", str(len(body))), *_NO_CACHE)
    own = {name.lower() for name, _ in answer.headers}
    headers = [*(header for header in common if header[0].lower() not in own), *answer.headers]
    start_response(f"{answer.code} {HTTPStatus(answer.code).phrase}", headers)
    return _patiently(body, request) if request is not None else [body]


def _patiently(body: bytes, request: Request) -> Iterator[bytes]:
    with request.patience(request.limits.receive_s):
        yield body

"""The HTTP API as a WSGI application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from federation.contracts.store import Store
from federation.errors import FederationError
from federation.model.meta import API_VERSION
from federation.server import discovery
from federation.server.answers import Answer, Refused, refusal
from federation.server.apply import apply
from federation.server.auth import is_authorised
from federation.server.objects import MERGE_PATCH, Objects, Validate
from federation.server.requests import Limits, Request, read_request
from federation.server.routes import Route, find_route
from federation.server.watching import Watches

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG = logging.getLogger(__name__)
_BASE = f"/apis/{API_VERSION}"
_APPLY = f"{_BASE}/apply"
_NO_CACHE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


def make_wsgi(
    store: Store,
    *,
    token: str,
    validate: Validate,
    clock: Callable[[], float],
    version: str,
    limits: Limits | None = None,
) -> Api:
    """The API on `store`.

    Args: token, what clients must show; validate, makes an object of a user's document; clock, seconds since 1970;
    version, Roam's own."""
    return Api(Objects(store, validate, clock), token, version, limits or Limits())


class Api:
    """The WSGI application. Made by `make_wsgi`. Safe to use from several threads.

    Everything but `/healthz` needs the token. An answer never shows what went wrong inside."""

    def __init__(self, objects: Objects, token: str, version: str, limits: Limits):
        self.limits = limits
        self._objects = objects
        self._token = token
        self._version = version
        self._watches = Watches(objects.store, limits)
        self._pages: dict[str, Callable[[], Answer]] = {
            "/apis": lambda: Answer(200, discovery.groups()),
            f"/apis/{discovery.GROUP}": lambda: Answer(200, discovery.group()),
            _BASE: lambda: Answer(200, discovery.resources()),
            "/readyz": self._readiness,
            "/version": lambda: Answer(200, {"version": version, "apiVersion": API_VERSION}),
        }

    def stop(self) -> None:
        """End the open watches and open no more."""
        self._watches.stop()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        route: Route | None = None
        try:
            request = read_request(environ, self.limits)
            if request.path == "/healthz":
                _only(request, "GET")
                return _send(Answer(200, "ok"), start_response, request)
            self._authorise(request)
            route = None if request.path == _APPLY else find_route(request.path)
            if route is not None and route.name is None and request.method == "GET" and request.flag("watch"):
                lines = self._watches.open(route, request)
                write = start_response("200 OK", [("Content-Type", "application/json"), *_NO_CACHE])
                # Sends the head now: a client must not have to wait for the first change to know that it watches.
                write(b"")
                return lines
            return _send(self._answer(route, request), start_response, request)
        except Exception as error:
            # Whatever it is, the client gets a Status and nothing else.
            answer = refusal(error, route.details if route else None)
            return _send(answer, start_response, None, empty=environ.get("REQUEST_METHOD") == "HEAD")

    def _authorise(self, request: Request) -> None:
        if not is_authorised(request.authorization, self._token):
            raise Refused(
                401,
                "send the token of this server's token file as `Authorization: Bearer <token>`",
                headers=(("WWW-Authenticate", 'Bearer realm="roam"'),),
            )

    def _answer(self, route: Route | None, request: Request) -> Answer:
        if route is not None:
            if "dryRun" in request.query:
                raise Refused(400, f"dryRun is for {_APPLY} only")
            return self._object(route, request) if route.name else self._collection(route, request)
        if request.path == _APPLY:
            _only(request, "POST")
            dry_run = request.query.get("dryRun", "")
            if dry_run not in ("", "All"):
                raise Refused(400, f"dryRun: {dry_run[:40]!r} is not All")
            return apply(self._objects, request.json(), dry_run=bool(dry_run))
        page = self._pages.get(request.path.rstrip("/"))
        if page is None:
            raise Refused(404, f"nothing is at {request.path[:200]!r}; see {_BASE}")
        _only(request, "GET")
        return page()

    def _collection(self, route: Route, request: Request) -> Answer:
        if request.method == "POST":
            return self._objects.create(route, request.json())
        _only(request, "GET", "POST")
        return self._objects.list(route, request)

    def _object(self, route: Route, request: Request) -> Answer:
        if route.subresource:
            _only(request, "GET", "PUT")
            if request.method == "PUT":
                return self._objects.replace_status(route, request.json())
            return self._objects.get(route)
        if request.method == "PUT":
            return self._objects.replace(route, request.json())
        if request.method == "PATCH":
            return self._objects.patch(route, request.json(MERGE_PATCH))
        if request.method == "DELETE":
            return self._objects.delete(route, None if request.length == "0" else request.json())
        _only(request, "GET", "PUT", "PATCH", "DELETE")
        return self._objects.get(route)

    def _readiness(self) -> Answer:
        try:
            self._objects.store.version()
        except FederationError as error:
            _LOG.warning("not ready: %s", error)
            return Answer(503, "the store does not answer")
        return Answer(200, "ok")


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Refused(405, f"{request.method[:20]} is not allowed here; {allowed} is", headers=(("Allow", allowed),))


def _send(
    answer: Answer, start_response: StartResponse, request: Request | None, *, empty: bool = False
) -> Iterable[bytes]:
    body, media_type = (b"", "text/plain") if empty else answer.encoded()
    headers = [("Content-Type", media_type), ("Content-Length", str(len(body))), *_NO_CACHE, *answer.headers]
    start_response(f"{answer.code} {HTTPStatus(answer.code).phrase}", headers)
    return _patiently(body, request) if request is not None else [body]


def _patiently(body: bytes, request: Request) -> Iterator[bytes]:
    with request.patience(request.limits.receive_s):
        yield body

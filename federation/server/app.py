"""The HTTP API as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from federation.contracts.store import Store
from federation.server.access import NOBODY, Caller, refuse_place, refuse_role
from federation.server.agreement import Contradictions
from federation.server.answers import Answer, Refused, refusal
from federation.server.apply import apply
from federation.server.audit import AuditLog
from federation.server.extras import Extra, Extras, Lines, Page, Subresource
from federation.server.guard import Guard, Trail, check
from federation.server.health import Check
from federation.server.objects import Objects, Validate
from federation.server.pages import BASE, own_pages
from federation.server.requests import Limits, Request, only, read_request, request_id
from federation.server.routes import Route, find_route
from federation.server.streaming import Body, Streams
from federation.server.tokens import TokenFile
from federation.server.verbs import Verbs, may
from federation.server.watching import Watches

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_APPLY = f"{BASE}/apply"
_NO_CACHE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


@dataclass(frozen=True)
class Options:
    """What an API may have beyond what every one has: limits of its own, callers besides the admin, an audit log, what
    other modules add (see `federation.server.extras`), what the health pages ask besides the store, and what finds
    contradictions between policies (None: nobody looks for them)."""

    limits: Limits = field(default_factory=Limits)
    tokens: TokenFile | None = None
    audit: AuditLog | None = None
    extras: Sequence[Extra] = ()
    checks: Sequence[Check] = ()
    contradictions: Contradictions | None = None


def make_wsgi(
    store: Store,
    *,
    token: str,
    validate: Validate,
    clock: Callable[[], float],
    version: str,
    options: Options | None = None,
) -> Api:
    """The API on `store`.

    Args: token, an admin's; validate, makes an object of a user's document; clock, seconds since 1970; version, Roam's
    own."""
    chosen = options or Options()
    guard = Guard(token, chosen.tokens, chosen.audit, chosen.limits, clock)
    return Api(Objects(store, validate, clock, chosen.contradictions), guard, version, chosen)


class Api:
    """The WSGI application. Made by `make_wsgi`. Safe to use from several threads.

    Everything but the health checks and what extras open needs a token. What goes wrong inside is never shown."""

    def __init__(self, objects: Objects, guard: Guard, version: str, options: Options):
        self.limits = limits = options.limits
        self._objects = objects
        self._guard = guard
        self._streams = Streams(limits)
        self._verbs = Verbs(objects, Watches(objects.store, limits, self._streams.stopping), guard)
        own = own_pages(objects.store, guard.log, version, self._methods_added, options.checks)
        self._extras = Extras((*own, Page(_APPLY, self._apply, methods=("POST",), role="deploy"), *options.extras))

    @property
    def watchers(self) -> int:
        """How many watches are open."""
        return self._streams.count

    def stop(self) -> None:
        """End the open watches and open no more."""
        self._streams.stop()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        trail = Trail()
        environ["roam.request_id"] = request_id(environ)
        with ExitStack() as under_way:
            try:
                request = read_request(environ, self.limits)
                answer = self._audited(request, trail, under_way)
                if isinstance(answer, Answer):
                    body = _head(answer, start_response, request.id)
                    return Body(_patiently(body, request), under_way.pop_all().close)
                stream = self._streams.open(answer, request, trail.caller)
            except Exception as error:
                # Whatever it is, the client gets a Status and nothing else.
                return _refuse(error, trail, environ, start_response)
        headers = [("Content-Type", answer.media_type), ("X-Request-Id", request.id), *_NO_CACHE]
        # Sends the head now: a client must not have to wait for the first change to know that it watches.
        try:
            start_response("200 OK", headers)(b"")
        except BaseException:
            stream.close()
            raise
        return stream

    def _audited(self, request: Request, trail: Trail, under_way: ExitStack) -> Answer | Lines:
        """Answer, and write down what was written, or refused to a caller who is known."""
        try:
            answer = self._answer(request, trail, under_way)
        except Exception as error:
            self._guard.end(request, trail, error)
            raise
        if isinstance(answer, Answer):
            self._guard.end(request, trail, answer)
        return answer

    def _answer(self, request: Request, trail: Trail, under_way: ExitStack) -> Answer | Lines:
        """Find what is asked for, check that it may be had, and do it."""
        page = self._extras.page(request.path)
        if page is not None and page.role is None:
            only(request, *page.methods)
            return page.handle(request, NOBODY)
        caller = trail.caller = self._guard.identify(request)
        under_way.enter_context(self._guard.admit(caller))
        if page is not None:
            return self._page(page, request, trail)
        route = find_route(request.path, self._extras.subresources)
        if route is None:
            raise Refused(404, f"nothing is at {request.path[:200]!r}; see {BASE}")
        trail.see(route)
        if "dryRun" in request.query:
            raise Refused(400, f"dryRun is for {_APPLY} only")
        added = self._extras.subresources.get((route.kind.plural, route.subresource))
        if added is not None:
            return self._added(added, route, request, trail)
        return self._verbs.run(route, request, trail)

    def _page(self, page: Page, request: Request, trail: Trail) -> Answer | Lines:
        only(request, *page.methods)
        if not (request.path == _APPLY and request.query.get("dryRun")):
            self._guard.begin(request, trail)
        trail.verb = "apply" if request.path == _APPLY else f"{request.method.lower()} {page.path}"
        check(refuse_role(trail.caller, page.role or "view", trail.verb))
        return page.handle(request, trail.caller)

    def _added(self, added: Subresource, route: Route, request: Request, trail: Trail) -> Answer | Lines:
        only(request, *added.methods)
        self._guard.begin(request, trail)
        verb = "get" if request.method in ("GET", "HEAD") else "update"
        plural, namespaced = route.kind.plural, route.kind.namespaced
        check(
            refuse_role(trail.caller, added.role, f"{request.method.lower()} {plural}/{added.name}")
            or refuse_place(trail.caller, verb, plural, namespaced=namespaced, namespace=route.namespace)
        )
        return added.handle(route, request, trail.caller)

    def _apply(self, request: Request, caller: Caller) -> Answer:
        dry_run = request.query.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise Refused(400, f"dryRun: {dry_run[:40]!r} is not All")
        return apply(self._objects, request.json(), partial(may, caller), dry_run=bool(dry_run))

    def _methods_added(self) -> dict[tuple[str, str], Sequence[str]]:
        return {key: added.methods for key, added in self._extras.subresources.items()}


def _refuse(error: Exception, trail: Trail, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    answer = refusal(error, trail.details)
    if environ.get("REQUEST_METHOD") == "HEAD":
        answer = replace(answer, body="")
    return [_head(answer, start, environ.get("roam.request_id", ""))]


def _head(answer: Answer, start: StartResponse, request_id: str) -> bytes:
    """Begin an answer; returns its body."""
    body, media_type = answer.encoded()
    common = (
        ("Content-Type", media_type),
        ("Content-Length", str(len(body))),
        ("X-Request-Id", request_id),
        *_NO_CACHE,
    )
    own = {name.lower() for name, _ in answer.headers}
    headers = [*(header for header in common if header[0].lower() not in own), *answer.headers]
    start(f"{answer.code} {HTTPStatus(answer.code).phrase}", headers)
    return body


def _patiently(body: bytes, request: Request) -> Generator[bytes]:
    with request.patience(request.limits.receive_s):
        yield body

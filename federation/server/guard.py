"""At the door: who asks, how often they may, and what goes into the audit log."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from federation.model.meta import format_time
from federation.server.access import ADMIN, NOBODY, Caller
from federation.server.answers import Answer, Refused, refusal
from federation.server.audit import AuditLog
from federation.server.auth import bearer, is_authorised
from federation.server.rates import Rates
from federation.server.requests import Limits, Request
from federation.server.routes import Route
from federation.server.tokens import TokenFile

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OBJECTS_PER_LINE = 100
_MOST_FIELDS = 50
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")


@dataclass
class Trail:
    """What is known of a request so far: for the audit log, and for the `details` of a refusal."""

    caller: Caller = NOBODY
    verb: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    details: dict[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    audited: bool = False

    def see(self, route: Route) -> None:
        """The request is about this."""
        self.plural, self.subresource = route.kind.plural, route.subresource
        self.namespace, self.name = route.namespace or "", route.name or ""
        self.details = route.details


class Guard:
    """Knows callers by their tokens, and keeps the log. Safe to use from several threads.

    Args: token, the server's own, an admin's; tokens, others'; log, None for none; clock, seconds since 1970."""

    def __init__(
        self,
        token: str,
        tokens: TokenFile | None,
        log: AuditLog | None,
        limits: Limits,
        clock: Callable[[], float],
    ):
        self._token = token
        self._tokens = tokens
        self._log = log
        self._clock = clock
        self._rates = Rates(
            per_s=limits.requests_per_s, burst=limits.requests_burst, most_at_once=limits.requests_at_once
        )

    @property
    def log(self) -> AuditLog | None:
        """The audit log."""
        return self._log

    def identify(self, request: Request) -> Caller:
        """Who asks. Raises: Refused (401), Unavailable."""
        if is_authorised(request.authorization, self._token):
            return ADMIN
        given = bearer(request.authorization)
        caller = self._tokens.find(given) if self._tokens is not None and given else None
        if caller is None:
            raise Refused(
                401,
                "send a token that this server knows and that has not expired, as `Authorization: Bearer <token>`",
                headers=(("WWW-Authenticate", 'Bearer realm="roam"'),),
            )
        return caller

    def admit(self, caller: Caller) -> AbstractContextManager[None]:
        """One request of `caller`, while it is answered. Raises: Refused (429)."""
        return self._rates.request(caller.name)

    def begin(self, request: Request, trail: Trail) -> None:
        """Before anything is written: make sure that it can be written down. Raises: AuditFull."""
        if self._log is not None and request.method not in _READING:
            self._log.check()
            trail.audited = True

    def end(self, request: Request, trail: Trail, outcome: Answer | Exception) -> None:
        """After it: write down what became of it. Raises: AuditFull."""
        if self._log is not None and trail.audited:
            self._log.record(self._entries(request, trail, outcome))

    def _entries(self, request: Request, trail: Trail, outcome: Answer | Exception) -> list[dict[str, Any]]:
        answer = outcome if isinstance(outcome, Answer) else refusal(outcome)
        if isinstance(outcome, Refused) and outcome.about is not None:
            trail.plural, trail.namespace, trail.name = outcome.about
        body = answer.body if isinstance(answer.body, Mapping) else {}
        entry: dict[str, Any] = {
            "time": format_time(self._clock()),
            "request": request.id,
            "from": request.remote,
            "who": trail.caller.name,
            "role": trail.caller.role,
            "verb": trail.verb or request.method[:20].lower(),
            "kind": trail.plural,
            "namespace": _shown(trail.namespace),
            "name": _shown(trail.name) or _made(body),
            "code": answer.code,
        }
        if trail.subresource:
            entry["subresource"] = trail.subresource
        if answer.code >= 400:
            return [entry | {"reason": str(body.get("reason", ""))}]
        if trail.verb != "apply":
            # The names of fields are known to be the schema's own only once the object has been accepted.
            return [entry | ({"fields": list(trail.fields)} if trail.fields else {})]
        return [entry | {"objects": part} for part in _parts(_applied(body))]


def fields_of(patch: object) -> tuple[str, ...]:
    """The fields that a patch changes, two levels deep, such as `spec.replicas`: names, never values."""
    found: list[str] = []
    if isinstance(patch, list):
        paths = (str(step.get("path")) for step in patch if isinstance(step, dict) and step.get("op") != "test")
        found = list({".".join(path.split("/")[1:3]) for path in paths})
    for outer, inner in patch.items() if isinstance(patch, dict) else ():
        found += [f"{outer}.{name}" for name in inner] if isinstance(inner, dict) else [outer]
    return tuple(sorted(found)[:_MOST_FIELDS])


def _shown(name: str) -> str:
    """A name that nothing has checked yet, if it can be one."""
    return name if _NAME.match(name) else ""


def _made(body: Mapping[str, Any]) -> str:
    """The name that the server gave to a new object."""
    metadata = body.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _applied(body: Mapping[str, Any]) -> list[str]:
    """What an apply changed, such as `configured Microservice shop/cart`."""
    items: Sequence[Mapping[str, Any]] = body.get("items") or ()
    return [
        f"{item['result']} {item['kind']} {'/'.join(filter(None, (item['namespace'], item['name'])))}"
        for item in items
        if item["result"] != "unchanged"
    ]


def _parts(objects: list[str]) -> list[list[str]]:
    step = _OBJECTS_PER_LINE
    return [objects[begin : begin + step] for begin in range(0, max(1, len(objects)), step)]


def check(why_not: str) -> None:
    """Raises: Refused (403), unless `why_not` is empty."""
    if why_not:
        raise Refused(403, why_not)

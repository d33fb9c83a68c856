"""What goes out: objects as JSON without secrets, and refusals as Kubernetes `Status` objects."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    Expired,
    FederationError,
    InvalidInput,
    InvalidInputs,
    NoRoom,
    NotFound,
    RateLimited,
    StaleWrite,
    Unavailable,
)
from federation.model.meta import Resource
from federation.model.redact import redact
from federation.server.audit import AuditFull

_LOG = logging.getLogger(__name__)
_MOST_CAUSES = 100
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    408: "Timeout",
    413: "RequestEntityTooLarge",
    414: "RequestURITooLong",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    507: "InsufficientStorage",
}
_CODES: tuple[tuple[type[FederationError], int], ...] = (
    (InvalidInput, 422),
    (AlreadyExists, 409),
    (StaleWrite, 409),
    (Conflict, 409),
    (NotFound, 404),
    (Expired, 410),
    (Denied, 403),
    (RateLimited, 429),
    (NoRoom, 507),
    (Unavailable, 503),
    (AuditFull, 507),
)


class Refused(FederationError):
    """A request that HTTP itself has a code for (400, 401, 404, 405, 413, 415, 429, ...). `about`: plural, namespace
    and name of the object that it was refused for, where that is one of many."""

    about: tuple[str, str, str] | None = None

    def __init__(self, code: int, message: str, *, headers: Sequence[tuple[str, str]] = (), reason: str = ""):
        super().__init__(message)
        self.code = code
        self.headers = tuple(headers)
        self.status_reason = reason or _REASONS.get(code, "Failed")


@dataclass(frozen=True)
class Answer:
    """One whole answer: HTTP code, body, and headers beyond type and length. `media_type` "": as fits the body (a
    mapping is JSON, text is plain text, bytes are just bytes)."""

    code: int
    body: Mapping[str, Any] | str | bytes
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = ""

    def encoded(self) -> tuple[bytes, str]:
        """The body as bytes and its media type."""
        if isinstance(self.body, bytes):
            return self.body, self.media_type or "application/octet-stream"
        if isinstance(self.body, str):
            return self.body.encode(), self.media_type or "text/plain; charset=utf-8"
        return encode(self.body), self.media_type or "application/json"


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON text, in ASCII so that no text a client sent can be unfit for it."""
    return json.dumps(document, separators=(",", ":")).encode()


def wire(resource: Resource) -> dict[str, Any]:
    """The object as it travels: names as outside, versions and times as text, no Secret's values."""
    document = resource.model_dump(mode="json", by_alias=True)
    metadata = document["metadata"]
    if metadata["deletionTimestamp"] is None:
        del metadata["deletionTimestamp"]
    if not resource.namespaced:
        del metadata["namespace"]
    return redact({"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": metadata, **document})


def status(code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A Kubernetes `Status` object for a refusal, or for success below 400."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure" if code >= 400 else "Success",
        "message": message,
        "reason": reason,
        **({"details": dict(details)} if details else {}),
        "code": code,
    }


def refusal(error: Exception, details: Mapping[str, Any] | None = None) -> Answer:
    """The answer to a request that raised `error`. What is not one of ours is logged, and never told to the client."""
    if isinstance(error, Refused):
        return Answer(error.code, status(error.code, error.status_reason, str(error), details), error.headers)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
    if code == 500 or not isinstance(error, FederationError):
        _LOG.error("a request failed", exc_info=error)
        return Answer(500, status(500, "InternalError", "internal error; the server's log has the details"))
    more = {**(details or {})}
    if isinstance(error, InvalidInput):
        more["causes"] = _causes(error)
    headers: tuple[tuple[str, str], ...] = ()
    if error.retryable:
        headers = (("Retry-After", "1"),)
        more["retryAfterSeconds"] = 1
    return Answer(code, status(code, error.reason, str(error), more), headers)


def _causes(error: InvalidInput) -> list[dict[str, Any]]:
    found = error.errors if isinstance(error, InvalidInputs) else (error,)
    return [
        {"reason": "FieldValueInvalid", "message": one.message, "field": one.field or ""}
        for one in found[:_MOST_CAUSES]
    ]

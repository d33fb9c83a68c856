"""What comes in: method, path, query and JSON body of a request, within limits."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

from federation.server.answers import Refused

Patience = Callable[[float], AbstractContextManager[None]]
"""`with patience(seconds)`: ends the connection when what is within takes longer than that."""

_JSON = "application/json"
_MOST_PARAMETERS = 50
_CHUNK_BYTES = 64 * 1024
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:-]{1,64}\Z")


@dataclass(frozen=True)
class Limits:
    """Bounds on what clients may ask for. Sizes in bytes, times in seconds; what is about requests holds per caller."""

    body_bytes: int = 16 * 2**20
    header_bytes: int = 32 * 2**10
    json_depth: int = 80
    watchers: int = 96
    watchers_per_caller: int = 64
    requests_per_s: float = 500.0
    requests_burst: int = 1000
    requests_at_once: int = 64
    watch_s: float = 1800.0
    bookmark_s: float = 15.0
    receive_s: float = 30.0
    send_s: float = 10.0


class _Input(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Request:
    """One request. `patience` bounds reading and writing, `is_gone` tells whether the client has hung up; `id` is the
    client's own `X-Request-Id`, or a made one, `remote` the client's address."""

    method: str
    path: str
    query: Mapping[str, str]
    authorization: str | None
    media_type: str
    length: str | None
    input: _Input
    limits: Limits
    patience: Patience
    is_gone: Callable[[], bool]
    if_none_match: str = ""
    id: str = ""
    remote: str = ""
    accept: str = ""

    def json(self, *media_types: str) -> Any:
        """The body, of one of these media types (none: application/json).

        Raises: Refused (413, 415, or 400 with what is wrong)."""
        allowed = media_types or (_JSON,)
        given = self.media_type.partition(";")[0].strip().lower()
        if given not in allowed and (given or _JSON not in allowed):
            raise Refused(415, f"content type {given[:80] or 'none'!r} is not read here; send {' or '.join(allowed)}")
        return parse_json(self._body(), self.limits.json_depth)

    def flag(self, name: str) -> bool:
        """A parameter that is on or off. Raises: Refused (400)."""
        value = self.query.get(name, "").lower()
        if value not in ("", "0", "1", "true", "false"):
            raise Refused(400, f"{name}: {value[:40]!r} is neither true nor false")
        return value in ("1", "true")

    def number(self, name: str) -> int | None:
        """A parameter that is a whole number >= 0; None when it is not given. Raises: Refused (400)."""
        value = self.query.get(name, "")
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            raise Refused(400, f"{name}: {value[:40]!r} is not a whole number")
        return int(value)

    def _body(self) -> bytes:
        if self.length is not None and not (self.length.isascii() and self.length.isdigit()):
            raise Refused(400, f"Content-Length {self.length[:40]!r} is not a number", headers=_CLOSE)
        if int(self.length or 0) > self.limits.body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        with self.patience(self.limits.receive_s):
            try:
                while part := self.input.read(_CHUNK_BYTES):
                    parts.append(part)
                    size += len(part)
                    if size > self.limits.body_bytes:
                        raise self._too_large()
            except (ValueError, EOFError) as error:
                raise Refused(400, "the body is not transferred as HTTP says", headers=_CLOSE) from error
        if self.length is not None and size < int(self.length):
            raise Refused(400, f"the body ends after {size} of {self.length} bytes", headers=_CLOSE)
        return b"".join(parts)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self.limits.body_bytes} bytes", headers=_CLOSE)


_CLOSE = (("Connection", "close"),)


def request_id(environ: Mapping[str, Any]) -> str:
    """What a request is called in logs and answers: as its client says, else 16 random hexadecimal digits."""
    given = str(environ.get("HTTP_X_REQUEST_ID") or "")
    return given if _REQUEST_ID.match(given) else secrets.token_hex(8)


def read_request(environ: Mapping[str, Any], limits: Limits) -> Request:
    """The request of a WSGI environment. Raises: Refused (400)."""
    try:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode()
        pairs = parse_qsl(
            environ.get("QUERY_STRING", ""),
            keep_blank_values=True,
            max_num_fields=_MOST_PARAMETERS,
            errors="strict",
        )
    except UnicodeError as error:
        raise Refused(400, "path and query must be UTF-8 text") from error
    except ValueError as error:
        raise Refused(400, f"at most {_MOST_PARAMETERS} parameters are read") from error
    return Request(
        method=environ["REQUEST_METHOD"],
        path=path,
        query=dict(pairs),
        authorization=environ.get("HTTP_AUTHORIZATION"),
        media_type=environ.get("CONTENT_TYPE") or "",
        length=environ.get("CONTENT_LENGTH") or (None if environ.get("wsgi.input_terminated") else "0"),
        input=environ["wsgi.input"],
        limits=limits,
        patience=environ.get("roam.patience", _patient),
        is_gone=environ.get("roam.is_gone", _never),
        if_none_match=environ.get("HTTP_IF_NONE_MATCH") or "",
        id=environ.get("roam.request_id") or request_id(environ),
        remote=environ.get("REMOTE_ADDR") or "",
        accept=environ.get("HTTP_ACCEPT") or "",
    )


def only(request: Request, *methods: str) -> None:
    """Raises: Refused (405), unless the request's method is one of these."""
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Refused(405, f"{request.method[:20]} is not allowed here; {allowed} is", headers=(("Allow", allowed),))


def parse_json(body: bytes, depth: int) -> Any:
    """JSON text as data, strictly: UTF-8, no NaN, no name twice in an object, not too deep. Raises: Refused (400)."""
    try:
        value = json.loads(body.decode(), parse_constant=_no_constant, object_pairs_hook=_no_twin)
    except RecursionError as error:
        raise Refused(400, f"the JSON body is nested deeper than {depth} levels") from error
    except UnicodeDecodeError as error:
        raise Refused(400, f"the JSON body is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        raise Refused(400, f"the JSON body can't be used: {error}") from error
    _check_depth(value, depth)
    return value


def _check_depth(value: Any, most: int) -> None:
    level = [value]
    for _ in range(most):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    if any(isinstance(item, dict | list) for item in level):
        raise Refused(400, f"the JSON body is nested deeper than {most} levels")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _no_twin(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twin[:80]!r} stands twice in one object")
    return result


def _patient(_seconds: float) -> AbstractContextManager[None]:
    return nullcontext()


def _never() -> bool:
    return False

"""Calls a WSGI application in process: as a server would, without a socket."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class Call:
    """One request. `target`: path and query as on the wire; `headers` as HTTP names them."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.body)


def call(application: Application, request: Call, *, most_pieces: int = 1) -> Reply:
    """Carry `request` out; of a stream, at most so many pieces are read before the client hangs up.

    Raises: whatever the application lets through, which is nothing as far as it keeps its word."""
    path, _, query = request.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.url_scheme": "http",
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    started: list[tuple[str, list[tuple[str, str]]]] = []
    parts: list[bytes] = []

    def start(line: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        started.append((line, headers))
        return parts.append

    pieces = application(environ, start)
    try:
        headers = dict(started[0][1])
        streams = "Content-Length" not in headers
        for piece in islice(pieces, most_pieces if streams else None):
            parts.append(piece)
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    return Reply(int(started[0][0].partition(" ")[0]), headers, b"".join(parts))

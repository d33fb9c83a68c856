"""The page's static files: read once, served by their exact path, so that no path leads anywhere else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from federation.server.access import Caller
from federation.server.answers import Answer, Refused
from federation.server.requests import Request

PREFIX: Final = "/page/"
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS: Final = (
    ("Cache-Control", "no-cache"),
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
)


@dataclass(frozen=True)
class File:
    """One file as it is sent. `etag` changes with its content."""

    body: bytes
    media_type: str
    etag: str


@cache
def known_files() -> dict[str, File]:
    """The files by the path they are served at."""
    found = {}
    for entry in files(__package__).joinpath("static").iterdir():
        media_type = _TYPES.get(entry.name.rpartition(".")[2])
        if media_type is None:
            continue
        body = entry.read_bytes()
        path = "/" if entry.name == "index.html" else f"{PREFIX}{entry.name}"
        found[path] = File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


def serve_file(request: Request, _caller: Caller) -> Answer:
    """The file at the request's path; 304 when the client has it already. Raises: Refused (404)."""
    file = known_files().get(request.path)
    if file is None:
        raise Refused(404, f"the page has no {request.path[:200]!r}; it begins at /")
    headers = (*HEADERS, ("ETag", file.etag))
    if file.etag in (tag.strip().removeprefix("W/") for tag in request.if_none_match.split(",")):
        return Answer(304, b"", headers, file.media_type)
    return Answer(200, file.body, headers, file.media_type)

"""The token: a file that only its owner can read, compared in constant time."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from federation.errors import InvalidInput
from federation.store.private import make_private, read_private

_LEAST_CHARACTERS = 16
_MOST_BYTES = 4096


def token_from(path: Path) -> str:
    """The token in `path`; a new random one is written there, mode 0600, when there is no such file.

    Raises: InvalidInput when others could read it, or when it holds no usable token; the message says what to do."""
    try:
        return read_token(path)
    except FileNotFoundError:
        make_private(path, secrets.token_urlsafe(32) + "\n", "a token")
        return read_token(path)


def read_token(path: Path) -> str:
    """The token in `path`. Raises: FileNotFoundError; InvalidInput as `token_from`."""
    try:
        text = read_private(path, "the token", _MOST_BYTES).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise InvalidInput("the token file holds something other than a token", file=str(path)) from error
    if len(text) < _LEAST_CHARACTERS or not text.isprintable() or " " in text:
        raise InvalidInput(
            f"no usable token there: at least {_LEAST_CHARACTERS} printable characters without spaces; "
            "remove the file to get a new one",
            file=str(path),
        )
    return text


def is_authorised(header: str | None, token: str) -> bool:
    """Whether an `Authorization` header carries the token. Takes the same time wherever a wrong one differs."""
    return hmac.compare_digest(bearer(header).encode("utf-8", "replace"), token.encode())


def bearer(header: str | None) -> str:
    """The token in an `Authorization` header, empty when there is none."""
    scheme, _, given = (header or "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""

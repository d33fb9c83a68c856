"""The token: a file that only its owner can read, compared in constant time."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from federation.errors import InvalidInput

_LEAST_CHARACTERS = 16
_MOST_BYTES = 4096


def token_from(path: Path) -> str:
    """The token in `path`; a new random one is written there, mode 0600, when there is no such file.

    Raises: InvalidInput when others could read it, or when it holds no usable token; the message says what to do."""
    try:
        return read_token(path)
    except FileNotFoundError:
        return _create(path)


def read_token(path: Path) -> str:
    """The token in `path`. Raises: FileNotFoundError; InvalidInput as `token_from`."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise InvalidInput("the token file is not a regular file", file=str(path))
            if found.st_mode & 0o077:
                mode = stat.S_IMODE(found.st_mode)
                raise InvalidInput(
                    f"others can read or write the token file (mode {mode:04o}); run: chmod 600 {path}", file=str(path)
                )
            text = file.read(_MOST_BYTES).decode("ascii").strip()
    except (IsADirectoryError, PermissionError) as error:
        raise InvalidInput(f"the token file can't be read: {error.strerror}", file=str(path)) from error
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


def _create(path: Path) -> str:
    """Write a new token as a whole: a second process that starts at the same time reads all of it, or makes none."""
    token = secrets.token_urlsafe(32)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(token + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            return read_token(path)
        finally:
            draft.unlink()
    except OSError as error:
        raise InvalidInput(f"no token can be kept there: {error.strerror}", file=str(path)) from error
    return token

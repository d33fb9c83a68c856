"""The secret that driver and agent share: read from a file that only its owner may read, and never shown."""

from __future__ import annotations

import hmac
import os
import stat
from pathlib import Path
from typing import Final

from federation.errors import Denied

LIMIT_BYTES: Final = 4096
SHORTEST: Final = 16


class Token:
    """A bearer token. Raises: Denied, for a text that can't be one."""

    __slots__ = ("_value",)

    def __init__(self, value: str, origin: str) -> None:
        if len(value) < SHORTEST or not value.isascii() or not value.isprintable():
            raise Denied(f"{origin} holds no token: at least {SHORTEST} printable ASCII characters")
        self._value = value

    @property
    def header(self) -> str:
        """The `Authorization` header that carries it."""
        return f"Bearer {self._value}"

    def matches(self, header: str) -> bool:
        """Whether an `Authorization` header carries it; takes the same time whatever the header holds."""
        return hmac.compare_digest(header.encode("utf-8", "replace"), self.header.encode())

    def __repr__(self) -> str:
        return "Token(...)"


def read_token(path: Path) -> Token:
    """The token in a file. Raises: Denied, when it can't be read or others could read it too."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(LIMIT_BYTES)
    except OSError as error:
        raise Denied(f"the token file {path} can't be read: {error.strerror}") from error
    if mode & 0o077:
        raise Denied(f"the token file {path} is open to others (mode {mode:04o}): chmod 600 {path}")
    return Token(content.decode("utf-8", "replace").strip(), f"the token file {path}")

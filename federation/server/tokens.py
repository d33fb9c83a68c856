"""Access tokens: a file of names, roles and hashes, never of tokens; changed whole, and loaded anew when it changes."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, ValidationError, model_validator

from federation.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from federation.model.meta import Name, Namespace, Timestamp, Value
from federation.model.nearest import suggestion
from federation.server.access import ADMIN, Caller, Role
from federation.store.private import read_private

_LOG = logging.getLogger(__name__)
_PREFIX = "roam_"
_MOST_BYTES = 4 * 2**20
_HEAD = "# Access tokens of Roam's API. Changed by `roam token`; holds hashes only. Keep its mode at 0600.\n"


def _digest(value: str) -> str:
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise ValueError("is not a SHA-256 in hexadecimal")
    return value


class Token(Value):
    """One entry. `namespaces` None: all, and the fleet's own objects; `expires` None: never."""

    name: Name
    sha256: Annotated[str, AfterValidator(_digest)]
    role: Role
    namespaces: tuple[Namespace, ...] | None = None
    created: Timestamp = 0.0
    expires: Timestamp | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Token:
        if self.role == "admin" and self.namespaces is not None:
            raise ValueError("an admin is one of the whole fleet: leave the namespaces out")
        if self.namespaces is not None and ("" in self.namespaces or not self.namespaces):
            raise ValueError("name at least one namespace, or leave them out for all")
        if self.name == ADMIN.name:
            raise ValueError(f"{ADMIN.name!r} is whoever shows the server's own token; choose another name")
        return self

    @property
    def caller(self) -> Caller:
        """Whoever shows this token."""
        return Caller(self.name, self.role, None if self.namespaces is None else frozenset(self.namespaces))


class _Document(Value):
    tokens: tuple[Token, ...] = ()


def load(path: Path) -> tuple[Token, ...]:
    """The entries of a file, in its order; none when there is no such file.

    Raises: InvalidInput when others could change or read it, or when it makes no sense."""
    try:
        text = read_private(path, "the tokens", _MOST_BYTES + 1)
    except FileNotFoundError:
        return ()
    return _parsed(text, path)


def _parsed(text: bytes, path: Path) -> tuple[Token, ...]:
    if len(text) > _MOST_BYTES:
        raise InvalidInput(f"is larger than {_MOST_BYTES} bytes", file=str(path))
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one
        tokens = _Document.model_validate(document or {}, by_alias=True, by_name=False).tokens
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        raise InvalidInput("is not YAML", file=str(path), line=line) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(message, file=str(path), field=".".join(map(str, first["loc"]))) from error
    for what in ("name", "sha256"):
        seen: set[str] = set()
        for token in tokens:
            value = getattr(token, what)
            if value in seen:
                raise InvalidInput(f"{token.name}: another token has the same {what}", file=str(path), field="tokens")
            seen.add(value)
    return tokens


def create(
    path: Path, name: str, role: Role, namespaces: tuple[str, ...] | None, *, now: float, expires: float | None
) -> str:
    """Add a token and return it: the only time that it is told. Other entries stay, also of somebody adding meanwhile.

    Raises: AlreadyExists, InvalidInput."""
    text = _PREFIX + secrets.token_urlsafe(32)
    fields = {
        "name": name,
        "sha256": _hash(text),
        "role": role,
        "namespaces": namespaces,
        "created": now,
        "expires": expires,
    }
    try:
        token = Token.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or None
        raise InvalidInput(first["msg"].removeprefix("Value error, "), field=field) from error
    with _changing(path):
        tokens = load(path)
        if any(one.name == name for one in tokens):
            raise AlreadyExists(f"a token is called {name!r} already; revoke it first, or choose another name")
        _save(path, (*tokens, token))
    return text


def revoke(path: Path, name: str) -> None:
    """Remove a token: a server refuses it from its next request on. Raises: NotFound, InvalidInput."""
    with _changing(path):
        tokens = load(path)
        left = tuple(token for token in tokens if token.name != name)
        if len(left) == len(tokens):
            raise NotFound(f"no token is called {name!r}; {suggestion(name, (token.name for token in tokens))}")
        _save(path, left)


class TokenFile:
    """The callers that a file of tokens knows. Safe to use from several threads.

    Args: clock, seconds since 1970. A file that is damaged lets nobody in until it is mended."""

    def __init__(self, path: Path, clock: Callable[[], float]):
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._tokens: tuple[Token, ...] | None = ()
        self._refresh()

    def find(self, given: str) -> Caller | None:
        """Whoever has that token, None when nobody has or when it has expired. Takes the same time for every token.

        Raises: Unavailable (the file can't be used just now)."""
        self._refresh()
        tokens = self._tokens
        if tokens is None:
            raise Unavailable("the server can't read its file of tokens; its log says why")
        digest = _hash(given)
        found: Token | None = None
        for token in tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = token
        if found is None or (found.expires is not None and self._clock() >= found.expires):
            return None
        return found.caller

    def _refresh(self) -> None:
        with self._lock:
            now = _signature(self._path)
            if now == self._seen:
                return
            try:
                self._tokens = load(self._path)
            except InvalidInput as error:
                _LOG.error("no token is accepted but the server's own, until this is mended: %s", error)
                self._tokens = None
            self._seen = now


def _signature(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Holds off everybody else who wants to change the file, in all processes."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInput(f"no tokens can be kept there: {error.strerror}", file=str(path)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _save(path: Path, tokens: tuple[Token, ...]) -> None:
    """Replace the file as a whole, durably: whoever reads meanwhile sees all of the old one or all of the new one."""
    document = _Document(tokens=tokens).model_dump(mode="json", by_alias=True, exclude_none=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(_HEAD + yaml.safe_dump(document, sort_keys=False))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise InvalidInput(f"can't be written: {error.strerror}", file=str(path)) from error

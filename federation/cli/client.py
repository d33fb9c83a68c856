"""Speaks to Roam's API over one kept connection. Standard library only: a client verb must start at once."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from federation.errors import (
    AlreadyExists,
    Denied,
    Expired,
    FederationError,
    InvalidInput,
    InvalidInputs,
    NotFound,
    RateLimited,
    StaleWrite,
    Unavailable,
)

BASE = "/apis/roam.federation/v1alpha1"
_TIMEOUT_S = 30.0
_APPLY_TIMEOUT_S = 120.0
_WATCH_S = 300
_PAGE = 1000
_PIECE = 256 * 1024
_BUSY_S = 30.0
_LONGEST_WAIT_S = 10.0
_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, http.client.CannotSendRequest)
_BY_CODE: dict[int, type[FederationError]] = {401: Denied, 403: Denied, 404: NotFound, 410: Expired, 429: RateLimited}


def path_of(plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """The path of a collection or an object; namespace None or "": all namespaces, or a fleet-scoped kind."""
    parts = ["namespaces", namespace, plural] if namespace else [plural]
    return "/".join([BASE, *(quote(part, safe="") for part in [*parts, *([name] if name else [])])])


class Client:
    """One server. Not for several threads at once.

    Raises from every call: Unavailable (no answer; the message says how to start a server), Denied, NotFound,
    InvalidInput, StaleWrite, AlreadyExists, Expired, RateLimited, as the server says."""

    def __init__(self, server: str, token: str, ca_file: str | None = None):
        url = urlsplit(server)
        if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/"):
            raise InvalidInput(f"{server!r} is not a server's address; write for instance http://127.0.0.1:7441")
        try:
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError as error:
            raise InvalidInput(f"{server!r}: {error}") from error
        self._tls = _trusting(ca_file) if url.scheme == "https" else None
        self.server = server
        self._host, self._port = url.hostname, port
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What is at `path`."""
        return self._call("GET", path, query)

    def post(self, path: str, body: object, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Create, or apply."""
        return self._call("POST", path, query, body, timeout_s=_APPLY_TIMEOUT_S)

    def patch(self, path: str, body: object) -> dict[str, Any]:
        """Lay a merge patch over an object."""
        return self._call("PATCH", path, None, body, media_type="application/merge-patch+json")

    def delete(self, path: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Delete an object, with Kubernetes' `DeleteOptions`. An object that goes later comes back with a
        `metadata.deletionTimestamp`; one that is gone, as a `Status`."""
        return self._call("DELETE", path, None, options)

    def items(
        self, plural: str, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[Mapping[str, Any]], str]:
        """All objects of a kind, read page by page, and the version as of which they are."""
        query = {"limit": str(_PAGE), **({"labelSelector": selector} if selector else {})}
        found: list[Mapping[str, Any]] = []
        while True:
            page = self.get(path_of(plural, namespace), query)
            found += page["items"]
            more = page["metadata"].get("continue")
            if not more:
                return found, page["metadata"]["resourceVersion"]
            query["continue"] = more

    def apply(self, documents: Iterable[Mapping[str, Any]], *, dry_run: bool = False) -> list[dict[str, Any]]:
        """Create or change all of them or none; what became of each, in order."""
        body = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        answer = self.post(f"{BASE}/apply", body, {"dryRun": "All"} if dry_run else None)
        return list(answer["items"])

    def watch(self, plural: str, namespace: str | None, selector: str, since: str) -> Iterator[dict[str, Any]]:
        """Changes after version `since`, for ever: goes on where it was when the server ends a watch.

        Raises: Expired (list again)."""
        while True:
            query = {
                "watch": "1",
                "resourceVersion": since,
                "timeoutSeconds": str(_WATCH_S),
                "allowWatchBookmarks": "true",
                **({"labelSelector": selector} if selector else {}),
            }
            for event in self._stream(path_of(plural, namespace), query):
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 500), event["object"], self.server)
                since = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield event

    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Lines of JSON from `path`, as they come, until the server has no more."""
        return self._stream(path, query)

    def download(self, path: str) -> Iterator[bytes]:
        """What is at `path`, as bytes, piece by piece. Raises: Unavailable also when it ends early."""
        connection = self._connect(_APPLY_TIMEOUT_S)
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise _error(answer.status, _json(answer.read()), self.server)
            while piece := answer.read(_PIECE):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _stream(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        connection = self._connect(_WATCH_S + _TIMEOUT_S)
        patience = _Patience()
        try:
            while True:
                connection.request("GET", f"{path}?{urlencode(query)}", headers=self._headers)
                answer = connection.getresponse()
                if answer.status == 200:
                    break
                text = answer.read()
                if not patience.waits(answer):
                    raise _error(answer.status, _json(text), self.server)
            while line := answer.readline():
                yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object = None,
        *,
        media_type: str = "application/json",
        timeout_s: float = _TIMEOUT_S,
    ) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if data is None else {**self._headers, "Content-Type": media_type}
        target = f"{path}?{urlencode(query)}" if query else path
        first, patience = True, _Patience()
        while True:
            fresh = self._connection is None
            if self._connection is None:
                self._connection = self._connect(timeout_s)
            connection = self._connection
            connection.timeout = timeout_s
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)
            try:
                connection.request(method, target, data, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # The server closes idle connections: on a kept one this is no news, and a read can be asked again.
                if first and not fresh and method == "GET" and isinstance(error, _GONE):
                    first = False
                    continue
                raise self._unreachable(error) from error
            if patience.waits(answer):
                continue
            document = _json(text)
            if answer.status >= 400:
                raise _error(answer.status, document, self.server)
            return document

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._tls)

    def _unreachable(self, error: Exception) -> FederationError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return Denied(
                f"the certificate of {self.server} is not to be trusted ({error.verify_message}); "
                "name the file of who vouches for it with --ca-file or $ROAM_CA_FILE"
            )
        why = str(error).partition("] ")[2] or str(error) or type(error).__name__
        return Unavailable(
            f"no Roam server answers at {self.server} ({why}); start one with `roam serve` or `roam sandbox up`, "
            "or name another with --server"
        )


class _Patience:
    """Waits as a server asks that says 'too many requests', but not for ever."""

    def __init__(self) -> None:
        self._left_s = _BUSY_S

    def waits(self, answer: http.client.HTTPResponse) -> bool:
        """Whether the server asked for it and it has waited. A refused request has had no effect."""
        asked = answer.headers.get("Retry-After", "1")
        wait_s = min(float(asked), _LONGEST_WAIT_S) if asked.isdigit() else 1.0
        if answer.status != http.client.TOO_MANY_REQUESTS or wait_s > self._left_s:
            return False
        self._left_s -= wait_s
        time.sleep(wait_s)
        return True


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    """What a connection needs to know of certificates. They are always verified. Raises: InvalidInput."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"no certificates can be read there: {error}", file=ca_file) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A server's own certificate may be named, too, whoever has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _json(text: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    return {"message": "the answer is not from a Roam server"}


def _error(code: int, status: Mapping[str, Any], server: str) -> FederationError:
    message = str(status.get("message") or f"{server} answered {code}")
    if code in (400, 413, 415, 422):
        lines = message.splitlines() or [message]
        return InvalidInputs(tuple(InvalidInput(line) for line in lines))
    if code == 409:
        return AlreadyExists(message) if status.get("reason") == "AlreadyExists" else StaleWrite(message)
    if code == 401:
        message = f"{server} does not take this token: {message}"
    if code in (503, 507):
        return Unavailable(message)
    return _BY_CODE.get(code, FederationError)(message)

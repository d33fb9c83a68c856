"""The agent's HTTP interface. Every request carries the token; every answer is JSON; nothing secret is ever echoed.

GET    /v1/status                            the agent about itself
GET    /v1/offers                            capacity
GET    /v1/workloads?cursor=C&wait=SECONDS   what runs, or what changed since C
PUT    /v1/workloads/NAMESPACE/NAME          run a workload
DELETE /v1/workloads/NAMESPACE/NAME          stop it
POST   /v1/workloads/NAMESPACE/NAME/logs     what its pods wrote
GET    /v1/usage                             what every pod uses
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import threading
import urllib.parse
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from cheroot import wsgi

from federation.errors import Conflict, Denied, FederationError, InvalidInput, NoCapacity, NotFound, Unavailable
from federation.model.meta import Key, Value
from providers.local.agent.config import AgentConfig
from providers.local.agent.inspection import Meter, read_logs
from providers.local.agent.journal import Journal
from providers.local.agent.orders import prepare
from providers.local.agent.supervisor import Supervisor
from providers.local.tokens import Token
from providers.local.wire import (
    API,
    LOG_QUERY,
    LOGS,
    OBSERVATION,
    USAGE,
    WAIT_LIMIT_S,
    WORKLOAD,
    AgentStatus,
    Capacity,
    Problem,
    decode,
)

log: Final = logging.getLogger(__name__)
BODY_LIMIT_BYTES: Final = 16 << 20
HEADER_LIMIT_BYTES: Final = 32 << 10
THREADS: Final = 16
# Threads that stay free for short requests however many watch.
RESERVED_THREADS: Final = 6
CALL_S: Final = 10.0

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
T = TypeVar("T")

_WORKLOAD: Final = re.compile(rf"^{API}/workloads/([a-z0-9.-]{{1,253}})/([a-z0-9.-]{{1,253}})(/logs)?$")
_PAGES: Final = tuple(f"{API}/{page}" for page in ("workloads", "offers", "status", "usage"))
_STATUS: Final = {
    200: "200 OK",
    202: "202 Accepted",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    409: "409 Conflict",
    411: "411 Length Required",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}
_CODES: Final[tuple[tuple[type[FederationError], int], ...]] = (
    (InvalidInput, 400),
    (Denied, 401),
    (NotFound, 404),
    (Conflict, 409),
    (NoCapacity, 409),
    (Unavailable, 503),
)


class Interface:
    """The WSGI application; its threads hand what changes anything to the event loop."""

    def __init__(
        self,
        token: Token,
        supervisor: Supervisor,
        journal: Journal,
        status: Callable[[], AgentStatus],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._token = token
        self._supervisor = supervisor
        self._journal = journal
        self._status = status
        self._loop = loop
        self._meter = Meter()
        self._watchers = threading.BoundedSemaphore(THREADS - RESERVED_THREADS)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            self._authenticate(environ)
            status, body = self._answer(environ)
        except FederationError as error:
            status, body = _problem(error)
        except Exception:
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            status, body = 500, _encode(Problem(reason="Failed", message="the agent has a defect: see its log"))
        start_response(_STATUS[status], [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _authenticate(self, environ: Environ) -> None:
        if not self._token.matches(str(environ.get("HTTP_AUTHORIZATION", ""))):
            raise Denied("the token is missing or wrong")

    def _answer(self, environ: Environ) -> tuple[int, bytes]:
        method, path = str(environ["REQUEST_METHOD"]), str(environ["PATH_INFO"])
        match = _WORKLOAD.match(path)
        if match is not None:
            key = Key(match.group(1), match.group(2))
            if match.group(3):
                if method == "POST":
                    query = decode(LOG_QUERY, _read_body(environ))
                    return 200, LOGS.dump_json(read_logs(key, self._call(self._supervisor.files(key)), query))
            elif method == "PUT":
                return self._apply(key, _read_body(environ))
            elif method == "DELETE":
                self._call(self._supervisor.delete(key))
                return 202, b"{}"
        elif method == "GET" and path == f"{API}/workloads":
            return 200, self._observe(urllib.parse.parse_qs(str(environ.get("QUERY_STRING", ""))))
        elif method == "GET" and path == f"{API}/offers":
            return 200, _encode(capacity(self._supervisor.place.capacity))
        elif method == "GET" and path == f"{API}/status":
            return 200, _encode(self._status())
        elif method == "GET" and path == f"{API}/usage":
            return 200, USAGE.dump_json(self._meter.measure(self._call(self._supervisor.processes())))
        if match is not None or path in _PAGES:
            return 405, _encode(Problem(reason="Invalid", message=f"{method} is not possible here"))
        raise NotFound("there is no such page; see providers/local/agent/http.py")

    def _apply(self, key: Key, body: bytes) -> tuple[int, bytes]:
        workload = decode(WORKLOAD, body)
        if workload.key != key:
            raise InvalidInput("names another workload than the path does", field="key")
        if not 0 <= workload.replicas <= 10_000:
            raise InvalidInput("must lie between 0 and 10,000", field="replicas")
        self._call(self._supervisor.apply(prepare(workload)))
        return 202, b"{}"

    def _observe(self, query: dict[str, list[str]]) -> bytes:
        cursor = query.get("cursor", [None])[0]
        try:
            wait_s = float(query.get("wait", ["0"])[0])
        except ValueError:
            wait_s = math.nan
        if not 0 <= wait_s <= WAIT_LIMIT_S:
            raise InvalidInput(f"must be seconds from 0 to {WAIT_LIMIT_S:g}", field="wait")
        # With too many watchers at once the late ones are answered without waiting, rather than nobody being served.
        waits = wait_s > 0 and self._watchers.acquire(blocking=False)
        try:
            return OBSERVATION.dump_json(self._journal.read(cursor, wait_s if waits else 0.0))
        finally:
            if waits:
                self._watchers.release()

    def _call(self, coroutine: Coroutine[object, object, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(CALL_S)
        except TimeoutError as error:
            raise Unavailable("the agent is too busy") from error


def capacity(resources: dict[str, float] | Any) -> Capacity:
    """`cpu` and `memory` under the names that offers use."""
    return Capacity(cpu_cores=resources["cpu"], memory_bytes=resources["memory"])


def serve(config: AgentConfig, application: Interface) -> wsgi.Server:
    """A server bound to the agent's address, to be run by its `serve`. Raises: Unavailable (address taken)."""
    server = wsgi.Server(
        (str(config.address), config.port),
        application,
        numthreads=THREADS,
        server_name=config.name,
        request_queue_size=128,
        shutdown_timeout=1,
        # Longer than a watcher's wait, so that a connection is not closed under it.
        timeout=int(WAIT_LIMIT_S) + 10,
    )
    server.max_request_body_size = BODY_LIMIT_BYTES
    server.max_request_header_size = HEADER_LIMIT_BYTES
    try:
        server.prepare()
    except OSError as error:
        reason = f"{config.address}:{config.port} can't be listened on: {error}"
        raise Unavailable(f"{reason}; does another agent use the block {config.block}?") from error
    return server


def _read_body(environ: Environ) -> bytes:
    length = str(environ.get("CONTENT_LENGTH") or "")
    if not length.isdecimal():
        raise InvalidInput("a request with a body says its Content-Length")
    if int(length) > BODY_LIMIT_BYTES:
        raise InvalidInput(f"a body has at most {BODY_LIMIT_BYTES} bytes")
    data: bytes = environ["wsgi.input"].read(int(length))
    return data


def _problem(error: FederationError) -> tuple[int, bytes]:
    code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
    field = error.field if isinstance(error, InvalidInput) else None
    message = error.message if isinstance(error, InvalidInput) else str(error)
    return code, _encode(Problem(reason=error.reason, message=message, field=field))


def _encode(value: Value) -> bytes:
    return json.dumps(value.model_dump(mode="json", by_alias=True), separators=(",", ":")).encode()

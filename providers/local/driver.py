"""The driver of a local sub-cluster: the contract, spoken to its agent over HTTP."""

from __future__ import annotations

import time
import urllib.parse
from typing import Final, TypeVar

import urllib3
from pydantic import TypeAdapter, ValidationError
from urllib3.exceptions import HTTPError

from federation.contracts.driver import Capabilities, LogQuery, Logs, Observation, PodUsage, Workload
from federation.errors import (
    Conflict,
    Denied,
    FederationError,
    InvalidInput,
    NoCapacity,
    NotFound,
    RateLimited,
    Unavailable,
)
from federation.model.meta import Key
from federation.model.offers import Offer
from federation.model.subcluster import Pricing
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
)

T = TypeVar("T")

CONNECTIONS: Final = 8
CHUNK_BYTES: Final = 1 << 20
ANSWER_LIMIT_BYTES: Final = 256 << 20
# An answer to a long poll starts after the wait: what is left of the deadline is for the way back.
RETURN_S: Final = 0.25

_PROBLEM: Final = TypeAdapter(Problem)
_CAPACITY: Final = TypeAdapter(Capacity)
_STATUS: Final = TypeAdapter(AgentStatus)
_ERRORS: Final[dict[str, type[FederationError]]] = {
    error.reason: error for error in (Conflict, Denied, NoCapacity, NotFound, RateLimited, Unavailable)
}


class LocalDriver:
    """One local sub-cluster, through its agent at `agent` (URL)."""

    def __init__(self, name: str, agent: str, token: Token, capabilities: Capabilities, pricing: Pricing) -> None:
        self._name = name
        self._url = agent.rstrip("/") + API
        self._headers = {"Authorization": token.header, "Content-Type": "application/json"}
        self._capabilities = capabilities
        self._pricing = pricing
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=CONNECTIONS, retries=False)

    def __repr__(self) -> str:
        return f"LocalDriver({self._name!r}, {self._url!r})"

    def capabilities(self) -> Capabilities:
        """See `SubClusterDriver.capabilities`."""
        return self._capabilities

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:
        """See `SubClusterDriver.offers`: one offer, at the prices that the sub-cluster's `spec.pricing` states."""
        capacity = self._decode(_CAPACITY, self._call("GET", "/offers", deadline_s=deadline_s))
        offer = Offer(
            name="general",
            cpu_cores=capacity.cpu_cores,
            memory_bytes=capacity.memory_bytes,
            cpu_hour_usd=self._pricing.cpu_hour,
            memory_gib_hour_usd=self._pricing.memory_gib_hour,
            origin="SubCluster.spec.pricing" if self._pricing.cpu_hour is not None else "",
        )
        return (offer,)

    def observe(self, cursor: str | None, *, wait_s: float, deadline_s: float) -> Observation:
        """See `SubClusterDriver.observe`."""
        wait_s = max(0.0, min(wait_s, deadline_s - RETURN_S, WAIT_LIMIT_S))
        query = {"wait": f"{wait_s:.3f}"} | ({"cursor": cursor} if cursor is not None else {})
        path = f"/workloads?{urllib.parse.urlencode(query)}"
        return self._decode(OBSERVATION, self._call("GET", path, deadline_s=deadline_s))

    def apply(self, workload: Workload, *, deadline_s: float) -> None:
        """See `SubClusterDriver.apply`."""
        self._call("PUT", self._path(workload.key), WORKLOAD.dump_json(workload), deadline_s=deadline_s)

    def delete(self, key: Key, *, deadline_s: float) -> None:
        """See `SubClusterDriver.delete`."""
        self._call("DELETE", self._path(key), deadline_s=deadline_s)

    def logs(self, key: Key, query: LogQuery, *, deadline_s: float) -> Logs:
        """See `SubClusterDriver.logs`."""
        body = LOG_QUERY.dump_json(query)
        return self._decode(LOGS, self._call("POST", f"{self._path(key)}/logs", body, deadline_s=deadline_s))

    def usage(self, *, deadline_s: float) -> tuple[PodUsage, ...]:
        """See `SubClusterDriver.usage`."""
        return self._decode(USAGE, self._call("GET", "/usage", deadline_s=deadline_s))

    def status(self, *, deadline_s: float) -> AgentStatus:
        """The agent about itself: process, capacity, what is used, its gateway. Raises: as `offers`."""
        return self._decode(_STATUS, self._call("GET", "/status", deadline_s=deadline_s))

    def close(self) -> None:
        """See `SubClusterDriver.close`."""
        self._pool.clear()

    @staticmethod
    def _path(key: Key) -> str:
        return f"/workloads/{urllib.parse.quote(key.namespace, safe='')}/{urllib.parse.quote(key.name, safe='')}"

    def _call(self, method: str, path: str, body: bytes | None = None, *, deadline_s: float) -> bytes:
        until = time.monotonic() + deadline_s
        if deadline_s <= 0:
            raise Unavailable(f"{self._name}: no time left to call its agent")
        try:
            response = self._pool.request(
                method,
                self._url + path,
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(total=deadline_s),
                redirect=False,
                preload_content=False,
            )
            try:
                content = self._read(response, until)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except (HTTPError, OSError) as error:
            raise Unavailable(f"{self._name}: its agent at {self._url} does not answer ({_cause(error)})") from error
        if response.status >= 300:
            raise self._error(response.status, content)
        return content

    def _read(self, response: urllib3.BaseHTTPResponse, until: float) -> bytes:
        """The whole body; a peer that sends drop by drop does not outlast the deadline."""
        parts, size = [], 0
        while part := response.read1(CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if time.monotonic() > until:
                raise TimeoutError("the answer did not end in time")
            if size > ANSWER_LIMIT_BYTES:
                raise OSError("the answer is too large")
        return b"".join(parts)

    def _error(self, status: int, content: bytes) -> FederationError:
        try:
            problem = _PROBLEM.validate_json(content)
        except ValidationError:
            problem = Problem(reason="", message=f"HTTP status {status}")
        message = f"{self._name}: {problem.message}"
        if status in (401, 403):
            return Denied(message)
        if problem.reason in _ERRORS:
            return _ERRORS[problem.reason](message)
        if status in (400, 411, 413):
            return InvalidInput(message, field=problem.field)
        return NotFound(message) if status == 404 else Unavailable(message)

    def _decode(self, adapter: TypeAdapter[T], content: bytes) -> T:
        try:
            return adapter.validate_json(content)
        except ValidationError as error:
            raise Unavailable(f"{self._name}: the answer of {self._url} is not understood") from error


def _cause(error: Exception) -> str:
    """What went wrong, in the fewest words that the library offers."""
    reason = getattr(error, "reason", None) or error
    return type(reason).__name__ if isinstance(reason, HTTPError) else str(reason)

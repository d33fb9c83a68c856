"""Wrappers that time what passes through them: drivers, gateways, the store, and the API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from federation.contracts.driver import SubClusterDriver
from federation.contracts.gateway import Gateway as GatewayHandle
from federation.contracts.store import Store, Write
from federation.engine.core import Plugins
from federation.errors import FederationError
from federation.model.kinds import BY_PLURAL
from federation.model.meta import API_VERSION, Resource
from federation.model.subcluster import Gateway, SubCluster
from federation.server import logs
from federation.server.app import Api
from federation.server.metrics import Metrics, stopwatch
from federation.server.requests import request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

T = TypeVar("T")
_ROOT = f"/apis/{API_VERSION}/"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_PAGES = frozenset({"healthz", "livez", "readyz", "metrics", "version", "api", "apis", "openapi", "page"})
_PROBES = frozenset({"healthz", "livez", "readyz", "metrics"})
_LOG = logging.getLogger(__name__)
Tell = Callable[[str, str, float], None]
"""Verb, outcome, seconds."""


@contextmanager
def _timed(tell: Tell, verb: str) -> Iterator[None]:
    elapsed = stopwatch()
    try:
        yield
    except Exception as error:
        tell(verb, error.reason if isinstance(error, FederationError) else "Unexpected", elapsed())
        raise
    tell(verb, "ok", elapsed())


class Metered:
    """Another object, the calls of some methods of which are timed; everything else is passed on as it is."""

    def __init__(self, inner: object, verbs: frozenset[str], tell: Tell) -> None:
        self._inner = inner
        for verb in verbs:
            setattr(self, verb, _metered(getattr(inner, verb), verb, tell))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _metered(call: Callable[..., T], verb: str, tell: Tell) -> Callable[..., T]:
    def timed(*args: Any, **options: Any) -> T:
        with _timed(tell, verb):
            return call(*args, **options)

    return timed


def metered_plugins(plugins: Plugins, metrics: Metrics) -> Plugins:
    """`plugins` whose drivers and gateways are timed by the name of their record; calls that fail are logged."""

    def open_driver(record: SubCluster) -> SubClusterDriver:
        name = record.metadata.name

        def tell(verb: str, outcome: str, seconds: float) -> None:
            metrics.driver_call(name, verb, outcome, seconds)
            if outcome != "ok":
                _LOG.info("%s: %s after %.3f s", verb, outcome, seconds, extra={"subcluster": name})

        found: Any = Metered(plugins.open_driver(record), frozenset({"offers", "observe", "apply", "delete"}), tell)
        return found  # type: ignore[no-any-return]

    def open_gateway(record: Gateway) -> GatewayHandle:
        name = record.metadata.name

        def tell(verb: str, outcome: str, seconds: float) -> None:
            metrics.gateway_call(name, verb, outcome, seconds)
            if outcome != "ok":
                _LOG.info("%s: %s after %.3f s", verb, outcome, seconds, extra={"about": ("Gateway", "", name)})

        found: Any = Metered(plugins.open_gateway(record), frozenset({"apply", "observe"}), tell)
        return found  # type: ignore[no-any-return]

    return replace(plugins, open_driver=open_driver, open_gateway=open_gateway)


def metered_store(store: Store, metrics: Metrics) -> Store:
    """`store` whose writes are timed."""

    def write(writes: Sequence[Write], *, now: float) -> tuple[Resource, ...]:
        def tell(_verb: str, outcome: str, seconds: float) -> None:
            metrics.commit(outcome, len(writes), seconds)

        with _timed(tell, "write"):
            return store.write(writes, now=now)

    found: Any = Metered(store, frozenset(), lambda *_: None)
    found.write = write
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class MeteredApi:
    """An `Api` whose requests are counted by verb, resource and code, and timed until the answer begins."""

    api: Api
    metrics: Metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        elapsed = stopwatch()
        environ["HTTP_X_REQUEST_ID"] = id = request_id(environ)
        logs.request.set(id)
        method = str(environ.get("REQUEST_METHOD", ""))
        verb = method if method in _METHODS else "other"
        resource = resource_of(str(environ.get("PATH_INFO", "")))

        def start(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            code = line[:3]
            took_s = elapsed()
            self.metrics.request(verb, resource, int(code) if code.isdigit() else HTTPStatus.OK, took_s)
            if resource not in _PROBES:
                _LOG.info("%s %s: %s after %.1f ms", verb, resource, code, took_s * 1e3)
            return start_response(line, headers, exc_info) if exc_info else start_response(line, headers)

        return self.api(environ, start)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.api, name)


def resource_of(path: str) -> str:
    """What a path is about, out of a bounded set: a kind's plural, a page's first word, or `other`."""
    if path.startswith(_ROOT):
        parts = path.removeprefix(_ROOT).strip("/").split("/")
        found = parts[2] if parts[0] == "namespaces" and len(parts) > 2 else parts[0]
        return found if found in BY_PLURAL or found in ("apply", "audit", "backup") else "other"
    first = path.strip("/").partition("/")[0]
    return first if first in _PAGES else ("page" if path == "/" else "other")

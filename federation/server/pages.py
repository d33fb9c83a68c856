"""The API's own pages besides the objects: health, versions, discovery, schemas, the audit log."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

from federation.contracts.store import Store
from federation.errors import FederationError
from federation.model.meta import API_VERSION
from federation.server import discovery, openapi
from federation.server.access import Caller
from federation.server.answers import Answer, Refused
from federation.server.audit import AuditLog
from federation.server.extras import Page
from federation.server.requests import Request

_LOG = logging.getLogger(__name__)
BASE = f"/apis/{API_VERSION}"
AUDIT = f"{BASE}/audit"
_MOST_LINES = 1_000


@runtime_checkable
class _Probed(Protocol):
    """A store that can tell whether it takes writes."""

    def probe(self) -> None: ...


def own_pages(
    store: Store,
    log: AuditLog | None,
    version: str,
    added: Callable[[], Mapping[tuple[str, str], Sequence[str]]],
) -> tuple[Page, ...]:
    """What every API has. Args: version, Roam's; added, the methods of further subresources by plural and name."""

    def page(path: str, make: Callable[[], Mapping[str, Any]]) -> Page:
        return Page(path, lambda *_: Answer(200, make()))

    return (
        Page("/healthz", lambda *_: Answer(200, "ok"), role=None),
        Page("/livez", lambda *_: Answer(200, "ok"), role=None),
        Page("/readyz", lambda *_: _readiness(store), role=None),
        page("/version", lambda: _version(version)),
        page("/api", lambda: {"kind": "APIVersions", "versions": [], "serverAddressByClientCIDRs": []}),
        page("/apis", discovery.groups),
        page(f"/apis/{discovery.GROUP}", discovery.group),
        page(BASE, lambda: discovery.resources(added())),
        page("/openapi/v3", openapi.index),
        page(openapi.PATH, openapi.document),
        *([] if log is None else [Page(AUDIT, partial(_audit, log), role="admin")]),
    )


def _version(version: str) -> dict[str, Any]:
    major, _, rest = version.partition(".")
    return {
        "major": major,
        "minor": rest.partition(".")[0],
        "gitVersion": f"v{version}",
        "platform": f"{platform.system().lower()}/{platform.machine()}",
        "version": version,
        "apiVersion": API_VERSION,
    }


def _readiness(store: Store) -> Answer:
    try:
        if isinstance(store, _Probed):
            store.probe()
        else:
            store.version()
    except FederationError as error:
        _LOG.warning("not ready: %s", error)
        return Answer(503, f"the store takes no writes ({error.reason}); the log says more")
    return Answer(200, "ok")


def _audit(log: AuditLog, request: Request, _caller: Caller) -> Answer:
    """The newest lines of the audit log, oldest first; `limit` of them."""
    count = request.number("limit") or 100
    if count > _MOST_LINES:
        raise Refused(400, f"limit: at most {_MOST_LINES}")
    return Answer(200, {"apiVersion": API_VERSION, "kind": "AuditLog", "items": log.last(count)})

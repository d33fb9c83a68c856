"""The API's own pages besides the objects: health, versions, discovery, schemas, the audit log."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from federation.contracts.store import Store
from federation.model.meta import API_VERSION
from federation.server import discovery, openapi
from federation.server.access import Caller
from federation.server.answers import Answer, Refused
from federation.server.audit import AuditFull, AuditLog
from federation.server.extras import Page
from federation.server.health import Check, health_pages
from federation.server.requests import Request

BASE = f"/apis/{API_VERSION}"
AUDIT = f"{BASE}/audit"
_MOST_LINES = 1_000


def own_pages(
    store: Store,
    log: AuditLog | None,
    version: str,
    added: Callable[[], Mapping[tuple[str, str], Sequence[str]]],
    checks: Sequence[Check] = (),
) -> tuple[Page, ...]:
    """What every API has. Args: version, Roam's; added, the methods of further subresources by plural and name; checks,
    what the health pages ask besides the store."""

    def page(path: str, make: Callable[[], Mapping[str, Any]]) -> Page:
        return Page(path, lambda *_: Answer(200, make()))

    return (
        *health_pages(store, checks if log is None else (*checks, Check("audit", partial(_audit_trouble, log)))),
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


def _audit_trouble(log: AuditLog) -> str:
    try:
        log.check()
    except AuditFull as error:
        return str(error)
    return ""


def _audit(log: AuditLog, request: Request, _caller: Caller) -> Answer:
    """The newest lines of the audit log, oldest first; `limit` of them."""
    count = request.number("limit") or 100
    if count > _MOST_LINES:
        raise Refused(400, f"limit: at most {_MOST_LINES}")
    return Answer(200, {"apiVersion": API_VERSION, "kind": "AuditLog", "items": log.last(count)})

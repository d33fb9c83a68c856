"""Health as Kubernetes' probes ask for it: `/healthz`, `/livez` and `/readyz`, each with `?verbose`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, runtime_checkable

from federation.contracts.store import Store
from federation.errors import FederationError
from federation.server.access import Caller
from federation.server.answers import Answer
from federation.server.extras import Page
from federation.server.requests import Request

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """One aspect. `look` returns what is wrong in a few words without anything secret, "" when all is well; it must be
    quick. `live`: a restart would help, so `/livez` asks too, not only `/readyz`."""

    name: str
    look: Callable[[], str]
    live: bool = False


@runtime_checkable
class _Probed(Protocol):
    """A store that can tell whether it takes writes."""

    def probe(self) -> None: ...


def health_pages(store: Store, checks: Sequence[Check]) -> tuple[Page, ...]:
    """The pages, open to everybody: 200 when all checks are well, else 503; `/healthz` asks what `/livez` asks."""
    live = tuple(check for check in checks if check.live)
    ready = (Check("store", partial(_store, store)), *checks)
    return (
        Page("/healthz", partial(_answer, "healthz", live), role=None),
        Page("/livez", partial(_answer, "livez", live), role=None),
        Page("/readyz", partial(_answer, "readyz", ready), role=None),
    )


def _answer(
    name: Literal["healthz", "livez", "readyz"], checks: Sequence[Check], request: Request, _: Caller
) -> Answer:
    found = [(check.name, check.look()) for check in checks]
    bad = [each for each in found if each[1]]
    verbose = "verbose" in request.query and request.query["verbose"].lower() not in ("0", "false")
    if not bad and not verbose:
        return Answer(200, "ok")
    lines = [f"[-]{check} failed: {why}" if why else f"[+]{check} ok" for check, why in found]
    if bad:
        _LOG.warning("%s: %s", name, "; ".join(f"{check}: {why}" for check, why in bad))
    return Answer(503 if bad else 200, "\n".join([*lines, f"{name} check {'failed' if bad else 'passed'}"]) + "\n")


def _store(store: Store) -> str:
    try:
        if isinstance(store, _Probed):
            store.probe()
        else:
            store.version()
    except FederationError as error:
        _LOG.warning("not ready: %s", error)
        return f"it takes no writes ({error.reason}); the log says more"
    return ""

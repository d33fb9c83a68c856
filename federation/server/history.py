"""`.../microservices/NAME/rollback`: back to an earlier revision, without a secret leaving the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from federation.contracts.store import Replace, Store
from federation.errors import InvalidInput, NotFound, StaleWrite
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.revision import CAUSE, Revision, content_of, spec_at
from federation.server.access import Caller
from federation.server.answers import Answer, Refused, wire
from federation.server.extras import Subresource
from federation.server.requests import Request
from federation.server.revisions import revisions_of, with_history
from federation.server.routes import Route

_ATTEMPTS = 8


def extras(store: Store, clock: Callable[[], float]) -> tuple[Subresource, ...]:
    """What this adds to the API: `POST .../microservices/NAME/rollback`, for whoever may deploy."""

    def roll_back(route: Route, request: Request, _caller: Caller) -> Answer:
        return rollback(store, route.key, request.json(), now=clock())

    return (Subresource("microservices", "rollback", roll_back, methods=("POST",), role="deploy"),)


def rollback(store: Store, key: Key, body: object, *, now: float) -> Answer:
    """Make the pods of a microservice as they were at an earlier revision; secrets stay inside.

    Args: body, `{"revision": NUMBER}`, without it the one before the present one; now, seconds since 1970.
    Answers with the microservice.
    Raises: NotFound, naming what is kept; Refused."""
    number = _wanted(body)
    for attempt in range(_ATTEMPTS):
        service = store.get(Microservice, key)
        revision = _choose(store, service, number)
        annotations = {**service.metadata.annotations, CAUSE: f"back to revision {revision.spec.number}"}
        metadata = service.metadata.model_copy(update={"annotations": annotations})
        new = service.model_copy(update={"metadata": metadata, "spec": spec_at(service, revision)})
        if content_of(service.spec) == revision.spec.content:
            return Answer(200, wire(service))
        try:
            stored = store.write(with_history(store, [Replace(new)]), now=now)
            return Answer(200, wire(stored[0]))
        except StaleWrite:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError  # the last attempt returns or raises


def _wanted(body: object) -> int | None:
    document: Any = body if isinstance(body, dict) else None
    if document is None or not document.keys() <= {"revision"}:
        raise Refused(400, 'the body must be {"revision": NUMBER}, or {} for the one before the present one')
    number = document.get("revision")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise InvalidInput(f"{number!r:.40} is not the number of a revision", field="revision")
    return number


def _choose(store: Store, service: Microservice, number: int | None) -> Revision:
    kept = revisions_of(store, service)
    if number is None:
        earlier = [revision for revision in kept if revision.spec.number < service.status.revision.number]
        if not earlier:
            raise NotFound(f"{service.key} has no revision before the present one")
        return earlier[-1]
    found = next((revision for revision in kept if revision.spec.number == number), None)
    if found is None:
        known = ", ".join(str(revision.spec.number) for revision in kept) or "none"
        raise NotFound(f"{service.key} has no revision {number}; it has {known}")
    return found

"""Each change of what a microservice's pods are made of leaves a `Revision`, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

from federation.contracts.store import Create, Delete, Store, Write
from federation.errors import NotFound
from federation.model.meta import Key, Metadata
from federation.model.microservice import Microservice, Recorded
from federation.model.revision import CAUSE, KEPT, Revision, RevisionSpec, content_of, kept_numbers, revision_key


def with_history(store: Store, writes: Sequence[Write]) -> list[Write]:
    """`writes`, and after them what keeps the history of the microservices among them: a revision for each whose pods
    change, none twice for the same content, the oldest ones gone; all of it gone with its microservice."""
    changed: list[Write] = []
    added: list[Write] = []
    for write in writes:
        if isinstance(write, Delete):
            changed.append(write)
            added += _forget(store, write)
        elif isinstance(write.resource, Microservice):
            service, more = _recorded(store, write.resource)
            changed.append(type(write)(service))
            added += more
        else:
            changed.append(write)
    return changed + added


def _recorded(store: Store, service: Microservice) -> tuple[Microservice, list[Write]]:
    content, last = content_of(service.spec), service.status.revision
    if last.content == content:
        return service, []
    number = last.number + 1
    # Where a status was set back there are newer ones than it knows.
    while _find(store, service.key, number) is not None:
        number += 1
    metadata = service.metadata
    spec = service.spec
    revision = Revision(
        metadata=Metadata(**revision_key(service.key, number)._asdict(), labels=metadata.labels),
        spec=RevisionSpec(
            service=metadata.name,
            number=number,
            content=content,
            cause=metadata.annotations.get(CAUSE, ""),
            template=spec.template,
            ports=spec.ports,
            objects=spec.objects,
        ),
    )
    status = service.status.model_copy(update={"revision": Recorded(number=number, content=content)})
    writes: list[Write] = [Create(revision)]
    for old in revisions_of(store, service):
        if old.spec.content == content or old.spec.number <= number - KEPT:
            writes.append(Delete(Revision, old.key))
    return service.model_copy(update={"status": status}), writes


def _forget(store: Store, write: Delete) -> list[Write]:
    if write.kind is not Microservice:
        return []
    try:
        service = store.get(Microservice, write.key)
    except NotFound:
        return []
    return [Delete(Revision, revision.key) for revision in revisions_of(store, service)]


def revisions_of(store: Store, service: Microservice) -> list[Revision]:
    """What is kept of its history, oldest first."""
    found = []
    for number in kept_numbers(service.status.revision.number):
        revision = _find(store, service.key, number)
        if revision is not None:
            found.append(revision)
    return found


def _find(store: Store, service: Key, number: int) -> Revision | None:
    try:
        return store.get(Revision, revision_key(service, number))
    except NotFound:
        return None

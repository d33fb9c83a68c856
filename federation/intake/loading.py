"""`load`: files in, model out, or every fault of all files at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, TypeVar

from federation.errors import InvalidInput, InvalidInputs
from federation.intake.beside import beside, changed_in_passing, left_out
from federation.intake.checking import Spot, dotted
from federation.intake.kinds import CLUSTER_WIDE
from federation.intake.objects import Identity, KubeObject, is_roam, read_object, unfold
from federation.intake.resources import check_resource
from federation.intake.schemas import Schemas
from federation.intake.sources import find_files, is_kustomization, read_documents
from federation.intake.tree import Document
from federation.intake.workloads import convert
from federation.model.meta import API_VERSION, Key, Resource
from federation.model.microservice import Microservice
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy
from federation.model.subcluster import Gateway, SubCluster

_Kind = TypeVar("_Kind", bound=Resource)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth knowing that is no fault. `warning`: it may not be what was meant."""

    message: str
    file: str
    line: int
    warning: bool = True

    def __str__(self) -> str:
        """file:line: message"""
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Manifests:
    """What was read.

    `resources`: Roam's kinds, each once, in the order of the files, with a microservice where its workload stood;
    `unattached`: Kubernetes objects that belong to no workload, as written; `notices` in the order of the files;
    `aside`: the documents of kinds that the caller reads itself, unchecked.
    """

    resources: tuple[Resource, ...] = ()
    unattached: tuple[dict[str, Any], ...] = ()
    notices: tuple[Notice, ...] = ()
    documents: Mapping[tuple[str, Key], Document] = field(default_factory=dict, repr=False)
    aside: tuple[Document, ...] = ()
    reading: _Reading | None = field(default=None, repr=False)

    @property
    def has_kubernetes_objects(self) -> bool:
        """Whether something other than Roam's own kinds was read."""
        return self.reading is not None and any(isinstance(entry, KubeObject) for entry, _ in self.reading.entries)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces of what was read, by name."""
        entries = self.reading.entries if self.reading is not None else ()
        return tuple(
            sorted({one.namespace if isinstance(one, KubeObject) else one.key.namespace for one, _ in entries} - {""})
        )

    def beside(self, stored: Sequence[Microservice]) -> Manifests:
        """These manifests as changes to `stored`: what a service has there and the files leave out, it keeps; what the
        files change of a service whose workload they leave out, changes it; calls also lead to services there.

        Raises: InvalidInputs."""
        errors: list[InvalidInput] = []
        if self.reading is None or not self.has_kubernetes_objects:
            return self
        manifests = _combined(self.reading, list(self.reading.notices), errors, stored)
        if errors:
            raise InvalidInputs(_in_order(errors))
        return manifests

    def of(self, kind: type[_Kind]) -> tuple[_Kind, ...]:
        """The resources of one kind."""
        return tuple(resource for resource in self.resources if isinstance(resource, kind))

    @property
    def microservices(self) -> tuple[Microservice, ...]:
        """All microservices, Roam's own and those made of Kubernetes workloads."""
        return self.of(Microservice)

    @property
    def subclusters(self) -> tuple[SubCluster, ...]:
        """All sub-clusters."""
        return self.of(SubCluster)

    @property
    def gateways(self) -> tuple[Gateway, ...]:
        """All gateways."""
        return self.of(Gateway)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All policies, of namespaces and of the fleet."""
        return tuple(one for one in self.resources if isinstance(one, PlacementPolicy | ClusterPlacementPolicy))

    def error(self, resource: Resource, message: str, path: tuple[str | int, ...] = ()) -> InvalidInput:
        """An error about the field at `path` of `resource`, with the file and line it was read from."""
        document = self.documents.get((resource.kind_name, resource.key))
        if document is None:
            return InvalidInput(message, field=dotted(path) or None)
        return Spot(document.file, document.lines).error(message, path)


def load(
    paths: Sequence[str | Path],
    schemas: Schemas,
    *,
    namespace: str = "default",
    stdin: IO[bytes] | IO[str] | None = None,
    aside: Collection[str] = (),
) -> Manifests:
    """Read files, directories (their *.yaml, *.yml, *.json; not those below) and standard input (`-`).

    Args: schemas, what plug-ins bring; namespace, for objects that name none; stdin, instead of the process's own;
    aside, kinds of Roam's group that are no resources and that the caller reads itself.
    Roam's kinds are checked strictly; of Kubernetes' kinds what Roam reads is checked, and the rest is kept as it is.

    Raises: InvalidInputs with every fault of all files, each with file, line and field as far as there are any.
    """
    errors: list[InvalidInput] = []
    notices: list[Notice] = []
    found = _documents(paths, stdin, errors, notices)
    documents = [document for document in found if _kind(document) not in aside]
    reading = _Reading(schemas, namespace, errors)
    for document in documents:
        reading.take(document)
    reading.notices = tuple(notices)
    if not errors:
        manifests = _combined(reading, notices, errors)
    if errors:
        raise InvalidInputs(_in_order(errors))
    return replace(manifests, aside=tuple(document for document in found if _kind(document) in aside))


def _kind(document: Document) -> object:
    """The kind of Roam's group that the document says it is."""
    value = document.value
    return value.get("kind") if isinstance(value, dict) and value.get("apiVersion") == API_VERSION else None


def _in_order(errors: list[InvalidInput]) -> tuple[InvalidInput, ...]:
    files = sorted({error.file or "" for error in errors})
    return tuple(sorted(errors, key=lambda error: (files.index(error.file or ""), error.line or 0)))


def _documents(
    paths: Sequence[str | Path],
    stdin: IO[bytes] | IO[str] | None,
    errors: list[InvalidInput],
    notices: list[Notice],
) -> list[Document]:
    files, problems = find_files(paths)
    errors += problems
    found: list[Document] = []
    for name in files:
        if is_kustomization(name):
            notices.append(Notice("left out: render it with `kubectl kustomize` and pass on what comes out", name, 1))
            continue
        try:
            for document in read_documents(name, stdin):
                found += unfold(document)
        except InvalidInput as error:
            errors.append(error)
    return found


class _Reading:
    """Documents on their way to objects, each identity once."""

    def __init__(self, schemas: Schemas, namespace: str, errors: list[InvalidInput]):
        self.schemas = schemas
        self.namespace = namespace
        self.errors = errors
        self.entries: list[tuple[Resource | KubeObject, Document]] = []
        self.notices: tuple[Notice, ...] = ()
        self._first: dict[tuple[str, ...], Document] = {}

    def take(self, document: Document) -> None:
        """Check one document; faults are noted."""
        roam = is_roam(document, self.errors)
        if roam is None:
            return
        if roam:
            spot = Spot(document.file, document.lines)
            resource = check_resource(document.value, self.schemas, self.namespace, spot, self.errors)
            if resource is not None:
                self._enter((resource.kind_name, *resource.key), resource, document)
            return
        item = read_object(document, self.namespace, self.errors)
        if item is not None:
            self._enter(item.identity, item, document)

    def _enter(self, identity: tuple[str, ...], entry: Resource | KubeObject, document: Document) -> None:
        first = self._first.setdefault(identity, document)
        if first is not document:
            kind, name = identity[-3], "/".join(part for part in identity[-2:] if part)
            message = f"{kind} {name} is there twice, first at {first.file}:{first.line}; remove one"
            self.errors.append(Spot(document.file, document.lines).error(message))
            return
        self.entries.append((entry, document))


def _combined(
    reading: _Reading, notices: list[Notice], errors: list[InvalidInput], stored: Sequence[Microservice] = ()
) -> Manifests:
    objects = [entry for entry, _ in reading.entries if isinstance(entry, KubeObject)]
    given = {item.identity for item in objects}
    declared = [entry for entry, _ in reading.entries if isinstance(entry, Microservice)]
    around = beside(stored, given, {one.key for one in declared})
    converted = convert([*objects, *around.objects], [*declared, *around.declared], errors)
    made = {workload.identity: microservice for microservice, workload in converted.services}
    resources: list[Resource] = []
    documents: dict[tuple[str, Key], Document] = {}
    for entry, document in reading.entries:
        resource = made.get(entry.identity) if isinstance(entry, KubeObject) else entry
        if resource is None:
            continue
        first = documents.setdefault((resource.kind_name, resource.key), document)
        if first is not document:
            message = f"Microservice {resource.key} is there twice, first at {first.file}:{first.line}; remove one"
            errors.append(Spot(document.file, document.lines).error(message))
        resources.append(resource)
        if stored and isinstance(entry, KubeObject):
            notices += _kept(resource, entry, given)
    resources += changed_in_passing(stored, converted, given)
    unattached = [item for item in objects if item.identity not in converted.attached]
    notices += [_notice(message, item) for message, item in converted.notices if item.identity in given]
    notices += [_left(item) for item in unattached]
    order = {name: position for position, name in enumerate(dict.fromkeys(one.file for one in notices))}
    return Manifests(
        resources=tuple(resources),
        unattached=tuple(item.value for item in unattached),
        notices=tuple(sorted(notices, key=lambda one: (order[one.file], one.line))),
        documents=documents,
        reading=reading,
    )


def _notice(message: str, item: KubeObject, *, warning: bool = True) -> Notice:
    return Notice(message, item.document.file, item.document.line, warning)


def _kept(service: Resource, item: KubeObject, given: Set[Identity]) -> list[Notice]:
    names = left_out(service, given) if isinstance(service, Microservice) else []
    if not names:
        return []
    return [_notice(f"{item.kind} {item.name} keeps what the server has: {', '.join(names)}", item, warning=False)]


def _left(item: KubeObject) -> Notice:
    name = f"{item.kind} {item.name}"
    if item.kind in CLUSTER_WIDE:
        return _notice(f"{name} is cluster-wide; Roam leaves it to each sub-cluster", item, warning=False)
    if item.built_in and item.kind == "Service":
        spec = item.value["spec"]
        if spec.get("type") == "ExternalName":
            return _notice(f"{name} stands for {spec.get('externalName')}, outside; Roam does not route it", item)
        if not spec.get("selector"):
            return _notice(f"{name} has no selector, so no workload belongs to it; Roam does not route it", item)
        return _notice(f"{name} selects no workload of these files", item)
    return _notice(f"{name} belongs to no workload of these files", item)

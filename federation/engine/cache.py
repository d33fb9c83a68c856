"""The engine's view of the store: all objects in memory, fed by the change log and by its own writes."""

from __future__ import annotations

from typing import TypeVar, cast

from federation.contracts.store import Change
from federation.model.event import Event
from federation.model.kinds import KINDS
from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.revision import Revision

R = TypeVar("R", bound=Resource)

CACHED: tuple[type[Resource], ...] = tuple(kind for kind in KINDS if kind not in (Event, Revision))
"""Events are written, never read, by the engine; revisions are the API's."""


class Cache:
    """Objects by kind and key. A change older than what is known is ignored, so own writes can be applied at once and
    seen again in the change log."""

    def __init__(self) -> None:
        self._objects: dict[type[Resource], dict[Key, Resource]] = {kind: {} for kind in CACHED}
        self._deleted: dict[tuple[type[Resource], Key], int] = {}
        self._open: dict[Key, dict[Key, Migration]] = {}
        self._ports: dict[int, tuple[Key, str]] = {}

    def apply(self, change: Change) -> bool:
        """Take over one change; False when it was known already."""
        resource, kind, key = change.resource, type(change.resource), change.resource.key
        if kind not in self._objects:
            return False
        known = self._objects[kind].get(key)
        newest = known.metadata.resource_version if known is not None else self._deleted.get((kind, key), -1)
        if change.version <= newest:
            return False
        if change.type == "Deleted":
            self._objects[kind].pop(key, None)
            self._deleted[kind, key] = change.version
        else:
            self._objects[kind][key] = resource
            self._deleted.pop((kind, key), None)
        self._index(change)
        return True

    def _index(self, change: Change) -> None:
        resource = change.resource
        if isinstance(resource, Migration):
            service = Key(resource.metadata.namespace, resource.spec.service)
            if change.type != "Deleted" and resource.open:
                self._open.setdefault(service, {})[resource.key] = resource
            elif service in self._open:
                self._open[service].pop(resource.key, None)
                if not self._open[service]:
                    del self._open[service]
        if isinstance(resource, Microservice):
            for port, (owner, _) in list(self._ports.items()) if change.type == "Deleted" else []:
                if owner == resource.key:
                    del self._ports[port]
            if change.type != "Deleted":
                for name, port in resource.status.gateway_ports.items():
                    self._ports[port] = (resource.key, name)

    def copy(self) -> Cache:
        """The same objects in tables of its own, which stay as they are."""
        other = Cache()
        other._objects = {kind: dict(objects) for kind, objects in self._objects.items()}
        other._open = {key: dict(opened) for key, opened in self._open.items()}
        return other

    def of(self, kind: type[R]) -> dict[Key, R]:
        """All objects of a kind; not to be changed by the caller."""
        return cast("dict[Key, R]", self._objects[kind])

    def placement(self, key: Key) -> Placement | None:
        """The placement of a microservice."""
        return self.of(Placement).get(key)

    def moving(self) -> set[Key]:
        """The microservices with an open migration."""
        return set(self._open)

    def open_migrations(self, key: Key) -> tuple[Migration, ...]:
        """The open migrations of a microservice, the one that counts first: it is under way, or was opened first."""
        found = self._open.get(key)
        return tuple(sorted(found.values(), key=_precedence)) if found else ()

    def open_migration(self, key: Key) -> Migration | None:
        """The open migration of a microservice that counts."""
        return next(iter(self.open_migrations(key)), None)

    def port_taken(self, port: int) -> bool:
        """Whether a gateway port belongs to a microservice."""
        return port in self._ports


def _precedence(migration: Migration) -> tuple[bool, float, Key]:
    return migration.status.phase == "Pending", migration.metadata.creation_timestamp, migration.key

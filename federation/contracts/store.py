"""The store holds all resources: compare-and-swap writes, lists by selector, and watches without gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from federation.model.meta import Key, Resource, Selector

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object. Raises AlreadyExists."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace an object if it still has the `metadata.resource_version` of `resource`. Raises NotFound, StaleWrite."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, if given only at that version. Raises NotFound, StaleWrite."""

    kind: type[Resource]
    key: Key
    resource_version: int | None = None


Write = Create | Replace | Delete


@dataclass(frozen=True, slots=True)
class Change:
    """One change, in the order of versions. `resource` is the object after it (for Deleted: its last state)."""

    type: Literal["Added", "Modified", "Deleted"]
    resource: Resource
    version: int


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Part of a list as of `version`, ordered by namespace and name; `more` continues it, None at the end."""

    items: tuple[R, ...]
    version: int
    more: str | None = None


class Store(Protocol):
    """Safe to use from several threads. Time comes in as `now` (seconds since 1970).

    A write that returned is durable (it survives a crash of process or machine)."""

    def write(self, writes: Sequence[Write], *, now: float) -> tuple[Resource, ...]:
        """Carry out all of `writes` or none, in order; returns the objects as stored (for Delete: as they last were).

        The store sets uid, creation_timestamp, resource_version, and generation (counts changes of `spec`).
        A Replace that changes nothing is no write: the object comes back as it is."""
        ...

    def get(self, kind: type[R], key: Key) -> R:
        """Raises: NotFound."""
        ...

    def list(
        self,
        kind: type[R],
        *,
        namespace: str | None = None,
        selector: Selector | None = None,
        limit: int | None = None,
        more: str | None = None,
    ) -> Page[R]:
        """Objects of a kind as of one version, even over several pages.

        Raises: Expired (`more` is too old); InvalidInput (`more` is not from here)."""
        ...

    def changes(
        self, since: int, *, kinds: Iterable[type[Resource]] = (), wait_s: float = 0.0
    ) -> tuple[tuple[Change, ...], int]:
        """All changes after version `since` (of `kinds`, or of all), waiting up to `wait_s` for the first; and the
        version up to which the answer is complete, to be passed as the next `since`.

        Raises: Expired (`since` was compacted)."""
        ...

    def version(self) -> int:
        """The newest version."""
        ...

    def close(self) -> None:
        """Release files and threads."""
        ...

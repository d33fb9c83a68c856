"""What a path means."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from federation.model.kinds import BY_PLURAL
from federation.model.meta import API_VERSION, FLEET, Key, Resource
from federation.model.nearest import suggestion
from federation.server.answers import Refused

_ROOT = ("apis", *API_VERSION.split("/"))
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_NAMESPACE = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


@dataclass(frozen=True)
class Route:
    """A collection (`name` None) or an object of a kind. `namespace` None: all of them, or a fleet-scoped kind."""

    kind: type[Resource]
    namespace: str | None = None
    name: str | None = None
    subresource: str = ""

    @property
    def key(self) -> Key:
        """The object's key. Only for routes with a name."""
        return Key(self.namespace or FLEET, self.name or "")

    @property
    def details(self) -> dict[str, str]:
        """What a `Status` says it is about."""
        found = {"group": _ROOT[1], "kind": self.kind.plural}
        return found if self.name is None else {"name": self.name, **found}


def could_be_name(value: object) -> bool:
    """Whether an object or a namespace could be called that: worth looking up."""
    return isinstance(value, str) and bool(_NAME.match(value))


def find_route(path: str, subresources: Container[tuple[str, str]] = ()) -> Route | None:
    """The resources that `path` names; None when it is not below `/apis/<group>/<version>/`.

    Args: subresources, pairs of plural and name, besides each kind's status.
    Raises: Refused (404: unknown kind, wrong scope, or no possible name)."""
    parts = path.strip("/").split("/")
    if tuple(parts[:3]) != _ROOT or len(parts) < 4:
        return None
    rest = parts[3:]
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) >= 3:
        namespace, rest = rest[1], rest[2:]
        if not _NAMESPACE.match(namespace):
            raise Refused(404, f"{namespace[:80]!r} is not a namespace's name")
    kind = BY_PLURAL.get(rest[0])
    if kind is None:
        raise Refused(404, f"no kind is called {rest[0][:80]!r}: {suggestion(rest[0], BY_PLURAL)}")
    name = rest[1] if len(rest) > 1 else None
    subresource = rest[2] if len(rest) > 2 else ""
    has_it = (subresource == "status" and "status" in kind.model_fields) or (kind.plural, subresource) in subresources
    if len(rest) > 3 or (subresource and not has_it):
        raise Refused(404, f"{kind.kind_name} has no {'/'.join(rest[2:])[:80]!r}")
    if namespace is not None and not kind.namespaced:
        raise Refused(404, f"{kind.kind_name} belongs to the fleet: /{'/'.join((*_ROOT, kind.plural))}")
    if name is not None and not _NAME.match(name):
        raise Refused(404, f"{name[:80]!r} is not a name")
    if name is not None and namespace is None and kind.namespaced:
        where = "/".join((*_ROOT, "namespaces", "<namespace>", kind.plural, name))
        raise Refused(404, f"{kind.kind_name} belongs to a namespace: /{where}")
    return Route(kind, namespace, name, subresource)

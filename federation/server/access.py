"""Who may do what: roles as a table, and the callers that have one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from federation.model.meta import FLEET

Role = Literal["view", "deploy", "operate", "admin"]
ROLES: tuple[Role, ...] = ("view", "deploy", "operate", "admin")
"""From the weakest to the strongest; each may do all that the ones before it may."""

READS = frozenset({"get", "list", "watch"})
_WRITES = frozenset({"create", "update", "patch", "delete"})
_CHANGES = frozenset({"update", "patch"})
ADDED: Mapping[Role, Mapping[str, frozenset[str]]] = {
    "view": {},
    "deploy": {
        "microservices": _WRITES,
        "placementpolicies": _WRITES,
        "migrations": _WRITES,
        "placements": _CHANGES,
    },
    "operate": {"subclusters": _CHANGES, "gateways": _CHANGES},
    "admin": {},
}
"""The writes that each role adds to those before it, by plural (of a subresource: `plural/name`). Every role reads
every kind; an admin writes everything. What may be written at all is for `admission` to say."""


@dataclass(frozen=True)
class Caller:
    """Whoever shows a token. `namespaces` None: all of them, and the fleet's own objects too."""

    name: str
    role: Role
    namespaces: frozenset[str] | None = None


ADMIN = Caller("admin", "admin")
"""Whoever shows the token of the server's own token file."""
NOBODY = Caller("", "view", frozenset())
"""Whoever asks for what is open to everybody."""


def is_at_least(role: Role, needed: Role) -> bool:
    """Whether `role` may do all that `needed` may."""
    return ROLES.index(role) >= ROLES.index(needed)


def weakest_role(verb: str, plural: str) -> Role:
    """The weakest role that may do this to objects of a kind (or `plural/subresource`)."""
    if verb in READS:
        return "view"
    return next((role for role in ROLES if verb in ADDED[role].get(plural, frozenset())), "admin")


def refuse(caller: Caller, verb: str, plural: str, *, namespaced: bool, namespace: str | None) -> str:
    """Why `caller` may not do `verb` to objects of that kind there; empty when nothing stands against it.

    Args: namespace, None for all namespaces at once, or for a kind of the fleet."""
    return refuse_role(caller, weakest_role(verb, plural), f"{verb} {plural}") or refuse_place(
        caller, verb, plural, namespaced=namespaced, namespace=namespace
    )


def refuse_role(caller: Caller, needed: Role, what: str) -> str:
    """Why the role of `caller` does not do for `what`, which needs `needed`; empty when it does."""
    if is_at_least(caller.role, needed):
        return ""
    return f"the token {caller.name!r} has the role {caller.role}, and to {what} needs {needed}"


def refuse_place(caller: Caller, verb: str, plural: str, *, namespaced: bool, namespace: str | None) -> str:
    """Why `caller` may not do `verb` there, whatever the role; empty when nothing stands against it."""
    if caller.namespaces is None or (not namespaced and verb in READS):
        return ""
    own = ", ".join(sorted(caller.namespaces)) or "none"
    if not namespaced:
        return f"{plural} belong to the whole fleet, and the token {caller.name!r} is for namespaces only ({own})"
    if namespace is None or namespace == FLEET:
        return f"the token {caller.name!r} does not reach all namespaces: name one with -n (it has {own})"
    if namespace not in caller.namespaces:
        return f"the token {caller.name!r} does not reach the namespace {namespace!r} (it has {own})"
    return ""

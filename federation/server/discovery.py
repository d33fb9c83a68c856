"""What the API offers, as Kubernetes clients ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from federation.model.kinds import KINDS
from federation.model.meta import API_VERSION

GROUP, VERSION = API_VERSION.split("/")
_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")
_BY_METHOD = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def groups() -> dict[str, Any]:
    """`/apis`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group()]}


def group() -> dict[str, Any]:
    """`/apis/<group>`."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group()}


def resources(added: Mapping[tuple[str, str], Sequence[str]]) -> dict[str, Any]:
    """`/apis/<group>/<version>`. Args: added, the methods of each further subresource, by plural and name."""
    found: list[dict[str, Any]] = []
    for kind in KINDS:
        plain = {"namespaced": kind.namespaced, "kind": kind.kind_name}
        found.append(
            {
                "name": kind.plural,
                "singularName": kind.kind_name.lower(),
                **plain,
                "shortNames": list(kind.short_names),
                "verbs": list(_VERBS),
            }
        )
        if "status" in kind.model_fields:
            found.append({"name": f"{kind.plural}/status", "singularName": "", **plain, "verbs": ["get", "update"]})
        found += [
            {
                "name": f"{plural}/{name}",
                "singularName": "",
                **plain,
                "verbs": sorted(_BY_METHOD[each] for each in methods),
            }
            for (plural, name), methods in sorted(added.items())
            if plural == kind.plural
        ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API_VERSION, "resources": found}


def _group() -> dict[str, Any]:
    version = {"groupVersion": API_VERSION, "version": VERSION}
    return {"name": GROUP, "versions": [version], "preferredVersion": version}

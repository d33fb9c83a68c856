"""The kinds' schemas as OpenAPI 3, where Kubernetes clients look for them."""

from __future__ import annotations

from functools import cache
from typing import Any

from federation.model.kinds import KINDS
from federation.model.meta import API_VERSION, Resource

_PREFIX = "#/components/schemas/"
_GROUP, _VERSION = API_VERSION.split("/")
PATH = f"/openapi/v3/apis/{API_VERSION}"


def index() -> dict[str, Any]:
    """`/openapi/v3`: where the groups' documents are."""
    return {"paths": {f"apis/{API_VERSION}": {"serverRelativeURL": PATH}}}


@cache
def document() -> dict[str, Any]:
    """The document of Roam's group. Do not change it."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for kind in KINDS:
        schema = kind.model_json_schema(by_alias=True, ref_template=f"{_PREFIX}{{model}}")
        schemas |= schema.pop("$defs", {})
        gvk = {"group": _GROUP, "version": _VERSION, "kind": kind.kind_name}
        schemas[kind.kind_name] = {**schema, "x-kubernetes-group-version-kind": [gvk]}
        paths |= _paths(kind, gvk)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Roam", "version": _VERSION},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"BearerToken": []}],
    }


def _paths(kind: type[Resource], gvk: dict[str, str]) -> dict[str, Any]:
    where = "/namespaces/{namespace}" if kind.namespaced else ""
    collection = f"/apis/{API_VERSION}{where}/{kind.plural}"
    names = [name for name in ("namespace",) if kind.namespaced]
    one = {"schema": {"$ref": f"{_PREFIX}{kind.kind_name}"}}

    def operation(action: str, *, sends: str = "") -> dict[str, Any]:
        content = {"application/json": one}
        body = {"requestBody": {"content": {sends: one}, "required": True}} if sends else {}
        return {
            "operationId": f"{action}{kind.kind_name}",
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
            "responses": {"200": {"description": "OK", "content": content}},
            **body,
        }

    return {
        collection: {
            "parameters": _parameters(names),
            "get": operation("list"),
            "post": operation("post", sends="application/json"),
        },
        f"{collection}/{{name}}": {
            "parameters": _parameters([*names, "name"]),
            "get": operation("get"),
            "put": operation("put", sends="application/json"),
            "patch": operation("patch", sends="application/merge-patch+json"),
            "delete": operation("delete"),
        },
    }


def _parameters(names: list[str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]

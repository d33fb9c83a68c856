"""Objects as a `Table`, as clients ask for what people will look at. Source: Kubernetes, "API concepts: Table"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MEDIA_TYPE = "application/json"
_COLUMNS: Mapping[str, Sequence[tuple[str, str]]] = {
    "ClusterPlacementPolicy": (("Precedence", "spec.precedence"),),
    "Event": (
        ("Type", "type"),
        ("Reason", "reason"),
        ("Kind", "regarding.kind"),
        ("Object", "regarding.name"),
        ("Message", "message"),
    ),
    "Gateway": (("Driver", "spec.driver"), ("Address", "spec.address")),
    "Microservice": (("Replicas", "spec.replicas"),),
    "Migration": (
        ("Service", "spec.service"),
        ("From", "spec.source"),
        ("To", "spec.target"),
        ("Phase", "status.phase"),
        ("Traffic", "status.weight"),
    ),
    "Placement": (("Targets", "spec.targets"), ("Pinned", "spec.pinned")),
    "PlacementPolicy": (("Precedence", "spec.precedence"),),
    "SubCluster": (("Provider", "spec.provider"), ("Cordoned", "spec.cordoned")),
}


def wants_table(accept: str) -> bool:
    """Whether a table is the first thing that an `Accept` header names, of what there is."""
    for offer in accept.split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type == _MEDIA_TYPE:
            return {"as=Table", "g=meta.k8s.io", "v=v1"} <= set(parameters)
    return False


def is_acceptable(accept: str) -> bool:
    """Whether a client that sends this `Accept` header takes JSON."""
    offers = [offer.partition(";")[0].strip() for offer in accept.split(",") if offer.strip()]
    return not offers or any(offer in (_MEDIA_TYPE, "application/*", "*/*") for offer in offers)


def as_table(document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A list, or one object, as a table. The rows carry the objects' metadata only."""
    items = document.get("items", [document])
    metadata = document["metadata"] if "items" in document else {}
    columns = _COLUMNS.get(kind, ())
    titles = [("Name", "string", "name"), *((title, "string", "") for title, _ in columns), ("Age", "date", "")]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {"name": title, "type": type_, "format": format_, "description": "", "priority": 0}
            for title, type_, format_ in titles
        ],
        "rows": [_row(item, [path for _, path in columns]) for item in items],
    }


def _row(item: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    metadata = item["metadata"]
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    cells = [metadata["name"], *(_cell(item, path) for path in paths), metadata["creationTimestamp"]]
    return {"cells": cells, "object": partial}


def _cell(item: Mapping[str, Any], path: str) -> str:
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if path == "spec.targets":
        return ", ".join(f"{target['subcluster']} {target['replicas']}" for target in value or ())
    return "" if value is None else str(value)

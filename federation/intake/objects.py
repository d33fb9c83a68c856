"""Documents to objects: lists unfolded, Roam's kinds told from Kubernetes' and from what is neither."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from federation.errors import InvalidInput
from federation.intake.checking import Spot, check, shown
from federation.intake.kinds import CLUSTER_WIDE, GROUPS, SHAPES, groups_of, is_built_in
from federation.intake.resources import GROUP
from federation.intake.shapes import AnyObject
from federation.intake.tree import Document, part_at
from federation.model.kinds import BY_KIND
from federation.model.meta import API_VERSION
from federation.model.nearest import nearest, suggestion

Identity = tuple[str, str, str, str]
"""Group, kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class KubeObject:
    """A Kubernetes object that has been checked: `value` is what was written, every field kept."""

    value: dict[str, Any]
    document: Document
    group: str
    kind: str
    namespace: str
    name: str

    @property
    def identity(self) -> Identity:
        """What makes it the same object as another."""
        return self.group, self.kind, self.namespace, self.name

    @property
    def built_in(self) -> bool:
        """Whether it is of a kind of Kubernetes' own groups."""
        return is_built_in(self.group, self.kind)

    @property
    def place(self) -> str:
        """file:line"""
        return f"{self.document.file}:{self.document.line}"

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.value["metadata"].get("labels") or {})


def unfold(document: Document) -> Iterator[Document]:
    """The document, or the items of the Kubernetes list that it is. Raises InvalidInput for items that are no list."""
    value = document.value
    if not isinstance(value, dict) or not _is_list(value):
        yield document
        return
    items = value.get("items", [])
    if not isinstance(items, list):
        raise Spot(document.file, document.lines).error(f"{shown(items)} is not a list", ("items",))
    for index, item in enumerate(items):
        yield from unfold(Document(document.file, item, part_at(document.lines, ("items", index))))


def _is_list(value: dict[str, Any]) -> bool:
    """Whether it is `List`, or a kind's own such as `ServiceList`; a resource whose name ends so has a spec or name."""
    kind, metadata = value.get("kind"), value.get("metadata")
    named = isinstance(metadata, dict) and "name" in metadata
    return kind == "List" or (isinstance(kind, str) and kind.endswith("List") and "items" in value and not named)


def is_roam(document: Document, errors: list[InvalidInput]) -> bool | None:
    """Whether the document is of Roam's kinds, True, or another Kubernetes object, False; None when it is neither and
    an error has been noted."""
    value, spot = document.value, Spot(document.file, document.lines)
    if not isinstance(value, dict):
        errors.append(spot.error(f"{shown(value)} is not an object; a manifest has apiVersion, kind and metadata"))
        return None
    missing = [field for field in ("apiVersion", "kind") if field not in value]
    if missing:
        names = " and ".join(f"`{field}`" for field in missing)
        errors.append(spot.error(f"not a Kubernetes object: {names} {'are' if len(missing) > 1 else 'is'} missing"))
        return None
    for field in ("apiVersion", "kind"):
        if not isinstance(value[field], str) or not value[field]:
            errors.append(spot.error(f"{shown(value[field])} is not text", (field,)))
            return None
    return _known_kind(value["apiVersion"], value["kind"], spot, errors)


def read_object(document: Document, namespace: str, errors: list[InvalidInput]) -> KubeObject | None:
    """The Kubernetes object of a document; None when it has faults, which go to `errors`.

    Args: namespace, for an object that names none.
    """
    value, spot = document.value, Spot(document.file, document.lines)
    group, kind = group_of(value["apiVersion"]), value["kind"]
    shape = SHAPES.get(kind, AnyObject) if is_built_in(group, kind) else AnyObject
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and "name" not in metadata and isinstance(metadata.get("generateName"), str):
        errors.append(spot.error("`generateName` is not supported; give it a `name`", ("metadata", "generateName")))
        return None
    if check(shape, value, spot, errors) is None:
        return None
    cluster_wide = kind in CLUSTER_WIDE
    return KubeObject(
        value=value,
        document=document,
        group=group,
        kind=kind,
        namespace="" if cluster_wide else value["metadata"].get("namespace") or namespace,
        name=value["metadata"]["name"],
    )


def group_of(api_version: str) -> str:
    """The group of an `apiVersion`; empty for Kubernetes' core."""
    group, slash, _ = api_version.rpartition("/")
    return group if slash else ""


def _known_kind(api_version: str, kind: str, spot: Spot, errors: list[InvalidInput]) -> bool | None:
    group = group_of(api_version)
    if group == GROUP:
        return True
    if nearest(group, [GROUP]) and kind in BY_KIND:
        errors.append(spot.error(f"unknown apiVersion `{api_version}`; did you mean `{API_VERSION}`?", ("apiVersion",)))
        return None
    if group in GROUPS and not is_built_in(group, kind):
        right = [other for other in groups_of(kind) if other != "extensions"]
        if right:
            version = f"{right[0]}/v1" if right[0] else "v1"
            message = f"there is no {kind} in `{api_version}`; did you mean `{version}`?"
            errors.append(spot.error(message, ("apiVersion",)))
        else:
            known = sorted(GROUPS[group] if nearest(kind, GROUPS[group]) else {*GROUPS[group], *BY_KIND})
            errors.append(
                spot.error(f"unknown kind `{kind:.80}` of {api_version}; {suggestion(kind, known)}", ("kind",))
            )
        return None
    if "." not in group and group not in GROUPS:
        message = f"unknown apiVersion `{api_version:.80}`; {suggestion(group, [one for one in GROUPS if one])}"
        errors.append(spot.error(message, ("apiVersion",)))
        return None
    return False

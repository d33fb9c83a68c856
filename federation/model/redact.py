"""Takes the values out of Kubernetes Secrets that a microservice carries along, and puts them back.

Whatever leaves Roam (API answers, events, files) passes `redact`. A client that reads an object, changes a label and
writes it back sends the placeholders: `restore` puts the stored values in their place, so nothing is lost by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "<redacted>"
"""Stands for a hidden value. Never a legal value of `data`: `<` is not in the base64 alphabet."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_FIELDS = ("data", "stringData")
_DEEPEST = 64


def redact(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` (an object as JSON-like data, camelCase) without any Secret's values.

    Secrets are found as the document itself, in a `List`, and among a microservice's `spec.objects`. What holds no
    secret is shared with the argument, nothing is changed in place. Idempotent."""
    cleaned = _redact(document, 0)
    assert isinstance(cleaned, dict)  # noqa: S101 - a mapping gives a mapping
    return cleaned


def is_redacted(document: Mapping[str, Any]) -> bool:
    """Whether a Secret in `document` holds placeholders, as after `redact`."""
    return any(
        value == HIDDEN
        for secret in _secrets(document)
        for field in _FIELDS
        for value in _mapping(secret.get(field)).values()
    )


def restore(document: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """`document` with the placeholders in its Secrets replaced by the values that `stored` has there.

    Returns the document and the fields (`secret name.data.key`) for which `stored` has no value: those can't be kept,
    and must be refused."""
    known = {_identity(secret): secret for secret in _secrets(stored)}
    missing: list[str] = []
    result = dict(document)
    spec = result.get("spec")
    if isinstance(spec, Mapping) and isinstance(spec.get("objects"), list | tuple):
        objects = [
            _restored(item, known.get(_identity(item), {}), missing) if _is_secret(item) else item
            for item in spec["objects"]
        ]
        result["spec"] = {**spec, "objects": objects}
    return result, tuple(missing)


def _redact(value: Any, depth: int) -> Any:
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return value
    result = dict(value)
    if _is_secret(result):
        return _hidden(result)
    if isinstance(result.get("items"), list | tuple):
        result["items"] = [_redact(item, depth + 1) for item in result["items"]]
    spec = result.get("spec")
    if isinstance(spec, Mapping) and isinstance(spec.get("objects"), list | tuple):
        result["spec"] = {**spec, "objects": [_redact(item, depth + 1) for item in spec["objects"]]}
    return result


def _hidden(secret: dict[str, Any]) -> dict[str, Any]:
    for field in _FIELDS:
        if field in secret and secret[field] is not None:
            values = secret[field]
            secret[field] = dict.fromkeys(values, HIDDEN) if isinstance(values, Mapping) else HIDDEN
    metadata = secret.get("metadata")
    if isinstance(metadata, Mapping) and _LAST_APPLIED in _mapping(metadata.get("annotations")):
        secret["metadata"] = {**metadata, "annotations": {**metadata["annotations"], _LAST_APPLIED: HIDDEN}}
    return secret


def _restored(secret: Mapping[str, Any], stored: Mapping[str, Any], missing: list[str]) -> dict[str, Any]:
    result = dict(secret)
    for field in _FIELDS:
        values = _mapping(secret.get(field))
        kept = _mapping(stored.get(field))
        missing += [
            f"{_identity(secret)[1]}.{field}.{key}"
            for key, value in values.items()
            if value == HIDDEN and key not in kept
        ]
        if HIDDEN in values.values():
            result[field] = {key: kept.get(key) if value == HIDDEN else value for key, value in values.items()}
    metadata = _mapping(secret.get("metadata"))
    annotations = _mapping(metadata.get("annotations"))
    if annotations.get(_LAST_APPLIED) == HIDDEN:
        before = _mapping(_mapping(stored.get("metadata")).get("annotations")).get(_LAST_APPLIED)
        others = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
        result["metadata"] = {
            **metadata,
            "annotations": others if before is None else {**others, _LAST_APPLIED: before},
        }
    return result


def _secrets(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    objects = _mapping(document.get("spec")).get("objects")
    for item in objects if isinstance(objects, list | tuple) else ():
        if _is_secret(item):
            yield item


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("kind") == "Secret"


def _identity(secret: Mapping[str, Any]) -> tuple[str, str]:
    metadata = _mapping(secret.get("metadata"))
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

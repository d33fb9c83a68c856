"""Takes secrets out of objects, and puts them back.

Secret is what a Kubernetes Secret that a microservice carries along holds, what stands in a sub-cluster's or gateway's
connection under a name such as `token` or `password`, what stands in credentials beside references to them, and what
kubectl's record of the last apply repeats of all that.

Whatever leaves Roam (API answers, events, files) passes `redact`. A client that reads an object, changes a label and
writes it back sends the placeholders: `restore` puts the stored values in their place, so nothing is lost by that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

HIDDEN = "<redacted>"
"""Stands for a hidden value. Never a legal value of `data`: `<` is not in the base64 alphabet."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_FIELDS = ("data", "stringData")
_DEEPEST = 64
_PLACES = ("SubCluster", "Gateway")
_REFERENCES = frozenset({"file", "env", "profile", "secretRef"})
"""Credentials of these names say where the secret is, and are none."""
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)|secret|token|credential|(api|access|private|account|client).?key")
_REFERENCE_NAME = re.compile(r"(file|path|ref|name|env|url|id)$")

Slot = Callable[[str, str], str | None]
"""Given where a hidden value is and what stands there now: what is to stand there, None to leave it."""


def redact(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` (an object as JSON-like data, camelCase) without any secret's values.

    Secrets are found as the document itself, in a `List`, and among a microservice's `spec.objects`. What holds no
    secret is shared with the argument, nothing is changed in place. Idempotent."""
    cleaned = _redact(document, 0)
    assert isinstance(cleaned, dict)  # noqa: S101 - a mapping gives a mapping
    return cleaned


def holds_secrets(document: Mapping[str, Any]) -> bool:
    """Whether `redact` would hide something of the object `document`; quick for one that can't hold any."""
    if document.get("kind") in _PLACES:
        return next(_named(document), None) is not None or _repeats(document)
    return next(_secrets(document), None) is not None or _repeats(document)


def is_secret_place(kind: str, path: Sequence[str | int]) -> bool:
    """Whether what stands at `path` of a `kind` may be secret, so that no message may quote it."""
    steps = [step for step in path if isinstance(step, str)]
    if kind == "Secret":
        return bool(steps) and steps[0] in _FIELDS
    return "credentials" in steps or any(_is_secret_name(step) for step in steps)


def is_redacted(document: Mapping[str, Any]) -> bool:
    """Whether `document` holds placeholders, as after `redact`."""
    in_secrets = any(
        value == HIDDEN
        for secret in _secrets(document)
        for field in _FIELDS
        for value in _mapping(secret.get(field)).values()
    )
    return in_secrets or _last_applied(document) == HIDDEN or any(value == HIDDEN for _, value in _named(document))


def restore(document: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """`document` with its placeholders replaced by the values that `stored` has there.

    Returns the document and the fields (`secret name.data.key`, `spec.connection.token`) for which `stored` has no
    value: those can't be kept, and must be refused."""
    known = {_identity(secret): secret for secret in _secrets(stored)}
    missing: list[str] = []
    result = _with_last_applied(dict(document), _last_applied(stored))
    spec = result.get("spec")
    if isinstance(spec, Mapping) and isinstance(spec.get("objects"), list | tuple):
        objects = [
            _restored(item, known.get(_identity(item), {}), missing) if _is_secret(item) else item
            for item in spec["objects"]
        ]
        result["spec"] = {**spec, "objects": objects}
    if result.get("kind") in _PLACES:
        before = dict(_named(stored))
        result = _replaced(result, lambda place, value: _back(place, value, before, missing))
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
    if result.get("kind") in _PLACES:
        result = _replaced(result, lambda _place, _value: HIDDEN)
    return _without_last_applied(result) if _repeats(result) else result


def _hidden(secret: dict[str, Any]) -> dict[str, Any]:
    for field in _FIELDS:
        if field in secret and secret[field] is not None:
            values = secret[field]
            secret[field] = dict.fromkeys(values, HIDDEN) if isinstance(values, Mapping) else HIDDEN
    return _without_last_applied(secret)


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
    return _with_last_applied(result, _last_applied(stored))


# Secrets by their names, in what says how a place is reached


def _named(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where secrets stand in a sub-cluster or gateway, and what they are."""
    if document.get("kind") in _PLACES:
        found: list[tuple[str, str]] = []
        _replaced(document, lambda place, value: found.append((place, value)))
        yield from found


def _replaced(document: Mapping[str, Any], slot: Slot) -> dict[str, Any]:
    """A sub-cluster or gateway with its secrets replaced by what `slot` says."""
    result = dict(document)
    spec = result.get("spec")
    if isinstance(spec, Mapping):
        changed = dict(spec)
        if isinstance(spec.get("credentials"), Mapping):
            changed["credentials"] = {
                key: value if key in _REFERENCES else _slot(value, f"spec.credentials.{key}", slot)
                for key, value in spec["credentials"].items()
            }
        if isinstance(spec.get("connection"), Mapping):
            changed["connection"] = _walk(spec["connection"], "spec.connection", slot, 0)
        result["spec"] = changed
    return result


def _walk(value: Any, place: str, slot: Slot, depth: int) -> Any:
    if depth > _DEEPEST:
        return value
    if isinstance(value, Mapping):
        return {
            key: _slot(found, f"{place}.{key}", slot)
            if isinstance(found, str) and _is_secret_name(key)
            else _walk(found, f"{place}.{key}", slot, depth + 1)
            for key, found in value.items()
        }
    if isinstance(value, list | tuple):
        return [_walk(found, f"{place}[{index}]", slot, depth + 1) for index, found in enumerate(value)]
    return value


def _slot(value: Any, place: str, slot: Slot) -> Any:
    found = slot(place, value) if isinstance(value, str) else None
    return value if found is None else found


def _back(place: str, value: str, before: Mapping[str, str], missing: list[str]) -> str | None:
    if value != HIDDEN:
        return None
    if place not in before:
        missing.append(place)
    return before.get(place)


def _is_secret_name(name: str) -> bool:
    lower = name.lower()
    return bool(_SECRET_NAME.search(lower)) and not _REFERENCE_NAME.search(lower)


# What kubectl remembers of the last apply


def _last_applied(document: Mapping[str, Any]) -> Any:
    return _mapping(_mapping(document.get("metadata")).get("annotations")).get(_LAST_APPLIED)


def _repeats(document: Mapping[str, Any]) -> bool:
    """Whether kubectl's record is there and may repeat a secret."""
    return _last_applied(document) is not None and (
        document.get("kind") in _PLACES or '"Secret"' in str(_last_applied(document))
    )


def _without_last_applied(document: dict[str, Any]) -> dict[str, Any]:
    metadata = document.get("metadata")
    if _last_applied(document) is None or not isinstance(metadata, Mapping):
        return document
    return {**document, "metadata": {**metadata, "annotations": {**metadata["annotations"], _LAST_APPLIED: HIDDEN}}}


def _with_last_applied(document: dict[str, Any], before: Any) -> dict[str, Any]:
    """`document` with the record that was there before, or without one, in the placeholder's place."""
    if _last_applied(document) != HIDDEN:
        return document
    metadata = document["metadata"]
    others = {key: value for key, value in metadata["annotations"].items() if key != _LAST_APPLIED}
    annotations = others if before is None else {**others, _LAST_APPLIED: before}
    return {**document, "metadata": {**metadata, "annotations": annotations}}


# Kubernetes Secrets


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

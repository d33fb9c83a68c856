"""JSON Patch (RFC 6902) on plain data. Pure."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from federation.errors import InvalidInput
from federation.server.answers import Refused

_MOST_OPERATIONS = 1_000
_MOST_COPIES = 100


def apply_json_patch(document: object, patch: object) -> Any:
    """`document` with the operations of `patch` carried out in order; nothing is changed in place.

    Raises: Refused (400: no JSON Patch), InvalidInput (an operation that does not fit the document, with its path)."""
    if not isinstance(patch, list) or not all(isinstance(step, dict) for step in patch):
        raise Refused(400, "a JSON patch is a list of operations, each an object with op and path")
    if len(patch) > _MOST_OPERATIONS or sum(step.get("op") == "copy" for step in patch) > _MOST_COPIES:
        raise Refused(413, f"a JSON patch has at most {_MOST_OPERATIONS} operations, {_MOST_COPIES} of them copies")
    result = copy.deepcopy(document)
    for index, step in enumerate(patch):
        result = _carried_out(result, step, index)
    return result


def _carried_out(document: Any, step: dict[str, Any], index: int) -> Any:
    op, where = step.get("op"), f"[{index}].path"
    path = _pointer(step.get("path"), where)
    if op in ("add", "replace", "test") and "value" not in step:
        raise Refused(400, f"operation {index} needs a value")
    if op == "test":
        if not _same(_get(document, path, where), step["value"]):
            raise InvalidInput("the test of the patch does not hold", field=_shown(path))
        return document
    if op == "add":
        return _put(document, path, copy.deepcopy(step["value"]), where)
    if op == "remove":
        return _without(document, path, where)
    if op == "replace":
        _get(document, path, where)
        return _put(document, path, copy.deepcopy(step["value"]), where, replaces=True)
    if op in ("move", "copy"):
        source = _pointer(step.get("from"), f"[{index}].from")
        value = copy.deepcopy(_get(document, source, f"[{index}].from"))
        if op == "move":
            if path[: len(source)] == source and path != source:
                raise InvalidInput("nothing can be moved into itself", field=where)
            document = _without(document, source, f"[{index}].from")
        return _put(document, path, value, where)
    raise Refused(400, f"operation {index}: op must be add, remove, replace, move, copy or test")


def _pointer(text: object, where: str) -> tuple[str, ...]:
    """The parts of a JSON Pointer (RFC 6901)."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise Refused(400, f"{where}: a JSON pointer begins with / (or is empty)")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _get(document: Any, path: Sequence[str], where: str) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(part, len(document) - 1, where)]
        else:
            raise InvalidInput(f"there is no {_shown(path)}", field=where)
    return document


def _put(document: Any, path: Sequence[str], value: Any, where: str, *, replaces: bool = False) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1], where), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        if replaces:
            parent[_index(last, len(parent) - 1, where)] = value
        else:
            parent.insert(len(parent) if last == "-" else _index(last, len(parent), where), value)
    else:
        raise InvalidInput(f"{_shown(path[:-1])} is neither an object nor a list", field=where)
    return document


def _without(document: Any, path: Sequence[str], where: str) -> Any:
    if not path:
        raise InvalidInput("the whole object can't be removed by a patch", field=where)
    _get(document, path, where)
    parent = _get(document, path[:-1], where)
    if isinstance(parent, list):
        del parent[_index(path[-1], len(parent) - 1, where)]
    else:
        del parent[path[-1]]
    return document


def _index(part: str, most: int, where: str) -> int:
    if not (part.isascii() and part.isdigit() and len(part) < 10 and (part == "0" or part[0] != "0")):
        raise InvalidInput(f"{part[:40]!r} is not a list's index", field=where)
    if int(part) > most:
        raise InvalidInput(f"the list has no {part}", field=where)
    return int(part)


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _shown(path: Sequence[str]) -> str:
    return "/" + "/".join(path)[:200]

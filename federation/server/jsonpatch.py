"""JSON Patch (RFC 6902) as a client sends it: carried out by a library, within limits, with errors that name fields."""

from __future__ import annotations

import copy
import json
from typing import Any

from federation.errors import InvalidInput
from federation.server.answers import Refused

_MOST_OPERATIONS = 1_000
_MOST_COPIES = 20
_MOST_BYTES = 4 * 2**20
"""What copies may make of a document: a few of them, each of the whole, would fill any memory."""


def apply_json_patch(document: object, patch: object) -> Any:
    """`document` with the operations of `patch` carried out in order; nothing is changed in place.

    Raises: Refused (400: no JSON patch, 413: too much of one), InvalidInput (an operation that does not fit)."""
    if not isinstance(patch, list) or not all(isinstance(step, dict) for step in patch):
        raise Refused(400, "a JSON patch is a list of operations, each an object with op and path")
    if len(patch) > _MOST_OPERATIONS or sum(step.get("op") == "copy" for step in patch) > _MOST_COPIES:
        raise Refused(413, f"a JSON patch has at most {_MOST_OPERATIONS} operations, {_MOST_COPIES} of them copies")
    result = copy.deepcopy(document)
    for index, step in enumerate(patch):
        result = _carried_out(result, step, index)
        if step.get("op") == "copy" and len(json.dumps(result)) > _MOST_BYTES:
            raise Refused(413, f"operation {index} makes the object larger than {_MOST_BYTES} bytes")
    return result


def _carried_out(document: Any, step: dict[str, Any], index: int) -> Any:
    from jsonpatch import InvalidJsonPatch, JsonPatch, JsonPatchException, JsonPatchTestFailed, JsonPointerException

    field = str(step.get("path"))[:200]
    try:
        patch = JsonPatch([copy.deepcopy(step)])
    except (InvalidJsonPatch, JsonPointerException, TypeError, ValueError, AttributeError) as error:
        raise Refused(
            400, f"operation {index} is none of JSON patch: it needs a known op, a path, and what goes with it"
        ) from error
    # The library's own words hold the document, which is nobody's business in a message.
    try:
        return patch.apply(document, in_place=True)
    except JsonPatchTestFailed:
        raise InvalidInput("the test of the patch does not hold", field=field) from None
    except InvalidJsonPatch:
        raise Refused(400, f"operation {index} lacks something that its op needs") from None
    except (JsonPatchException, JsonPointerException, TypeError, ValueError, LookupError, AttributeError):
        raise InvalidInput(f"operation {index} finds no such place", field=field) from None

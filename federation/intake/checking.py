"""pydantic's verdicts as errors for people: file, line, field, what is wrong, what would be right."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails

from federation.errors import InvalidInput
from federation.intake.tree import Lines, line_at
from federation.model.nearest import suggestion
from federation.model.redact import HIDDEN, is_secret_place

Path = tuple[str | int, ...]
_Model = TypeVar("_Model", bound=BaseModel)

_KINDS = {
    "string_type": "text; put it in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "an object with fields",
    "model_type": "an object with fields",
    "model_attributes_type": "an object with fields",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "none_required": "empty",
}
_BOUNDS = {
    "greater_than_equal": ">= {ge}",
    "greater_than": "> {gt}",
    "less_than_equal": "<= {le}",
    "less_than": "< {lt}",
}
_COUNTRY = r"^[A-Z]{2}$"


class Spot:
    """Where an object stands: its file and lines, and the field that it is the value of (for plug-ins' parts)."""

    __slots__ = ("field", "file", "lines")

    def __init__(self, file: str | None, lines: Lines | None, field: Path = ()):
        self.file = file
        self.lines = lines
        self.field = field

    def inside(self, path: Path) -> Spot:
        """The spot of the part at `path`; lines stay those of the whole object."""
        return Spot(self.file, self.lines, self.field + path)

    def line(self, path: Path = ()) -> int | None:
        """The line of the part at `path`, None where lines are unknown."""
        return None if self.lines is None else line_at(self.lines, self.field + path)

    def error(self, message: str, path: Path = ()) -> InvalidInput:
        """An error about the part at `path`."""
        return InvalidInput(message, file=self.file, line=self.line(path), field=dotted(self.field + path) or None)


def dotted(path: Sequence[str | int]) -> str:
    """`spec.allow[0]`, `metadata.labels[example.com/tier]`."""
    text = ""
    for step in path:
        if isinstance(step, int) or not step.replace("-", "").replace("_", "").isalnum():
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def check(model: type[_Model], value: Any, spot: Spot, errors: list[InvalidInput]) -> _Model | None:
    """`value` as a `model`, strictly: no conversion of types, names as they are written outside, no unknown field.

    Each fault goes to `errors`, and None comes back. Values must be plain JSON.
    """
    try:
        # In pydantic's strict mode only JSON text has lists that count as tuples.
        text = json.dumps(value, allow_nan=False)
        return model.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError as failure:
        details = failure.errors(include_url=False)
        # A union reports each of its options; one fault of a field is enough.
        found = {_path(detail, value): detail for detail in reversed(details)}
        errors += [
            spot.error(_message(_discreet(detail, model, spot.field + path), model), path)
            for path, detail in reversed(found.items())
            # A list of which every entry is at fault counts as empty, too.
            if detail["type"] != "too_short" or not any(path == other[: len(path)] != other for other in found)
        ]
    except (TypeError, ValueError, RecursionError) as failure:
        errors.append(spot.error(f"not plain JSON: {failure}"))
    return None


def unknown_field(name: str, known: Sequence[str]) -> str:
    """The message for a field that is not known."""
    return f"unknown field `{name:.80}`; {suggestion(name, known)}"


def fields_of(model: type[BaseModel]) -> list[str]:
    """The names of a model's fields as they are written outside."""
    return sorted(field.alias or name for name, field in model.model_fields.items())


def shown(value: object) -> str:
    """A value as it may stand in a message: as JSON, cut short."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _path(detail: ErrorDetails, value: Any) -> Path:
    """The error's path as far as it exists in `value` (pydantic adds steps for unions), and a missing field's name."""
    path: list[str | int] = []
    at = value
    for step in detail["loc"]:
        try:
            at = at[step]
        except (LookupError, TypeError):
            # A missing field is not there to step into, but it is what the error is about.
            missing = isinstance(at, dict) and detail["type"] == "missing" and step == detail["loc"][-1]
            return (*path, step) if missing else tuple(path)
        path.append(step)
    return tuple(path)


def _discreet(detail: ErrorDetails, model: type[BaseModel], path: Path) -> ErrorDetails:
    """`detail` without the value, where that may be a secret."""
    return {**detail, "input": HIDDEN} if is_secret_place(model.__name__, path) else detail


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_field(str(detail["loc"][-1]), _fields_at(model, detail["loc"][:-1]))
    if kind == "missing":
        return f"the field `{detail['loc'][-1]}` is missing"
    if kind == "string_type" and isinstance(value, bool):
        return f"{shown(value)} is not text (yes, no, on, off, y and n are booleans, too); put it in quotes"
    if kind in _KINDS:
        return f"{shown(value)} is not {_KINDS[kind]}"
    if kind in _BOUNDS:
        return f"{shown(value)} is out of range; it must be {_BOUNDS[kind].format(**context)}"
    if kind in ("literal_error", "enum"):
        allowed = str(context.get("expected", "")).replace("'", "")
        names = allowed.replace(" or ", ", ").split(", ")
        close = suggestion(value, names) if isinstance(value, str) else ""
        hint = close if close.startswith("did you mean") else f"write {allowed}"
        return (
            f"{shown(value)} is not one of {', '.join(names)}; {hint}"
            if len(names) > 1
            else (f"{shown(value)} is not possible here; write {allowed}")
        )
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error") or detail["msg"])
    if kind == "string_pattern_mismatch" and context.get("pattern") == _COUNTRY:
        return f"{shown(value)} is not a country code; write ISO 3166-1 alpha-2, two capitals such as DE"
    if kind == "too_short":
        return f"needs at least {context.get('min_length')} entries"
    message = detail["msg"]
    return f"{shown(value)}: {message[0].lower()}{message[1:]}"


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The fields of what stands at `path` in a `model`: of all candidates where a union leaves several."""
    candidates: list[Any] = [model]
    for step in path:
        candidates = [inner for outer in candidates for inner in _inside(outer, step)] or candidates
    return sorted({name for one in candidates for each in _models(one) for name in fields_of(each)})


def _inside(outer: Any, step: str | int) -> list[Any]:
    found: list[Any] = []
    for model in _models(outer):
        found += [field.annotation for name, field in model.model_fields.items() if (field.alias or name) == step]
    for option in _options(outer):
        arguments = [one for one in typing.get_args(option) if one is not Ellipsis]
        origin = typing.get_origin(option)
        if arguments and isinstance(origin, type) and issubclass(origin, list | tuple | set | frozenset | dict):
            found.append(arguments[-1])
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [one for one in _options(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def _options(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [option for argument in typing.get_args(annotation) for option in _options(argument)]
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _options(annotation.model_fields["root"].annotation)
    return [annotation]

"""Selectors as Kubernetes writes them in URLs and on command lines: of labels `a=b,c!=d,e in (f,g),h,!i`, of fields
`metadata.name=a,metadata.namespace!=b`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ValidationError

from federation.errors import InvalidInput
from federation.model.meta import Metadata, Requirement, Selector

_LONGEST = 4096
_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^()]*)\)$")
_EQUALITY = re.compile(r"^([^\s=!]+)\s*(==|=|!=)\s*(\S*)$")
_PRESENCE = re.compile(r"^(!?)\s*([^\s=!()]+)$")
_FIELDS = ("metadata.name", "metadata.namespace")
_SPLIT = re.compile(r",(?![^(]*\))")
_RIGHT = "write for instance app=cart,tier!=test,zone in (a, b),owner,!legacy"


def parse_selector(text: str) -> Selector:
    """The selector that `text` says; empty text matches everything.

    Raises: InvalidInput. Source: Kubernetes documentation, "Labels and Selectors: API"."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"longer than {_LONGEST} characters", field="labelSelector")
    if not text.strip():
        return Selector()
    try:
        return Selector(match_expressions=tuple(_requirement(part.strip()) for part in _SPLIT.split(text)))
    except ValidationError as error:
        message = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise InvalidInput(message.removeprefix("Value error, "), field="labelSelector") from error


@dataclass(frozen=True)
class FieldSelector:
    """Conditions on fields: path, whether the value has to be that (or must not be), value."""

    conditions: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, metadata: Metadata) -> bool:
        """Whether an object with this metadata meets all of them."""
        values = {"metadata.name": metadata.name, "metadata.namespace": metadata.namespace}
        return all((values[path] == value) is wanted for path, wanted, value in self.conditions)


def parse_field_selector(text: str) -> FieldSelector:
    """The selector that `text` says; empty text matches everything. Raises: InvalidInput."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"longer than {_LONGEST} characters", field="fieldSelector")
    conditions = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        found = _EQUALITY.match(part)
        if found is None or found[1] not in _FIELDS:
            right = " or ".join(f"{field}=VALUE" for field in _FIELDS)
            raise InvalidInput(f"{part[:80]!r} is not supported; write {right}", field="fieldSelector")
        conditions.append((found[1], found[2] != "!=", found[3]))
    return FieldSelector(tuple(conditions))


def _requirement(part: str) -> Requirement:
    if found := _SET.match(part):
        key, operator, listed = found.groups()
        values = tuple(value.strip() for value in listed.split(","))
        return Requirement(key=key, operator="In" if operator == "in" else "NotIn", values=values)
    if found := _EQUALITY.match(part):
        key, sign, value = found.groups()
        return Requirement(key=key, operator="NotIn" if sign == "!=" else "In", values=(value,))
    if found := _PRESENCE.match(part):
        return Requirement(key=found[2], operator="DoesNotExist" if found[1] else "Exists")
    raise InvalidInput(f"{part[:80]!r} is not a requirement; {_RIGHT}", field="labelSelector")

"""What is wrong with an expression, in words for the one who wrote it."""

from __future__ import annotations

import re
from typing import NamedTuple

from federation.model.nearest import nearest, suggestion
from policies.rules.variables import FACTS, NOW, ROOTS

FUNCTIONS = (
    "all",
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "has",
    "int",
    "map",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
)
"""The functions and macros of CEL. Source: cel-spec, "List of Standard Definitions"."""

_ERROR = re.compile(r"ERROR: [^\n]*?:(\d+):(\d+): ([^\n]*)")
_OVERLOAD = re.compile(r"found no matching overload for '(.+?)' applied to '(.*)'")
_UNDECLARED = re.compile(r"undeclared reference to '(.+?)'")
_EXPECTING = re.compile(r" expecting .*")
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_MISSING_KEY = re.compile(r'Key not found in map : "?(.*?)"?$')
_MISSING_VALUE = re.compile(r'No value with name "(.+?)" found')


class Said(NamedTuple):
    """What is wrong, and where: line and column, counted from 1; None where the library does not say."""

    message: str
    line: int | None = None
    column: int | None = None


def misread(message: str) -> Said:
    """What the library says of an expression that it can't compile, in our words: the first fault."""
    found = _ERROR.search(message)
    if found is None:
        if "recursion" in message:
            return Said("is nested too deep; split it into several rules")
        return Said(_STATUS.sub("", message.partition("\n")[0]) if "argument types" not in message else "is not text")
    return Said(_fault(found[3]), int(found[1]), int(found[2]))


def _fault(text: str) -> str:
    text = _STATUS.sub("", text).strip()
    if wrong := _OVERLOAD.search(text):
        return f"`{_operator(wrong[1])}` does not go with {wrong[2]}"
    if unknown := _UNDECLARED.search(text):
        return _unknown(unknown[1])
    if text.startswith("Syntax error: "):
        said = _EXPECTING.sub("", text.removeprefix("Syntax error: "))
        return "the expression ends too early" if said == "mismatched input '<EOF>'" else f"syntax error: {said}"
    return text


def _operator(name: str) -> str:
    """`==` for `_==_`, `[]` for `_[_]`, and names as they are."""
    return name if name.isidentifier() and not name.startswith("_") else name.replace("_", "").removeprefix("@")


def _unknown(name: str) -> str:
    first = name.partition(".")[0]
    if first in FUNCTIONS:
        return f"`{first}` does not take these arguments"
    if first in ROOTS:
        return f"`{name}` can't be read so"
    meant = [each for each in FACTS if each.rpartition(".")[2] == first] or nearest(first, [*ROOTS, NOW, *FUNCTIONS])
    return f"unknown name `{first}`; " + (f"did you mean `{meant[0]}`?" if meant else suggestion(first, [*ROOTS, NOW]))


def failure(message: str) -> str:
    """What the library says of an evaluation that failed, in our words."""
    text = _STATUS.sub("", message)
    if key := _MISSING_KEY.search(text):
        return f"no such key: {key[1]}"
    if value := _MISSING_VALUE.search(text):
        return f"{value[1]} is unknown"
    if "teration budget exceeded" in text:
        return "its loops take more than 10,000 steps"
    if wrong := _OVERLOAD.search(text):
        return f"`{_operator(wrong[1])}` does not go with {wrong[2]}"
    return text or "unknown failure"

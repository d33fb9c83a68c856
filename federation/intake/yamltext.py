"""YAML as Kubernetes reads it, value by value, with lines and within limits.

Scalars are resolved as by sigs.k8s.io/yaml (YAML 1.1 without dates and sexagesimals): `yes`, `on`, `y` and their kin
are booleans, 0644 is octal, 12:30 and 2026-01-31 are text. Only tags of the core schema are known. Nothing is ever
constructed but plain values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from federation.errors import InvalidInput
from federation.intake.tree import Builder, Document

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"
_CONSTANTS: dict[str, bool | None] = {
    **{form: True for word in ("y", "yes", "true", "on") for form in (word, word.capitalize(), word.upper())},
    **{form: False for word in ("n", "no", "false", "off") for form in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NOT_FINITE = re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_INT = re.compile(
    r"^([-+]?)(?:0[xX](?P<b16>[0-9a-fA-F]+)|0[oO]?(?P<b8>[0-7]+)|0[bB](?P<b2>[01]+)|(?P<b10>0|[1-9][0-9]*))$"
)
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_EXACT = 2.0**53


def read_yaml(text: str, file: str) -> Iterator[Document]:
    """The documents of `text` that are not empty. Raises InvalidInput with the line at the first fault."""
    builder = Builder(file)
    bad = _UNPRINTABLE.search(text)
    if bad:
        line = len(_BREAK.findall(text, 0, bad.start())) + 1
        raise builder.refuse(f"not a text file: it holds the character U+{ord(bad[0]):04X}", line)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentEndEvent):
                document = builder.take()
                if document is not None:
                    yield document
            else:
                _report(builder, event)
    except InvalidInput as error:
        raise builder.refuse(error.message + _template_hint(text, error.line or 1), error.line or 1) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise builder.refuse(f"not valid YAML: {_problem(error, text, line)}", line) from error
    except yaml.YAMLError as error:
        raise builder.refuse(f"not valid YAML: {error}", 1) from error


def number(text: str) -> int | float | None:
    """The number that `text` is, if it is one; inf when it is too large. What JSON would show as whole is an int."""
    match = _INT.match(text)
    if match is not None and len(text) < 68:
        kind = match.lastgroup or "b10"
        value = int(match[kind], int(kind[1:])) * (-1 if match[1] == "-" else 1)
        return value if -(2**63) <= value < 2**64 else float(value)
    if _FLOAT.match(text) is None:
        return None
    decimal = float(text)
    return int(decimal) if decimal.is_integer() and abs(decimal) < _EXACT else decimal


def _report(builder: Builder, event: Any) -> None:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.ScalarEvent):
        _report_scalar(builder, event, line)
    elif isinstance(event, yaml.MappingStartEvent):
        _check_tag(builder, event.tag, "map", line)
        builder.open({}, line, event.anchor)
    elif isinstance(event, yaml.SequenceStartEvent):
        _check_tag(builder, event.tag, "seq", line)
        builder.open([], line, event.anchor)
    elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
        builder.close()
    elif isinstance(event, yaml.AliasEvent):
        builder.alias(event.anchor or "", line)


def _report_scalar(builder: Builder, event: Any, line: int) -> None:
    plain = event.tag is None and event.implicit[0]
    if builder.wants_key:
        if plain and event.value == "<<":
            builder.key("<<", line, merge=True)
        else:
            builder.key(_key(builder, event, plain, line), line)
        return
    builder.scalar(_resolved(builder, event, plain, line), line, event.anchor)


def _key(builder: Builder, event: Any, plain: bool, line: int) -> str:
    value = _resolved(builder, event, plain, line)
    if isinstance(value, str):
        return value
    # As Kubernetes does (common in ConfigMaps of ports), where the number's text is what stands there.
    if isinstance(value, int) and not isinstance(value, bool) and str(value) == event.value:
        return str(value)
    raise builder.refuse(f"the key `{event.value:.80}` is {_named(value)}; put it in quotes", line)


def _resolved(builder: Builder, event: Any, plain: bool, line: int) -> str | float | bool | None:
    text: str = event.value
    tag = event.tag
    if tag in (None, "!", _PREFIX + "str"):
        return _plain(builder, text, line) if plain else text
    kinds = {"int": int, "float": float, "bool": bool, "null": type(None)}
    if not tag.startswith(_PREFIX) or tag.removeprefix(_PREFIX) not in kinds:
        raise builder.refuse(f"the tag `{_shown(tag)}` is not allowed; write a plain value", line)
    value = _plain(builder, text, line)
    if tag == _PREFIX + "float" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if type(value) is not kinds[tag.removeprefix(_PREFIX)]:
        raise builder.refuse(f"`{text:.80}` is not what its tag `{_shown(tag)}` says", line)
    return value


def _plain(builder: Builder, text: str, line: int) -> str | float | bool | None:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.match(text):
        raise builder.refuse(
            f"`{text}` is not a number that can be used; write a finite one, or put it in quotes", line
        )
    if text[0] in "0123456789+-.":
        # An underscore may part the digits; a decimal point in front is read without that, as Kubernetes does.
        value = number(text if text[0] == "." else text.replace("_", ""))
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise builder.refuse(f"`{text:.40}` is too large a number; put it in quotes if it is text", line)
        return text if value is None else value
    return text


def _check_tag(builder: Builder, tag: str | None, kind: str, line: int) -> None:
    if tag not in (None, "!", _PREFIX + kind):
        raise builder.refuse(f"the tag `{_shown(tag)}` is not allowed; write a plain value", line)


def _shown(tag: str | None) -> str:
    text = tag or ""
    return f"!!{text.removeprefix(_PREFIX)}"[:80] if text.startswith(_PREFIX) else text[:80]


def _named(value: object) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()} in YAML"
    return "null in YAML" if value is None else "a number"


def _problem(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    problem = " ".join(part for part in (error.problem, error.context) if part)
    if "\t" in _around(text, line) and "found character" in problem:
        problem += "; indent with spaces, not tabs"
    return problem + _template_hint(text, line)


def _template_hint(text: str, line: int) -> str:
    hint = "; this looks like a template: render it first, for instance with `helm template`"
    return hint if "{{" in _around(text, line) else ""


def _around(text: str, line: int) -> str:
    return "\n".join(_BREAK.split(text)[max(0, line - 2) : line + 1])

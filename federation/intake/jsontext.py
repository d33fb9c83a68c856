"""JSON, value by value, with lines and within limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]

from federation.errors import InvalidInput
from federation.intake.tree import Builder, Document
from federation.intake.yamltext import number

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![-+.0-9A-Za-z])")
_WORD = re.compile(r"-?[A-Za-z]+")
_WORDS = {"true": True, "false": False, "null": None}


def read_json(text: str, file: str) -> Iterator[Document]:
    """The JSON values of `text`, one after the other. Raises InvalidInput with the line at what is wrong."""
    reader = _Reader(text, Builder(file))
    while reader.skip():
        reader.value()
        document = reader.builder.take()
        if document is not None:
            yield document


class _Reader:
    def __init__(self, text: str, builder: Builder):
        self.text = text
        self.builder = builder
        self.at = 0
        self.line = 1

    def skip(self) -> str:
        """Pass over white space; the next character, empty at the end."""
        match = _SPACE.match(self.text, self.at)
        if match is not None:
            self.line += self.text.count("\n", self.at, match.end())
            self.at = match.end()
        return self.text[self.at : self.at + 1]

    def value(self) -> None:
        """Read one value."""
        first = self.skip()
        if first == "{":
            self._object()
        elif first == "[":
            self._array()
        elif first == '"':
            self.builder.scalar(self._string(), self.line)
        else:
            self._atom()

    def _object(self) -> None:
        self.builder.open({}, self.line)
        self.at += 1
        if self.skip() != "}":
            while True:
                if self.skip() != '"':
                    raise self._wrong("a key in double quotes")
                self.builder.key(self._string(), self.line)
                if self.skip() != ":":
                    raise self._wrong("`:`")
                self.at += 1
                self.value()
                if not self._comma("}"):
                    break
        self.at += 1
        self.builder.close()

    def _array(self) -> None:
        self.builder.open([], self.line)
        self.at += 1
        if self.skip() != "]":
            while True:
                self.value()
                if not self._comma("]"):
                    break
        self.at += 1
        self.builder.close()

    def _comma(self, end: str) -> bool:
        found = self.skip()
        if found == ",":
            self.at += 1
        elif found != end:
            raise self._wrong(f"`,` or `{end}`")
        return found == ","

    def _string(self) -> str:
        try:
            value, self.at = scanstring(self.text, self.at + 1, True)
        except JSONDecodeError as error:
            line = self.text.count("\n", 0, error.pos) + 1
            raise self.builder.refuse(f"not valid JSON: {error.msg[0].lower()}{error.msg[1:]}", line) from error
        return str(value)

    def _atom(self) -> None:
        match = _NUMBER.match(self.text, self.at)
        if match is not None:
            value = number(match[0])
            if value in (float("inf"), float("-inf")):
                raise self.builder.refuse(f"`{match[0]:.40}` is too large a number", self.line)
            self.builder.scalar(value, self.line)
        else:
            match = _WORD.match(self.text, self.at)
            if match is None or match[0] not in _WORDS:
                raise self._wrong("a value")
            self.builder.scalar(_WORDS[match[0]], self.line)
        self.at = match.end()

    def _wrong(self, expected: str) -> InvalidInput:
        found = self.text[self.at : self.at + 20].split("\n")[0] or "the end"
        return self.builder.refuse(f"not valid JSON: expected {expected}, found `{found}`", self.line)

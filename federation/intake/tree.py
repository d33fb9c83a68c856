"""Building a document's value together with the line of each of its parts, within limits.

The readers for YAML and JSON report what they find to a `Builder`; limits, duplicate keys, aliases and merges are its
business. Values are plain JSON: dict with str keys, list, str, int, float, bool, None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.errors import InvalidInput

MAX_FILE_BYTES = 8 * 2**20
MAX_DEPTH = 100
MAX_NODES = 1_000_000
"""Values of one file, each alias counted as all that it stands for; a file of MAX_FILE_BYTES seldom has as many."""
MAX_TEXT = 4 * MAX_FILE_BYTES
"""Characters of one file, aliases counted likewise."""

_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(slots=True)
class Branch:
    """Lines of a mapping or list: its own (that of its key, if it has one) and its parts'."""

    line: int
    parts: dict[str, Lines] | list[Lines]


Lines = int | Branch


def line_at(lines: Lines, path: Sequence[str | int]) -> int:
    """The line of the part at `path`, or of the deepest part on the way to it that is there."""
    found = part_at(lines, path)
    return found if isinstance(found, int) else found.line


def part_at(lines: Lines, path: Sequence[str | int]) -> Lines:
    """The lines of the part at `path`, or of the deepest part on the way to it that is there."""
    for step in path:
        inner = _inner(lines, step)
        if inner is None:
            break
        lines = inner
    return lines


def _inner(lines: Lines, step: str | int) -> Lines | None:
    parts = None if isinstance(lines, int) else lines.parts
    if isinstance(parts, dict):
        return parts.get(step) if isinstance(step, str) else None
    return parts[step] if isinstance(parts, list) and isinstance(step, int) and step < len(parts) else None


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: its value and lines."""

    file: str
    value: Any
    lines: Lines

    @property
    def line(self) -> int:
        """Where it begins."""
        return line_at(self.lines, ())


@dataclass(slots=True)
class _Frame:
    value: dict[str, Any] | list[Any]
    lines: Branch
    anchor: str | None
    nodes_before: int
    text_before: int
    key: str | None = None
    key_line: int = 0
    merging: bool = False
    merges: list[tuple[Any, Lines]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    lines: Lines
    nodes: int
    text: int


class Builder:
    """Takes the parts of one file's documents in order; `take` hands out a document when its root is complete."""

    def __init__(self, file: str):
        self.file = file
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._root: Document | None = None
        self._nodes = 0
        self._text = 0

    @property
    def wants_key(self) -> bool:
        """Whether a mapping is open and its next part is a key."""
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and not self._has_key()

    def refuse(self, message: str, line: int) -> InvalidInput:
        """The error to raise for what stands on `line`."""
        return InvalidInput(message, file=self.file, line=line)

    def open(self, value: dict[str, Any] | list[Any], line: int, anchor: str | None = None) -> None:
        """Begin a mapping or list; `value` is empty."""
        if self.wants_key:
            raise self.refuse("a mapping or list can't be a key; write a name", line)
        if len(self._stack) >= MAX_DEPTH:
            raise self.refuse(f"nested deeper than {MAX_DEPTH} levels", line)
        self._count(1, 0, line)
        if anchor is not None:
            self._anchors[anchor] = None
        branch = Branch(line, {} if isinstance(value, dict) else [])
        self._stack.append(_Frame(value, branch, anchor, self._nodes - 1, self._text))

    def close(self) -> None:
        """End the innermost mapping or list."""
        frame = self._stack.pop()
        for value, lines in frame.merges:
            self._merge(frame, value, lines)
        if frame.anchor is not None:
            nodes, text = self._nodes - frame.nodes_before, self._text - frame.text_before
            self._anchors[frame.anchor] = _Anchored(frame.value, frame.lines, nodes, text)
        self._add(frame.value, frame.lines)

    def key(self, key: str, line: int, *, merge: bool = False) -> None:
        """The key of the next value; `merge` for YAML's `<<`."""
        frame = self._stack[-1]
        self._check_text(key, line)
        if not merge and key in frame.value:
            first = line_at(frame.lines, (key,))
            raise self.refuse(f"the key `{key:.80}` is there twice, first on line {first}; remove one", line)
        self._count(0, len(key), line)
        frame.key, frame.key_line, frame.merging = key, line, merge

    def scalar(self, value: str | float | bool | None, line: int, anchor: str | None = None) -> None:
        """A value without parts."""
        length = len(value) if isinstance(value, str) else 0
        if isinstance(value, str):
            self._check_text(value, line)
        self._count(1, length, line)
        if anchor is not None:
            self._anchors[anchor] = _Anchored(value, line, 1, length)
        self._add(value, line)

    def alias(self, anchor: str, line: int) -> None:
        """What `anchor` stands for, once more."""
        if self.wants_key:
            raise self.refuse(f"the alias `*{anchor}` can't be a key; write the name", line)
        found = self._anchors.get(anchor)
        if found is None:
            why = "stands inside what it names" if anchor in self._anchors else "is not defined before"
            raise self.refuse(f"the alias `*{anchor:.80}` {why}", line)
        self._count(found.nodes, found.text, line)
        self._add(found.value, found.lines)

    def take(self) -> Document | None:
        """The document that has just ended; None for an empty one. Anchors end with it."""
        document, self._root = self._root, None
        self._anchors.clear()
        return document

    def _has_key(self) -> bool:
        return self._stack[-1].key is not None

    def _add(self, value: Any, lines: Lines) -> None:
        if not self._stack:
            if value is not None:
                self._root = Document(self.file, value, lines)
            return
        frame = self._stack[-1]
        if isinstance(frame.value, list) and isinstance(frame.lines.parts, list):
            frame.value.append(value)
            frame.lines.parts.append(lines)
        elif isinstance(frame.value, dict) and isinstance(frame.lines.parts, dict) and frame.key is not None:
            if frame.merging:
                frame.merges.append((value, frame.key_line))
            else:
                frame.value[frame.key] = value
                # An error about a field should lead to its name: for a block, its first part is a line below.
                own = frame.key_line
                frame.lines.parts[frame.key] = own if isinstance(lines, int) else Branch(own, lines.parts)
            frame.key = None

    def _merge(self, frame: _Frame, value: Any, lines: Lines) -> None:
        line = line_at(lines, ())
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise self.refuse("`<<` takes a mapping or a list of mappings", line)
            for key, part in source.items():
                if isinstance(frame.value, dict) and isinstance(frame.lines.parts, dict) and key not in frame.value:
                    frame.value[key] = part
                    frame.lines.parts[key] = line

    def _count(self, nodes: int, text: int, line: int) -> None:
        self._nodes += nodes
        self._text += text
        if self._nodes > MAX_NODES or self._text > MAX_TEXT:
            raise self.refuse("too many values in one file, aliases counted as what they stand for; split it up", line)

    def _check_text(self, text: str, line: int) -> None:
        if not text.isascii() or "\x00" in text:
            bad = _UNUSABLE.search(text)
            if bad:
                raise self.refuse(f"the text holds the unusable character U+{ord(bad[0]):04X}", line)

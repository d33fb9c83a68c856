"""The syntax tree of a checked expression, read from the library's own serialisation of it.

Source: cel-spec `proto/cel/expr/checked.proto` and `syntax.proto`, in protobuf's wire format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from federation.errors import InvalidInput

DEEPEST = 100
"""How many levels a tree has at most; the library's own parser stops long before."""
Sort = Literal["constant", "name", "select", "call", "list", "struct", "loop"]
_ANY = b"type.googleapis.com/cel.expr.CheckedExpr"
_SORTS: dict[int, Sort] = {3: "constant", 4: "name", 5: "select", 6: "call", 7: "list", 8: "struct", 9: "loop"}
_TEXT = {"name": 1, "select": 2, "call": 2, "struct": 1, "loop": 1, "constant": 6}
"""Which field of each sort holds its text."""
_CHILDREN = {"select": (1,), "call": (1, 3), "list": (1,), "loop": (2, 4, 5, 6, 7)}
"""Which fields of each sort hold nodes, in their order."""
Field = tuple[int, int | bytes]


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `text`: a name, the field selected, the function called, a loop's variable, a constant's text (None:
    another constant). `children`: what is selected from; a call's target, if it has one, and arguments; a list's
    elements; a struct's keys and values; of a loop its range, and what is done with each element. `test`: `has(...)`.
    """

    id: int
    sort: Sort
    text: str | None
    children: tuple[Node, ...]
    test: bool
    raw: bytes

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Tree:
    """A checked expression. `overloads`: which functions a call may mean, by node; `offsets`: where in the text nodes
    stand, in characters."""

    root: Node
    overloads: dict[int, tuple[str, ...]]
    offsets: dict[int, int]
    parts: tuple[Field, ...]

    def only(self, node: Node) -> bytes:
        """The serialised expression that is just this part."""
        rest = b"".join(_delimited(number, value) for number, value in self.parts if isinstance(value, bytes))
        return _delimited(1, _ANY) + _delimited(2, rest + _delimited(4, node.raw))


def read(serialized: bytes) -> Tree:
    """The tree of what `Expression.serialize` gave. Raises: InvalidInput when it is too deep."""
    checked = _one(tuple(_fields(serialized)), 2)
    parts = tuple(_fields(checked))
    source = tuple(_fields(_one(parts, 5)))
    positions = (dict(_fields(value)) for number, value in source if number == 4 and isinstance(value, bytes))
    return Tree(
        _node(_one(parts, 4), 1),
        dict(_reference(value) for number, value in parts if number == 2 and isinstance(value, bytes)),
        {_number(each.get(1)): _number(each.get(2)) for each in positions},
        tuple(part for part in parts if part[0] != 4),
    )


def _reference(entry: bytes) -> tuple[int, tuple[str, ...]]:
    found = tuple(_fields(entry))
    names = (value.decode() for number, value in _fields(_one(found, 2)) if number == 3 and isinstance(value, bytes))
    return _number(dict(found).get(1)), tuple(names)


def _node(raw: bytes, depth: int) -> Node:
    if depth > DEEPEST:
        raise InvalidInput(f"is nested more than {DEEPEST} levels deep; split it into several rules")
    identity = 0
    sort: Sort = "constant"
    body: tuple[Field, ...] = ()
    for number, value in _fields(raw):
        if number == 2:
            identity = _number(value)
        elif number in _SORTS and isinstance(value, bytes):
            sort, body = _SORTS[number], tuple(_fields(value))
    if sort == "struct":
        entries = [tuple(_fields(value)) for number, value in body if number == 2 and isinstance(value, bytes)]
        nodes = [value for entry in entries for number, value in entry if number in (3, 4)]
    else:
        nodes = [value for wanted in _CHILDREN.get(sort, ()) for number, value in body if number == wanted]
    text = next((value for number, value in body if number == _TEXT.get(sort)), None)
    return Node(
        identity,
        sort,
        text.decode() if isinstance(text, bytes) else None,
        tuple(_node(value, depth + 1) for value in nodes if isinstance(value, bytes)),
        sort == "select" and any(number == 3 and value for number, value in body),
        raw,
    )


def _fields(data: bytes) -> Iterator[Field]:
    """The numbered fields of a message, in their order; numbers of fixed size as their bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if key & 7 == 2:
            size, at = _varint(data, at)
        else:
            size = 8 if key & 7 == 1 else 4
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _delimited(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _size(len(value)) + value


def _size(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _size(value >> 7)


def _one(found: tuple[Field, ...], number: int) -> bytes:
    return next((value for each, value in found if each == number and isinstance(value, bytes)), b"")


def _number(value: int | bytes | None) -> int:
    return value if isinstance(value, int) else 0

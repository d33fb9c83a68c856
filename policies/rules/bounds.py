"""What an expression may consist of, so that each one ends soon and needs little memory, whatever it is evaluated on.

CEL has no recursion; what takes time are loops (`all`, `exists`, `exists_one`, `map`, `filter`) inside one another, and
what takes memory are texts that grow in them. With these bounds a loop's body runs at most (elements of one field) x
(elements written out) times; beyond 10,000 the library stops it, and the rule denies.
"""

from __future__ import annotations

from collections.abc import Callable

from federation.errors import InvalidInput
from federation.model.nearest import suggestion
from policies.rules.syntax import Node, Tree
from policies.rules.variables import NOW, PRESENCE, ROOTS, fields_of

NODES = 500
LOOPS = 2
PATTERN = 100
"""How many characters a regular expression has at most."""
_GROWING = frozenset({"add_string", "add_bytes", "add_list"})
_RESULT = "@result"
"""The variable in which the library's loops gather; nobody can write this name."""


class Fault(InvalidInput):
    """What is wrong with the part of the expression at character `offset`, counted from 0; None: with all of it."""

    def __init__(self, message: str, offset: int | None = None):
        super().__init__(message)
        self.offset = offset


Refusal = Callable[[str], Fault]


def check(tree: Tree) -> None:
    """Raises: Fault for the first part that is unknown, or not bounded."""
    size = sum(1 for _ in tree.root.walk())
    if size > NODES:
        raise Fault(f"has {size} parts, more than {NODES}; split it into several rules")
    _check(tree, tree.root, ())


def _check(tree: Tree, node: Node, loops: tuple[Node, ...]) -> None:
    def refuse(message: str) -> Fault:
        return Fault(message, tree.offsets.get(node.id))

    if node.sort == "name" and node.text in ROOTS:
        raise refuse(f"`{node.text}` is no value itself; read one of its fields: {', '.join(fields_of(node.text))}")
    if node.sort == "select":
        _check_field(tree, node)
    elif node.sort == "struct" and node.text:
        raise refuse(f"`{node.text}` can't be made here; compare plain values")
    elif node.sort == "call":
        _check_call(tree, node, loops, refuse)
    elif node.sort == "loop":
        _check_loop(node, loops, refuse)
        _check(tree, node.children[0], loops)
        for child in node.children[1:]:
            _check(tree, child, (*loops, node))
        return
    for child in node.children:
        _check(tree, child, loops)


def _check_field(tree: Tree, node: Node) -> None:
    inner = node.children[0]
    if inner.sort == "name" and inner.text in ROOTS:
        message = f"unknown field `{inner.text}.{node.text}`; {suggestion(node.text or '', fields_of(inner.text))}"
        # A selection stands where its dot is, or the parenthesis of `has`: its field, or what it is of, comes after.
        raise Fault(message, tree.offsets.get(node.id, -1) + 1)


def _check_call(tree: Tree, node: Node, loops: tuple[Node, ...], refuse: Refusal) -> None:
    if loops and not _GROWING.isdisjoint(tree.overloads.get(node.id, ())) and node.children[0].text != _RESULT:
        raise refuse("puts texts or lists together inside a loop, which may need any amount of memory")
    if node.text == "matches":
        pattern = node.children[-1]
        if pattern.sort != "constant" or pattern.text is None:
            raise refuse("the regular expression of `matches` has to be a text that is written out")
        if len(pattern.text) > PATTERN:
            raise refuse(f"a regular expression of {len(pattern.text)} characters; write at most {PATTERN}")


def _check_loop(node: Node, loops: tuple[Node, ...], refuse: Refusal) -> None:
    over = node.children[0]
    if node.text in (*ROOTS, NOW) or node.text in PRESENCE:
        raise refuse(f"`{node.text}` is taken; call the loop's variable something else")
    if any(each.sort == "loop" for each in over.walk()):
        raise refuse("a loop over what another loop gives may take any amount of time; loop over a field or a list")
    if len(loops) >= LOOPS:
        raise refuse(f"more than {LOOPS} loops inside one another may take any amount of time")
    if not _written_out(over) and not all(_written_out(each.children[0]) for each in loops):
        raise refuse(
            "a loop inside another may take any amount of time, unless one of the two is over a list that is written "
            "out, such as ['a', 'b']"
        )


def _written_out(over: Node) -> bool:
    return over.sort in ("list", "struct")

"""An expression: checked once, and taken apart at `&&`, `||`, `!` and `? :`, so that each part is evaluated only as
often as what it reads differs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from federation.errors import InvalidInput
from policies.rules.bounds import Fault, check
from policies.rules.library import Program, compiled, restored, unusable_pattern
from policies.rules.syntax import Node, Tree, read
from policies.rules.variables import FACTS, ROOTS, VARIABLES, Fact, fields_of
from policies.rules.wording import Said, failure, misread

LONGEST = 2_000
"""How many characters an expression has at most."""
_HAS = re.compile(
    r"""(?P<other>  //[^\n]* | [rR][bB]?(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
      | \"{3}(?:\\.|.)*?\"{3} | '{3}(?:\\.|.)*?'{3} | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
      | (?<![\w.]) has \s*\(\s* (?P<root>\w+) \s*\.\s* (?P<field>\w+) \s*\)""",
    re.VERBOSE | re.DOTALL,
)
"""Texts and comments (`other`), and `has` of a field of a root elsewhere."""

How = Literal["all", "any", "not", "if"]
_HOW: dict[str | None, How] = {"_&&_": "all", "_||_": "any", "!_": "not", "_?_:_": "if"}


@dataclass(frozen=True, slots=True)
class Read:
    """A variable that is read, and of a map which keys; None: all of it."""

    fact: Fact
    keys: tuple[str, ...] | None

    @property
    def subject(self) -> str:
        """What it is a fact about."""
        return self.fact.subject


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an expression with nothing but `&&`, `||`, `!` and `? :` around it, and what it reads, by name."""

    program: Program
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """`all`: && of the terms; `any`: || of them; `not`: ! of the only one; `if`: the second one where the first one is
    true, the third where it is false."""

    how: How
    terms: tuple[Term, ...]


Term = Part | Junction


@lru_cache(maxsize=4096)
def expression(text: str) -> Term:
    """The expression of that text, which gives true or false.

    Raises: InvalidInput that says what is wrong with it and where: by line and column, both counted from 1."""
    if len(text) > LONGEST:
        raise InvalidInput(f"the expression has {len(text)} characters, more than {LONGEST}; split it into several")
    try:
        program = compiled(_presences(text))
    except InvalidInput as error:
        raise InvalidInput(_placed(text, misread(error.message))) from error
    try:
        tree = read(program.serialize())
        check(tree)
        _check_patterns(tree)
        term = _term(tree, tree.root) if program.returns == "bool" else None
    except Fault as fault:
        line, column = _spot(text, fault.offset) if fault.offset is not None else (None, None)
        raise InvalidInput(_placed(text, Said(fault.message, line, column))) from fault
    except InvalidInput as error:
        raise InvalidInput(_placed(text, Said(error.message))) from error
    if term is None:
        raise InvalidInput(f"the expression gives {program.returns}, not true or false; compare it with something")
    for part in _parts(term):
        result = part.program.evaluate({}) if not part.reads else True
        if isinstance(result, str):
            raise InvalidInput(f"the expression always fails: {failure(result)}")
    return term


def _presences(text: str) -> str:
    """`text` with `has(subcluster.country)` and the like as variables. The library takes fields for variables whose
    names have a dot, and has no `has` for variables. Every character stays where it is."""

    def replaced(found: re.Match[str]) -> str:
        whole, root, field = found[0], found["root"], found["field"]
        if found["other"] or root not in ROOTS or field not in fields_of(root):
            return whole
        lines = whole.count("\n")
        name = FACTS[f"{root}.{field}"].presence
        return name + " " * (len(whole) - len(name) - lines) + "\n" * lines

    return _HAS.sub(replaced, text)


def _check_patterns(tree: Tree) -> None:
    for node in tree.root.walk():
        if node.sort == "call" and node.text == "matches":
            wrong = unusable_pattern(node.children[-1].text or "")
            if wrong:
                raise Fault(failure(wrong), tree.offsets.get(node.id))


def _spot(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _placed(text: str, said: Said) -> str:
    if said.line is None:
        return f"the expression {said.message}"
    several = "\n" in text.strip("\n")
    return f"{f'line {said.line}, ' if several else ''}column {said.column} of the expression: {said.message}"


def _term(tree: Tree, node: Node) -> Term:
    if node.sort == "call" and node.text in _HOW:
        return Junction(_HOW[node.text], tuple(_term(tree, child) for child in node.children))
    reads = _reads(node)
    _check_cost(tree, node, {each.subject for each in reads})
    return Part(restored(tree.only(node)), reads)


def _check_cost(tree: Tree, node: Node, subjects: set[str]) -> None:
    """What reads both sides is at worst evaluated for every service in every sub-cluster."""
    if not {"service", "subcluster"} <= subjects:
        return
    for each in node.walk():
        if each.text == "matches" and each.sort == "call":
            what = "`matches`"
        elif each.sort == "loop" and "fleet" in subjects:
            what = "a loop over the fleet"
        else:
            continue
        message = f"{what} may take too long where a comparison reads both the service and the sub-cluster"
        raise Fault(f"{message}; let each comparison read one of them", tree.offsets.get(each.id))


def _parts(term: Term) -> Iterator[Part]:
    if isinstance(term, Part):
        yield term
    else:
        for each in term.terms:
            yield from _parts(each)


def _reads(root: Node) -> tuple[Read, ...]:
    whole: set[str] = set()
    keys: dict[str, set[str]] = {}
    _gather(root, whole, keys)
    return tuple(
        Read(VARIABLES[name], None if name in whole else tuple(sorted(keys[name])))
        for name in sorted(whole | keys.keys())
    )


def _gather(node: Node, whole: set[str], keys: dict[str, set[str]]) -> None:
    found = _key(node)
    if found is not None:
        keys.setdefault(found[0], set()).add(found[1])
    elif node.sort == "name" and node.text is not None and node.text in VARIABLES:
        whole.add(node.text)
    else:
        for child in node.children:
            _gather(child, whole, keys)


def _key(node: Node) -> tuple[str, str] | None:
    """Which key of which map the node reads, if it is one that is known beforehand."""
    children = node.children
    if node.sort == "select":
        over, key = children[0], node.text
    elif node.sort == "call" and node.text in ("_[_]", "@in") and len(children) == 2:
        over, named = children if node.text == "_[_]" else (children[1], children[0])
        key = named.text if named.sort == "constant" else None
    else:
        return None
    if over.sort != "name" or over.text not in FACTS or FACTS[over.text].kind != "map" or key is None:
        return None
    return over.text, key

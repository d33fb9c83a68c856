"""The door to Google's CEL (`cel-expr-python`): text in, programs out, no type of the library beyond this module.

The library is imported with the first expression, not before.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

from federation.errors import InvalidInput
from policies.rules.variables import ROOTS, VARIABLES, Kind, Values

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Type(Protocol):
    def name(self) -> str: ...


class _Value(Protocol):
    def type(self) -> _Type: ...

    def value(self) -> object: ...


class _Expression(Protocol):
    def eval(self, *, data: Mapping[str, object]) -> _Value: ...

    def return_type(self) -> _Type: ...

    def serialize(self) -> bytes: ...


class _Environment(Protocol):
    def compile(self, expression: str) -> _Expression: ...

    def deserialize(self, serialized: bytes) -> _Expression: ...


@cache
def _environment() -> _Environment:
    from cel_expr_python import cel

    text = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    kinds: dict[Kind, object] = {
        "bool": cel.Type.BOOL,
        "int": cel.Type.INT,
        "double": cel.Type.DOUBLE,
        "string": cel.Type.STRING,
        "timestamp": cel.Type.TIMESTAMP,
        "list(int)": cel.Type.List(cel.Type.INT),
        "list(string)": cel.Type.List(cel.Type.STRING),
        "map": text,
        "list(map)": cel.Type.List(text),
    }
    # A field is a variable of its own, with a dot in its name, as types with fields would need protobuf. The roots are
    # variables only for `bounds` to say better than the library which field is unknown.
    roots = dict.fromkeys(ROOTS, cel.Type.Map(cel.Type.STRING, cel.Type.DYN))
    variables = roots | {name: kinds[fact.kind] for name, fact in VARIABLES.items()}
    return cast("_Environment", cel.NewEnv(variables=variables))


class Program:
    """A checked expression that can be evaluated."""

    __slots__ = ("_expression",)

    def __init__(self, expression: _Expression):
        self._expression = expression

    @property
    def returns(self) -> str:
        """The name of the type that it returns, such as `bool`."""
        return self._expression.return_type().name().lower()

    def serialize(self) -> bytes:
        """The checked syntax tree, for `syntax.read`."""
        return self._expression.serialize()

    def evaluate(self, values: Values) -> bool | str:
        """Its value; or why it has none, as the library says it."""
        try:
            found = self._expression.eval(data=values)
            result = found.value()
        except (RuntimeError, ValueError, TypeError, ArithmeticError) as error:
            return str(error) or type(error).__name__
        if isinstance(result, bool):
            return result
        return str(result) if found.type().name() == "ERROR" else f"{result!r:.40} is not true or false"


def compiled(text: str) -> Program:
    """The program of an expression. Raises: InvalidInput with what the library says of one that is not right."""
    try:
        return Program(_environment().compile(text))
    except (RuntimeError, ValueError, TypeError) as error:
        raise InvalidInput(str(error)) from error


def restored(serialized: bytes) -> Program:
    """The program of a serialised syntax tree that was checked before."""
    return Program(_environment().deserialize(serialized))


def unusable_pattern(pattern: str) -> str:
    """What the library says of a regular expression that it can't use; "" of one that it can."""
    program = compiled("service.name.matches(subcluster.name)")
    result = program.evaluate({"service.name": "", "subcluster.name": pattern})
    return result if isinstance(result, str) else ""

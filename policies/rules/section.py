"""How a policy states its rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, RootModel

from federation.errors import InvalidInput
from federation.model.meta import Value
from policies.rules.expression import expression


def _checked(text: str) -> str:
    try:
        expression(text)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return text


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("a rule's message is one line of text, such as: large services need gold")
    return text.strip()


class Rule(Value):
    """`expression`, in CEL, has to be true of a service and a sub-cluster; `message` says to people what it asks for.
    `enforcement`: whether a sub-cluster of which it is not true is denied, or only warned of."""

    expression: Annotated[str, AfterValidator(_checked)]
    message: Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
    enforcement: Literal["deny", "warn"] = "deny"


class RulesSection(RootModel[Annotated[tuple[Rule, ...], Field(min_length=1, max_length=100)]]):
    """At least one rule; all of them have to hold."""

    model_config = ConfigDict(frozen=True)

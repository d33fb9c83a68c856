"""Which settings hold for a microservice, and which policy each is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from federation.model.meta import Selector

Object = Mapping[str, Any]
SINGLE = ("migration", "prefer", "locality.users", "locality.latencyWorth")
"""Sections and settings of which one value holds, that of the highest precedence; all others add up."""
_MOVES = {"mode": "manual", "strategy.canary.steps": "5, 25, 50, 100", "strategy.canary.interval": "30s"}
"""How Roam moves a service when no policy says it."""


class Setting(NamedTuple):
    """A setting's dotted name, its value, and where it is from. `overridden`: another policy's value holds."""

    name: str
    value: str
    origin: str
    overridden: bool = False


def matching(service: Object, policies: Sequence[Object]) -> list[Object]:
    """The policies that select this microservice, the strongest first."""
    found = [one for one in policies if selects(one, service)]
    return sorted(found, key=lambda one: (-one["spec"]["precedence"], one["kind"], one["metadata"]["name"]))


def selects(policy: Object, service: Object) -> bool:
    """Whether the policy is about this microservice."""
    if policy["kind"] == "PlacementPolicy" and policy["metadata"]["namespace"] != service["metadata"]["namespace"]:
        return False
    return Selector.model_validate(policy["spec"]["selector"]).matches(service["metadata"].get("labels") or {})


def settings_of(service: Object, policies: Sequence[Object]) -> list[Setting]:
    """Everything that policies say about it, by name, then strength; what nobody says of moves, as by default."""
    found: list[Setting] = []
    stated: set[str] = set()
    for policy in matching(service, policies):
        said = list(settings_in(policy))
        known = {(one.name, one.value) for one in found}
        for name, value in said:
            lost = _single(name) in stated
            if not (lost and (name, value) in known):
                found.append(Setting(name, value, origin_of(policy), overridden=lost))
        stated |= {single for name, _ in said if (single := _single(name))}
    if "migration" not in stated:
        found += [Setting(f"migration.{name}", value, "default") for name, value in _MOVES.items()]
    return sorted(found, key=lambda one: (one.name.partition(".")[0] == "migration", one.name))


def _single(name: str) -> str:
    """The single-valued section or setting that `name` belongs to, "" for one that adds up."""
    return next((one for one in SINGLE if name == one or name.startswith(f"{one}.")), "")


def settings_in(policy: Object) -> Iterator[tuple[str, str]]:
    """What one policy says: dotted names and values as text."""
    for name, value in policy["spec"].items():
        if name not in ("selector", "precedence") and value not in (None, [], {}):
            yield from _leaves(name, value)


def origin_of(policy: Object) -> str:
    """`clusterplacementpolicy/eu`, with its precedence if it has one."""
    precedence = policy["spec"]["precedence"]
    text = f"{policy['kind'].lower()}/{policy['metadata']['name']}"
    return f"{text} ({precedence})" if precedence else text


def shown(value: object) -> str:
    """A value in a table's cell."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}: {shown(each)}" for key, each in value.items() if each not in (None, [], {}, ""))
    if isinstance(value, list):
        return ("; " if any(isinstance(each, Mapping) for each in value) else ", ").join(map(shown, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if each not in (None, [], {}):
                yield from _leaves(f"{name}.{key}", each)
    elif name == "rules" and isinstance(value, list):
        for rule in value:
            yield f"rules.{rule.get('enforcement', 'deny')}", f"{rule['message']}: {rule['expression']}"
    else:
        yield name, shown(value)

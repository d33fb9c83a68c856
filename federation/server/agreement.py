"""Policies that contradict each other are not stored: what would be new of that is told to who writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from federation.contracts.store import Store
from federation.errors import InvalidInput, InvalidInputs
from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy, Policy

Contradictions = Callable[[Iterable[Policy], Iterable[Microservice]], Mapping[Key, tuple[str, ...]]]
"""What is contradictory in policies, by the service that they are about; each message names both sides."""


def check_agreement(store: Store, new: Sequence[Resource], find: Contradictions) -> None:
    """Raises: InvalidInputs when policies among `new` would contradict each other, or one that is stored, for a service
    that is there or comes with them. What was contradictory before is nobody's fault now."""
    if not any(isinstance(each, PlacementPolicy | ClusterPlacementPolicy) for each in new):
        return
    stored: list[Policy] = [*store.list(ClusterPlacementPolicy).items, *store.list(PlacementPolicy).items]
    policies = {(each.kind_name, each.key): each for each in stored}
    services = {each.key: each for each in store.list(Microservice).items}
    merged = dict(policies)
    merged.update(
        ((each.kind_name, each.key), each) for each in new if isinstance(each, PlacementPolicy | ClusterPlacementPolicy)
    )
    there = services | {each.key: each for each in new if isinstance(each, Microservice)}
    after = find(merged.values(), there.values())
    known = set() if not after else _messages(find(policies.values(), services.values()))
    found: dict[str, Key] = {}
    for key, messages in after.items():
        for message in messages:
            if message not in known:
                found.setdefault(message, key)
    if found:
        raise InvalidInputs(
            tuple(
                InvalidInput(f"{message} (for {key})", field=f"spec.{message.partition(' ')[0].rstrip(':')}")
                for message, key in found.items()
            )
        )


def _messages(found: Mapping[Key, tuple[str, ...]]) -> set[str]:
    return {message for messages in found.values() for message in messages}

"""What a decision is made from, and what it says: the values between the engine and the planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement, Target
from federation.model.plan import Plan, Saving, Violation
from federation.model.policy import Policy
from federation.model.subcluster import SubCluster


@dataclass(frozen=True)
class Situation:
    """Everything a decision is made from. Sub-clusters carry the health and offers of this moment; `migrations` are
    those whose target's copy exists already."""

    subclusters: tuple[SubCluster, ...]
    services: tuple[Microservice, ...]
    policies: tuple[Policy, ...]
    placements: Mapping[Key, Placement]
    migrations: tuple[Migration, ...]
    fixed: Mapping[Key, tuple[Target, ...]]
    now: float
    moving: frozenset[Key] = frozenset()
    """Services with an open migration, also one whose copy does not exist yet."""
    jurisdictions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Members of jurisdictions, where they are taken to be others than the atlas says: in a what-if only."""


class Verdict(Protocol):
    """A plan and the rules it was made under."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        ...

    def stands(self, key: Key) -> bool:
        """Whether a service that runs may stay as it is committed."""
        ...

    @property
    def separable(self) -> bool:
        """Whether what it says of its services would hold in any fleet that leaves them the same room and calls: no
        rule counts or names other services than those that a call joins."""
        ...

    def forbidden(self, key: Key, subcluster: str) -> str:
        """Why a hard rule forbids the service there; "" when none does."""
        ...

    def violation(self, key: Key, subcluster: str) -> Violation | None:
        """Why a copy of the service that runs there may not stay; None when it may."""
        ...

    def rank(self, key: Key, subcluster: str) -> int:
        """The sub-cluster's place in the service's order of preference, 0 the most preferred."""
        ...

    def saving(self, key: Key) -> Saving | None:
        """What the planned place saves, the present one costs, and the move costs once; None where it can't be told."""
        ...

    def objection(self, key: Key, subcluster: str) -> str:
        """Why the service could not be started there now, for any reason (rule, health, room); "" when it could."""
        ...


Judgement = Callable[[Situation], Verdict]

"""`PlacementPolicy` and `ClusterPlacementPolicy`: what placement must and should respect.

The sections are plain data here: each belongs to a policy engine, which brings its strict schema
(`PolicyEngine.section` and `.schema`), so that a plug-in's section is validated exactly as a built-in one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue

from federation.model.meta import Int, Resource, Selector, Value
from federation.model.quantity import Duration, Share

Percent = Annotated[int, Field(ge=1, le=100)]


class Canary(Value):
    """Traffic steps of a move, in percent on the target; the last is 100."""

    steps: tuple[Percent, ...] = (5, 25, 50, 100)
    interval: Duration = "30s"
    max_error_rate: Share = 0.01
    drain_timeout: Duration = "30s"


class Strategy(Value):
    """How a move is made."""

    canary: Canary = Canary()


class MigrationRules(Value):
    """When and how Roam moves what runs. `mode`: whether a cheaper place alone is reason enough."""

    mode: Literal["manual", "automatic"] = "manual"
    strategy: Strategy = Strategy()


class PolicySpec(Value):
    """Sections that engines read stand beside those that all policies have (pydantic "extra", validated by engines)."""

    model_config = ConfigDict(extra="allow")

    selector: Selector = Selector()
    migration: MigrationRules | None = None
    precedence: Int = 0

    @property
    def sections(self) -> dict[str, JsonValue]:
        """The engines' sections by name."""
        return dict(self.model_extra or {})


class PlacementPolicy(Resource):
    """Rules for services of its namespace that `selector` matches."""

    kind_name: ClassVar[str] = "PlacementPolicy"
    plural: ClassVar[str] = "placementpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("pp", "policy", "policies", "placementpolicy")

    kind: Literal["PlacementPolicy"] = "PlacementPolicy"
    spec: PolicySpec


class ClusterPlacementPolicy(Resource):
    """Rules for services of every namespace; a namespace's policy can add to them, never relax them."""

    kind_name: ClassVar[str] = "ClusterPlacementPolicy"
    plural: ClassVar[str] = "clusterplacementpolicies"
    namespaced: ClassVar[bool] = False
    short_names: ClassVar[tuple[str, ...]] = ("cpp", "clusterplacementpolicy")

    kind: Literal["ClusterPlacementPolicy"] = "ClusterPlacementPolicy"
    spec: PolicySpec


Policy = PlacementPolicy | ClusterPlacementPolicy

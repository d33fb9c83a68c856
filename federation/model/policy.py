"""`PlacementPolicy` and `ClusterPlacementPolicy`: what placement must and should respect.

The sections are plain data here: each belongs to a policy engine, which brings its strict schema
(`PolicyEngine.section` and `.schema`), so that a plug-in's section is validated exactly as a built-in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from federation.model.meta import Int, LabelKey, LabelValue, Resource, Selector, Value
from federation.model.microservice import Microservice
from federation.model.quantity import Duration, Share, parse_duration_s
from federation.model.subcluster import Taint
from federation.model.windows import WindowText


def _some_time(value: str) -> str:
    if parse_duration_s(value) <= 0:
        raise ValueError(f"{value!r} is no time for a move to repay itself in; write for instance 72h")
    return value


PAYBACK = "72h"
"""Within what time a move has to repay itself where no policy says so."""
LONGEST_STEP_S = 86400.0


def _rising(steps: tuple[int, ...]) -> tuple[int, ...]:
    if not steps or steps[-1] != 100 or list(steps) != sorted(set(steps)):
        raise ValueError(
            f"{list(steps)} are no steps: give rising percentages that end with 100, such as 5, 25, 50, 100"
        )
    return steps


def _not_for_ever(value: str) -> str:
    if parse_duration_s(value) > LONGEST_STEP_S:
        raise ValueError(f"{value!r} is too long for a step of a move; write at most 24h")
    return value


StepTime = Annotated[Duration, AfterValidator(_not_for_ever)]
Percent = Annotated[int, Field(ge=1, le=100)]


class Canary(Value):
    """Traffic steps of a move, in percent on the target; the last is 100."""

    steps: Annotated[tuple[Percent, ...], Field(max_length=100), AfterValidator(_rising)] = (5, 25, 50, 100)
    interval: StepTime = "30s"
    max_error_rate: Share = 0.01
    drain_timeout: StepTime = "30s"

    @property
    def overlap_s(self) -> float:
        """How long both copies run, seconds: while the traffic is shifted, and then drained."""
        return len(self.steps) * parse_duration_s(self.interval) + parse_duration_s(self.drain_timeout)


class Strategy(Value):
    """How a move is made."""

    canary: Canary = Canary()


class MigrationRules(Value):
    """When and how Roam moves what runs. `mode`: whether a cheaper place alone is reason enough. Such a move has to
    repay itself within `payback`, save `min_savings` of what the service costs, come no sooner than `cooldown` after
    the last one, and begin in one of the `windows`; what is unset restricts nothing; the planner spreads what a
    move costs once over `PAYBACK` then."""

    mode: Literal["manual", "automatic"] = "manual"
    payback: Annotated[Duration, AfterValidator(_some_time)] | None = None
    min_savings: Annotated[Share, Field(lt=1)] | None = None
    cooldown: Duration | None = None
    windows: Annotated[tuple[WindowText, ...], Field(max_length=100)] = ()
    strategy: Strategy = Strategy()

    @property
    def payback_s(self) -> float:
        """Over how many seconds what a move costs once is spread: `payback`, else `PAYBACK`; > 0."""
        return parse_duration_s(self.payback or PAYBACK)


class Toleration(Value):
    """Which taints do not keep a service away, as Kubernetes has it: no key with `Exists` tolerates every taint, no
    effect every effect. `toleration_seconds`: how long a copy that runs bears a NoExecute taint; unset, for good."""

    key: LabelKey | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[Int, Field(ge=0, le=10**9)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            raise ValueError(f"operator Exists looks at no value; leave out {self.value!r}, or write Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("a toleration without a key tolerates everything: write operator Exists, or give the key")
        if self.toleration_seconds is not None and self.effect not in (None, "NoExecute"):
            raise ValueError(f"tolerationSeconds has a meaning for NoExecute only, not for {self.effect}")
        return self

    def tolerates(self, taint: Taint) -> bool:
        """Whether the taint is one of those tolerated."""
        return (
            self.effect in (None, taint.effect)
            and self.key in (None, taint.key)
            and (self.operator == "Exists" or self.value == taint.value)
        )


class PolicySpec(Value):
    """Sections that engines read stand beside those that all policies have (pydantic "extra", validated by engines).

    `tolerations` add up over the policies of a service, and with those of its pod template."""

    model_config = ConfigDict(extra="allow")

    selector: Selector = Selector()
    migration: MigrationRules | None = None
    tolerations: tuple[Toleration, ...] = ()
    precedence: Annotated[Int, Field(ge=-(10**9), le=10**9)] = 0

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


def migration_rules(service: Microservice, policies: Iterable[Policy]) -> MigrationRules:
    """How the service moves: the `migration` section of the matching policy of the highest precedence; of equals the
    first by kind and name; defaults when no policy says anything."""
    namespace, labels = service.metadata.namespace, service.metadata.labels
    found = [
        policy
        for policy in policies
        if policy.spec.migration is not None
        and (isinstance(policy, ClusterPlacementPolicy) or policy.metadata.namespace == namespace)
        and policy.spec.selector.matches(labels)
    ]
    best = min(found, key=lambda policy: (-policy.spec.precedence, policy.kind, policy.key), default=None)
    return best.spec.migration if best is not None and best.spec.migration is not None else MigrationRules()

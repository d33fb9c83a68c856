"""`Scenario` and `PolicyTest` as they are written. They are for `roam simulate` and `roam test`, never stored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from federation.model.meta import FLEET, Bool, Labels, Name, Namespace, Natural, Timestamp, Value
from federation.model.quantity import Usd
from federation.model.subcluster import CountryCode

Factor = Annotated[float, Field(ge=0, le=1_000_000)]
"""What something is multiplied by."""
ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9.]*(/[a-z0-9][-a-z0-9.]*)?$", max_length=317)]
"""A microservice, `name` or `namespace/name`."""
PolicyName = ServiceName
"""A policy: `name` of the fleet or of the document's namespace, or `namespace/name`."""
Code = Annotated[str, Field(min_length=1, max_length=40)]
"""A country (ISO 3166-1 alpha-2) or a jurisdiction of the atlas."""
Resource = Literal["cpu", "memory"]
UNDATED = 978_307_200.0
"""When a policy test is played that does not say: the first Monday of 2001, midnight UTC."""


class Head(Value):
    """The document's name, and the namespace of what it names without one."""

    name: Name
    namespace: Namespace = FLEET


class Prices(Value):
    """Prices times `factor`: of the sub-clusters that all the given fields match, of all without any. `provider`: the
    driver's name, or the cloud (aws, gcp, azure, ...) that the region belongs to."""

    factor: Factor
    subcluster: Name | None = None
    provider: str | None = None
    match_labels: Labels = {}
    of: Annotated[tuple[Resource, ...], Field(min_length=1)] = ("cpu", "memory")


class Traffic(Value):
    """What calls carry, times `factor`: of those from and to the named services, of all without names."""

    factor: Factor
    services: tuple[ServiceName, ...] = ()


class Replicas(Value):
    """Another number of replicas, rounded up after `factor`: of the named services, of all without names."""

    factor: Factor | None = None
    count: Natural | None = None
    services: tuple[ServiceName, ...] = ()

    @model_validator(mode="after")
    def _says_one(self) -> Replicas:
        if (self.factor is None) == (self.count is None):
            raise ValueError("give either factor or count")
        return self


class JurisdictionChange(Value):
    """Countries that join a jurisdiction, or leave it."""

    name: Code
    add: tuple[CountryCode, ...] = ()
    remove: tuple[CountryCode, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> JurisdictionChange:
        if not self.add and not self.remove:
            raise ValueError("changes nothing; give add, remove or both")
        return self


class Change(Value):
    """One change; exactly one field is given. `lose` and `regain`, `cordon`, `drain` and `uncordon` name a sub-cluster;
    `add` is a whole SubCluster, `apply` a whole policy, new or instead of the one of its name."""

    lose: Name | None = None
    regain: Name | None = None
    cordon: Name | None = None
    drain: Name | None = None
    uncordon: Name | None = None
    add: dict[str, JsonValue] | None = None
    apply: dict[str, JsonValue] | None = None
    remove: PolicyName | None = None
    prices: Prices | None = None
    traffic: Traffic | None = None
    replicas: Replicas | None = None
    jurisdiction: JurisdictionChange | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Change:
        if len(self.model_fields_set) != 1 or getattr(self, self.kind) is None:
            given = ", ".join(sorted(self.model_fields_set)) or "nothing"
            raise ValueError(f"a change is one of {', '.join(type(self).model_fields)}; given: {given}")
        return self

    @property
    def kind(self) -> str:
        """The name of the field that is given."""
        return next(name for name in type(self).model_fields if name in self.model_fields_set)


class StepSpec(Value):
    """Changes that come at once."""

    name: Annotated[str, Field(max_length=200)] = ""
    changes: tuple[Change, ...] = ()


class ScenarioSpec(Value):
    """Steps, each played on what the one before left. `at`: when, for policies with windows; now if unset."""

    steps: tuple[StepSpec, ...]
    at: Timestamp | None = None


class Scenario(Value):
    """What may come, step by step."""

    api_version: Literal["roam.federation/v1alpha1"] = "roam.federation/v1alpha1"
    kind: Literal["Scenario"] = "Scenario"
    metadata: Head
    spec: ScenarioSpec


class Where(Value):
    """Sub-clusters that all the given fields match. `countries`: countries or jurisdictions; `any_of`: one of these is
    enough."""

    subclusters: tuple[Name, ...] | None = None
    countries: Annotated[tuple[Code, ...], Field(min_length=1)] | None = None
    match_labels: Labels | None = None
    any_of: Annotated[tuple[Where, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Where:
        if not self.model_fields_set:
            raise ValueError("says nothing; give subclusters, countries, matchLabels or anyOf")
        return self


class DeniedBy(Value):
    """The policy that forbids the service in that sub-cluster."""

    subcluster: Name
    policy: PolicyName


class Expectation(Value):
    """What is to hold after a case's changes. With `service` of that one: where it runs and never runs (any of its
    replicas); where policies permit it, whatever the plan picks; whether it has a place, and what lacks if not; what
    it costs at most. Without, of everything: the cost, who moves, who has no place, who runs where it may not."""

    service: ServiceName | None = None
    runs_in: Where | None = None
    never: Where | None = None
    may_run_in: tuple[Name, ...] | None = None
    must_not_run_in: tuple[Name, ...] | None = None
    placed: Bool | None = None
    verdict: Literal["placed", "denied", "full"] | None = None
    denied_by: DeniedBy | None = None
    max_hourly: Usd | None = None
    moves: Natural | None = None
    moves_at_most: Natural | None = None
    unplaced: tuple[ServiceName, ...] | None = None
    out_of_policy: tuple[ServiceName, ...] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Expectation:
        given = self.given
        if not given:
            raise ValueError("expects nothing; give runsIn, never, placed, maxHourly, moves, ...")
        of_one = [name for name in given if name in _OF_ONE]
        of_all = [name for name in given if name in _OF_ALL]
        if self.service is None and of_one:
            raise ValueError(f"`{_camel(of_one[0])}` is said of a service; add `service`")
        if self.service is not None and of_all:
            raise ValueError(f"`{_camel(of_all[0])}` is said of everything; write it without `service`")
        return self

    @property
    def given(self) -> tuple[str, ...]:
        """What it expects, by field name, in the order of the fields."""
        found = (name for name in type(self).model_fields if name != "service")
        return tuple(name for name in found if getattr(self, name) is not None)


_OF_ONE = ("runs_in", "never", "may_run_in", "must_not_run_in", "placed", "verdict", "denied_by")
_OF_ALL = ("moves", "moves_at_most", "unplaced", "out_of_policy")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class Case(Value):
    """What is changed, if anything, and what must hold then."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    changes: tuple[Change, ...] = ()
    expect: Annotated[tuple[Expectation, ...], Field(min_length=1)]


class PolicyTestSpec(Value):
    """The ground (`files`, relative to this file, beside the other documents of this file), and the cases, each played
    on the same ground. `at`: when, for policies with windows; `UNDATED` if unset, so that no result hangs on the clock.
    """

    files: tuple[str, ...] = ()
    at: Timestamp = UNDATED
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


class PolicyTest(Value):
    """Cases that a fleet, its services and its policies have to pass."""

    api_version: Literal["roam.federation/v1alpha1"] = "roam.federation/v1alpha1"
    kind: Literal["PolicyTest"] = "PolicyTest"
    metadata: Head
    spec: PolicyTestSpec

"""Documents to scenarios and policy tests: strictly, with what they hold inline checked as if it stood alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from federation.errors import InvalidInput
from federation.intake.checking import Path, Spot, check
from federation.intake.resources import check_resource
from federation.intake.schemas import Schemas
from federation.intake.tree import Document
from federation.whatif.changes import BoundChange
from federation.whatif.documents import Case, Change, PolicyTest, Scenario

_INLINE = {"add": ("SubCluster",), "apply": ("PlacementPolicy", "ClusterPlacementPolicy")}


@dataclass(frozen=True)
class BoundStep:
    """A scenario's step, its changes ready to be carried out."""

    name: str
    changes: tuple[BoundChange, ...]


@dataclass(frozen=True)
class BoundScenario:
    """A scenario ready to be played."""

    scenario: Scenario
    steps: tuple[BoundStep, ...]


@dataclass(frozen=True)
class BoundCase:
    """A case ready to be played; `path` is where it stands in its document."""

    case: Case
    path: Path
    changes: tuple[BoundChange, ...]


@dataclass(frozen=True)
class BoundTest:
    """A policy test ready to be played on its ground."""

    test: PolicyTest
    spot: Spot
    namespace: str
    cases: tuple[BoundCase, ...]


def read_scenario(
    document: Document, schemas: Schemas, namespace: str, errors: list[InvalidInput]
) -> BoundScenario | None:
    """The scenario that `document` is; None with its faults in `errors`.

    Args: namespace, where the document names none."""
    before, spot = len(errors), Spot(document.file, document.lines)
    scenario = check(Scenario, document.value, spot, errors)
    if scenario is None:
        return None
    reader = _Reader(schemas, spot, scenario.metadata.namespace or namespace, errors)
    steps = tuple(
        BoundStep(step.name or f"step {index + 1}", reader.changes(step.changes, ("spec", "steps", index)))
        for index, step in enumerate(scenario.spec.steps)
    )
    return BoundScenario(scenario, steps) if len(errors) == before else None


def read_test(document: Document, schemas: Schemas, namespace: str, errors: list[InvalidInput]) -> BoundTest | None:
    """The policy test that `document` is; None with its faults in `errors`. Args: as `read_scenario`."""
    before, spot = len(errors), Spot(document.file, document.lines)
    test = check(PolicyTest, document.value, spot, errors)
    if test is None:
        return None
    reader = _Reader(schemas, spot, test.metadata.namespace or namespace, errors)
    cases = []
    seen: dict[str, int] = {}
    for index, case in enumerate(test.spec.cases):
        path: Path = ("spec", "cases", index)
        if seen.setdefault(case.name, index) != index:
            errors.append(
                spot.error(f"the name {case.name!r} is there twice; each case needs its own", (*path, "name"))
            )
        cases.append(BoundCase(case, path, reader.changes(case.changes, path)))
    return BoundTest(test, spot, reader.namespace, tuple(cases)) if len(errors) == before else None


@dataclass(frozen=True)
class _Reader:
    schemas: Schemas
    spot: Spot
    namespace: str
    errors: list[InvalidInput]

    def changes(self, changes: Sequence[Change], path: Path) -> tuple[BoundChange, ...]:
        return tuple(self._change(each, (*path, "changes", index)) for index, each in enumerate(changes))

    def _change(self, change: Change, path: Path) -> BoundChange:
        allowed, value = _INLINE.get(change.kind), getattr(change, change.kind)
        if allowed is None:
            return BoundChange(change, self.spot, path, self.namespace)
        there = (*path, change.kind)
        if value.get("kind") not in allowed:
            message = f"`{change.kind}` takes a {' or '.join(allowed)}, not `{value.get('kind')}`"
            self.errors.append(self.spot.error(message, (*there, "kind")))
            return BoundChange(change, self.spot, path, self.namespace)
        resource = check_resource(value, self.schemas, self.namespace, self.spot.inside(there), self.errors)
        return BoundChange(change, self.spot, path, self.namespace, resource)

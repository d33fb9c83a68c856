"""Policy tests played: each case on the same ground, what it expects against what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from federation.intake.checking import Path
from federation.model.meta import Key
from federation.whatif.checks import CHECKS
from federation.whatif.documents import Expectation
from federation.whatif.outcome import Outcome
from federation.whatif.playing import changed
from federation.whatif.reading import BoundTest
from federation.whatif.settle import Planner, settle
from federation.whatif.state import State


@dataclass(frozen=True)
class Failure:
    """An expectation that does not hold: what was `expected`, what was `found` instead, and `reasons`, sentences."""

    service: Key | None
    expectation: str
    expected: str
    found: str
    reasons: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {
            "service": None if self.service is None else str(self.service),
            "expectation": self.expectation,
            "expected": self.expected,
            "found": self.found,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class CaseResult:
    """A case's outcome; it passed when nothing failed."""

    name: str
    line: int | None
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        """Whether every expectation holds."""
        return not self.failures

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        failures = [failure.document() for failure in self.failures]
        return {"name": self.name, "line": self.line, "passed": self.passed, "failures": failures}


@dataclass(frozen=True)
class TestResult:
    """A policy test's outcome, its cases in the order of the file."""

    __test__ = False

    name: str
    file: str
    cases: tuple[CaseResult, ...]

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {"name": self.name, "file": self.file, "cases": [case.document() for case in self.cases]}


def run_test(test: BoundTest, state: State, planner: Planner) -> TestResult:
    """Play each case of `test` on `state`, and see whether what it expects holds. Pure and deterministic.

    Raises: InvalidInput for names that are not there, InvalidInputs for policies that contradict each other."""
    start = settle(state, planner)
    cases = []
    for case in test.cases:
        after = changed(start, case.changes, planner) if case.changes else start
        failures = _failures(Outcome(test, case, start, after))
        cases.append(CaseResult(case.case.name, test.spot.line((*case.path, "name")), failures))
    return TestResult(test.test.metadata.name, test.spot.file or "", tuple(cases))


def _failures(outcome: Outcome) -> tuple[Failure, ...]:
    """Every expectation that does not hold, in the order of the case."""
    found = []
    for index, expectation in enumerate(outcome.case.case.expect):
        path: Path = (*outcome.case.path, "expect", index)
        key = None if expectation.service is None else outcome.key(expectation.service, path)
        for name in expectation.given:
            failure = CHECKS[name](outcome, expectation, key, (*path, Expectation.model_fields[name].alias or name))
            if failure is not None:
                expected, instead, reasons = failure
                found.append(
                    Failure(key, Expectation.model_fields[name].alias or name, expected, instead, tuple(reasons))
                )
    return tuple(found)

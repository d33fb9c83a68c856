"""Scenarios played: step after step, each on what the one before left."""

from __future__ import annotations

from collections.abc import Sequence

from federation.whatif.changes import BoundChange, carry_out, describe
from federation.whatif.reading import BoundScenario
from federation.whatif.report import ScenarioReport, StepReport, report, report_start
from federation.whatif.settle import Planner, Settled, settle
from federation.whatif.state import State


def play(scenario: BoundScenario, state: State, planner: Planner) -> ScenarioReport:
    """What comes of `scenario` on `state`. Pure and deterministic.

    The state is settled first: what the controller would do anyway is the start, no consequence of a step.
    Raises: InvalidInput for changes that name what is not there, InvalidInputs for policies that contradict."""
    settled = settle(state, planner)
    start = report_start(state, settled)
    steps: list[StepReport] = []
    for step in scenario.steps:
        after = changed(settled, step.changes, planner)
        words = [describe(each.change, each.resource) for each in step.changes]
        steps.append(report(step.name, words, settled, after))
        settled = after
    return ScenarioReport(scenario.scenario.metadata.name, start, tuple(steps))


def changed(settled: Settled, changes: Sequence[BoundChange], planner: Planner) -> Settled:
    """What becomes of a settled state by these changes, all at once. Raises: as `play`."""
    state = settled.state
    for change in changes:
        state = carry_out(state, change)
    return settle(state, planner)

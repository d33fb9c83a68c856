"""From a schedule that fails to a short one that still does, and how to tell a person of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from federation.testing.simulation.scenario import Action, Scenario
from federation.testing.simulation.simulation import Outcome, simulate

MOST_TRIES = 60


def shortest_failing(
    actions: Sequence[Action], fails: Callable[[tuple[Action, ...]], bool], most_tries: int = MOST_TRIES
) -> tuple[Action, ...]:
    """A part of `actions`, in order, that still `fails`, and from which no single action can be left out, if
    `most_tries` suffice to find it. `actions` fail.

    Leaves out halves, then quarters, and so on. Source: Zeller and Hildebrandt, "Simplifying and Isolating
    Failure-Inducing Input", 2002, greedy variant."""
    left, size, tries = tuple(actions), max(len(actions) // 2, 1), 0
    while tries < most_tries:
        shorter = False
        start = 0
        while start < len(left) and tries < most_tries:
            candidate = left[:start] + left[start + size :]
            tries += 1
            if fails(candidate):
                left, shorter = candidate, True
            else:
                start += size
        if size == 1 and not shorter:
            break
        size = max(size // 2, 1)
    return left


def explain_failure(scenario: Scenario, outcome: Outcome) -> str:
    """What failed, the shortest schedule found that still fails in the same way, and how to run it again."""
    kind = outcome.violation.partition(" at ")[0]

    def fails(actions: tuple[Action, ...]) -> bool:
        return simulate(scenario.with_actions(actions)).violation.startswith(kind)

    shortest = scenario.with_actions(shortest_failing(scenario.actions, fails))
    again = simulate(shortest)
    return "\n".join(
        [
            f"seed {scenario.seed} breaks {outcome.violation}",
            f"the shortest schedule found breaks {again.violation}",
            str(shortest),
            f"run it again: python -m federation.testing.simulate --seed {scenario.seed}",
        ]
    )

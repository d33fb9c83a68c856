"""The engine under faults, crashes and lost answers: the seeds hold, and bugs planted on purpose do not get through.

`make soak` plays many more seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.contracts.store import Replace
from federation.engine.gateways import GatewayLink
from federation.engine.services import ServiceReconciler
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.reconcile.desired import moved_targets
from federation.reconcile.migration import Advance
from federation.testing.simulation.scenario import Action, make_scenario
from federation.testing.simulation.shrink import explain_failure, shortest_failing
from federation.testing.simulation.simulation import simulate

SEEDS = 120
CHUNK = 10


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_invariants_hold(first: int) -> None:
    for seed in range(first, first + CHUNK):
        scenario = make_scenario(seed)
        outcome = simulate(scenario)
        if outcome.violation:
            pytest.fail(explain_failure(scenario, outcome))


def _retire_at_once(patch: pytest.MonkeyPatch) -> None:
    """Copies are retired without waiting for gateways to settle."""
    patch.setattr(ServiceReconciler, "_retirable", lambda *_: True)


def _commit_apart(patch: pytest.MonkeyPatch) -> None:
    """The placement is committed in a write of its own, before the migration's phase."""
    together = ServiceReconciler._store

    def apart(self: ServiceReconciler, placement: Placement | None, migration: Migration, advance: Advance) -> bool:
        if not advance.commit or placement is None:
            return together(self, placement, migration, advance)
        spec = placement.spec.model_copy(update={"targets": moved_targets(placement, migration)})
        if not self._world.journal.write([Replace(placement.model_copy(update={"spec": spec}))]):
            return False
        return together(self, None, migration, replace(advance, commit=False))

    patch.setattr(ServiceReconciler, "_store", apart)


def _hand_over_early(patch: pytest.MonkeyPatch) -> None:
    """Tables are handed over before it is known what runs."""
    patiently = GatewayLink.tick
    patch.setattr(GatewayLink, "tick", lambda self, _ready: patiently(self, True))


@pytest.mark.parametrize("plant", [_retire_at_once, _commit_apart, _hand_over_early])
def test_planted_bug_is_caught(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    caught = next((seed for seed in range(SEEDS) if simulate(make_scenario(seed)).violation), None)
    assert caught is not None, f"no seed of {SEEDS} noticed: {plant.__doc__}"


def test_same_seed_same_trace_in_every_process() -> None:
    program = (
        "from federation.testing.simulation.simulation import simulate\n"
        "from federation.testing.simulation.scenario import make_scenario\n"
        "print(simulate(make_scenario(7)).trace)"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert traces == {simulate(make_scenario(7)).trace}


def test_another_seed_is_another_run() -> None:
    assert simulate(make_scenario(7)).trace != simulate(make_scenario(8)).trace


def test_failing_schedule_is_shortened() -> None:
    actions = tuple(Action(float(number), "create", (f"s{number}",)) for number in range(20))
    bad = {actions[3], actions[17]}
    assert shortest_failing(actions, lambda left: bad <= set(left)) == (actions[3], actions[17])


def test_failure_is_told_with_schedule_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    _hand_over_early(monkeypatch)
    scenario, outcome = next(
        (scenario, outcome)
        for scenario in map(make_scenario, range(SEEDS))
        if (outcome := simulate(scenario)).violation
    )
    told = explain_failure(scenario, outcome)
    assert f"python -m federation.testing.simulate --seed {scenario.seed}" in told
    assert "schedule:" in told
    assert len(told.splitlines()) < len(str(scenario).splitlines()) + 3

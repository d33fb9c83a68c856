"""The controller's clock goes on evenly, whatever the machine's does."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.engine.steady import SteadyClock

BEGIN = 1_770_000_000.0


@dataclass
class Machine:
    """Its clock, which anybody may set, and its time since it started."""

    wall: float = BEGIN
    up: float = 100.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds

    def clock(self, at_least: float = 0.0) -> SteadyClock:
        return SteadyClock(at_least, wall=lambda: self.wall, elapsed=lambda: self.up)


@given(steps=st.lists(st.tuples(st.floats(0, 3600), st.sampled_from([0.0, 0.0, -7200.0, 3600.0, 1e9])), max_size=30))
def test_a_wait_takes_as_long_as_it_takes(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock()
    for passes, jump in steps:
        machine.pass_by(passes)
        machine.wall += jump
        now = clock()
        assert 0.9 * passes - 1e-3 <= now - before <= 1.1 * passes + 1e-3
        before = now


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_it_comes_back_to_the_machines_clock_and_says_so_once(jump: float, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += jump
    with caplog.at_level(logging.WARNING):
        for _ in range(41):
            machine.pass_by(1000.0)
            clock()
    assert clock() == pytest.approx(machine.wall, abs=0.1)
    assert [record.getMessage() for record in caplog.records] == [
        f"this machine's clock jumped by {jump:+.0f} s; times go on evenly and approach it"
    ]


@pytest.mark.parametrize(("ahead", "begins"), [(-5.0, 0.0), (3600.0, 3600.0), (1e6, 0.0)])
def test_it_begins_no_earlier_than_the_last_record(ahead: float, begins: float) -> None:
    assert Machine().clock(BEGIN + ahead)() == pytest.approx(BEGIN + begins, abs=1e-3)

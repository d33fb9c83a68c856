"""One run: the engine, its deaths and restarts, the schedule, and the checks after every step."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from federation.contracts.driver import Capabilities, SubClusterDriver
from federation.engine.core import Engine, Plugins
from federation.errors import Unavailable
from federation.model.subcluster import Gateway, SubCluster
from federation.store.sql import open_store
from federation.testing.simulation import actions
from federation.testing.simulation.checks import Checks
from federation.testing.simulation.gateways import SimGateway
from federation.testing.simulation.judging import judge_really
from federation.testing.simulation.places import Place, ScriptedDriver
from federation.testing.simulation.runtime import TICK_S, ControllerKilled, SimRuntime, Spinning, Timeline
from federation.testing.simulation.scenario import Scenario
from federation.testing.simulation.storage import SimStore

TRAFFIC_PERIOD_S = 0.25
SETTLE_S = 420.0
"""After the last fault everything has to be at rest within this time; the engine's longest back-off is 300 s."""
REST_S = 12.0
"""So long nothing at all may be done once everything is at rest."""
STEPS_PER_S = 150.0
"""More steps of the engine than that in a virtual second, on average over 10 s, are a hot loop."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `violation` is "" when all held; `trace` is a digest of everything that happened."""

    violation: str
    trace: str
    lines: tuple[str, ...]
    virtual_s: float
    steps: int
    lives: int


class Simulation:
    """Set up by a scenario; `run` once."""

    def __init__(self, scenario: Scenario, *, keep_lines: bool = False) -> None:
        self.scenario = scenario
        self.chance = self._random("world")
        self.timeline = Timeline()
        self.store = SimStore(open_store(None), self.timeline, self._kill)
        self.checks = Checks(self)
        self.places = {
            spec.name: Place(
                spec.name, index, spec.capacity, self.timeline, self._random(f"place/{spec.name}"), self.checks
            )
            for index, spec in enumerate(scenario.places)
        }
        self.gateways = {
            name: SimGateway(name, self.places, self._random(f"gateway/{name}"))
            for name in ("edge", *(f"gw-{place}" for place in self.places))
        }
        self.template_version = 1
        self.migrations = 0
        self._engine: Engine | None = None
        self._runtime: SimRuntime | None = None
        self.began_at = self.life_began_at = 0.0
        self._steps_to_live: int | None = None
        self._pause_s = 0.0
        self._deadly = ""
        self.lives = 0
        self._steps = 0
        self._digest = hashlib.sha256()
        self._lines: list[str] | None = [] if keep_lines else None

    def _random(self, purpose: str) -> random.Random:
        return random.Random(f"{self.scenario.seed}/{purpose}")  # noqa: S311 - a seed to be repeated, no secret

    # For checks and actions

    def note(self, *what: object) -> None:
        """One line of the trace."""
        line = f"{self.timeline.now:8.2f}  {' '.join(map(str, what))}"
        self._digest.update(line.encode())
        if self._lines is not None:
            self._lines.append(line)

    def disturbed_at(self, gateway: SimGateway, place: Place) -> float:
        """Until when something was wrong that excuses a gateway's sending to a dead pod of a place."""
        times = [place.reachable_at, place.standing_at, place.trouble.until_s, gateway.trouble.until_s]
        if gateway.place is not None:
            times += [gateway.place.reachable_at, gateway.place.standing_at]
        return max(*times, self.store.down_until_s, self.began_at if self._engine is not None else self.timeline.now)

    def kill_controller(self, steps: int, pause_s: float, only: str = "") -> None:
        """Let the controller die after so many steps (with `only` in their name); it is started again after a pause."""
        self._steps_to_live, self._pause_s, self._deadly = steps, pause_s, only

    def _kill(self, where: str) -> None:
        if self._engine is None or self._steps_to_live is None or self._deadly not in where:
            return
        self._steps_to_live -= 1
        if self._steps_to_live <= 0:
            self._steps_to_live = None
            self.note("killed", where)
            raise ControllerKilled

    # Running

    def run(self) -> Outcome:
        """Play the schedule, heal everything, wait for rest, and see that it stays at rest."""
        try:
            self.begin()
            last_s = max((action.at_s for action in self.scenario.actions), default=0.0)
            self.go_on(until_s=last_s + 0.5)
            self._heal()
            self._settle()
            if not self.checks.violations:
                self.checks.records()
                self.checks.history()
        except Spinning:
            self.checks.fail("Liveness", "the engine runs in circles without time passing")
        finally:
            self.store.close()
        return Outcome(
            self.checks.violations[0] if self.checks.violations else "",
            self._digest.hexdigest(),
            tuple(self._lines or ()),
            self.timeline.now,
            self._steps,
            self.lives,
        )

    def begin(self) -> None:
        """Write what is there from the beginning and set the schedule; then `go_on`. Part of `run`."""
        self.store.write_as_user(actions.fleet_records(self.scenario))
        for action in self.scenario.actions:
            self.timeline.after(action.at_s, partial(actions.carry_out, self, action))
        self._tick_traffic()

    def _tick_traffic(self) -> None:
        self.checks.traffic()
        self.timeline.after(TRAFFIC_PERIOD_S, self._tick_traffic)

    def _heal(self) -> None:
        """All faults end now."""
        now = self.timeline.now
        for place in self.places.values():
            place.reachable_at, place.standing_at = min(place.reachable_at, now), min(place.standing_at, now)
            place.trouble.until_s = min(place.trouble.until_s, now)
            place.errors_until_s = min(place.errors_until_s, now)
        for gateway in self.gateways.values():
            gateway.trouble.until_s = min(gateway.trouble.until_s, now)
        self.store.down_until_s = min(self.store.down_until_s, now)
        self._steps_to_live = None
        self.note("healed")

    def _settle(self) -> None:
        """Wait until everything is as it should be, and nothing at all happens any more: nothing flaps."""
        end_s, pause_s = self.timeline.now + SETTLE_S, 2.0
        unrest: list[str] = []
        while self.timeline.now < end_s and not self.checks.violations:
            self.go_on(until_s=self.timeline.now + pause_s)
            unrest = self.checks.unrest()
            pause_s = min(pause_s * 1.5, 30.0)
            if not unrest:
                before, steps = self._activity(), self._steps
                self.go_on(until_s=self.timeline.now + REST_S)
                unrest = [f"activity went from {before} to {self._activity()}"] if self._activity() != before else []
                if not unrest and self._steps - steps > 20 * REST_S:
                    self.checks.fail("Storm", f"at rest, yet {self._steps - steps} steps in {REST_S:.0f} s")
                if not unrest:
                    return
        if not self.checks.violations:
            self.checks.fail("I6", f"not at rest {SETTLE_S:.0f} s after the last fault: {'; '.join(unrest)}")

    def _activity(self) -> tuple[int, int, int, int]:
        calls = sum(place.calls for place in self.places.values())
        tables = sum(gateway.calls for gateway in self.gateways.values())
        return calls, tables, self.store.writes, self.store.events

    def go_on(self, until_s: float) -> None:
        """Let the world and the controller live until then (virtual seconds), or until something is violated."""
        window_s, window_steps = self.timeline.now, self._steps
        while self.timeline.now < until_s and not self.checks.violations:
            if self._engine is None:
                self._start(until_s)
                continue
            self._live(self._engine.step)
            self._steps += 1
            if self.timeline.now - window_s >= 10.0:
                if self._steps - window_steps > STEPS_PER_S * 10.0:
                    self.checks.fail("Storm", f"{self._steps - window_steps} steps within 10 s")
                window_s, window_steps = self.timeline.now, self._steps

    def _start(self, until_s: float) -> None:
        """Start a controller, once the pause after the last one's death is over."""
        self.timeline.happen_before(min(self.began_at, until_s), lambda: False)
        if self.timeline.now < self.began_at - TICK_S / 2:
            return
        self.checks.records()
        self.lives += 1
        self.life_began_at = self.timeline.now
        chance = self._random(f"life/{self.lives}")
        self._runtime = SimRuntime(self.timeline, chance, partial(self._delays, chance), self._kill)
        self._engine = Engine(self.store, self._runtime, Plugins(self._open_driver, self._open_gateway, judge_really))
        self.note("started", self.lives)
        try:
            self._live(self._engine.start)
        except Unavailable:
            self._bury(1.0)

    def _live(self, part: Callable[[], None]) -> None:
        try:
            part()
        except ControllerKilled:
            self._bury(self._pause_s)

    def _bury(self, pause_s: float) -> None:
        if self._runtime is not None:
            self._runtime.die()
        self._engine = self._runtime = None
        self.began_at = self.timeline.now + pause_s

    @staticmethod
    def _delays(chance: random.Random, lane: str) -> tuple[float, float]:
        """Seconds to a call's effect and back: mostly quick, sometimes not; the store is always near."""
        if lane == "store":
            return 0.0, 0.02
        if lane.startswith("gateway/") and chance.random() < 0.8:
            return 0.02, 0.02
        slow = 1.5 if chance.random() < 0.03 else 0.0
        return chance.uniform(0.005, 0.05) + slow * chance.random(), chance.uniform(0.005, 0.05)

    def _open_driver(self, record: SubCluster) -> SubClusterDriver:
        spec = next(spec for spec in self.scenario.places if spec.name == record.metadata.name)
        capabilities = Capabilities(runs_images=True, names="rewrite" if spec.rewrites else "dns")
        return ScriptedDriver(self.places[record.metadata.name], capabilities)

    def _open_gateway(self, record: Gateway) -> SimGateway:
        return self.gateways[record.metadata.name]


def simulate(scenario: Scenario, *, keep_lines: bool = False) -> Outcome:
    """Run `scenario` from beginning to end; equal arguments give an equal outcome."""
    return Simulation(scenario, keep_lines=keep_lines).run()

"""One link per sub-cluster: observing it without end, and carrying out steps there, a failure never hurting another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from federation.contracts.driver import Capabilities, Observation, SubClusterDriver, Workload, WorkloadState
from federation.contracts.runtime import Runtime
from federation.engine.boundary import Backoff, after_failure
from federation.engine.journal import explain
from federation.errors import Conflict, InvalidInput, NoCapacity
from federation.model.meta import Key
from federation.model.offers import Offer
from federation.model.quantity import parse_duration_s
from federation.model.subcluster import SubCluster
from federation.reconcile.health import Pulse, answered, failed, judge, next_judgement, reachable

OFFERS_PERIOD_S = 30.0
CALL_DEADLINE_S = 10.0
CONFIRM_S = 5.0
"""How long an accepted step may stay invisible in the observations before it is tried again."""
SWEEP_S = 0.25
"""How often back-offs and unconfirmed steps are looked through."""


@dataclass
class Hooks:
    """How a link tells the engine: services whose observation changed, and changed health or offers."""

    touched: Callable[[set[Key]], None]
    changed: Callable[[str], None]


@dataclass
class SubClusterLink:
    """State of one sub-cluster; only the engine's thread touches it. `observed`: a complete observation is there;
    `remembered`: what ran there when it was lost."""

    subcluster: SubCluster
    driver: SubClusterDriver
    runtime: Runtime
    hooks: Hooks
    pulse: Pulse = field(default_factory=Pulse)
    workloads: dict[Key, WorkloadState] = field(default_factory=dict)
    remembered: dict[Key, WorkloadState] = field(default_factory=dict)
    offers: tuple[Offer, ...] | None = None
    observed: bool = False
    failure: str = ""
    offers_asked: bool = False
    closed: bool = False
    _cursor: str | None = None
    _busy: set[Key] = field(default_factory=set)
    _deleting: set[Key] = field(default_factory=set)
    _backoff: dict[Key, Backoff] = field(default_factory=dict)
    _refused: set[Key] = field(default_factory=set)
    _accepted: dict[Key, tuple[str, int, float]] = field(default_factory=dict)
    _poll_failures: int = 0
    _offers_due: float = 0.0
    _next_poll: float | None = None
    _next_sweep: float | None = None

    @property
    def name(self) -> str:
        """The sub-cluster's name."""
        return self.subcluster.metadata.name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self.driver.capabilities()

    @property
    def window_s(self) -> float:
        """Silence that counts as loss."""
        return parse_duration_s(self.subcluster.spec.detection.window)

    @property
    def recovery_s(self) -> float:
        """Answers for this long count as return."""
        return parse_duration_s(self.subcluster.spec.detection.recovery)

    @property
    def answering(self) -> bool:
        """Whether what it last said still counts: heard completely and not lost."""
        return self.observed and self.pulse.health not in ("Unknown", "Lost")

    @property
    def known(self) -> bool:
        """Whether it is clear what runs there: all of it, or, once lost, nothing that counts."""
        return self.observed or self.pulse.health == "Lost"

    def start(self) -> None:
        """Begin to observe."""
        self.pulse = Pulse(asked_since=self.runtime.monotonic())
        self._poll()

    def close(self) -> None:
        """Stop observing; answers under way are dropped."""
        self.closed = True
        self.runtime.submit(self.name, self.driver.close, lambda _result, _error: None)

    def reopen(self, subcluster: SubCluster, driver: SubClusterDriver) -> None:
        """Go on with a new record and driver of the same place."""
        self.runtime.submit(self.name, self.driver.close, lambda _result, _error: None)
        self.subcluster, self.driver = subcluster, driver
        self._offers_due = self.runtime.monotonic()

    # Observing

    def _poll(self) -> None:
        if self.closed:
            return
        self._next_poll = None
        cursor, driver = self._cursor, self.driver
        wait_s = min(max(self.window_s / 3.0, 0.05), 5.0)
        deadline_s = wait_s + min(max(self.window_s / 3.0, 0.25), 10.0)
        self.runtime.submit(
            f"{self.name}/observe",
            lambda: driver.observe(cursor, wait_s=wait_s, deadline_s=deadline_s),
            self._on_observation,
        )

    def _on_observation(self, observation: Observation | None, error: BaseException | None) -> None:
        if self.closed:
            return
        now = self.runtime.monotonic()
        if observation is None:
            self._on_silence(error or RuntimeError("no answer"), now)
            return
        self._poll_failures, self.failure = 0, ""
        before = self.pulse.health
        self.pulse = answered(self.pulse, now)
        if observation.complete or self.observed:
            self._absorb(observation)
        # Otherwise it answers a question from before everything was forgotten: a part without the rest.
        if self.pulse.health != before:
            self.hooks.changed(self.name)
            self._offers_due = now
        if now >= self._offers_due:
            self._ask_offers(now)
        self._poll()

    def _on_silence(self, error: BaseException, now: float) -> None:
        self.pulse = failed(self.pulse)
        self.failure = explain(error)
        self._poll_failures += 1
        backoff = after_failure(Backoff(self._poll_failures - 1), error, "", now, self.runtime.random())
        self._next_poll = min(backoff.not_before, now + max(self.window_s / 5.0, 0.1))
        self.tick()

    def _absorb(self, observation: Observation) -> None:
        touched: set[Key] = set()
        if observation.complete:
            touched |= self.workloads.keys() | ({state.key for state in observation.workloads})
            self.workloads, self.remembered = {}, {}
            self._accepted.clear()
        for state in observation.workloads:
            self.workloads[state.key] = state
            touched.add(state.key)
        for key in observation.gone:
            self.workloads.pop(key, None)
            self._accepted.pop(key, None)
            touched.add(key)
        first = not self.observed
        self._cursor, self.observed = observation.cursor, True
        if first:
            self.hooks.changed(self.name)
        if touched:
            self.hooks.touched(touched)

    def _ask_offers(self, now: float) -> None:
        self._offers_due = now + OFFERS_PERIOD_S
        driver = self.driver
        self.runtime.submit(self.name, lambda: driver.offers(deadline_s=CALL_DEADLINE_S), self._on_offers)

    def _on_offers(self, offers: tuple[Offer, ...] | None, _error: BaseException | None) -> None:
        self.offers_asked = True
        if offers is None or self.closed:
            self._offers_due = self.runtime.monotonic() + 2.0
            return
        if offers != self.offers:
            self.offers = offers
            self.hooks.changed(self.name)

    def tick(self) -> None:
        """Let time pass: judge health, poll again after a failure, and reconsider steps whose back-off is over."""
        now = self.runtime.monotonic()
        before = self.pulse.health
        self.pulse = judge(self.pulse, now, window_s=self.window_s, recovery_s=self.recovery_s)
        if self.pulse.health != before:
            if self.pulse.health == "Lost":
                self._forget()
            self.hooks.changed(self.name)
        if self._next_poll is not None and now >= self._next_poll:
            self._poll()
        if self._next_sweep is None or now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_S if self._accepted or self._backoff else None
        over = {key for key, backoff in self._backoff.items() if backoff.not_before <= now}
        over |= {key for key, (_, _, at) in self._accepted.items() if now - at >= CONFIRM_S}
        for key in over:
            self._accepted.pop(key, None)
            if key in self._backoff:
                old = self._backoff[key]
                self._backoff[key] = Backoff(old.attempts, float("inf"), old.message)
        if over:
            self.hooks.touched(over)

    def _forget(self) -> None:
        """What runs in a lost sub-cluster does not count; when it returns, everything is asked for anew."""
        touched = set(self.workloads)
        if self.observed:
            self.remembered = self.workloads
        self.workloads, self._accepted, self._cursor, self.observed = {}, {}, None, False
        self._backoff.clear()
        self._refused.clear()
        self.hooks.touched(touched)

    def next_tick(self) -> float | None:
        """When `tick` has something to do (monotonic seconds)."""
        judged = next_judgement(self.pulse, window_s=self.window_s, recovery_s=self.recovery_s)
        times = [time for time in (judged, self._next_poll, self._next_sweep) if time is not None]
        return min(times) if times else None

    # Acting

    def ready_for(self, key: Key) -> bool:
        """Whether a step for `key` may be sent now: heard, nothing of it under way, no back-off."""
        if not (self.observed and reachable(self.pulse)) or key in self._busy:
            return False
        backoff = self._backoff.get(key)
        return backoff is None or backoff.not_before == float("inf")

    def refuses(self, key: Key) -> bool:
        """Whether the last step for `key` was refused: it had no effect, and will have none."""
        return key in self._refused

    @property
    def refused(self) -> frozenset[Key]:
        """Services of which the last step was refused."""
        return frozenset(self._refused)

    def failure_of(self, key: Key) -> str:
        """Why the last step for `key` failed; "" when it did not."""
        backoff = self._backoff.get(key)
        return backoff.message if backoff is not None else ""

    def leaving(self, key: Key) -> bool:
        """Whether what is seen of `key` was told to go: its pods may look ready, but not for long."""
        accepted = self._accepted.get(key)
        return key in self._deleting or (accepted is not None and accepted[1] == 0)

    def state(self, key: Key) -> WorkloadState | None:
        """What runs of `key`, counting a step that was accepted but not seen yet as seen."""
        state, accepted = self.workloads.get(key), self._accepted.get(key)
        if accepted is None:
            return state
        revision, replicas, _ = accepted
        if replicas == 0:
            return None
        if state is not None and (state.revision, state.replicas) == (revision, replicas):
            del self._accepted[key]
            return state
        return WorkloadState(key, revision, replicas, state.pods if state is not None else ())

    def apply(self, workload: Workload) -> None:
        """Send an Apply."""
        driver = self.driver
        self._send(
            workload.key,
            (workload.revision, workload.replicas),
            lambda: driver.apply(workload, deadline_s=CALL_DEADLINE_S),
        )

    def delete(self, key: Key) -> None:
        """Send a Delete."""
        driver = self.driver
        self._deleting.add(key)
        self._send(key, ("", 0), lambda: driver.delete(key, deadline_s=CALL_DEADLINE_S))

    def _send(self, key: Key, expected: tuple[str, int], call: Callable[[], None]) -> None:
        def done(_result: None, error: BaseException | None) -> None:
            if error is None:
                self._accepted[key] = (*expected, self.runtime.monotonic())
            self._finish(key, error)

        self._busy.add(key)
        self.runtime.submit(self.name, call, done)

    def _finish(self, key: Key, error: BaseException | None) -> None:
        self._busy.discard(key)
        self._deleting.discard(key)
        self._refused.discard(key)
        if isinstance(error, NoCapacity | Conflict | InvalidInput):
            # The decision was made on other facts: get them, and let it be made again.
            self._refused.add(key)
            self._offers_due = self.runtime.monotonic()
            self.hooks.changed(self.name)
        if error is None:
            self._backoff.pop(key, None)
        else:
            self._backoff[key] = after_failure(
                self._backoff.get(key), error, explain(error), self.runtime.monotonic(), self.runtime.random()
            )
        if self._next_sweep is None:
            self._next_sweep = self.runtime.monotonic() + SWEEP_S
        self.hooks.touched({key})

"""One link per gateway: its table, handed over when it changed, and what it reports in force and in flight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from federation.contracts.gateway import Gateway as GatewayHandle
from federation.contracts.gateway import GatewayState, Route
from federation.contracts.runtime import Runtime
from federation.engine.boundary import Backoff, after_failure
from federation.engine.journal import explain
from federation.model.meta import Key
from federation.model.subcluster import Gateway
from federation.reconcile.health import Pulse, answered, failed, judge, next_judgement

DEADLINE_S = 3.0
WINDOW_S = 5.0
"""A gateway that can't be asked for this long is not waited for any more."""
BUSY_PERIOD_S = 0.25
WATCH_PERIOD_S = 1.0
IDLE_PERIOD_S = 2.0
REPEAT_S = 5.0
"""A table that is not in force this long after it was handed over is handed over again."""


@dataclass
class GatewayLink:
    """State of one gateway; only the engine's thread touches it. `watched`: services on the move;
    `urgent`: those of them that wait for what is in flight."""

    gateway: Gateway
    handle: GatewayHandle
    runtime: Runtime
    touched: Callable[[set[Key]], None]
    changed: Callable[[str], None]
    state: GatewayState | None = None
    failure: str = ""
    pulse: Pulse = field(default_factory=Pulse)
    watched: set[Key] = field(default_factory=set)
    urgent: set[Key] = field(default_factory=set)
    closed: bool = False
    _table: dict[Key, tuple[Route, ...]] = field(default_factory=dict)
    _order: list[Key] | None = None
    _agreed: GatewayState | None = None
    _revisions: dict[str, str] = field(default_factory=dict)
    _incomplete: set[Key] = field(default_factory=set)
    _dirty: bool = True
    _handed_over_at: float = 0.0
    _applying: bool = False
    _observing: bool = False
    _next_observe: float = 0.0
    _backoff: Backoff | None = None

    @property
    def name(self) -> str:
        """The gateway's name."""
        return self.gateway.metadata.name

    @property
    def near(self) -> str | None:
        """The sub-cluster it stands in; None for the edge."""
        return self.gateway.spec.subcluster

    @property
    def unacknowledged(self) -> int:
        """How many routes it has not been seen to have in force as its table says; to be asked from any thread."""
        routes = self.state.routes if self.state is not None else {}
        revisions = list(self._revisions.items())
        return sum((found := routes.get(key)) is None or found.revision != revision for key, revision in revisions)

    @property
    def live(self) -> bool:
        """Whether its word is waited for."""
        return self.pulse.health != "Lost"

    def start(self) -> None:
        """Begin to observe."""
        self.pulse = Pulse(asked_since=self.runtime.monotonic())
        self._observe()

    def expect(self) -> None:
        """Its sub-cluster is back: wait for its word again, since it may have gone on with an old table."""
        now = self.runtime.monotonic()
        self.pulse, self.state, self._next_observe = Pulse(asked_since=now), None, now

    def close(self) -> None:
        """Stop; the gateway itself goes on with its table."""
        self.closed = True
        self.handle.close()

    def put(self, key: Key, routes: Sequence[Route]) -> None:
        """Set what the table says of a service; an empty sequence takes the service out."""
        new, old = tuple(routes), self._table.get(key, ())
        self._incomplete.discard(key)
        if old == new:
            return
        if not new or not old:
            self._order = None
        if new:
            self._table[key] = new
        else:
            del self._table[key]
        for route in old:
            del self._revisions[route.key]
        self._revisions.update((route.key, route.revision) for route in new)
        self._dirty, self._agreed = True, None

    def keep(self, key: Key) -> None:
        """Leave a service as the gateway has it. Where the table does not say how, no table is handed over until it
        does: it would take the service out."""
        if key not in self._table:
            self._incomplete.add(key)

    def settled(self, key: Key) -> bool:
        """Whether what the table says of a service is in force; services taken out count once the hand-over is done."""
        routes = self._table.get(key, ())
        if not routes:
            return not self._dirty and not self._applying
        state = self.state
        return state is not None and all(self._in_force(state, route.key) for route in routes)

    def _in_force(self, state: GatewayState, route_key: str) -> bool:
        found = state.routes.get(route_key)
        return found is not None and found.revision == self._revisions[route_key]

    def _period_s(self) -> float:
        """How long until the next look: short while somebody waits for what is not in force yet or not drained, longer
        while a step of a move is only watched for errors, since each look costs the gateway's processor something."""
        if self.urgent or not all(self.settled(key) for key in self.watched):
            return BUSY_PERIOD_S
        return WATCH_PERIOD_S if self.watched else IDLE_PERIOD_S

    def _drifted(self, state: GatewayState, now: float) -> bool:
        """Whether the gateway lost what it was given (a restart without its files) or never took it."""
        if self._dirty or self._applying or now < self._handed_over_at + REPEAT_S:
            return False
        if state is self._agreed:
            return False  # the very same answer again says nothing new
        if len(state.routes) != len(self._revisions):
            return True
        for key, revision in self._revisions.items():  # of all routes, every few seconds: nothing but look-ups
            found = state.routes.get(key)
            if found is None or found.revision != revision:
                return True
        self._agreed = state
        return False

    def tick(self, ready: bool) -> None:
        """Hand the table over if it changed and `ready` (the tables are complete), observe if it is time to."""
        now = self.runtime.monotonic()
        before = self.pulse.health
        self.pulse = judge(self.pulse, now, window_s=WINDOW_S, recovery_s=0.0)
        if self.pulse.health != before:
            self.changed(self.name)
            self.touched(set(self.watched))
        waiting = self._backoff is not None and self._backoff.not_before > now
        if ready and self._dirty and not self._incomplete and not self._applying and not waiting:
            self._apply()
        if now >= self._next_observe and not self._observing:
            self._observe()

    def next_tick(self) -> float | None:
        """When `tick` has something to do (monotonic seconds)."""
        times = [next_judgement(self.pulse, window_s=WINDOW_S, recovery_s=0.0)]
        times.append(None if self._observing else self._next_observe)
        if self._dirty and not self._applying and self._backoff is not None:
            times.append(self._backoff.not_before)
        return min((time for time in times if time is not None), default=None)

    def _apply(self) -> None:
        self._dirty, self._applying = False, True
        if self._order is None:
            self._order = sorted(self._table)
        order, table, handle = self._order, self._table.copy(), self.handle

        def hand_over() -> None:
            handle.apply([route for key in order for route in table[key]], deadline_s=DEADLINE_S)

        self.runtime.submit(f"gateway/{self.name}", hand_over, self._on_applied)

    def _on_applied(self, _result: None, error: BaseException | None) -> None:
        self._applying = False
        now = self.runtime.monotonic()
        if error is not None:
            self._dirty = True
            self.failure = explain(error)
            self._backoff = after_failure(self._backoff, error, self.failure, now, self.runtime.random())
            return
        self._backoff, self._handed_over_at = None, now
        self._next_observe = now
        self.touched(set(self.watched))

    def _observe(self) -> None:
        if self.closed:
            return
        self._observing = True
        handle = self.handle
        self.runtime.submit(
            f"gateway/{self.name}/observe", lambda: handle.observe(deadline_s=DEADLINE_S), self._on_observed
        )

    def _on_observed(self, state: GatewayState | None, error: BaseException | None) -> None:
        self._observing = False
        now = self.runtime.monotonic()
        before, was_failing = self.pulse.health, self.pulse.failing
        if state is None:
            self.failure = explain(error) if error is not None else "no answer"
            self.pulse = failed(self.pulse)
            self._next_observe = now + BUSY_PERIOD_S * 3
        else:
            self.failure, self.state = "", state
            self._dirty = self._dirty or self._drifted(state, now)
            if was_failing or before != "Healthy":
                self._backoff = None  # it answers again: no reason to let it go on with an old table
            self.pulse = answered(self.pulse, now)
            # All gateways in one rhythm: what hangs on several of them is then looked at once, not once for each.
            period_s = self._period_s()
            self._next_observe = (now // period_s + 1.0) * period_s
            self.touched(set(self.watched))
        self.pulse = judge(self.pulse, now, window_s=WINDOW_S, recovery_s=0.0)
        if before != self.pulse.health:
            self.changed(self.name)

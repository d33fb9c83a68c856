"""Scripted sub-clusters: pods that start, serve, drain and die in virtual time, and a driver that may fail."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from federation.contracts.driver import (
    Capabilities,
    Observation,
    PodState,
    WithoutInspection,
    Workload,
    WorkloadState,
)
from federation.contracts.gateway import Route
from federation.errors import NoCapacity, RateLimited, Unavailable
from federation.model.meta import Key
from federation.model.offers import Offer
from federation.testing.simulation.runtime import Bell, Delayed, Parked, SimRuntime, Timeline

RETIRE_GRACE_S = 1.5
"""How long a pod that is stopped with its workload still serves."""
ROLL_GRACE_S = 8.0
"""The same for one that a smaller number or a new template replaces: gateways learn of it by observation only."""
Death = Literal["", "fault", "retired", "replaced"]


@dataclass(eq=False)
class Pod:
    """One replica. `serves`: a request that reaches it is answered. `death`: why it does not, once it did."""

    name: str
    address: str
    revision: str
    ports: dict[int, int]
    ready: bool = False
    terminating: Death = ""
    serves: bool = False
    death: Death = ""
    died_at: float = 0.0
    ready_since: float = 0.0
    restarts: int = 0


@dataclass(eq=False)
class Copy:
    """One workload as asked for, and its pods."""

    key: Key
    revision: str
    replicas: int
    ports: dict[int, int]
    version: int = 0
    pods: list[Pod] = field(default_factory=list)


class Referee(Protocol):
    """Who watches what Roam does (see `checks`). Called when a call takes effect, before it does."""

    def on_apply(self, place: Place, workload: Workload, sent_at: float) -> None:
        """Roam asks for a workload."""
        ...

    def on_delete(self, place: Place, key: Key, sent_at: float) -> None:
        """Roam asks for the end of a workload."""
        ...

    def on_route(self, gateway: str, old: Route | None, new: Route | None) -> None:
        """A gateway has another route in force than before."""
        ...

    def on_table(self, gateway: str, routes: Sequence[Route], sent_at: float) -> None:
        """Roam hands a whole table over to a gateway."""
        ...

    def on_change(self) -> None:
        """Something about pods or tables changed."""
        ...

    def note(self, *what: object) -> None:
        """One line of the trace."""
        ...


@dataclass(eq=False)
class Trouble:
    """What calls to one place or gateway meet until `until_s`."""

    until_s: float = 0.0
    rate: float = 0.0


class Place:
    """One sub-cluster: what runs there is independent of who can reach it."""

    def __init__(
        self, name: str, index: int, capacity: int, timeline: Timeline, chance: random.Random, referee: Referee
    ) -> None:
        self.name, self.capacity = name, capacity
        self.timeline, self.chance, self.referee = timeline, chance, referee
        self.copies: dict[Key, Copy] = {}
        self.foreign: frozenset[Key] = frozenset({Key("default", "not-roams")})
        self.addresses: dict[str, Pod] = {}
        self.bell = Bell()
        self.trouble = Trouble()
        self.reachable_at = 0.0
        self.standing_at = 0.0
        self.errors_until_s = 0.0
        self.version = 0
        self.incarnation = 0
        self.gone: dict[Key, int] = {}
        self.calls = 0
        self._broken: list[tuple[float, Key]] = []
        self._index, self._count = index, 0

    @property
    def reachable(self) -> bool:
        """Whether calls get there and answers back."""
        return self.timeline.now >= self.reachable_at and self.standing

    @property
    def standing(self) -> bool:
        """Whether anything can run there."""
        return self.timeline.now >= self.standing_at

    # What Roam asks for

    def apply(self, workload: Workload) -> None:
        """Make it so, in virtual time."""
        self.calls += 1
        self.referee.on_apply(self, workload, sent_at(self.timeline))
        taken = sum(copy.replicas for copy in self.copies.values() if copy.key != workload.key)
        if taken + workload.replicas > self.capacity:
            raise NoCapacity(f"{self.name} has room for {self.capacity - taken} replicas, not {workload.replicas}")
        copy = self.copies.get(workload.key)
        if copy is None:
            copy = self.copies[workload.key] = Copy(workload.key, "", 0, {})
            self.gone.pop(workload.key, None)
        if (copy.revision, copy.replicas) == (workload.revision, workload.replicas):
            return
        copy.revision, copy.replicas = workload.revision, workload.replicas
        copy.ports = {port.port: port.port + 8000 for port in workload.ports}
        self._level(copy)

    def delete(self, key: Key) -> None:
        """Stop it gracefully."""
        self.calls += 1
        self.referee.on_delete(self, key, sent_at(self.timeline))
        copy = self.copies.get(key)
        if copy is None:
            return
        copy.replicas, copy.revision = 0, ""
        for pod in list(copy.pods):
            self._terminate(copy, pod, "retired")
        self._changed(copy)

    def _level(self, copy: Copy) -> None:
        """Start what is missing; let go what is too much, the old and the unready first."""
        present = [pod for pod in copy.pods if not pod.terminating and pod.revision == copy.revision]
        for _ in range(copy.replicas - len(present)):
            self._start(copy)
        surplus = sorted(present, key=lambda pod: (not pod.ready, -pod.ready_since), reverse=False)[copy.replicas :]
        surplus = surplus if len(present) > copy.replicas else []
        for pod in surplus:
            self._terminate(copy, pod, "replaced")
        self._roll(copy)
        self._changed(copy)

    def _roll(self, copy: Copy) -> None:
        """Let pods of older revisions go, as far as new ones are ready in their place."""
        old = [pod for pod in copy.pods if not pod.terminating and pod.revision != copy.revision]
        new = sum(pod.ready for pod in copy.pods if not pod.terminating and pod.revision == copy.revision)
        keep = max(copy.replicas - new, 0)
        ready = [pod for pod in old if pod.ready]
        for pod in [pod for pod in old if not pod.ready] + ready[keep:]:
            self._terminate(copy, pod, "replaced")

    def _start(self, copy: Copy) -> None:
        self._count += 1
        number = self._count
        address = f"10.{self._index}.{number // 250}.{number % 250 + 1}"
        pod = Pod(f"{copy.key.name}-{number}", address, copy.revision, copy.ports)
        copy.pods.append(pod)
        self.addresses[address] = pod
        self.timeline.after(self.chance.uniform(0.2, 2.5), lambda: self._up(copy, pod))

    def _up(self, copy: Copy, pod: Pod) -> None:
        if pod in copy.pods and not pod.terminating and not pod.ready and self.copies.get(copy.key) is copy:
            pod.ready = pod.serves = True
            pod.death, pod.ready_since = "", self.timeline.now
            self._roll(copy)
            self._changed(copy)

    def _terminate(self, copy: Copy, pod: Pod, why: Death) -> None:
        if pod.terminating and not (why == "retired" and pod.terminating == "replaced"):
            return
        pod.terminating, pod.ready = why, False
        grace_s = (RETIRE_GRACE_S if why == "retired" else ROLL_GRACE_S) if pod.serves else 0.1
        self.timeline.after(grace_s, lambda: self._end(copy, pod, why))

    def _end(self, copy: Copy, pod: Pod, why: Death) -> None:
        if pod not in copy.pods:
            return
        copy.pods.remove(pod)
        self._die(copy, pod, why)
        if not copy.pods and copy.replicas == 0 and self.copies.get(copy.key) is copy:
            del self.copies[copy.key]
            self.version += 1
            self.gone[copy.key] = self.version
            self.bell.ring()
            self.referee.on_change()
        else:
            self._changed(copy)

    def _die(self, copy: Copy, pod: Pod, why: Death) -> None:
        if why == "fault" and pod.ready:
            self._broken.append((self.timeline.now, copy.key))
        if pod.serves or not pod.death:
            pod.serves = pod.ready = False
            pod.death, pod.died_at = why, self.timeline.now

    def _changed(self, copy: Copy) -> None:
        self.version += 1
        copy.version = self.version
        self.bell.ring()
        self.referee.on_change()

    # What goes wrong

    def kill_pod(self, key: Key) -> None:
        """The first ready pod dies; the sub-cluster brings it back by itself."""
        copy = self.copies.get(key)
        pod = next((pod for pod in copy.pods if pod.ready), None) if copy is not None else None
        if copy is None or pod is None:
            return
        self._die(copy, pod, "fault")
        pod.restarts += 1
        self._changed(copy)
        self.timeline.after(self.chance.uniform(0.5, 4.0), lambda: self._up(copy, pod))

    def wipe(self, key: Key) -> None:
        """Somebody deletes the workload behind Roam's back."""
        copy = self.copies.pop(key, None)
        if copy is None:
            return
        for pod in copy.pods:
            self._die(copy, pod, "fault")
        self.version += 1
        self.gone[key] = self.version
        self.bell.ring()
        self.referee.on_change()

    def cut_off(self, duration_s: float) -> None:
        """Everything goes on there, but nobody hears of it."""
        self.reachable_at = max(self.reachable_at, self.timeline.now + duration_s)
        self.bell.ring()

    def crash(self, duration_s: float) -> None:
        """Everything there is gone; after a while the sub-cluster is back, empty."""
        self.standing_at = max(self.standing_at, self.timeline.now + duration_s)
        for copy in self.copies.values():
            for pod in copy.pods:
                self._die(copy, pod, "fault")
        self.copies.clear()
        self.gone.clear()
        self.incarnation += 1
        self.version += 1
        self.bell.ring()
        self.referee.on_change()

    # What is seen

    def observe(self, cursor: str | None) -> Observation:
        """Everything, or what changed since `cursor`; an older cursor is forgotten now and then."""
        incarnation, _, since = (cursor or "").partition(":")
        now = f"{self.incarnation}:{self.version}"
        if cursor is None or incarnation != str(self.incarnation) or self.chance.random() < 0.03:
            return Observation(now, True, tuple(self._state(copy) for _, copy in sorted(self.copies.items())))
        seen = int(since)
        changed = tuple(self._state(copy) for _, copy in sorted(self.copies.items()) if copy.version > seen)
        return Observation(now, False, changed, tuple(sorted(key for key, at in self.gone.items() if at > seen)))

    def _state(self, copy: Copy) -> WorkloadState:
        pods = tuple(
            PodState(
                pod.name,
                pod.address,
                pod.ready,
                pod.revision,
                pod.ports,
                "Terminating" if pod.terminating else ("Running" if pod.serves else "Pending"),
                restarts=pod.restarts,
            )
            for pod in copy.pods
        )
        return WorkloadState(copy.key, copy.revision, copy.replicas, pods)

    def broken_since(self, key: Key, since_s: float) -> int:
        """How many ready pods of a workload a fault has taken since then."""
        return sum(at >= since_s and broken == key for at, broken in self._broken)

    def live_pods(self, key: Key) -> list[Pod]:
        """Pods of a workload that serve and are not on their way out."""
        copy = self.copies.get(key)
        return [pod for pod in copy.pods if pod.serves and not pod.terminating] if copy is not None else []


def sent_at(timeline: Timeline) -> float:
    """When the call that takes effect now left the controller."""
    return SimRuntime.current.submitted_at if SimRuntime.current is not None else timeline.now


class ScriptedDriver(WithoutInspection):
    """`federation.contracts.driver.SubClusterDriver` on a `Place`, with the faults that are due."""

    def __init__(self, place: Place, capabilities: Capabilities) -> None:
        self._place, self._capabilities = place, capabilities

    def capabilities(self) -> Capabilities:
        """As the scenario says."""
        return self._capabilities

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:
        """One offer: a core and a GiB for each replica there is room for."""
        meet_faults(self._place, deadline_s)
        return (Offer(name="all", cpu_cores=float(self._place.capacity), memory_bytes=self._place.capacity * 2.0**30),)

    def observe(self, cursor: str | None, *, wait_s: float, deadline_s: float) -> Observation:
        """What runs; waits in virtual time for news."""
        place = self._place
        if not place.reachable:
            raise Delayed(Unavailable(f"{place.name} does not answer"), deadline_s * place.chance.uniform(0.3, 1.0))
        if cursor == f"{place.incarnation}:{place.version}":
            flight = SimRuntime.current
            until_s = flight.effect_at + wait_s if flight is not None else 0.0
            if place.timeline.now < until_s:
                raise Parked(place.bell, until_s)
        meet_faults(place, deadline_s)
        return place.observe(cursor)

    def apply(self, workload: Workload, *, deadline_s: float) -> None:
        """Idempotent by key, revision and replicas."""
        lost = meet_faults(self._place, deadline_s, full=True)
        self._place.referee.note("apply", self._place.name, workload.key, workload.revision, workload.replicas)
        self._place.apply(workload)
        if lost is not None:
            raise lost

    def delete(self, key: Key, *, deadline_s: float) -> None:
        """What is gone already is no error."""
        lost = meet_faults(self._place, deadline_s)
        self._place.referee.note("delete", self._place.name, key)
        self._place.delete(key)
        if lost is not None:
            raise lost

    def close(self) -> None:
        """Nothing to release."""


def meet_faults(place: Place, deadline_s: float, *, full: bool = False) -> Delayed | None:
    """Raise what a call meets before its effect; return what it shall raise after it. `full`: room may lack, too."""
    chance = place.chance
    if not place.reachable:
        raise Delayed(Unavailable(f"{place.name} does not answer"), deadline_s * chance.uniform(0.3, 1.0))
    if place.timeline.now >= place.trouble.until_s or chance.random() >= place.trouble.rate:
        return None
    fault = chance.randrange(6 if full else 5)
    if fault == 0:
        raise Unavailable(f"{place.name}: connection refused")
    if fault == 1:
        raise Delayed(Unavailable(f"{place.name}: timed out"), deadline_s)
    if fault == 2:
        raise RateLimited(f"{place.name}: too many calls", retry_after_s=chance.uniform(0.5, 2.0))
    if fault == 5:
        raise NoCapacity(f"{place.name} has no room at present")
    return Delayed(Unavailable(f"{place.name}: answer lost"), chance.uniform(0.0, deadline_s))

"""When silence counts as loss, and when an answer counts as return."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Health = Literal["Unknown", "Healthy", "Silent", "Lost", "Returning"]


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of a sub-cluster's signs of life; all times are monotonic seconds.

    `asked_since`: when Roam began to ask; `heard`: the newest answer; `answering_since`: the first answer of the
    present unbroken series; None for never."""

    health: Health = "Unknown"
    asked_since: float = 0.0
    heard: float | None = None
    answering_since: float | None = None
    failing: bool = False


def answered(pulse: Pulse, now: float) -> Pulse:
    """The pulse after an answer at `now`. A first answer makes it Healthy; one after a loss only Returning."""
    since = now if pulse.failing or pulse.answering_since is None else pulse.answering_since
    health: Health = "Returning" if pulse.health in ("Lost", "Returning") else "Healthy"
    return replace(pulse, health=health, heard=now, answering_since=since, failing=False)


def failed(pulse: Pulse) -> Pulse:
    """The pulse after a call that got no answer; the series of answers is broken."""
    return replace(pulse, failing=True, answering_since=None)


def judge(pulse: Pulse, now: float, *, window_s: float, recovery_s: float) -> Pulse:
    """The pulse as time alone changes it: Silent once a call failed, Lost after `window_s` without an answer, Healthy
    again after `recovery_s` of unbroken answers. Never goes from Lost to Healthy at once: a blink is no return."""
    last = pulse.heard if pulse.heard is not None else pulse.asked_since
    health = pulse.health
    # Compared as `next_judgement` adds up, so that what it says is due is due.
    if now >= last + window_s:
        health = "Lost"
    elif health == "Returning":
        if pulse.failing:
            health = "Lost"
        elif pulse.answering_since is not None and now >= pulse.answering_since + recovery_s:
            health = "Healthy"
    elif health in ("Healthy", "Silent"):
        health = "Silent" if pulse.failing else "Healthy"
    return pulse if health == pulse.health else replace(pulse, health=health)


def next_judgement(pulse: Pulse, *, window_s: float, recovery_s: float) -> float | None:
    """When `judge` may next give another answer without new facts (monotonic seconds); None for never."""
    if pulse.health == "Lost":
        return None
    times = [(pulse.heard if pulse.heard is not None else pulse.asked_since) + window_s]
    if pulse.health == "Returning" and pulse.answering_since is not None:
        times.append(pulse.answering_since + recovery_s)
    return min(times)


def reachable(pulse: Pulse) -> bool:
    """Whether calls make sense: it answered last time, even if it is not trusted with new work yet."""
    return not pulse.failing and pulse.health not in ("Unknown", "Lost")

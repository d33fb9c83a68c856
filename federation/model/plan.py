"""`Plan`: where everything would run, what it costs, why, and how far from the optimum it can be at most."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import Literal, NamedTuple

from federation.model.meta import Value
from federation.model.placement import Target

MOVING = "moving"
"""The term for what a move costs once, divided by the hours within which it has to repay itself."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a copy that runs may not stay. `delay_s`: how long it is left where it is before it is moved (a toleration's
    seconds); `grace_s`: by when it has to be gone, counted from when it was first seen, None for no limit; `stop`: what
    becomes of it then when there is nowhere to go: stopped, or left running and flagged."""

    cause: Literal["Policy", "Taint", "Drain"]
    message: str
    delay_s: float = 0.0
    grace_s: float | None = None
    stop: bool = False


class Saving(NamedTuple):
    """What a move saves, USD per hour, of what the service costs where it runs, and what moving it costs once, USD."""

    saving_usd_per_hour: float
    cost_usd_per_hour: float
    move_usd: float


class MoveCost(Value):
    """What moving a service costs once. `volume_bytes`: what its volumes may hold, at most; `image_bytes`: what has to
    be pulled; `transfer_usd`: of the volumes, by the sender's list price; `overlap_usd`: while both copies run;
    `downtime_s`: how long it does not answer. None is unknown, never nothing; `unknown` says what. `payback_hours`:
    after how long `saving_usd_per_hour` has repaid what is known; None for one that does not move for its cost."""

    volume_bytes: int | None
    image_bytes: int | None
    transfer_usd: float | None
    overlap_usd: float
    downtime_s: float | None
    unknown: tuple[str, ...] = ()
    saving_usd_per_hour: float | None = None
    payback_hours: float | None = None

    @property
    def once_usd(self) -> float:
        """All of it that is known."""
        return (self.transfer_usd or 0.0) + self.overlap_usd


class Candidate(Value):
    """One sub-cluster as a choice for one service, all other services held as planned.

    `cost_usd_per_hour` and `terms` are what the whole service would cost there, None where denied."""

    subcluster: str
    verdict: Literal["chosen", "feasible", "full", "denied"]
    cost_usd_per_hour: float | None = None
    terms: dict[str, float] = {}
    reasons: tuple[str, ...] = ()


class PlannedService(Value):
    """One service's part of a plan. Unplaced: no targets, and `verdict` tells whether policy or room is lacking;
    full with targets: what runs stays where it is, and there is no room for the replicas that are to be added.

    `terms` (USD per hour by name) add up to `cost_usd_per_hour`; a call's cost stands with the caller.
    `reasons` are sentences: the choice against the next best, and a summary of who is out and why."""

    namespace: str
    service: str
    verdict: Literal["placed", "denied", "full"]
    targets: tuple[Target, ...] = ()
    cost_usd_per_hour: float = 0.0
    terms: dict[str, float] = {}
    reasons: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def running_usd_per_hour(self) -> float:
        """What it costs once it runs there: all but what the move costs."""
        return round(self.cost_usd_per_hour - self.terms.get(MOVING, 0.0), 9)


class PlannedCall(Value):
    """One call as the plan sees it; `declared` False marks an assumed volume."""

    caller: str
    callee: str
    gib_per_hour: float
    declared: bool
    cost_usd_per_hour: float = 0.0


class Plan(Value):
    """The whole answer, services ordered by namespace and name. `bound_usd_per_hour` is a proven lower bound on the
    cost of any plan that places the same services, None when none was computed; `gap` = (total - bound) / bound."""

    placements: tuple[PlannedService, ...]
    calls: tuple[PlannedCall, ...] = ()
    total_usd_per_hour: float = 0.0
    bound_usd_per_hour: float | None = None
    gap: float | None = None

    @property
    def running_usd_per_hour(self) -> float:
        """What all of it costs once it runs there: all but what the moves cost."""
        return round(fsum(each.running_usd_per_hour for each in self.placements), 9)

    def terms(self) -> dict[str, float]:
        """What each term comes to in all, USD per hour, by name; they add up to `total_usd_per_hour`."""
        names = sorted({name for each in self.placements for name in each.terms})
        return {name: round(fsum(each.terms.get(name, 0.0) for each in self.placements), 9) for name in names}

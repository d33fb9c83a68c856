"""`Placement`: where one microservice runs. The planner proposes, a commit or a migration decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from federation.model.meta import Bool, Condition, Name, Natural, Resource, Timestamp, Value


class Target(Value):
    """So many replicas in that sub-cluster."""

    subcluster: Name
    replicas: Natural


def counts_of(targets: Iterable[Target]) -> dict[str, int]:
    """Replicas by sub-cluster, those with none left out."""
    return {target.subcluster: target.replicas for target in targets if target.replicas}


def what_changes(before: Iterable[Target], after: Iterable[Target]) -> Literal["new", "gone", "move", "scale"]:
    """What becomes of a service that is to run elsewhere, or with other replicas: it had no place, or has none then; it
    gets or leaves one; or only the numbers are others."""
    had, has = counts_of(before), counts_of(after)
    if not had or not has:
        return "gone" if had else "new"
    return "scale" if had.keys() == has.keys() else "move"


class Running(Value):
    """What is observed there; `updated`: how many of the ready ones are of the microservice's present template."""

    subcluster: Name
    replicas: int
    ready: int
    updated: int = 0
    message: str = ""


class Rollout(Value):
    """How far the microservice's present template has come. `generation`: of which microservice it is told;
    `replicas`: how many are wanted; `updated`: how many pods have it, `ready`: how many of them are ready; `old`: how
    many pods of other templates are left; `done`: all were ready once; `since`: the last time that it came further."""

    generation: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    old: int = 0
    done: bool = False
    since: Timestamp = 0.0


class Overtaken(Value):
    """A copy that runs where it may not stay. `since`: when that was first seen; `due`: from when it is moved away;
    `deadline`: by when it has to be gone, None for no limit; `stop`: whether it is stopped then for want of a place."""

    subcluster: Name
    cause: Literal["Policy", "Taint", "Drain"]
    message: str
    since: Timestamp
    due: Timestamp
    deadline: Timestamp | None = None
    stop: Bool = False


class Proposal(Value):
    """What the planner would choose now, what it costs per hour and term by term, and why."""

    targets: tuple[Target, ...] = ()
    cost_usd_per_hour: float | None = None
    terms: dict[str, float] = {}
    reasons: tuple[str, ...] = ()


class PlacementSpec(Value):
    """The commitment that delivery carries out. `pinned`: a person's choice, kept until `unpin` or a denial.
    `stopped`: a rule had the last copy stopped, since no place was left that permits it."""

    targets: tuple[Target, ...] = ()
    pinned: Name | None = None
    stopped: Bool = False


class PlacementStatus(Value):
    """The planner's present proposal, what runs, and which of that has to leave its place."""

    proposed: Proposal | None = None
    running: tuple[Running, ...] = ()
    rollout: Rollout | None = None
    overtaken: tuple[Overtaken, ...] = ()
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0


class Placement(Resource):
    """The decision for the microservice of the same namespace and name."""

    kind_name: ClassVar[str] = "Placement"
    plural: ClassVar[str] = "placements"
    short_names: ClassVar[tuple[str, ...]] = ("pl", "placement")

    kind: Literal["Placement"] = "Placement"
    spec: PlacementSpec = PlacementSpec()
    status: PlacementStatus = PlacementStatus()

    def replicas_in(self, subcluster: str) -> int:
        """Committed replicas in that sub-cluster."""
        return sum(target.replicas for target in self.spec.targets if target.subcluster == subcluster)

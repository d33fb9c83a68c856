"""`Placement`: where one microservice runs. The planner proposes, a commit or a migration decides."""

from __future__ import annotations

from typing import ClassVar, Literal

from federation.model.meta import Condition, Name, Natural, Resource, Value


class Target(Value):
    """So many replicas in that sub-cluster."""

    subcluster: Name
    replicas: Natural


class Running(Value):
    """What is observed there."""

    subcluster: Name
    replicas: int
    ready: int
    message: str = ""


class Proposal(Value):
    """What the planner would choose now, what it costs per hour and term by term, and why."""

    targets: tuple[Target, ...] = ()
    cost_usd_per_hour: float | None = None
    terms: dict[str, float] = {}
    reasons: tuple[str, ...] = ()


class PlacementSpec(Value):
    """The commitment that delivery carries out. `pinned`: a person's choice, kept until `unpin` or a denial."""

    targets: tuple[Target, ...] = ()
    pinned: Name | None = None


class PlacementStatus(Value):
    """The planner's present proposal and what runs."""

    proposed: Proposal | None = None
    running: tuple[Running, ...] = ()
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

"""`Migration`: one move of one microservice, as a stored record that the engine drives forward."""

from __future__ import annotations

from typing import ClassVar, Literal

from federation.model.meta import Bool, Name, Natural, Resource, Timestamp, Value
from federation.model.policy import Strategy

Phase = Literal[
    "Pending",
    "Checked",
    "Prepared",
    "Shifting",
    "Drained",
    "Retired",
    "Succeeded",
    "RollingBack",
    "RolledBack",
    "Failed",
]
Reason = Literal["Manual", "Failover", "Policy", "Taint", "Drain", "Preference", "Cost"]
ENDED: frozenset[Phase] = frozenset({"Succeeded", "RolledBack", "Failed"})


class MigrationSpec(Value):
    """What is asked for: `replicas` of `service` from `source` to `target`. `reason` tells who wanted it:
    a person (Manual), a lost sub-cluster (Failover), a denial (Policy), a taint (Taint), a sub-cluster that is emptied
    (Drain), a place that is preferred to the present one (Preference) or a cheaper place (Cost).
    `deadline`: by when the source must have no copy left; the traffic steps are shortened to keep it. `paused`: it
    stays in its phase and takes no further step, except back."""

    service: Name
    source: Name
    target: Name
    replicas: Natural
    reason: Reason = "Manual"
    strategy: Strategy = Strategy()
    rollback: Bool = False
    paused: Bool = False
    deadline: Timestamp | None = None


class PhaseEntry(Value):
    """When a phase began."""

    phase: Phase
    at: Timestamp
    message: str = ""


class MigrationStatus(Value):
    """How far it is. `step`: index into the canary steps; `weight`: percent of traffic on the target;
    `since`: when the present phase or step began; `baseline`: requests and errors of the target's endpoints, as the
    gateways had counted them when the step began."""

    phase: Phase = "Pending"
    step: int = 0
    weight: int = 0
    since: Timestamp = 0.0
    message: str = ""
    baseline_requests: int = 0
    baseline_errors: int = 0
    history: tuple[PhaseEntry, ...] = ()


class Migration(Resource):
    """One move; at most one is open per microservice."""

    kind_name: ClassVar[str] = "Migration"
    plural: ClassVar[str] = "migrations"
    short_names: ClassVar[tuple[str, ...]] = ("mig", "migration")

    kind: Literal["Migration"] = "Migration"
    spec: MigrationSpec
    status: MigrationStatus = MigrationStatus()

    @property
    def open(self) -> bool:
        """Whether it still has something to do."""
        return self.status.phase not in ENDED

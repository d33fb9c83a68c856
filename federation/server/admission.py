"""What users may not write although it is valid: records that Roam itself keeps. Pure."""

from __future__ import annotations

from federation.errors import InvalidInput
from federation.model.event import Event
from federation.model.meta import Resource
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.revision import Revision


def check_create(new: Resource) -> None:
    """Raises: InvalidInput when only Roam itself creates such objects."""
    if isinstance(new, Event):
        raise InvalidInput("events are written by Roam only; read or watch them", field="kind")
    if isinstance(new, Revision):
        raise InvalidInput("revisions are written by Roam, with each change of a Microservice", field="kind")
    if isinstance(new, Placement):
        raise InvalidInput("a placement is made by the planner: apply its Microservice instead", field="kind")
    if isinstance(new, Migration) and new.spec.source == new.spec.target:
        raise InvalidInput(f"source and target are both {new.spec.source!r}", field="spec.target")


def check_replace(old: Resource, new: Resource) -> None:
    """Raises: InvalidInput when the change is not a user's to make."""
    if isinstance(new, Event) and new != old:
        raise InvalidInput("events are written by Roam only; read or watch them", field="kind")
    if isinstance(new, Revision) and new.spec != getattr(old, "spec", None):
        raise InvalidInput("what was can't be changed; to go back to it, run `roam rollout undo`", field="spec")
    if isinstance(new, Microservice) and isinstance(old, Microservice):
        _check_job(old, new)
    if isinstance(new, Placement) and isinstance(old, Placement) and new.spec.targets != old.spec.targets:
        raise InvalidInput(
            "what runs is moved by a Migration only: run `roam migrate`, or create one", field="spec.targets"
        )
    if isinstance(new, Migration) and isinstance(old, Migration):
        _check_migration(old, new)


def refuse_delete(old: Resource) -> str:
    """Why a user may not delete `old` now; empty when nothing stands against it."""
    if isinstance(old, Placement):
        return f"the placement {old.key} goes when its Microservice is deleted; delete that"
    if isinstance(old, Migration) and old.open:
        return f"the migration {old.key} is under way ({old.status.phase}); set its spec.rollback to true to end it"
    return ""


def _check_job(old: Microservice, new: Microservice) -> None:
    if "Job" in (old.spec.workload, new.spec.workload) and new.spec.template != old.spec.template:
        raise InvalidInput(
            "a Job runs what it was started with: delete it and apply it again, or give it another name",
            field="spec.template",
        )


def _check_migration(old: Migration, new: Migration) -> None:
    for field in type(old.spec).model_fields:
        if field not in ("rollback", "paused") and getattr(old.spec, field) != getattr(new.spec, field):
            raise InvalidInput(
                "a migration can't be changed once it is created, only paused and rolled back", field=f"spec.{field}"
            )
    if old.spec.rollback and not new.spec.rollback:
        raise InvalidInput("a rollback can't be taken back; create another migration", field="spec.rollback")

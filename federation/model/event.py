"""`Event`: what happened and why, about which object."""

from __future__ import annotations

from typing import ClassVar, Literal

from federation.model.meta import Resource, Timestamp, Value


class Regarding(Value):
    """The object an event is about."""

    kind: str
    namespace: str = ""
    name: str


class Event(Resource):
    """One thing that happened. `reason` is CamelCase and stable, `message` is for people."""

    kind_name: ClassVar[str] = "Event"
    plural: ClassVar[str] = "events"
    short_names: ClassVar[tuple[str, ...]] = ("ev", "event")

    kind: Literal["Event"] = "Event"
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str
    message: str = ""
    regarding: Regarding
    event_time: Timestamp = 0.0
    count: int = 1

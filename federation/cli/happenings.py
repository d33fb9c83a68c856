"""Events as verbs show them: which are about an object, in which order, in which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.columns import age
from federation.cli.kinds import Kind, find_kind
from federation.errors import NotFound

Object = Mapping[str, Any]
FLEET_EVENTS = "default"
"""The namespace in which events about fleet-scoped objects are kept, as in Kubernetes."""
_SERVICE = ("Microservice", "Placement")


@dataclass
class About:
    """Whether an event is about an object. About a microservice is also what is about
    its placement and its moves, and the other way round."""

    client: Client
    kind: Kind
    namespace: str
    name: str
    _moves: dict[str, bool] = field(default_factory=dict)

    def matches(self, event: Object) -> bool:
        """Whether it is. May ask the server which service a migration moves."""
        regarding = event["regarding"]
        if self.kind.namespaced and regarding.get("namespace") != self.namespace:
            return False
        if self.kind.name not in _SERVICE:
            return bool((regarding["kind"], regarding["name"]) == (self.kind.name, self.name))
        if regarding["kind"] in _SERVICE:
            return bool(regarding["name"] == self.name)
        return regarding["kind"] == "Migration" and self._is_mine(str(regarding["name"]))

    def events(self) -> list[Object]:
        """All of them, the newest last."""
        space = self.namespace if self.kind.namespaced else FLEET_EVENTS
        if self.kind.name in _SERVICE:
            for move in self.client.items("migrations", space)[0]:
                self._moves[move["metadata"]["name"]] = move["spec"]["service"] == self.name
        return ordered([one for one in self.client.items("events", space)[0] if self.matches(one)])

    def _is_mine(self, migration: str) -> bool:
        if migration not in self._moves:
            try:
                move = self.client.get(path_of("migrations", self.namespace, migration))
                self._moves[migration] = move["spec"]["service"] == self.name
            except NotFound:
                self._moves[migration] = migration.rpartition("-")[0] == self.name
        return self._moves[migration]


def ordered(events: Sequence[Object]) -> list[Object]:
    """The newest last."""
    return sorted(events, key=lambda one: (str(one["eventTime"]), int(one["metadata"]["resourceVersion"])))


def regarding_of(event: Object) -> str:
    """`kind/name` of what it is about, with the kind's shortest name."""
    about = event["regarding"]
    return f"{find_kind(about['kind']).short[0]}/{about['name']}" if about["kind"] else str(about["name"])


def when(event: Object, now: float) -> str:
    """How long ago, and how often."""
    count = event.get("count", 1)
    return age(event["eventTime"], now) + (f" (x{count})" if count > 1 else "")


def time_of(event: Object, *, day: bool) -> str:
    """When, as the clock on the wall says it, with the day or without."""
    moment = datetime.fromisoformat(str(event["eventTime"])).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")


def seconds_of(timestamp: object) -> float:
    """Seconds since 1970 of an RFC 3339 time."""
    return datetime.fromisoformat(str(timestamp)).timestamp()

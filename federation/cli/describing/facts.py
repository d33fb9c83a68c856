"""What the pages share: the server's objects, read once, and the parts that every page has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.cli.client import Client
from federation.cli.columns import age
from federation.cli.happenings import About, ordered, regarding_of, seconds_of, when
from federation.cli.kinds import find_kind
from federation.cli.sheet import Sheet

Object = Mapping[str, Any]
_EVENTS = 10
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@dataclass
class Facts:
    """The server's objects as of one moment. `now`, seconds since 1970."""

    client: Client
    now: float
    _lists: dict[tuple[str, str | None], list[Object]] = field(default_factory=dict)

    def all(self, plural: str, namespace: str | None = None) -> list[Object]:
        """All objects of a kind, of one namespace or of all."""
        if (plural, namespace) not in self._lists:
            self._lists[plural, namespace] = self.client.items(plural, namespace)[0]
        return self._lists[plural, namespace]

    def one(self, plural: str, namespace: str, name: str) -> Object | None:
        """One object, None when it is not there."""
        found = (each for each in self.all(plural, namespace) if each["metadata"]["name"] == name)
        return next(found, None)

    def ago(self, timestamp: object) -> str:
        """How long ago."""
        return age(timestamp, self.now)

    def until(self, timestamp: object) -> str:
        """`in 4m30s`, or `3s ago`."""
        seconds = seconds_of(timestamp) - self.now
        return f"in {span(seconds)}" if seconds >= 0 else f"{self.ago(timestamp)} ago"


def span(seconds: float) -> str:
    """A duration in its two largest units: `1h5m`, `90s`."""
    left = round(seconds)
    if left < 120:
        return f"{left}s"
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count and len(parts) < 2:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def count(number: int, what: str) -> str:
    """`1 replica`, `2 replicas`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def show_head(sheet: Sheet, item: Object, facts: Facts) -> None:
    """Name, labels, age, and whether it is about to go."""
    metadata = item["metadata"]
    sheet.field("Name", metadata["name"], how="bold")
    sheet.field("Namespace", metadata.get("namespace"))
    sheet.field("Labels", _pairs(metadata.get("labels")) or "<none>")
    sheet.field("Annotations", _pairs(metadata.get("annotations")))
    made = metadata.get("creationTimestamp")
    sheet.field("Age", f"{facts.ago(made)} (since {str(made)[:19]}Z), generation {metadata.get('generation')}")
    if metadata.get("deletionTimestamp"):
        sheet.field("Deletion", f"asked for {facts.ago(metadata['deletionTimestamp'])} ago", how="yellow")


def show_conditions(sheet: Sheet, item: Object, facts: Facts) -> None:
    """The conditions, if there are any."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    if conditions:
        sheet.heading("Conditions")
        rows = [
            (one["type"], one["status"], one["reason"], facts.ago(one["lastTransitionTime"]), one["message"])
            for one in conditions
        ]
        sheet.table(("TYPE", "STATUS", "REASON", "FOR", "MESSAGE"), rows)


def show_events(sheet: Sheet, item: Object, facts: Facts) -> None:
    """The last events about it."""
    metadata = item["metadata"]
    kind = find_kind(item["kind"])
    events = About(facts.client, kind, metadata.get("namespace") or "", metadata["name"]).events()
    if not events:
        sheet.heading("Events", "none")
        return
    more = f"the last {_EVENTS} of {len(events)}; all with roam events" if len(events) > _EVENTS else ""
    sheet.heading("Events", more)
    rows = [
        (when(one, facts.now), one["type"], one["reason"], regarding_of(one), one["message"])
        for one in ordered(events)[-_EVENTS:]
    ]
    sheet.table(("AGE", "TYPE", "REASON", "OBJECT", "MESSAGE"), rows)


def _pairs(found: Mapping[str, str] | None) -> str:
    return "\n".join(f"{key}={value}" for key, value in (found or {}).items() if key != _LAST_APPLIED)

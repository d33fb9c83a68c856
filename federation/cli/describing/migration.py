"""A migration: how far it is, when each phase began, how the traffic is moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federation.cli.describing.facts import Facts, show_events, show_head, span
from federation.cli.happenings import seconds_of
from federation.cli.moving import is_open, phase
from federation.cli.sheet import Sheet, bar, how_of

Object = Mapping[str, Any]


def show_migration(sheet: Sheet, migration: Object, facts: Facts) -> None:
    """The whole page."""
    spec = migration["spec"]
    show_head(sheet, migration, facts)
    sheet.field("Service", spec["service"])
    sheet.field("From", spec["source"])
    sheet.field("To", spec["target"])
    sheet.field("Replicas", spec["replicas"])
    sheet.field("Reason", spec["reason"])
    canary = spec["strategy"]["canary"]
    steps = ", ".join(str(step) for step in canary["steps"])
    sheet.field("Traffic steps", f"{steps} %, {canary['interval']} each, up to {_rate(canary['maxErrorRate'])} errors")
    sheet.field("Drain timeout", canary["drainTimeout"])
    if spec.get("deadline"):
        sheet.field("Deadline", f"{spec['deadline'][:19]}Z, {facts.until(spec['deadline'])}")
    sheet.heading("Progress")
    show_progress(sheet, migration, facts)
    show_events(sheet, migration, facts)


def show_progress(sheet: Sheet, migration: Object, facts: Facts) -> None:
    """The bar, what is going on, and the phases with when they began and how long they took."""
    spec, status = migration["spec"], migration["status"]
    sheet.line(f"{bar(status['weight'] / 100)} of the traffic in {spec['target']}, the rest in {spec['source']}")
    message = f": {status['message']}" if status["message"] else ""
    sheet.line(f"{phase(migration)}{message}", how=how_of(status["phase"]))
    history = status["history"]
    if not history:
        return
    began = [seconds_of(one["at"]) for one in history]
    ended = [*began[1:], facts.now if is_open(migration) else began[-1]]
    rows = [
        (one["phase"], one["at"][11:19] + "Z", f"{facts.ago(one['at'])} ago", span(end - start), one["message"])
        for one, start, end in zip(history, began, ended, strict=True)
    ]
    sheet.table(("PHASE", "SINCE", "", "TOOK", "MESSAGE"), rows)


def _rate(value: object) -> str:
    return f"{value * 100:g} %" if isinstance(value, int | float) else str(value)

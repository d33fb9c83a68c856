"""A policy: what it says, and which services it is about; and the pages of the small kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federation.cli.columns import selector_text, where
from federation.cli.describing.facts import Facts, show_conditions, show_events, show_head
from federation.cli.describing.settings import selects, settings_in, shown
from federation.cli.happenings import regarding_of
from federation.cli.sheet import Sheet, how_of

Object = Mapping[str, Any]


def show_policy(sheet: Sheet, policy: Object, facts: Facts) -> None:
    """The whole page."""
    show_head(sheet, policy, facts)
    spec = policy["spec"]
    everywhere = policy["kind"] == "ClusterPlacementPolicy"
    scope = "every namespace" if everywhere else f"namespace {policy['metadata']['namespace']}"
    sheet.field("Selects", f"{selector_text(spec['selector'])}, in {scope}")
    sheet.field("Precedence", spec["precedence"])
    says = list(settings_in(policy))
    sheet.heading("Says", "" if says else "nothing")
    if says:
        sheet.table(("SETTING", "VALUE"), says)
    space = None if everywhere else policy["metadata"]["namespace"]
    services = [one for one in facts.all("microservices", space) if selects(policy, one)]
    sheet.heading("Services", "" if services else "none: nothing has these labels")
    placements = {_place(one): one for one in facts.all("placements", space)}
    if services:
        rows = [_service(one, placements.get(_place(one))) for one in services]
        sheet.table(("NAMESPACE", "SERVICE", "WHERE", "COMPLIES"), rows)
    show_events(sheet, policy, facts)


def _place(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _service(service: Object, placement: Object | None) -> tuple[str, ...]:
    if placement is None:
        return (*_place(service), "<none>", "")
    overtaken = placement["status"].get("overtaken") or ()
    state = "; ".join(f"not in {one['subcluster']}: {one['message']}" for one in overtaken)
    return (*_place(service), where(placement["spec"]["targets"]), state or "yes")


def show_gateway(sheet: Sheet, gateway: Object, facts: Facts) -> None:
    """A gateway's page."""
    show_head(sheet, gateway, facts)
    spec, ready = gateway["spec"], gateway["status"]["ready"]
    sheet.field("Driver", spec["driver"])
    sheet.field("Sub-cluster", spec["subcluster"] or "none: the edge")
    sheet.field("Address", f"{spec['address']}, ports from {spec['firstPort']}")
    sheet.field("Connection", shown(spec["connection"]))
    sheet.field("Ready", "yes" if ready else "no", how="" if ready else "red")
    ports = [
        (one["metadata"]["namespace"], one["metadata"]["name"], port, str(at))
        for one in facts.all("microservices")
        for port, at in one["status"]["gatewayPorts"].items()
    ]
    sheet.heading("Ports", "" if ports else "none")
    if ports:
        sheet.table(("NAMESPACE", "SERVICE", "PORT", "LISTENS ON"), ports)
    show_conditions(sheet, gateway, facts)
    show_events(sheet, gateway, facts)


def show_event(sheet: Sheet, event: Object, facts: Facts) -> None:
    """An event's page."""
    show_head(sheet, event, facts)
    sheet.field("Type", event["type"], how=how_of(event["type"]))
    sheet.field("Reason", event["reason"])
    sheet.field("About", regarding_of(event))
    sheet.field("Time", f"{event['eventTime']} ({facts.ago(event['eventTime'])} ago)")
    sheet.field("Count", event["count"])
    sheet.field("Message", event["message"])


def show_revision(sheet: Sheet, revision: Object, facts: Facts) -> None:
    """The page of an entry of a microservice's history."""
    show_head(sheet, revision, facts)
    spec = revision["spec"]
    sheet.field("Service", spec["service"])
    sheet.field("Number", f"{spec['number']} ({spec['content']})")
    sheet.field("Cause", spec["cause"])
    for one in (spec["template"].get("spec") or {}).get("containers") or ():
        sheet.field("Container", f"{one.get('name')}: {one.get('image') or 'no image'}")
    carried = [f"{one.get('kind')} {one['metadata'].get('name')}" for one in spec["objects"] if one.get("metadata")]
    sheet.field("Objects", ", ".join(carried))

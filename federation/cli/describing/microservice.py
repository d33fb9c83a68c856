"""A microservice, and its placement: what it needs, where it runs, why, what is about to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federation.cli.columns import money, where
from federation.cli.describing.facts import Facts, count, show_conditions, show_events, show_head
from federation.cli.describing.migration import show_progress
from federation.cli.describing.settings import settings_of
from federation.cli.moving import is_open
from federation.cli.sheet import Sheet, bar
from federation.model.podtemplate import requests

Object = Mapping[str, Any]
_GIB = 2.0**30


def show_microservice(sheet: Sheet, service: Object, facts: Facts) -> None:
    """The whole page."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    show_head(sheet, service, facts)
    _show_spec(sheet, service, facts)
    placement = facts.one("placements", namespace, name)
    if placement is None:
        sheet.heading("Placement", "not planned yet")
    else:
        show_placement(sheet, placement, facts)
    _show_moves(sheet, namespace, name, facts)
    _show_settings(sheet, service, facts)
    show_conditions(sheet, service, facts)
    show_events(sheet, service, facts)


def show_placement_page(sheet: Sheet, placement: Object, facts: Facts) -> None:
    """The page of a placement alone."""
    show_head(sheet, placement, facts)
    show_placement(sheet, placement, facts)
    _show_moves(sheet, placement["metadata"]["namespace"], placement["metadata"]["name"], facts)
    show_events(sheet, placement, facts)


def _show_spec(sheet: Sheet, service: Object, facts: Facts) -> None:
    spec = service["spec"]
    state = "one writer, its data lives with it" if spec["stateful"] else "stateless"
    least = spec["disruption"]["minAvailable"]
    kept = f"at least {least if least is not None else max(spec['replicas'] - 1, min(spec['replicas'], 1))} available"
    sheet.field(
        "Workload", f"{spec['workload']}, {count(spec['replicas'], 'replica')}, {kept} whatever Roam does, {state}"
    )
    recorded = service["status"].get("revision") or {}
    if recorded.get("number"):
        sheet.field("Revision", f"{recorded['number']} ({recorded['content']}); all with roam rollout history")
    asked = requests(spec["template"])
    sheet.field("Requests", f"{asked.cpu_cores:g} CPU, {asked.memory_bytes / _GIB:.3g}Gi memory each")
    for one in (spec["template"].get("spec") or {}).get("containers") or ():
        command = " ".join(map(str, one.get("command") or ()))
        sheet.field("Container", f"{one.get('name')}: {one.get('image') or command or 'no image'}")
    at = service["status"]["gatewayPorts"]
    for port in spec["ports"]:
        target = port["targetPort"] if port["targetPort"] is not None else port["port"]
        gateway = f", on every gateway at {at[str(port['port'])]}" if str(port["port"]) in at else ""
        sheet.field("Port", f"{port['name'] or port['port']}: {port['port']}/{port['protocol']} to {target}{gateway}")
    sheet.field("Also called", ", ".join(spec["aliases"]))
    sheet.field("Calls", "\n".join(_call(one) for one in spec["calls"]))
    sheet.field("Called by", ", ".join(_callers(service, facts)))
    carried = [f"{one.get('kind')} {one['metadata'].get('name')}" for one in spec["objects"] if one.get("metadata")]
    sheet.field("Objects", ", ".join(carried))


def _call(call: Object) -> str:
    if call["gibPerHour"] is None:
        parts = ["volume assumed" if call["assumed"] else "volume not declared"]
    else:
        parts = [f"{call['gibPerHour']:g} GiB/h" + (" assumed" if call["assumed"] else "")]
    parts += [f"at most {call['maxLatency']} away"] if call["maxLatency"] else []
    return f"{call['service']} ({', '.join(parts)})"


def _callers(service: Object, facts: Facts) -> list[str]:
    space, name = service["metadata"]["namespace"], service["metadata"]["name"]
    names = {name, *service["spec"]["aliases"]}
    found = []
    for one in facts.all("microservices"):
        home = one["metadata"]["namespace"]
        called = [call["service"].rpartition("/") for call in one["spec"]["calls"]]
        if any((there or home) == space and short in names for there, _, short in called):
            found.append(one["metadata"]["name"] if home == space else f"{home}/{one['metadata']['name']}")
    return found


def show_placement(sheet: Sheet, placement: Object, facts: Facts) -> None:
    """Where it is committed to run, what runs, what the planner would choose, and who may not stay."""
    spec, status = placement["spec"], placement["status"]
    sheet.heading("Placement", f"held in {spec['pinned']} by hand, until roam unpin" if spec["pinned"] else "")
    committed = {one["subcluster"]: one["replicas"] for one in spec["targets"]}
    running = {one["subcluster"]: one for one in status["running"]}
    rows = [_place(name, committed.get(name, 0), running.get(name)) for name in sorted({*committed, *running})]
    if rows:
        titles = ("SUB-CLUSTER", "WANTED", "RUNNING", "READY", "UPDATED", "MESSAGE")
        sheet.table(titles, rows)
    elif spec.get("stopped"):
        sheet.line("stopped by a rule: no place that it permits was left", how="yellow")
    else:
        sheet.line("runs nowhere", how="red")
    _show_rollout(sheet, status.get("rollout"), facts)
    _show_proposal(sheet, status.get("proposed"), spec["targets"])
    if status.get("overtaken"):
        sheet.heading("May not stay")
        rows = [_overtaken(one, facts) for one in status["overtaken"]]
        sheet.table(("SUB-CLUSTER", "BECAUSE", "SEEN", "LEAVES", "GONE BY", "ELSE", "MESSAGE"), rows)
    show_conditions(sheet, placement, facts)


def _place(name: str, wanted: int, running: Object | None) -> tuple[str, ...]:
    if running is None:
        return (name, str(wanted), "0", f"0/{wanted}", "", "")
    of = wanted or running["replicas"]
    updated = running.get("updated", 0)
    behind = f"{updated}/{of}" if 0 < updated < of else ""
    return (name, str(wanted), str(running["replicas"]), f"{running['ready']}/{of}", behind, running["message"])


def _show_rollout(sheet: Sheet, rollout: Object | None, facts: Facts) -> None:
    """How far a template that is on its way has come."""
    if rollout and not rollout["done"] and rollout["replicas"]:
        share = bar(rollout["ready"] / rollout["replicas"])
        old = f", {rollout['old']} old left" if rollout["old"] else ""
        text = f"{rollout['ready']}/{rollout['replicas']} ready with the new template{old}"
        sheet.line(f"{share}  {text}, last step {facts.ago(rollout['since'])} ago", how="yellow")


def _show_proposal(sheet: Sheet, proposed: Object | None, targets: list[Object]) -> None:
    if not proposed or not proposed["targets"]:
        return
    terms = ", ".join(f"{name} {money(usd)}" for name, usd in proposed["terms"].items())
    cost = f"{money(proposed['costUsdPerHour'])} USD/h" + (f" ({terms})" if terms else "")
    same = where(proposed["targets"]) == where(targets)
    sheet.line(f"costs {cost}" if same else f"the planner would now choose {where(proposed['targets'])}: {cost}")
    for reason in proposed["reasons"]:
        sheet.line(reason, how="dim")


def _overtaken(one: Object, facts: Facts) -> tuple[str, ...]:
    gone = facts.until(one["deadline"]) if one.get("deadline") else ""
    return (
        one["subcluster"],
        one["cause"],
        f"{facts.ago(one['since'])} ago",
        facts.until(one["due"]),
        gone,
        "stopped" if one.get("stop") else "",
        one["message"],
    )


def _show_moves(sheet: Sheet, namespace: str, name: str, facts: Facts) -> None:
    moves = [one for one in facts.all("migrations", namespace) if one["spec"]["service"] == name]
    moves.sort(key=lambda one: str(one["metadata"].get("creationTimestamp")))
    if not moves:
        return
    under_way = [one for one in moves if is_open(one)]
    for one in under_way or moves[-1:]:
        sheet.heading("Migration" if under_way else "Last migration", one["metadata"]["name"])
        show_progress(sheet, one, facts)


def _show_settings(sheet: Sheet, service: Object, facts: Facts) -> None:
    policies = [
        *facts.all("clusterplacementpolicies"),
        *facts.all("placementpolicies", service["metadata"]["namespace"]),
    ]
    sheet.heading("Settings", "of all policies that select it")
    rows = [
        (one.name, one.value, one.origin + (", overridden" if one.overridden else ""))
        for one in settings_of(service, policies)
    ]
    sheet.table(("SETTING", "VALUE", "FROM"), rows)

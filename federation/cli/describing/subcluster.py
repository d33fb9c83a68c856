"""A sub-cluster: health, what it offers and how much of that is used, what keeps services away, and what runs there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federation.cli.columns import money
from federation.cli.describing.facts import Facts, show_conditions, show_events, show_head
from federation.cli.describing.settings import shown
from federation.cli.moving import bar as move_bar
from federation.cli.moving import is_open, phase
from federation.cli.sheet import Sheet, bar, how_of
from federation.model.meta import format_time
from federation.model.offers import Offer
from federation.model.podtemplate import requests
from federation.model.quantity import parse_quantity

Object = Mapping[str, Any]
_GIB = 2.0**30


def show_subcluster(sheet: Sheet, subcluster: Object, facts: Facts) -> None:
    """The whole page."""
    spec, status = subcluster["spec"], subcluster["status"]
    show_head(sheet, subcluster, facts)
    sheet.field("Provider", spec["provider"])
    sheet.field("Region", spec["region"])
    sheet.field("Location", shown(spec["location"]))
    sheet.field("Attestations", ", ".join(spec["attestations"]))
    sheet.field("Connection", shown(spec["connection"]))
    sheet.field("Credentials", ", ".join(f"{name} {value}" for name, value in spec["credentials"].items()))
    sheet.field("Health", _health(status, facts), how=how_of(status["health"]))
    detection = spec["detection"]
    sheet.field("Detection", f"lost after {detection['window']} of silence, back after {detection['recovery']}")
    if status["runsImages"] is not None:
        sheet.field("Runs images", "yes" if status["runsImages"] else "no, only pods with a command")
    sheet.field("Taints", "\n".join(_taint(one) for one in spec["taints"]) or "<none>")
    sheet.field("New work", _new_work(spec), how="yellow" if _closed(spec) else "")
    running = _running(subcluster["metadata"]["name"], facts)
    _show_offers(sheet, subcluster, running, facts)
    _show_running(sheet, running)
    _show_moves(sheet, subcluster["metadata"]["name"], facts)
    show_conditions(sheet, subcluster, facts)
    show_events(sheet, subcluster, facts)


def _health(status: Object, facts: Facts) -> str:
    # When it was heard last is stored when its health changes: of one that answers it would tell an old time.
    if status["health"] == "Healthy":
        return "Healthy"
    heard = f"last heard {facts.ago(status['lastHeard'])} ago" if status["lastHeard"] else "never heard yet"
    return f"{status['health']}, {heard}"


def _taint(taint: Object) -> str:
    value = f"={taint['value']}" if taint["value"] else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _closed(spec: Object) -> bool:
    return bool(spec["unschedulable"] or spec.get("drain"))


def _new_work(spec: Object) -> str:
    if spec.get("drain"):
        return f"none: it is drained, at most {spec['drain']['parallel']} services at a time"
    return "none: it is cordoned" if spec["unschedulable"] else "welcome"


def _running(name: str, facts: Facts) -> list[tuple[Object, int, Object | None]]:
    """Placements with something there: committed replicas, and what is observed."""
    found = []
    for placement in facts.all("placements"):
        wanted = sum(one["replicas"] for one in placement["spec"]["targets"] if one["subcluster"] == name)
        seen = next((one for one in placement["status"]["running"] if one["subcluster"] == name), None)
        if wanted or seen is not None:
            found.append((placement, wanted, seen))
    return found


def _show_offers(
    sheet: Sheet, subcluster: Object, running: list[tuple[Object, int, Object | None]], facts: Facts
) -> None:
    spec = subcluster["spec"]
    machines = _machines(subcluster)
    offers = [one for one in subcluster["status"]["offers"] if not one.get("instanceType")]
    services = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in facts.all("microservices")}
    cores = memory = 0.0
    for placement, wanted, seen in running:
        service = services.get((placement["metadata"]["namespace"], placement["metadata"]["name"]))
        if service is not None:
            asked = requests(service["spec"]["template"])
            replicas = max(wanted, seen["replicas"] if seen is not None else 0)
            cores, memory = cores + asked.cpu_cores * replicas, memory + asked.memory_bytes * replicas
    budget = f"at most {money(spec['budget']['hourly'])} USD per hour in all" if spec.get("budget") else ""
    sheet.heading("Offers", budget or ("" if offers or machines else "none heard of yet"))
    rows = [
        (
            one["name"],
            f"{one['cpuCores']:g}",
            f"{one['memoryBytes'] / _GIB:.4g}Gi",
            money(one["cpuHourUsd"]),
            money(one["memoryGibHourUsd"]),
            one["origin"],
            facts.ago(one["asOf"]) if one["asOf"] else "",
        )
        for one in offers
    ]
    if rows:
        sheet.table(("OFFER", "CPU", "MEMORY", "USD/CPU-H", "USD/GIB-H", "ORIGIN", "AGE"), rows)
    _show_machines(sheet, machines, facts)
    _show_used(sheet, "CPU", cores, _ceiling(offers, "cpuCores", spec["capacity"]["cpu"]), "")
    _show_used(sheet, "memory", memory / _GIB, _ceiling(offers, "memoryBytes", spec["capacity"]["memory"]) / _GIB, "Gi")


def _machines(subcluster: Object) -> tuple[Offer, ...]:
    """The machines that are bought whole there."""
    if not (
        subcluster["spec"].get("instances") or any(one.get("instanceType") for one in subcluster["status"]["offers"])
    ):
        return ()
    from federation.app import machines_sold
    from federation.cli.world import parse
    from federation.model.subcluster import SubCluster

    found = parse(SubCluster, subcluster)
    return machines_sold(found) if isinstance(found, SubCluster) else ()


def _show_machines(sheet: Sheet, machines: tuple[Offer, ...], facts: Facts) -> None:
    rows = [
        (
            one.instance_type,
            f"{one.cpu_cores:g}" if one.cpu_cores else "<unknown>",
            f"{one.memory_bytes / _GIB:.4g}Gi" if one.memory_bytes else "<unknown>",
            money(one.usd_per_hour),
            money(one.spot_usd_per_hour),
            one.origin,
            ""
            if one.as_of is None
            else f"{facts.ago(format_time(one.as_of))}{', old' if one.outdated(facts.now) else ''}",
            one.doubt,
        )
        for one in machines
    ]
    if rows:
        sheet.table(("MACHINE", "CPU", "MEMORY", "USD/H", "SPOT", "ORIGIN", "AGE", "DOUBT"), rows)


def _ceiling(offers: list[Object], field: str, capacity: object) -> float:
    """What is there, or what Roam may use of it; 0 when unknown."""
    there = sum(float(one[field]) for one in offers)
    return min(there or float("inf"), parse_quantity(capacity)) if capacity is not None else there


def _show_used(sheet: Sheet, what: str, used: float, there: float, unit: str) -> None:
    if there > 0:
        sheet.line(f"{bar(used / there)}  {used:.4g}{unit} of {there:.4g}{unit} {what} used by what Roam runs")


def _show_running(sheet: Sheet, running: list[tuple[Object, int, Object | None]]) -> None:
    sheet.heading("Runs here", "" if running else "nothing")
    rows = []
    for placement, wanted, seen in running:
        of = wanted or (seen["replicas"] if seen is not None else 0)
        ready = seen["ready"] if seen is not None else 0
        leaving = "leaves" if not wanted else ""
        message = seen["message"] if seen is not None else ""
        metadata = placement["metadata"]
        rows.append((metadata["namespace"], metadata["name"], str(wanted), f"{ready}/{of}", leaving, message))
    if rows:
        sheet.table(("NAMESPACE", "SERVICE", "WANTED", "READY", "", "MESSAGE"), rows)


def _show_moves(sheet: Sheet, name: str, facts: Facts) -> None:
    moves = [
        one
        for one in facts.all("migrations")
        if is_open(one) and name in (one["spec"]["source"], one["spec"]["target"])
    ]
    if moves:
        sheet.heading("Moves")
        rows = [
            (
                f"{one['metadata']['namespace']}/{one['spec']['service']}",
                f"to {one['spec']['target']}" if one["spec"]["source"] == name else f"from {one['spec']['source']}",
                phase(one),
                move_bar(one["status"]["weight"]),
                one["spec"]["reason"],
            )
            for one in moves
        ]
        sheet.table(("SERVICE", "WHERE", "PHASE", "TRAFFIC", "REASON"), rows)

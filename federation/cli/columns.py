"""What `roam get` shows of each kind. An object is JSON as the server gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = Mapping[str, Any]
_GIB = 2.0**30


@dataclass(frozen=True)
class Column:
    """A title, and what stands below it for an object at a time (seconds since 1970). `wide`: with `-o wide` only."""

    title: str
    cell: Callable[[Object, float], str]
    wide: bool = False


def columns_of(kind: str, *, wide: bool) -> tuple[Column, ...]:
    """The columns of a kind."""
    # Events have made-up names: as with kubectl, those only take room.
    first = Column("NAME", _NAME.cell, wide=kind == "Event")
    return tuple(column for column in (first, *_COLUMNS[kind]) if wide or not column.wide)


def age(timestamp: object, now: float) -> str:
    """How long ago, in the largest units that tell enough, as kubectl says it."""
    try:
        seconds = int(now - datetime.fromisoformat(str(timestamp)).timestamp())
    except ValueError:
        return "<unknown>"
    seconds = max(seconds, 0)
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 48:
        return f"{hours}h"
    return f"{days}d"


def where(targets: list[Object]) -> str:
    """Sub-clusters and replicas: `onprem 2, ec2-frankfurt 1`."""
    return ", ".join(f"{target['subcluster']} {target['replicas']}" for target in targets) or "<none>"


def _text(*path: str, empty: str = "") -> Callable[[Object, float], str]:
    def cell(item: Object, _now: float) -> str:
        value: Any = item
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return empty if value is None or value == "" else str(value)

    return cell


def _created(item: Object, now: float) -> str:
    return age(item["metadata"].get("creationTimestamp"), now)


def _ports(item: Object, _now: float) -> str:
    return ", ".join(f"{port['port']}/{port['protocol']}" for port in item["spec"]["ports"]) or "<none>"


def _calls(item: Object, _now: float) -> str:
    return ", ".join(call["service"] for call in item["spec"]["calls"]) or "<none>"


def _images(item: Object, _now: float) -> str:
    spec = item["spec"]["template"].get("spec") or {}
    return ", ".join(str(one.get("image", "")) for one in spec.get("containers") or ())


def _gateway_ports(item: Object, _now: float) -> str:
    return ", ".join(f"{port}->{at}" for port, at in item["status"]["gatewayPorts"].items()) or "<none>"


def _condition(item: Object, kind: str) -> Object:
    conditions = item["status"]["conditions"]
    return next((one for one in conditions if one["type"] == kind), {"status": "Unknown", "reason": "", "message": ""})


def _placement_status(item: Object, _now: float) -> str:
    """The one word that matters most: out of policy before not placed before not updated before not available."""
    if _condition(item, "OutOfPolicy")["status"] == "True":
        return "OutOfPolicy"
    if not item["spec"]["targets"] and _condition(item, "Placed")["status"] == "False":
        return str(_condition(item, "Placed")["reason"])
    if _condition(item, "Progressing")["reason"] == "ProgressDeadlineExceeded":
        return "UpdateFailed"
    return str(_condition(item, "Available")["reason"]) or "Pending"


def _ready(item: Object, _now: float) -> str:
    wanted = sum(target["replicas"] for target in item["spec"]["targets"])
    return f"{sum(running['ready'] for running in item['status']['running'])}/{wanted}"


def _placement_cost(item: Object, _now: float) -> str:
    """The planner's figure is about the place that it proposes; of another, `roam cost` can tell."""
    proposed = item["status"].get("proposed") or {}
    same = _by_place(proposed.get("targets")) == _by_place(item["spec"]["targets"])
    return money(proposed.get("costUsdPerHour") if same else None)


def _by_place(targets: Sequence[Object] | None) -> dict[str, int]:
    return {one["subcluster"]: one["replicas"] for one in targets or () if one["replicas"]}


def _proposed(item: Object, _now: float) -> str:
    proposed = item["status"].get("proposed")
    return where(proposed["targets"]) if proposed else "<none>"


def _messages(item: Object, _now: float) -> str:
    return "; ".join(one["message"] for one in item["status"]["conditions"] if one["message"])


def money(amount: object) -> str:
    """US dollars per hour."""
    return f"{amount:.4f}" if isinstance(amount, int | float) else "<unknown>"


def _divisible(item: Object) -> list[Object]:
    """What is offered in any division; not the machines."""
    return [offer for offer in item["status"]["offers"] if not offer.get("instanceType")]


def _offers(item: Object) -> tuple[float, float]:
    offers = _divisible(item)
    return sum(offer["cpuCores"] for offer in offers), sum(offer["memoryBytes"] for offer in offers) / _GIB


def _cpu(item: Object, _now: float) -> str:
    return f"{_offers(item)[0]:g}" if _divisible(item) else "<unknown>"


def _memory(item: Object, _now: float) -> str:
    return f"{_offers(item)[1]:.4g}Gi" if _divisible(item) else "<unknown>"


def _prices(item: Object, _now: float) -> str:
    if item["spec"].get("instances") or len(_divisible(item)) < len(item["status"]["offers"]):
        return "by machine"
    found = [offer["cpuHourUsd"] for offer in _divisible(item) if offer["cpuHourUsd"] is not None]
    return money(min(found)) if found else "<unknown>"


def _health(item: Object, _now: float) -> str:
    health = str(item["status"]["health"])
    return f"{health}, cordoned" if item["spec"]["unschedulable"] else health


def selector_text(selector: Object) -> str:
    """A label selector in few words."""
    parts = [f"{key}={value}" for key, value in selector["matchLabels"].items()]
    parts += [" ".join([one["key"], one["operator"], *one["values"]]) for one in selector["matchExpressions"]]
    return ", ".join(parts) or "<all>"


def _sections(item: Object, _now: float) -> str:
    plain = ("selector", "precedence")
    return ", ".join(
        sorted(name for name, value in item["spec"].items() if name not in plain and value not in (None, [], {}))
    )


def _steps(item: Object, _now: float) -> str:
    return f"{item['status']['weight']}%"


def _event_age(item: Object, now: float) -> str:
    return age(item["eventTime"], now)


def _regarding(item: Object, _now: float) -> str:
    about = item["regarding"]
    return f"{about['kind'].lower()}/{about['name']}"


_NAME = Column("NAME", _text("metadata", "name"))
_AGE = Column("AGE", _created)
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Microservice": (
        Column("REPLICAS", _text("spec", "replicas")),
        Column("PORTS", _ports),
        Column("CALLS", _calls),
        _AGE,
        Column("GATEWAY-PORTS", _gateway_ports, wide=True),
        Column("KIND", _text("spec", "workload"), wide=True),
        Column("IMAGES", _images, wide=True),
    ),
    "Placement": (
        Column("READY", _ready),
        Column("WHERE", lambda item, _now: where(item["spec"]["targets"])),
        Column("STATUS", _placement_status),
        Column("USD/H", _placement_cost),
        Column("PINNED", _text("spec", "pinned")),
        _AGE,
        Column("PROPOSED", _proposed, wide=True),
        Column("MESSAGE", _messages, wide=True),
    ),
    "SubCluster": (
        Column("PROVIDER", _text("spec", "provider")),
        Column("REGION", _text("spec", "region", empty="<none>")),
        Column("HEALTH", _health),
        Column("CPU", _cpu),
        Column("MEMORY", _memory),
        Column("USD/CPU-H", _prices),
        _AGE,
        Column("ATTESTATIONS", lambda item, _now: ", ".join(item["spec"]["attestations"]), wide=True),
    ),
    "Migration": (
        Column("SERVICE", _text("spec", "service")),
        Column("FROM", _text("spec", "source")),
        Column("TO", _text("spec", "target")),
        Column("PHASE", _text("status", "phase")),
        Column("TRAFFIC", _steps),
        Column("REASON", _text("spec", "reason")),
        _AGE,
        Column("REPLICAS", _text("spec", "replicas"), wide=True),
        Column("MESSAGE", _text("status", "message"), wide=True),
    ),
    "PlacementPolicy": (
        Column("SELECTOR", lambda item, _now: selector_text(item["spec"]["selector"])),
        Column("SAYS", _sections),
        Column("PRECEDENCE", _text("spec", "precedence"), wide=True),
        _AGE,
    ),
    "Revision": (
        Column("SERVICE", _text("spec", "service")),
        Column("REVISION", _text("spec", "number")),
        Column("CAUSE", _text("spec", "cause", empty="<none>")),
        _AGE,
        Column("CONTENT", _text("spec", "content"), wide=True),
    ),
    "Event": (
        Column("LAST-SEEN", _event_age),
        Column("TYPE", _text("type")),
        Column("REASON", _text("reason")),
        Column("OBJECT", _regarding),
        Column("COUNT", _text("count"), wide=True),
        Column("MESSAGE", _text("message")),
    ),
    "Gateway": (
        Column("DRIVER", _text("spec", "driver")),
        Column("SUBCLUSTER", _text("spec", "subcluster", empty="<edge>")),
        Column("ADDRESS", _text("spec", "address")),
        Column("READY", _text("status", "ready")),
        _AGE,
    ),
}
_COLUMNS["ClusterPlacementPolicy"] = _COLUMNS["PlacementPolicy"]

"""The ports under which a workload is reached, from the services that select it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from federation.intake.objects import KubeObject
from federation.model.microservice import Port, Protocol
from federation.model.podtemplate import containers, named_ports

_APP_PROTOCOLS: dict[str, Protocol] = {
    "http": "http",
    "kubernetes.io/ws": "http",
    "kubernetes.io/h2c": "http2",
    "http2": "http2",
    "h2c": "http2",
    "grpc": "http2",
    "grpc-web": "http",
}
"""Source: Kubernetes documentation, "Service: Application protocol"; Istio's "Protocol Selection" for the other names.
All others (tcp, tls, https, redis, mysql, ...) are carried as they are, as tcp."""
_PREFIXES: dict[str, Protocol] = {
    "http": "http",
    "http2": "http2",
    "h2c": "http2",
    "grpc": "http2",
    "tcp": "tcp",
    "https": "tcp",
    "tls": "tcp",
    "mongo": "tcp",
    "mysql": "tcp",
    "redis": "tcp",
}
"""Port names `protocol[-suffix]`. Source: Istio documentation, "Protocol Selection"."""


def ports_of(
    template: Mapping[str, Any], services: Sequence[KubeObject], notices: list[tuple[str, KubeObject]]
) -> tuple[Port, ...]:
    """The ports of all `services` together, the first service's first; targets as numbers.

    A port number that a later service maps elsewhere keeps its first meaning. What Roam can't route is noted.
    """
    found: dict[int, Port] = {}
    for service in services:
        for entry in service.value["spec"].get("ports") or ():
            where = f"Service {service.name} port {entry['port']}"
            if entry.get("protocol", "TCP") != "TCP":
                notices.append((f"{where} is {entry['protocol']}; Roam routes TCP only, so it stays unrouted", service))
                continue
            target = _target(template, entry)
            if target is None:
                names = ", ".join(sorted(named_ports(template))) or "none"
                notices.append(
                    (f"{where}: no container port is named {entry['targetPort']!r} (named: {names}); left out", service)
                )
                continue
            port = Port(
                name=entry.get("name") or "",
                port=entry["port"],
                target_port=target,
                protocol=_protocol(template, entry, target),
            )
            first = found.setdefault(port.port, port)
            if first.target_port != port.target_port:
                notices.append(
                    (f"{where} leads elsewhere than another Service's; its target {target} is left out", service)
                )
    return tuple(found.values())


def _target(template: Mapping[str, Any], entry: Mapping[str, Any]) -> int | None:
    target = entry.get("targetPort") or entry["port"]
    return target if isinstance(target, int) else named_ports(template).get(target)


def _protocol(template: Mapping[str, Any], entry: Mapping[str, Any], target: int) -> Protocol:
    stated = (entry.get("appProtocol") or "").lower()
    if stated:
        return _APP_PROTOCOLS.get(stated, "tcp")
    names = [entry.get("name") or "", *(name for name, number in named_ports(template).items() if number == target)]
    for name in names:
        whole, prefix = name.lower(), name.lower().partition("-")[0]
        if whole == "grpc-web" or prefix in _PREFIXES:
            return "http" if whole.startswith("grpc-web") else _PREFIXES[prefix]
    return _probed(template, target)


def _probed(template: Mapping[str, Any], target: int) -> Protocol:
    """What the probes of that port speak."""
    names = named_ports(template)
    for container in containers(template):
        for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
            probe = container.get(kind) or {}
            http, grpc = probe.get("httpGet"), probe.get("grpc")
            if grpc and grpc["port"] == target:
                return "http2"
            if http and names.get(str(http["port"]), http["port"]) == target and http.get("scheme", "HTTP") == "HTTP":
                return "http"
    return "tcp"

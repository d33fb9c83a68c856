"""What is wrong or doubtful about files, found without a server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from federation.app import contradictions, machines_sold, plan_resources, schemas
from federation.errors import InvalidInput, InvalidInputs
from federation.intake.loading import Manifests, load
from federation.model.meta import Key, Resource, Selector
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.nearest import nearest
from federation.model.policy import ClusterPlacementPolicy, Policy

Severity = Literal["error", "warning", "note"]
Path = tuple[str | int, ...]
_TEMPLATES: dict[str, Path] = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
_SOURCES = {
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secret": "Secret",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
    "persistentVolumeClaim": "PersistentVolumeClaim",
}


@dataclass(frozen=True)
class Finding:
    """Something to look at. `file`, `line` (from 1) and `field` as far as they are known."""

    severity: Severity
    message: str
    file: str | None = None
    line: int | None = None
    field: str | None = None

    @staticmethod
    def of(severity: Severity, error: InvalidInput) -> Finding:
        """The same as an error says."""
        return Finding(severity, error.message, error.file, error.line, error.field)

    def document(self) -> dict[str, Any]:
        """As JSON-like data."""
        return {
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "field": self.field,
            "message": self.message,
        }


def check_files(files: Sequence[str], namespace: str) -> tuple[int, list[Finding]]:
    """How many objects there are, and what is to be said of them, in the order of files and lines.

    Raises: InvalidInputs, for files that can't be read as objects; nothing else can be checked then."""
    manifests = load(list(files), schemas(), namespace=namespace)
    found = [
        Finding("warning" if one.warning else "note", one.message, one.file, one.line) for one in manifests.notices
    ]
    clashes = list(_conflicts(manifests))
    found += clashes
    found += _calls(manifests)
    found += _configuration(manifests)
    found += _selectors(manifests)
    found += _places(manifests)
    found += _machines(manifests)
    if manifests.subclusters and not clashes:
        found += _unplaceable(manifests)
    order = {name: position for position, name in enumerate(dict.fromkeys(one.file for one in found))}
    return len(manifests.resources), sorted(found, key=lambda one: (order[one.file], one.line or 0))


def _warn(manifests: Manifests, about: Resource, message: str, *path: str | int) -> Finding:
    return Finding.of("warning", manifests.error(about, message, path))


def _conflicts(manifests: Manifests) -> Iterator[Finding]:
    """Policies that say different things with the same precedence: an error at the first one, once for all services."""
    try:
        clashing = contradictions(manifests.policies, manifests.microservices)
    except InvalidInput as error:
        yield from (Finding.of("error", each) for each in getattr(error, "errors", (error,)))
        return
    services: dict[str, list[Key]] = {}
    for key, messages in clashing.items():
        for message in messages:
            services.setdefault(message, []).append(key)
    for message, keys in services.items():
        setting = message.partition(" ")[0].rstrip(":")
        sides = message.removeprefix(f"{setting}: ")
        words = f"{message} ".replace(",", " ")
        named = [one for one in manifests.policies if f"{one.kind} {one.key} " in words]
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        if named:
            text = f"{sides} (for {keys[0]}{more})"
            yield Finding.of("error", manifests.error(named[0], text, ("spec", *setting.split("."))))
        else:
            yield Finding("error", f"{message} (for {keys[0]}{more})")


def _calls(manifests: Manifests) -> Iterator[Finding]:
    """Calls to services, or to ports of services, that are not among the files."""
    ports: dict[Key, set[int]] = {}
    for one in manifests.microservices:
        for name in (one.metadata.name, *one.spec.aliases):
            ports.setdefault(Key(one.metadata.namespace, name), set()).update(port.port for port in one.spec.ports)
    for one in manifests.microservices:
        for index, call in enumerate(one.spec.calls):
            namespace, slash, name = call.service.rpartition("/")
            callee = Key(namespace if slash else one.metadata.namespace, name)
            at = ("spec", "calls", index, "service")
            if callee not in ports:
                yield _warn(manifests, one, f"calls {callee}, which is not among the files{_near(callee, ports)}", *at)
            elif call.port is not None and ports[callee] and call.port not in ports[callee]:
                known = ", ".join(map(str, sorted(ports[callee])))
                yield _warn(manifests, one, f"calls {callee} at port {call.port}; its ports are {known}", *at)


def _near(key: Key, known: Iterable[Key]) -> str:
    close = nearest(key.name, [other.name for other in known if other.namespace == key.namespace])
    return f"; did you mean {close[0]}?" if close else ""


def _configuration(manifests: Manifests) -> Iterator[Finding]:
    """References to configuration, secrets and claims that are not among the files."""
    known: set[tuple[str, Key]] = set()
    carried = [(item, one.metadata.namespace) for one in manifests.microservices for item in one.spec.objects]
    for item, space in [*carried, *((item, "") for item in manifests.unattached)]:
        metadata = item.get("metadata")
        if isinstance(metadata, dict):
            name, home = str(metadata.get("name")), str(metadata.get("namespace") or space)
            known |= {(str(item.get("kind")), Key(home, name)), (str(item.get("kind")), Key(space, name))}
    for one in manifests.microservices:
        prefix = _TEMPLATES.get(one.spec.workload, ("spec", "template"))
        seen = set()
        for kind, name, path in _references(one.spec.template, ()):
            if (kind, Key(one.metadata.namespace, name)) in known or (kind, name) in seen:
                continue
            seen.add((kind, name))
            near = _near(Key(one.metadata.namespace, name), [key for other, key in known if other == kind])
            message = f"refers to {kind} {name}, which is not among the files{near}"
            yield _warn(manifests, one, message, *prefix, *path)


def _references(value: object, path: Path) -> Iterator[tuple[str, str, Path]]:
    """Kind, name and place of everything a pod template refers to and that is not optional."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            kind = _SOURCES.get(key)
            if kind is not None and isinstance(each, Mapping) and not each.get("optional"):
                name = each.get("secretName") or each.get("claimName") or each.get("name")
                if isinstance(name, str):
                    yield kind, name, (*path, key)
            yield from _references(each, (*path, key))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _references(each, (*path, index))


def _selectors(manifests: Manifests) -> Iterator[Finding]:
    """Policies about no service, and preferences for no sub-cluster."""
    for policy in manifests.policies:
        if manifests.microservices and not any(_selects(policy, one) for one in manifests.microservices):
            # The fleet's rules are written for services of all teams, so that says little.
            severity: Severity = "note" if isinstance(policy, ClusterPlacementPolicy) else "warning"
            error = manifests.error(policy, "selects none of the services among the files", ("spec", "selector"))
            yield Finding.of(severity, error)
        orders = policy.spec.sections.get("prefer")
        for index, entry in enumerate(orders if isinstance(orders, list | tuple) else ()):
            selector = Selector.model_validate(entry)
            if manifests.subclusters and not any(
                selector.matches(one.metadata.labels) for one in manifests.subclusters
            ):
                message = "matches none of the sub-clusters among the files"
                yield _warn(manifests, policy, message, "spec", "prefer", index)


def _selects(policy: Policy, service: Microservice) -> bool:
    here = isinstance(policy, ClusterPlacementPolicy) or policy.metadata.namespace == service.metadata.namespace
    return here and policy.spec.selector.matches(service.metadata.labels)


def _places(manifests: Manifests) -> Iterator[Finding]:
    """Sub-clusters and services that gateways and migrations name."""
    places = {one.metadata.name for one in manifests.subclusters}
    services = {one.key for one in manifests.microservices}
    for gateway in manifests.gateways:
        name = gateway.spec.subcluster
        if places and name is not None and name not in places:
            yield _warn(manifests, gateway, f"no sub-cluster {name} among the files", "spec", "subcluster")
    for move in manifests.of(Migration):
        key = Key(move.metadata.namespace, move.spec.service)
        if services and key not in services:
            yield _warn(manifests, move, f"moves {key}, which is not among the files", "spec", "service")
        for end in ("source", "target"):
            name = getattr(move.spec, end)
            if places and name not in places:
                yield _warn(manifests, move, f"no sub-cluster {name} among the files", "spec", end)


def _machines(manifests: Manifests) -> Iterator[Finding]:
    """Types of machines whose price nobody knows here, or that may be a mistake."""
    for one in manifests.subclusters:
        sold = {each.instance_type: each for each in machines_sold(one)}
        for index, each in enumerate(one.spec.instances):
            machine, at = sold[each.type], ("spec", "instances", index, "type")
            if not machine.priced:
                text = f"no price of {each.type} is known here; unless the driver has one, it will not be bought"
                yield _warn(manifests, one, text, *at)
            elif machine.doubt:
                yield _warn(manifests, one, f"the price of {each.type} is doubtful: {machine.doubt}", *at)


def _unplaceable(manifests: Manifests) -> Iterator[Finding]:
    """Services that no sub-cluster among the files may or can take."""
    try:
        plan = plan_resources(manifests.resources, time.time(), certify=False).plan
    except InvalidInputs as error:
        yield from (Finding.of("error", each) for each in error.errors)
        return
    services = {one.key: one for one in manifests.microservices}
    for planned in plan.placements:
        if planned.verdict != "placed":
            why = "is denied by policy in every sub-cluster" if planned.verdict == "denied" else "has no room anywhere"
            service = services[Key(planned.namespace, planned.service)]
            yield _warn(manifests, service, f"{service.key} {why}: {' '.join(planned.reasons)}")

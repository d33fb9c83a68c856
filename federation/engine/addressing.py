"""Which port a service has on every gateway, and what a pod finds in its environment in place of a service's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from federation.contracts.driver import Workload
from federation.contracts.store import Replace
from federation.engine.cache import Cache
from federation.engine.gateways import GatewayLink
from federation.engine.journal import Journal
from federation.engine.links import SubClusterLink
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.subcluster import Gateway
from federation.reconcile.workload import build_workload

DEFAULT_FIRST_PORT = 20000


def called_key(service: Microservice, name: str) -> Key:
    """The key behind a call's `service`: `name` in the caller's namespace, or `namespace/name`."""
    namespace, slash, rest = name.partition("/")
    return Key(namespace, rest) if slash else Key(service.metadata.namespace, name)


def assign_ports(cache: Cache, journal: Journal, keys: Iterable[Key]) -> None:
    """Give each port of the services a gateway port that is the same on every gateway, free, and kept for good.

    In the order of keys and ports, so that equal stores give equal numbers; stored before anything uses it."""
    gateways = cache.of(Gateway).values()
    next_port = max((gateway.spec.first_port for gateway in gateways), default=DEFAULT_FIRST_PORT)
    writes = []
    for key in sorted(keys):
        service = cache.of(Microservice).get(key)
        if service is None:
            continue
        ports = {str(port.port) for port in service.spec.ports}
        missing = sorted(ports - service.status.gateway_ports.keys(), key=int)
        if not missing:
            continue
        taken = dict(service.status.gateway_ports)
        for port in missing:
            while cache.port_taken(next_port):
                next_port += 1
            taken[port] = next_port
            next_port += 1
        status = service.status.model_copy(update={"gateway_ports": taken})
        writes.append(Replace(service.model_copy(update={"status": status})))
    if writes and not journal.write(writes):
        for write in writes:
            journal.write([write])


@dataclass
class WorkloadBuilder:
    """Builds workloads; the result for an unchanged service, sub-cluster and addresses is kept."""

    cache: Cache
    gateways: dict[str, GatewayLink]
    _aliases: dict[Key, Key] = field(default_factory=dict)
    _callers: dict[Key, set[Key]] = field(default_factory=dict)
    _built: dict[tuple[Key, str], tuple[object, Workload]] = field(default_factory=dict)

    def learn(self, service: Microservice) -> None:
        """Remember under which further names a service is reached, and whom it calls."""
        for alias in service.spec.aliases:
            self._aliases[Key(service.metadata.namespace, alias)] = service.key
        for call in service.spec.calls:
            self._callers.setdefault(called_key(service, call.service), set()).add(service.key)

    def callers(self, key: Key) -> frozenset[Key]:
        """Services that call `key`, under its name or an alias, and so carry its address."""
        names = {key, *(alias for alias, owner in self._aliases.items() if owner == key)}
        return frozenset().union(*(self._callers.get(name, set()) for name in names))

    def forget(self, key: Key) -> None:
        """Drop what is kept of a service that is gone."""
        for slot in [slot for slot in self._built if slot[0] == key]:
            del self._built[slot]
        for alias in [alias for alias, owner in self._aliases.items() if owner == key]:
            del self._aliases[alias]

    def build(self, service: Microservice, link: SubClusterLink, replicas: int) -> Workload:
        """The workload of `service` for the sub-cluster of `link`."""
        addresses = self._addresses(service, link) if link.capabilities.names == "rewrite" else None
        version = (
            service.metadata.uid,
            service.metadata.generation,
            link.subcluster.metadata.generation,
            tuple(sorted(addresses.items())) if addresses is not None else None,
        )
        slot = (service.key, link.name)
        kept = self._built.get(slot)
        if kept is not None and kept[0] == version and kept[1].replicas == replicas:
            return kept[1]
        workload = build_workload(service, link.subcluster, replicas, addresses)
        self._built[slot] = (version, workload)
        return workload

    def _addresses(self, service: Microservice, link: SubClusterLink) -> dict[tuple[str, int], str]:
        gateway = next((g for _, g in sorted(self.gateways.items()) if g.near == link.name), None)
        if gateway is None:
            return {}
        found: dict[tuple[str, int], str] = {}
        namespace = service.metadata.namespace
        names = [call.service for call in service.spec.calls] + [service.metadata.name, *service.spec.aliases]
        for name in names:
            called = called_key(service, name)
            callee = self.cache.of(Microservice).get(self._aliases.get(called, called))
            if callee is None:
                continue
            local = callee.metadata.namespace == namespace
            for each in (callee.metadata.name, *callee.spec.aliases):
                for port, gateway_port in sorted(callee.status.gateway_ports.items(), key=lambda item: int(item[0])):
                    spoken = each if local else f"{callee.metadata.namespace}/{each}"
                    found[spoken, int(port)] = f"{gateway.gateway.spec.address}:{gateway_port}"
        return found

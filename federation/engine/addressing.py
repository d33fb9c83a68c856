"""Which port a service has on every gateway, and what a pod finds in its environment in place of a service's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from federation.contracts.driver import Workload
from federation.contracts.store import Replace
from federation.engine.cache import Cache
from federation.engine.gateways import GatewayLink
from federation.engine.journal import Journal
from federation.engine.links import SubClusterLink
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.subcluster import Gateway
from federation.reconcile.workload import build_workload, least_available, spoken_words

DEFAULT_FIRST_PORT = 20000


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
    _learnt: dict[Key, tuple[str, int]] = field(default_factory=dict)
    _ports: dict[Key, dict[str, int]] = field(default_factory=dict)
    _names: dict[Key, frozenset[str]] = field(default_factory=dict)
    _owners: dict[str, set[Key]] = field(default_factory=dict)
    _words: dict[Key, frozenset[str]] = field(default_factory=dict)
    _speakers: dict[str, set[Key]] = field(default_factory=dict)
    _directory: int = 0
    _built: dict[tuple[Key, str], tuple[object, object, Workload]] = field(default_factory=dict)

    def learn(self, service: Microservice) -> None:
        """Remember under which names a service is reached, and which names it may call."""
        version = (service.metadata.uid, service.metadata.generation)
        if self._ports.get(service.key) != service.status.gateway_ports:
            self._ports[service.key] = service.status.gateway_ports
            self._directory += 1
        if self._learnt.get(service.key) == version:
            return
        self._directory += 1
        self._unlink(service.key)
        self._learnt[service.key] = version
        self._names[service.key] = frozenset((service.metadata.name, *service.spec.aliases))
        self._words[service.key] = spoken_words(service)
        for name in self._names[service.key]:
            self._owners.setdefault(name, set()).add(service.key)
        for word in self._words[service.key]:
            self._speakers.setdefault(word, set()).add(service.key)

    def forget(self, key: Key) -> None:
        """Drop what is kept of a service that is gone."""
        self._unlink(key)
        self._ports.pop(key, None)
        self._directory += 1
        self._built = {slot: kept for slot, kept in self._built.items() if slot[0] != key}

    def _unlink(self, key: Key) -> None:
        self._learnt.pop(key, None)
        for name in self._names.pop(key, ()):
            self._owners[name].discard(key)
        for word in self._words.pop(key, ()):
            self._speakers[word].discard(key)

    def callers(self, key: Key) -> frozenset[Key]:
        """Services that may call `key` under one of its names, and so carry its address."""
        return frozenset().union(*(self._speakers.get(name, set()) for name in self._names.get(key, ())))

    def neighbours(self, key: Key) -> frozenset[Key]:
        """Services that `key` may talk to, either way: a superset, as `callers`."""
        called = (self._owners.get(word, set()) for word in self._words.get(key, ()))
        return self.callers(key).union(*called) - {key}

    def build(self, service: Microservice, link: SubClusterLink, replicas: int) -> Workload:
        """The workload of `service` for the sub-cluster of `link`."""
        slot = (service.key, link.name)
        metadata = service.metadata
        gateway = next((g for g in self.gateways.values() if g.near == link.name), None)
        address = gateway.gateway.spec.address if gateway is not None else None
        # What is cheap to compare first: most questions are about a workload that nothing has changed.
        version = (metadata.uid, metadata.generation, link.subcluster.metadata.generation, self._directory, address)
        kept = self._built.get(slot)
        if kept is None or kept[0] != version:
            kept = self._built[slot] = (version, *self._rebuilt(service, link, address, kept))
        workload = kept[2]
        if workload.replicas == replicas:
            return workload
        return replace(workload, replicas=replicas, min_available=least_available(service, replicas))

    def _rebuilt(
        self,
        service: Microservice,
        link: SubClusterLink,
        address: str | None,
        kept: tuple[object, object, Workload] | None,
    ) -> tuple[object, Workload]:
        rewrites = link.capabilities.names == "rewrite"
        addresses = self._addresses(service, address) if rewrites else None
        content = (service.metadata.uid, service.metadata.generation, link.subcluster.metadata.generation, addresses)
        if kept is not None and kept[1] == content:
            return content, kept[2]
        return content, build_workload(service, link.subcluster, service.spec.replicas, addresses)

    def _addresses(self, service: Microservice, gateway_address: str | None) -> dict[tuple[str, int], str]:
        if gateway_address is None:
            return {}
        words, namespace = self._words.get(service.key, frozenset()), service.metadata.namespace
        owners = {owner for word in words for owner in self._owners.get(word, ())}
        found: dict[tuple[str, int], str] = {}
        # A service's own name comes before an alias that another one has; of several owners of an alias, the first.
        for own_name in (True, False):
            for owner in sorted(owners):
                if owner.namespace not in (namespace, *words):
                    continue
                callee = self.cache.of(Microservice)[owner]
                names = (owner.name,) if own_name else callee.spec.aliases
                prefix = "" if owner.namespace == namespace else f"{owner.namespace}/"
                for name in names:
                    for port, gateway_port in sorted(
                        callee.status.gateway_ports.items(), key=lambda each: int(each[0])
                    ):
                        address = f"{gateway_address}:{gateway_port}"
                        found.setdefault((prefix + name, int(port)), address)
        return found

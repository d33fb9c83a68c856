"""All links to sub-clusters and gateways: opened, closed and reported as their records and their health change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from federation.contracts.driver import SubClusterDriver
from federation.contracts.gateway import Gateway as GatewayHandle
from federation.contracts.runtime import Runtime
from federation.engine.cache import Cache
from federation.engine.gateways import GatewayLink
from federation.engine.journal import Journal, explain
from federation.engine.links import Hooks, SubClusterLink
from federation.errors import FederationError
from federation.model.meta import FLEET, Condition, Key, with_condition
from federation.model.offers import remembered
from federation.model.subcluster import Gateway, SubCluster, SubClusterSpec


@dataclass
class Fleet:
    """Links by name. `touched` is told of services to look at again, `news` that the decision may change."""

    cache: Cache
    journal: Journal
    runtime: Runtime
    open_driver: Callable[[SubCluster], SubClusterDriver]
    open_gateway: Callable[[Gateway], GatewayHandle]
    touched: Callable[[Iterable[Key]], None]
    news: Callable[[], None]
    links: dict[str, SubClusterLink] = field(default_factory=dict)
    gateways: dict[str, GatewayLink] = field(default_factory=dict)
    _changed: set[tuple[str, str]] = field(default_factory=set)

    @property
    def known(self) -> bool:
        """Whether every sub-cluster was heard, or has been silent for its window."""
        return all(link.known for link in self.links.values())

    @property
    def offered(self) -> bool:
        """Whether every sub-cluster that answers said what it offers, or was asked for it in vain."""
        return all(link.offers_asked or not link.answering for link in self.links.values())

    def close(self) -> None:
        """Stop observing; what runs goes on."""
        for link in self.links.values():
            link.close()
        for gateway in self.gateways.values():
            gateway.close()

    # Records

    def sync_subcluster(self, record: SubCluster, *, deleted: bool) -> bool:
        """Follow a changed record; whether a link was opened or closed, or a decision may depend on what changed."""
        name = record.metadata.name
        old = self.links.get(name)
        if old is not None:
            if not deleted and old.subcluster.spec == record.spec:
                known, old.subcluster = old.subcluster.metadata, record
                metadata = record.metadata
                return (known.labels, known.deletion_timestamp) != (metadata.labels, metadata.deletion_timestamp)
            if not deleted and _same_place(old.subcluster.spec, record.spec):
                return self._reopen(old, record)
            old.close()
            del self.links[name]
        if not deleted:
            try:
                driver = self.open_driver(record)
            except FederationError as error:
                self._refuse(record, error)
                return True
            hooks = Hooks(self.touched, self._on_link)
            self.links[name] = SubClusterLink(record, driver, self.runtime, hooks)
            self.links[name].start()
        return True

    def _on_link(self, name: str) -> None:
        self._changed.add(("subcluster", name))
        link = self.links.get(name)
        if link is not None and link.pulse.health == "Returning":
            for gateway in self.gateways.values():
                if gateway.near == name and not gateway.live:
                    gateway.expect()

    def _reopen(self, link: SubClusterLink, record: SubCluster) -> bool:
        """A new driver for a place that is known: what runs there is not forgotten over a new price."""
        try:
            link.reopen(record, self.open_driver(record))
        except FederationError as error:
            self._refuse(record, error)
        return True

    def sync_gateway(self, record: Gateway, *, deleted: bool) -> bool:
        """Follow a changed record; whether a link was opened or closed."""
        name = record.metadata.name
        old = self.gateways.get(name)
        if old is not None:
            if not deleted and old.gateway.spec == record.spec:
                old.gateway = record
                return False
            old.close()
            del self.gateways[name]
        if not deleted:
            try:
                handle = self.open_gateway(record)
            except FederationError as error:
                self._refuse(record, error)
                return True
            self.gateways[name] = GatewayLink(
                record, handle, self.runtime, self.touched, lambda changed: self._changed.add(("gateway", changed))
            )
            self.gateways[name].start()
        return True

    def _refuse(self, record: SubCluster | Gateway, error: FederationError) -> None:
        self._condition(record, "False", error.reason, explain(error), {})

    # Reports

    def report(self) -> None:
        """Write changed health and offers into the records' status; tell `news` when the decision may depend on it."""
        changed, self._changed = self._changed, set()
        for kind, name in sorted(changed):
            if kind == "subcluster" and name in self.links:
                self._report_subcluster(self.links[name])
                self.news()
            elif kind == "gateway" and name in self.gateways:
                self._report_gateway(self.gateways[name])

    def _report_subcluster(self, link: SubClusterLink) -> None:
        record = self.cache.of(SubCluster).get(Key(FLEET, link.name))
        if record is None or not link.known:
            return
        health = link.pulse.health
        heard = self.runtime.now() if health in ("Healthy", "Returning") else record.status.last_heard
        update: dict[str, object] = {"health": health, "observed_generation": record.metadata.generation}
        if health != record.status.health:
            update["last_heard"] = heard
        if link.offers is not None:
            update["offers"] = remembered(link.offers, record.status.offers)
            update["runs_images"] = link.capabilities.runs_images
        if health == "Lost":
            message = f"no answer for {link.window_s:g} s" + (f": {link.failure}" if link.failure else "")
            self._condition(record, "False", "Lost", message, update)
        elif health == "Silent":
            self._condition(record, "Unknown", "Silent", link.failure, update)
        elif health == "Returning":
            message = f"answers again; trusted with work after {link.recovery_s:g} s"
            self._condition(record, "False", "Returning", message, update)
        else:
            self._condition(record, "True", "Answering", "", update)

    def _report_gateway(self, link: GatewayLink) -> None:
        record = self.cache.of(Gateway).get(Key(FLEET, link.name))
        if record is None:
            return
        ready = link.pulse.health == "Healthy"
        reason = "Answering" if ready else ("Lost" if link.pulse.health == "Lost" else "Silent")
        self._condition(record, "True" if ready else "False", reason, link.failure, {"ready": ready})

    def _condition(
        self, record: SubCluster | Gateway, status: str, reason: str, message: str, more: dict[str, object]
    ) -> None:
        pending = self.journal.pending(record)
        old = pending.status if isinstance(pending, SubCluster | Gateway) else record.status
        condition = Condition.model_validate(
            {
                "type": "Ready",
                "status": status,
                "reason": reason,
                "message": message,
                "last_transition_time": self.runtime.now(),
            }
        )
        conditions = with_condition(old.conditions, condition)
        new = old.model_copy(update={"conditions": conditions, **more})
        if new == old:
            return
        self.journal.update(record.model_copy(update={"status": new}))
        if conditions != old.conditions:
            self.journal.event(record, reason, message or f"{record.metadata.name} answers", warning=status != "True")

    # Time

    def tick(self) -> None:
        """Let every sub-cluster's time pass."""
        for link in list(self.links.values()):
            link.tick()

    def tick_gateways(self, ready: bool) -> None:
        """Hand over changed tables (if `ready`) and observe."""
        for gateway in list(self.gateways.values()):
            gateway.tick(ready)

    def next_tick(self) -> float | None:
        """When something is due (monotonic seconds)."""
        times = [link.next_tick() for link in self.links.values()]
        times += [gateway.next_tick() for gateway in self.gateways.values()]
        return min((time for time in times if time is not None), default=None)


def _same_place(old: SubClusterSpec, new: SubClusterSpec) -> bool:
    """Whether two descriptions lead to the same sub-cluster, with the same rights."""
    return (old.provider, old.region, old.connection, old.credentials) == (
        new.provider,
        new.region,
        new.connection,
        new.credentials,
    )

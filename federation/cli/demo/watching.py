"""What the demo watches while it plays: broken rules, and what the gateways retried."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from federation.app import open_gateway, plan_resources
from federation.cli.client import Client
from federation.cli.context import Context
from federation.contracts.gateway import Gateway as GatewayHandle
from federation.errors import FederationError
from federation.model.kinds import BY_KIND
from federation.model.meta import Key, Resource
from federation.model.subcluster import Gateway
from federation.reconcile.desired import min_available

PERIOD_S = 0.25
PLAN_KINDS = ("SubCluster", "Microservice", "ClusterPlacementPolicy", "PlacementPolicy", "Placement")


def fetch(client: Client, *kinds: str) -> list[Resource]:
    """The server's objects of those kinds."""
    found: list[Resource] = []
    for kind in kinds:
        found += [BY_KIND[kind].model_validate(item) for item in client.items(BY_KIND[kind].plural)[0]]
    return found


class Retries:
    """How often the gateways retried, summed over gateways, and over restarts of one."""

    def __init__(self, gateways: Mapping[str, GatewayHandle]) -> None:
        self._gateways = gateways
        self._seen: dict[tuple[str, str], int] = {}
        self.total = 0

    def read(self) -> int:
        """The sum so far; a gateway that does not answer counts with what it said last."""
        for name, gateway in self._gateways.items():
            try:
                state = gateway.observe(deadline_s=1.0)
            except FederationError:
                continue
            for key, route in state.routes.items():
                before = self._seen.get((name, key), 0)
                # A counter that fell was started anew.
                self.total += route.retried - before if route.retried >= before else route.retried
                self._seen[name, key] = route.retried
        return self.total

    @classmethod
    def of(cls, client: Client) -> Retries:
        """Over all gateways that the server knows."""
        records = [each for each in fetch(client, "Gateway") if isinstance(each, Gateway)]
        return cls({each.metadata.name: open_gateway(each) for each in records})


class Referee:
    """Looks at the placements all the time and notes each rule seen broken, once.

    Rules: nothing runs where a policy forbids it; and, while `strict`, nothing is below its minimum of ready replicas.
    """

    def __init__(self, context: Context, now: float) -> None:
        self._context = context
        client = Client(context.server, context.token)
        judgement = plan_resources(fetch(client, *PLAN_KINDS), now)
        names = [each.metadata.name for each in judgement.request.view.subclusters]
        services = judgement.request.view.services
        self._forbidden = {
            (service.key, name): reason
            for service in services
            for name in names
            if (reason := judgement.forbidden(service.key, name))
        }
        self._needed = {
            service.key: min_available(service.spec.replicas, service.spec.disruption.min_available)
            for service in services
        }
        self._found: dict[str, None] = {}
        self._strict = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="referee", daemon=True)
        self._thread.start()

    def begin(self, *, strict: bool) -> None:
        """A new act begins; forget what was noted."""
        self._found = {}
        self._strict = strict

    def end(self) -> tuple[str, ...]:
        """What was noted since `begin`."""
        self._strict = False
        return tuple(self._found)

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        client = Client(self._context.server, self._context.token)
        while not self._stop.wait(PERIOD_S):
            try:
                placements = client.items("placements")[0]
            except FederationError:
                continue
            for placement in placements:
                self._look(placement)

    def _look(self, placement: Mapping[str, Any]) -> None:
        key = Key(placement["metadata"]["namespace"], placement["metadata"]["name"])
        running = placement.get("status", {}).get("running", [])
        for entry in running:
            reason = self._forbidden.get((key, entry["subcluster"]))
            if reason and entry["replicas"]:
                self._found[f"{key} runs in {entry['subcluster']}: {reason}"] = None
        ready = sum(entry["ready"] for entry in running)
        if self._strict and ready < self._needed.get(key, 0):
            self._found[f"{key} has {ready} ready replicas, at least {self._needed[key]} are promised"] = None

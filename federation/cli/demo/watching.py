"""What the demo watches while it plays: broken rules, and what the gateways retried."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from federation.app import open_gateway, plan_resources
from federation.cli.client import Client
from federation.cli.context import Context
from federation.contracts.gateway import Gateway as GatewayHandle
from federation.errors import FederationError
from federation.model.kinds import BY_KIND
from federation.model.meta import Key, Resource
from federation.model.migration import ENDED
from federation.model.subcluster import Gateway
from federation.reconcile.desired import min_available

if TYPE_CHECKING:
    from federation.planner.decide import Judgement

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


@dataclass(frozen=True)
class _Ban:
    """A rule against a service in a place: `before` replicas ran there when it came and may do so `until` then."""

    reason: str
    before: int
    until: float


class Referee:
    """Looks at the placements and migrations all the time and notes each rule seen broken, once.

    Rules: nothing runs where a policy forbids it, but for what ran there before the policy came, and that until its
    grace is over; no replica is added in a sub-cluster that is closed off; no move leads to either; and, while
    `strict`, nothing is below its minimum of ready replicas."""

    def __init__(self, context: Context, now: float) -> None:
        self._context = context
        self._forbidden: dict[tuple[Key, str], _Ban] = {}
        self._closed: dict[str, dict[Key, int]] = {}
        services = self.learn(now).request.view.services
        self._needed = {
            service.key: min_available(service.spec.replicas, service.spec.disruption.min_available)
            for service in services
        }
        self._found: dict[str, None] = {}
        self._strict = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="referee", daemon=True)
        self._thread.start()

    def learn(self, now: float) -> Judgement:
        """Look at the policies anew. What a new one overtakes may run on until its grace is over."""
        client = Client(self._context.server, self._context.token)
        judgement = plan_resources(fetch(client, *PLAN_KINDS), now, certify=False)
        running = self._running(client)
        bans = {}
        for service in judgement.request.view.services:
            for subcluster in judgement.request.view.subclusters:
                place = (service.key, subcluster.metadata.name)
                reason = judgement.forbidden(*place)
                if reason:
                    violation = judgement.violation(*place)
                    grace_s = violation.grace_s if violation is not None else 0.0
                    until = math.inf if grace_s is None else now + grace_s
                    bans[place] = self._forbidden.get(place) or _Ban(reason, running.get(place, 0), until)
        self._forbidden = bans
        return judgement

    def close_off(self, subcluster: str) -> None:
        """From now on nothing may be added there."""
        running = self._running(Client(self._context.server, self._context.token))
        self._closed[subcluster] = {key: replicas for (key, name), replicas in running.items() if name == subcluster}

    @staticmethod
    def _running(client: Client) -> dict[tuple[Key, str], int]:
        """Replicas by service and sub-cluster."""
        return {
            (Key(placement["metadata"]["namespace"], placement["metadata"]["name"]), entry["subcluster"]): entry[
                "replicas"
            ]
            for placement in client.items("placements")[0]
            for entry in placement.get("status", {}).get("running", [])
        }

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
                placements, moves = client.items("placements")[0], client.items("migrations")[0]
            except FederationError:
                continue
            now = time.time()
            for placement in placements:
                self._look(placement, now)
            for move in moves:
                self._look_at_move(move)

    def _look_at_move(self, move: Mapping[str, Any]) -> None:
        key, target = Key(move["metadata"]["namespace"], move["spec"]["service"]), move["spec"]["target"]
        if move["status"]["phase"] in ENDED:
            return
        if target in self._closed or (key, target) in self._forbidden:
            self._found[f"{key} is being moved to {target}, where nothing may be added"] = None

    def _look(self, placement: Mapping[str, Any], now: float) -> None:
        key = Key(placement["metadata"]["namespace"], placement["metadata"]["name"])
        running = placement.get("status", {}).get("running", [])
        for entry in running:
            name, replicas = entry["subcluster"], entry["replicas"]
            ban = self._forbidden.get((key, name))
            if ban is not None and replicas > (ban.before if now <= ban.until else 0):
                late = " after its grace" if ban.before else ""
                self._found[f"{key} runs in {name}{late}: {ban.reason}"] = None
            if replicas > self._closed.get(name, {}).get(key, replicas if name not in self._closed else 0):
                self._found[f"{key} was started in {name}, which is being drained"] = None
        ready = sum(entry["ready"] for entry in running)
        if self._strict and ready < self._needed.get(key, 0):
            self._found[f"{key} has {ready} ready replicas, at least {self._needed[key]} are promised"] = None

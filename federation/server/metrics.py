"""`/metrics` in Prometheus' text format: what the controller does, how long it takes, and what it holds.

Each `Metrics` has a registry of its own. Labels are bounded: names of sub-clusters and gateways, and fixed words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from federation.contracts.meter import Kind, Outcome, Step
from federation.engine.vitals import Census
from federation.server.access import Caller
from federation.server.answers import Answer
from federation.server.extras import Page
from federation.server.requests import Request

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_HEALTH = ("Unknown", "Healthy", "Silent", "Lost", "Returning")


class Metrics:
    """Counters and histograms of one controller; implements `federation.contracts.meter.Meter`. Safe to use from
    several threads."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=False)
        self._steps = Histogram(
            "roam_engine_step_seconds", "Parts of the engine's turns.", ["step"], buckets=_QUICK, registry=registry
        )
        self._phases = Histogram(
            "roam_migration_phase_seconds",
            "How long migrations were in a phase, and which they went on to.",
            ["phase", "next"],
            buckets=_LONG,
            registry=registry,
        )
        self._decisions = Histogram(
            "roam_decision_seconds",
            "Decisions, from request to answer.",
            ["kind", "outcome"],
            buckets=(*_QUICK, 30.0, 60.0, 120.0),
            registry=registry,
        )
        self._gap = Gauge(
            "roam_decision_gap_ratio",
            "How far the newest decision on everything may be from the least cost; NaN when unknown.",
            registry=registry,
        )
        self._unplaced = Gauge("roam_decision_unplaced", "Services without a place in it.", registry=registry)
        self._calls = Histogram(
            "roam_driver_call_seconds",
            "Calls of drivers.",
            ["subcluster", "verb", "outcome"],
            buckets=_QUICK,
            registry=registry,
        )
        self._gateways = Histogram(
            "roam_gateway_call_seconds",
            "Tables handed to gateways (apply) and looks at them (observe).",
            ["gateway", "verb", "outcome"],
            buckets=_QUICK,
            registry=registry,
        )
        self._store = Histogram(
            "roam_store_write_seconds", "Commits to the store.", ["outcome"], buckets=_QUICK, registry=registry
        )
        self._written = Counter("roam_store_objects_written", "Objects in them.", registry=registry)
        self._requests = Histogram(
            "roam_api_request_seconds",
            "Requests until their answer begins.",
            ["verb", "resource", "code"],
            buckets=_QUICK,
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def scrape(self, census: Callable[[], Census], watchers: Callable[[], int]) -> None:
        """Ask these whenever somebody reads; to be called once."""
        self._registry.register(_Scrape(census, watchers))

    def render(self) -> bytes:
        """All of it as text."""
        return generate_latest(self._registry)

    def page(self) -> Page:
        """The page that shows it, to whoever may view."""

        def show(_request: Request, _caller: Caller) -> Answer:
            return Answer(200, self.render(), media_type=MEDIA_TYPE)

        return Page("/metrics", show)

    # What the engine tells

    def step(self, step: Step, seconds: float) -> None:
        """One part of a turn took so long."""
        self._steps.labels(step).observe(seconds)

    def phase(self, phase: str, outcome: str, seconds: float) -> None:
        """A migration was in a phase for so long."""
        self._phases.labels(phase, outcome).observe(max(seconds, 0.0))

    def decision(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """A decision took so long."""
        self._decisions.labels(kind, outcome).observe(seconds)

    def plan(self, gap: float | None, unplaced: int) -> None:
        """What the newest decision on everything looks like."""
        self._gap.set(float("nan") if gap is None else gap)
        self._unplaced.set(unplaced)

    # What others tell

    def driver_call(self, subcluster: str, verb: str, outcome: str, seconds: float) -> None:
        """A driver was called; `outcome` is `ok` or an error's reason."""
        self._calls.labels(subcluster, verb, outcome).observe(seconds)

    def gateway_call(self, gateway: str, verb: str, outcome: str, seconds: float) -> None:
        """A gateway was called."""
        self._gateways.labels(gateway, verb, outcome).observe(seconds)

    def commit(self, outcome: str, objects: int, seconds: float) -> None:
        """So many objects were written together, or not."""
        self._store.labels(outcome).observe(seconds)
        if outcome == "ok":
            self._written.inc(objects)

    def request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """The API answered."""
        self._requests.labels(verb, resource, str(code)).observe(seconds)


class _Scrape(Collector):
    """What is counted when somebody asks."""

    def __init__(self, census: Callable[[], Census], watchers: Callable[[], int]) -> None:
        self._census, self._watchers = census, watchers

    def collect(self) -> Iterable[Metric]:
        """All gauges that are derived from the engine's tables."""
        census = self._census()
        yield _gauge("roam_queue_depth", "Services that wait to be reconciled.", census.queued)
        yield _gauge("roam_queue_age_seconds", "How long the queue has not been empty.", census.queue_age_s)
        yield _gauge("roam_engine_last_step_age_seconds", "Since the engine's last turn.", census.step_age_s)
        yield _gauge("roam_watchers", "Watches that are open.", self._watchers())
        health = GaugeMetricFamily(
            "roam_subcluster_health", "1 for the state a sub-cluster is in.", labels=["subcluster", "health"]
        )
        for name, state in sorted(census.health.items()):
            for each in _HEALTH:
                health.add_metric([name, each], float(each == state))
        yield health
        conditions = GaugeMetricFamily(
            "roam_placements", "Placements by condition and status.", labels=["condition", "status"]
        )
        for (condition, status), count in sorted(census.conditions.items()):
            conditions.add_metric([condition, status], count)
        yield conditions
        running = GaugeMetricFamily("roam_migrations_open", "Open migrations by phase.", labels=["phase"])
        for phase, count in sorted(census.migrations.items()):
            running.add_metric([phase], count)
        yield running
        retries = GaugeMetricFamily(
            "roam_gateway_unacknowledged", "Services whose newest route is not in force yet.", labels=["gateway"]
        )
        for name, count in sorted(census.unacknowledged.items()):
            retries.add_metric([name], count)
        yield retries


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def stopwatch() -> Callable[[], float]:
    """Seconds since this call."""
    began = time.perf_counter()
    return lambda: time.perf_counter() - began

"""`/metrics` and the health pages: what they tell, to whom, and that labels stay few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from serving import serving

from federation.contracts.store import Create
from federation.engine.core import Plugins
from federation.engine.vitals import Census
from federation.errors import AlreadyExists, Unavailable
from federation.model.kinds import BY_PLURAL
from federation.model.meta import Metadata
from federation.model.subcluster import Location, SubCluster, SubClusterSpec
from federation.server.health import Check, health_pages
from federation.server.metering import metered_plugins, metered_store, resource_of
from federation.server.metrics import Metrics
from federation.store.sql import open_store

CENSUS = Census(
    queued=3,
    queue_age_s=1.5,
    step_age_s=0.1,
    health={"gce": "Lost"},
    conditions={("Available", "True"): 7},
    migrations={"Shifting": 2},
    unacknowledged={"edge": 1},
)
PLACE = SubCluster(
    metadata=Metadata(name="gce"), spec=SubClusterSpec(provider="local", location=Location(country="DE"))
)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


class Failing:
    def apply(self, *_: object, **__: object) -> None:
        raise Unavailable("no answer")

    def offers(self, **_: object) -> tuple[()]:
        return ()

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: name


def test_what_the_engine_holds_is_counted_when_asked() -> None:
    metrics = Metrics()
    metrics.scrape(lambda: CENSUS, lambda: 4)
    found = samples(metrics)
    assert found["roam_queue_depth", ()] == 3
    assert found["roam_watchers", ()] == 4
    assert found["roam_subcluster_health", (("health", "Lost"), ("subcluster", "gce"))] == 1
    assert found["roam_subcluster_health", (("health", "Healthy"), ("subcluster", "gce"))] == 0
    assert found["roam_placements", (("condition", "Available"), ("status", "True"))] == 7
    assert found["roam_migrations_open", (("phase", "Shifting"),)] == 2
    assert found["roam_gateway_unacknowledged", (("gateway", "edge"),)] == 1


def test_calls_of_drivers_are_timed_by_outcome() -> None:
    metrics = Metrics()
    inner: Any = Failing()
    plugins = metered_plugins(Plugins(lambda _: inner, lambda _: inner, lambda _: inner), metrics)
    driver: Any = plugins.open_driver(PLACE)
    assert driver.offers(deadline_s=1.0) == ()
    with pytest.raises(Unavailable):
        driver.apply(None, deadline_s=1.0)
    assert driver.logs() == "logs", "what is not timed is passed on"
    found = samples(metrics)
    labels = (("outcome", "Unavailable"), ("subcluster", "gce"), ("verb", "apply"))
    assert found["roam_driver_call_seconds_count", labels] == 1
    assert found["roam_driver_call_seconds_count", (("outcome", "ok"), ("subcluster", "gce"), ("verb", "offers"))] == 1


def test_writes_to_the_store_are_timed_and_counted() -> None:
    metrics = Metrics()
    store = metered_store(open_store(None), metrics)
    store.write([Create(PLACE)], now=1.0)
    with pytest.raises(AlreadyExists):
        store.write([Create(PLACE)], now=1.0)
    assert store.version() == 1
    found = samples(metrics)
    assert found["roam_store_objects_written_total", ()] == 1
    assert found["roam_store_write_seconds_count", (("outcome", "AlreadyExists"),)] == 1


@given(st.one_of(st.text(), st.from_regex(r"/apis/roam\.federation/v1alpha1/[a-z/]*", fullmatch=True)))
def test_whatever_is_asked_for_labels_stay_few(path: str) -> None:
    pages = {"healthz", "livez", "readyz", "metrics", "version", "api", "apis", "openapi", "page"}
    assert resource_of(path) in {*BY_PLURAL, *pages, "apply", "audit", "backup", "other"}


def test_metrics_want_a_token_and_are_text(tmp_path: Path) -> None:
    metrics = Metrics()
    with serving(tmp_path, extras=[metrics.page()]) as api:
        assert api.call("GET", "/metrics", token=None).code == 401
        reply = api.call("GET", "/metrics")
    assert reply.code == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "roam_engine_step_seconds" in reply.text


def test_health_names_what_fails() -> None:
    store = open_store(None)
    why = {"engine": "", "fleet": "not every sub-cluster was heard yet"}
    checks = [Check(name, lambda name=name: why[name], live=name == "engine") for name in why]  # type: ignore[misc]
    pages = {page.path: page for page in health_pages(store, checks)}

    def ask(path: str, **query: str) -> tuple[int, str]:
        request: Any = type("Asked", (), {"query": query})()
        answer: Any = pages[path].handle(request, None)  # type: ignore[arg-type]
        return answer.code, answer.body

    assert all(page.role is None for page in pages.values())
    assert ask("/livez") == (200, "ok")
    code, text = ask("/readyz")
    assert code == 503
    assert "[+]engine ok" in text
    assert "[-]fleet failed: not every sub-cluster was heard yet" in text
    why["fleet"], why["engine"] = "", "no turn for 61 s"
    assert ask("/livez")[0] == 503
    assert ask("/healthz", verbose="")[0] == 503
    why["engine"] = ""
    assert ask("/readyz", verbose="")[1].splitlines() == [
        "[+]store ok",
        "[+]engine ok",
        "[+]fleet ok",
        "readyz check passed",
    ]

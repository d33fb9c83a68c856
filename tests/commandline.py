"""The command line in tests: run it against a served shop, and keep what it prints as golden files.

A test file gets the fixtures `api`, `shop` and `roam` from `tests/unit/conftest.py`:

    def test_something(shop: Served, roam: Roam) -> None:
        golden("something", transcript(roam, ("get", "ms", "-n", "shop"), ("get", "nothing")))

The terminal is 110 columns wide, without colours. `UPDATE_GOLDEN=1` writes the files anew: read them before they are
kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from serving import BASE, NOW, Served, a_microservice, a_secret, a_subcluster

from federation.contracts.store import Create, Replace
from federation.model.event import Event, Regarding
from federation.model.meta import Condition, Key, Metadata
from federation.model.offers import Offer
from federation.model.placement import Placement, PlacementSpec, PlacementStatus, Proposal, Running, Target
from federation.model.subcluster import SubCluster

GOLDEN = Path(__file__).parent / "golden" / "cli"
WIDTH = 110
Roam = Callable[..., tuple[int, str, str]]
"""Runs a command line; its exit code, stdout and stderr."""


def golden(name: str, text: str) -> None:
    """Assert that `text` is what `tests/golden/cli/<name>` holds (`.txt` when it has no ending)."""
    path = GOLDEN / (name if "." in name else f"{name}.txt")
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing; UPDATE_GOLDEN=1 writes it"
    assert text == path.read_text(), f"{path} differs; UPDATE_GOLDEN=1 writes it anew"


def transcript(roam: Roam, *commands: tuple[object, ...]) -> str:
    """These command lines, each with what it prints (stdout, then stderr) and its exit code."""
    parts = []
    for words in commands:
        code, out, err = roam(*words)
        parts.append(f"$ roam {' '.join(map(str, words))}\n{out}{err}-> {code}\n")
    return "\n".join(parts)


def a_policy(name: str, **spec: object) -> dict[str, object]:
    """A policy of the fleet, or of a namespace for a name like `shop/name`."""
    space, _, short = name.rpartition("/")
    return {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "PlacementPolicy" if space else "ClusterPlacementPolicy",
        "metadata": {"name": short, **({"namespace": space} if space else {})},
        "spec": spec,
    }


def a_placement(name: str, *running: Running, reason: str = "Ready", pinned: str | None = None) -> Placement:
    """In `shop`: what runs is also what is committed and proposed; nothing running is a denial."""
    targets = tuple(Target(subcluster=one.subcluster, replicas=one.replicas) for one in running)
    status: Literal["True", "False"] = "True" if running else "False"
    since = {"reason": reason, "last_transition_time": NOW}
    placed = Condition(type="Placed", status=status, message="" if running else "0/2 allowed", **since)
    available = Condition(type="Available", status=status, **since)
    proposed = Proposal(targets=targets, cost_usd_per_hour=0.125, terms={"compute": 0.125}) if running else None
    return Placement(
        metadata=Metadata(name=name, namespace="shop"),
        spec=PlacementSpec(targets=targets, pinned=pinned),
        status=PlacementStatus(proposed=proposed, running=running, conditions=(placed, available)),
    )


def an_event(name: str, service: str, message: str, *, reason: str = "Denied", at: float = NOW + 100) -> Event:
    """A warning in `shop` about a microservice."""
    return Event(
        metadata=Metadata(name=name, namespace="shop"),
        type="Warning",
        reason=reason,
        message=message,
        regarding=Regarding(kind="Microservice", namespace="shop", name=service),
        event_time=at,
    )


def fill_shop(api: Served) -> None:
    """Two sub-clusters, two services, where they run, and what happened."""
    documents = [
        a_subcluster("onprem"),
        a_subcluster("cloud", pricing={"cpuHour": 0.05, "memoryGiBHour": 0.006}),
        a_microservice(
            "cart",
            replicas=2,
            ports=[{"port": 80, "targetPort": 8080, "protocol": "http"}],
            calls=[{"service": "db", "gibPerHour": 0.5}],
            objects=[a_secret()],
        ),
        a_microservice("db", ports=[{"port": 5432}]),
        a_policy("eu", selector={"matchLabels": {"app": "cart"}}, compliance={"residency": {"allow": ["EU"]}}),
    ]
    assert api.call("POST", f"{BASE}/apply", documents).code == 200
    api.store.write(
        [
            Create(a_placement("cart", Running(subcluster="onprem", replicas=2, ready=1), reason="MinimumReady")),
            Create(a_placement("db", reason="Denied")),
            Create(an_event("e1", "db", "0/2 sub-clusters\nallowed \x1b[31m")),
        ],
        now=NOW,
    )
    offer = Offer(name="all", cpu_cores=8.0, memory_bytes=16.0 * 2**30, cpu_hour_usd=0.02)
    onprem = api.store.get(SubCluster, Key("", "onprem"))
    status = onprem.status.model_copy(update={"health": "Healthy", "offers": (offer,)})
    api.store.write([Replace(onprem.model_copy(update={"status": status}))], now=NOW)

"""Seeded fleets to plan: applications that call each other, scarce cheap ground of one's own, dear clouds without end.

`fleet(1_000, 30, seed=0)` gives the resources of a thousand services and thirty sub-clusters. The same arguments always
give the same resources. What is drawn is meant to be hard in the ways that real fleets are:

- a fifth of the sub-clusters are on-premises, at a quarter of a cloud's price, and hold two thirds of what would like
  to run there;
- applications of a dozen services call each other as a tree with a few more calls, a tenth of all calls leave the
  application, and traffic between clouds costs what the providers' price lists say;
- residency binds a third of the applications, users and the worth of their latency pull at the services they meet;
- a tenth of the services have to run over several providers or regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from federation.atlas.data import countries, regions
from federation.model.meta import Resource
from federation.model.microservice import Microservice
from federation.model.policy import ClusterPlacementPolicy
from federation.model.subcluster import SubCluster

GROUP = "roam.federation/v1alpha1"
APPLICATION = 12
OWN_SHARE = 0.2
"""Which share of the sub-clusters is on-premises."""
WANTED = 1.5
"""How many times the on-premises capacity would be used if it had no end."""
OUTSIDE = 0.1
SPREAD = 0.1
CITIES = (
    ("DE", 50.1, 8.7), ("FR", 48.9, 2.4), ("NL", 52.4, 4.9), ("US", 40.7, -74.0), ("SE", 59.3, 18.1),
    ("US", 37.8, -122.4), ("IE", 53.3, -6.3), ("PL", 52.2, 21.0), ("ES", 40.4, -3.7), ("JP", 35.7, 139.7),
)  # fmt: skip
HOMES = ("eu", "eu", "eu", "us", "asia")
USERS = {"eu": "DE", "us": "US", "asia": "JP"}
CONTINENTS = {"EU": 1.0, "NA": 0.95, "AS": 1.15, "OC": 1.2, "SA": 1.5, "AF": 1.3}


@dataclass(frozen=True)
class Draw:
    """What was drawn for one service."""

    application: int
    home: str
    bound: bool
    spread: str
    replicas: int
    cpu: float
    gib: float


def fleet(services: int, subclusters: int, seed: int, *, scarce: bool = True, spread: bool = True) -> list[Resource]:
    """The resources. `scarce`: whether on-premises capacity ends; `spread`: whether any service has to be divided."""
    chance = np.random.default_rng([seed, services, subclusters])
    draws = _draws(chance, services, spread=spread)
    calls = _calls(chance, draws)
    places = _places(chance, subclusters, draws, scarce=scarce)
    return [*places, *(_service(i, draw, calls[i]) for i, draw in enumerate(draws)), *_policies()]


def _draws(chance: np.random.Generator, services: int, *, spread: bool) -> list[Draw]:
    found = []
    home, bound = "eu", False
    for index in range(services):
        if index % APPLICATION == 0:
            home, bound = HOMES[int(chance.integers(len(HOMES)))], bool(chance.random() < 1 / 3)
        divided = spread and chance.random() < SPREAD
        kinds = ("provider-2", "provider-3", "region-2", "region-3")
        kind = kinds[int(chance.choice(4, p=(0.4, 0.1, 0.4, 0.1)))]
        draw = Draw(
            application=index // APPLICATION,
            home=home,
            bound=bound,
            spread=kind if divided else "",
            replicas=int(chance.integers(3, 7) if divided else chance.integers(1, 6)),
            cpu=float(chance.choice((0.1, 0.25, 0.5, 1.0, 2.0), p=(0.3, 0.3, 0.2, 0.15, 0.05))),
            gib=float(chance.choice((0.125, 0.25, 0.5, 1.0, 4.0), p=(0.3, 0.3, 0.2, 0.15, 0.05))),
        )
        found.append(draw)
    return found


def _calls(chance: np.random.Generator, draws: list[Draw]) -> list[list[dict[str, Any]]]:
    """Each service is called by an earlier one of its application, and calls a few others."""
    calls: list[dict[int, float]] = [{} for _ in draws]

    def add(caller: int, callee: int) -> None:
        if caller != callee:
            calls[caller][callee] = round(float(chance.lognormal(-2.0, 1.2)), 4)

    for index in range(len(draws)):
        first = index - index % APPLICATION
        if index > first:
            add(int(chance.integers(first, index)), index)
        if chance.random() < 0.5:
            last = min(first + APPLICATION, len(draws))
            add(index, int(chance.integers(first, last)))
        if chance.random() < OUTSIDE * 1.5:
            add(index, int(chance.integers(len(draws))))
    return [[{"service": _name(d), "gibPerHour": g} for d, g in sorted(each.items())] for each in calls]


def _name(index: int) -> str:
    return f"s{index:05d}"


def _places(chance: np.random.Generator, count: int, draws: list[Draw], *, scarce: bool) -> list[SubCluster]:
    own = max(round(count * OWN_SHARE), 1)
    known = [each for each in regions().values() if each.cloud in ("aws", "gcp", "azure")]
    picked = [known[i] for i in chance.permutation(len(known))[: count - own].tolist()]
    cpu = sum(d.replicas * d.cpu for d in draws)
    gib = sum(d.replicas * d.gib for d in draws)
    parts = chance.lognormal(0.0, 0.4, own)
    parts = parts / parts.sum() / WANTED
    found = []
    for number in range(own):
        country, latitude, longitude = CITIES[number % len(CITIES)]
        spec: dict[str, Any] = {
            "location": {
                "country": country,
                "latitude": latitude,
                "longitude": longitude,
                "operator": "Example GmbH",
                "operatorCountry": "DE",
            },
            "pricing": _pricing(float(chance.uniform(0.008, 0.014))),
        }
        if scarce:
            spec["capacity"] = {
                "cpu": f"{cpu * parts[number]:.1f}",
                "memory": f"{gib * parts[number] * float(chance.uniform(0.8, 1.2)):.1f}Gi",
            }
        found.append(_subcluster(f"own-{number:03d}", spec))
    for number, region in enumerate(picked):
        price = 0.038 * CONTINENTS.get(countries()[region.country].continent, 1.2) * float(chance.uniform(0.85, 1.25))
        found.append(_subcluster(f"cloud-{number:03d}", {"region": region.name, "pricing": _pricing(price)}))
    return found


def _pricing(cpu_hour: float) -> dict[str, float]:
    return {"cpuHour": round(cpu_hour, 6), "memoryGiBHour": round(cpu_hour / 7.46, 6)}


def _subcluster(name: str, spec: dict[str, Any]) -> SubCluster:
    return SubCluster.model_validate(
        {
            "apiVersion": GROUP,
            "kind": "SubCluster",
            "metadata": {"name": name},
            "spec": {"provider": "local", "connection": {"images": True}, **spec},
        }
    )


def _service(index: int, draw: Draw, calls: list[dict[str, Any]]) -> Microservice:
    requests = {"cpu": f"{draw.cpu:g}", "memory": f"{int(draw.gib * 1024)}Mi"}
    labels = {"users": draw.home, "bound": draw.home if draw.bound else "no", "spread": draw.spread or "no"}
    container = {"name": "main", "image": "app:1", "resources": {"requests": requests}}
    return Microservice.model_validate(
        {
            "apiVersion": GROUP,
            "kind": "Microservice",
            "metadata": {"name": _name(index), "namespace": "bench", "labels": labels},
            "spec": {"replicas": draw.replicas, "template": {"spec": {"containers": [container]}}, "calls": calls},
        }
    )


def _policies() -> list[ClusterPlacementPolicy]:
    found = [
        _policy(f"bound-{home}", {"bound": home}, {"compliance": {"residency": {"allow": [where]}}})
        for home, where in (("eu", "EU"), ("us", "US"))
    ]
    found += [
        _policy(
            f"users-{home}",
            {"users": home},
            {"locality": {"users": [{"country": country}], "latencyWorth": 0.00002}},
        )
        for home, country in USERS.items()
    ]
    for topology in ("provider", "region"):
        for least in (2, 3):
            name = f"{topology}-{least}"
            found.append(_policy(name, {"spread": name}, {"spread": {"topology": topology, "minDomains": least}}))
    return found


def _policy(name: str, labels: dict[str, str], spec: dict[str, Any]) -> ClusterPlacementPolicy:
    return ClusterPlacementPolicy.model_validate(
        {
            "apiVersion": GROUP,
            "kind": "ClusterPlacementPolicy",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, **spec},
        }
    )

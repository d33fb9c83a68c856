"""Manifests in the manner of well-known public ones, and what intake makes of them, as golden files.

On a wanted change, write the new summaries with ROAM_WRITE_GOLDEN=1 and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from federation.intake.loading import Manifests, load
from federation.intake.schemas import Schemas

HERE = Path(__file__).parent / "intake"
FILES = sorted(path for path in HERE.iterdir() if path.suffix in (".yaml", ".json") and ".expected" not in path.name)
BOUTIQUE = Path(os.environ.get("ROAM_SHARED", Path(__file__).parents[2].parent / "shared")) / "data" / "online-boutique"


def summary(manifests: Manifests) -> dict[str, Any]:
    return {
        "microservices": {
            str(one.key): {
                "workload": one.spec.workload,
                "replicas": one.spec.replicas,
                "stateful": one.spec.stateful,
                "minAvailable": one.spec.disruption.min_available,
                "labels": one.metadata.labels,
                "annotations": one.metadata.annotations,
                "aliases": list(one.spec.aliases),
                "ports": [f"{port.name} {port.port}->{port.target_port} {port.protocol}" for port in one.spec.ports],
                "calls": [f"{call.service}:{call.port}" for call in one.spec.calls],
                "objects": [f"{item['kind']} {item['metadata']['name']}" for item in one.spec.objects],
            }
            for one in manifests.microservices
        },
        "unattached": [f"{item['kind']} {item['metadata']['name']}" for item in manifests.unattached],
        "notices": [f"{notice.line}: {notice.message}" for notice in manifests.notices],
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_intake_makes_of(path: Path) -> None:
    expected = HERE / f"{path.stem}.expected.json"
    found = summary(load([path], Schemas()))
    if os.environ.get("ROAM_WRITE_GOLDEN"):
        expected.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(expected.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_object_is_lost_and_none_is_changed(path: Path) -> None:
    manifests = load([path], Schemas())
    written = [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8").replace("\t", " ")) if item]
    written = [each for item in written for each in (item["items"] if item["kind"] == "List" else [item])]
    kept = [*manifests.unattached, *(item for one in manifests.microservices for item in one.spec.objects)]
    for item in written:
        # PyYAML joins surrogates from JSON escapes differently: compare without that one annotation.
        assert any(_plain(item) == _plain(one) for one in kept), item["metadata"]


def _plain(item: dict[str, Any]) -> str:
    metadata = {name: value for name, value in item["metadata"].items() if name != "annotations"}
    return json.dumps({**item, "metadata": metadata}, sort_keys=True)


def test_all_calls_that_environment_variables_imply_are_assumed() -> None:
    calls = [call for path in FILES for one in load([path], Schemas()).microservices for call in one.spec.calls]
    assert calls
    assert all(call.assumed and call.gib_per_hour is None for call in calls)


@pytest.mark.skipif(not BOUTIQUE.is_dir(), reason="../shared/data/online-boutique (or ROAM_SHARED) is not there")
def test_online_boutique_has_12_microservices_and_16_calls() -> None:
    manifests = load([BOUTIQUE], Schemas())
    assert len(manifests.microservices) == 12
    assert {
        one.metadata.name: [f"{call.service}:{call.port}" for call in one.spec.calls] for one in manifests.microservices
    } == {
        "adservice": [],
        "cartservice": ["redis-cart:6379"],
        "checkoutservice": [
            "productcatalogservice:3550",
            "shippingservice:50051",
            "paymentservice:50051",
            "emailservice:5000",
            "currencyservice:7000",
            "cartservice:7070",
        ],
        "currencyservice": [],
        "emailservice": [],
        "frontend": [
            "productcatalogservice:3550",
            "currencyservice:7000",
            "cartservice:7070",
            "recommendationservice:8080",
            "shippingservice:50051",
            "checkoutservice:5050",
            "adservice:9555",
        ],
        "loadgenerator": ["frontend:80"],
        "paymentservice": [],
        "productcatalogservice": [],
        "recommendationservice": ["productcatalogservice:3550"],
        "redis-cart": [],
        "shippingservice": [],
    }
    frontend = next(one for one in manifests.microservices if one.metadata.name == "frontend")
    assert frontend.spec.aliases == ("frontend-external",)
    assert [port.protocol for port in frontend.spec.ports] == ["http"]
    assert manifests.notices == ()

"""The example shop's manifests carry the source they say they carry, and wire the services as the source calls them."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import yaml

from federation.model.addresses import mentions

SHOP = Path(__file__).parents[2] / "examples" / "shop"
SOURCE = SHOP / "src" / "shop.py"


def documents() -> list[dict[str, Any]]:
    return [doc for path in sorted(SHOP.glob("*.yaml")) for doc in yaml.safe_load_all(path.read_text())]


def test_the_config_map_is_rendered_from_the_source() -> None:
    render = runpy.run_path(str(SHOP / "src" / "render.py"))["render"]
    assert (SHOP / "00-code.yaml").read_text() == render(SOURCE.read_text()), "run examples/shop/src/render.py"


def test_the_config_map_carries_the_source_byte_for_byte() -> None:
    code = next(doc for doc in documents() if doc["kind"] == "ConfigMap")["data"]["shop.py"]
    assert code == SOURCE.read_text()
    assert "$(" not in code  # it is put in by Kubernetes' own $(NAME) expansion
    services = {f"shop/{doc['metadata']['name']}": (8080, 7000) for doc in documents() if doc["kind"] == "Service"}
    assert mentions("SHOP_CODE", code, services, "shop") == ()  # no text that drivers would take for an address


def test_each_service_is_given_the_addresses_of_exactly_those_it_calls() -> None:
    assignment = next(
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CALLS"
    )
    assert isinstance(assignment.value, ast.Dict)
    calls = {
        key.id: set(ast.literal_eval(value))
        for key, value in zip(assignment.value.keys, assignment.value.values, strict=True)
        if isinstance(key, ast.Name)
    }
    ports = {
        doc["metadata"]["name"]: doc["spec"]["ports"][0]["port"] for doc in documents() if doc["kind"] == "Service"
    }
    workloads = [doc for doc in documents() if doc["kind"] in ("Deployment", "StatefulSet")]
    assert len(workloads) == len(ports) == 10
    for workload in workloads:
        name = workload["metadata"]["name"]
        container = workload["spec"]["template"]["spec"]["containers"][0]
        given = {
            entry["name"]: entry["value"]
            for entry in container["env"]
            if entry["name"].endswith("_ADDR")
        }  # fmt: skip
        wanted = {
            f"{callee.upper().replace('-', '_')}_ADDR": f"{callee}:{ports[callee]}" for callee in calls.get(name, set())
        }
        assert given == wanted, name
        assert container["args"] == [name]

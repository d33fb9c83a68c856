"""`roam plan` and `roam why` from files alone."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving import a_microservice, a_subcluster

from federation.cli.main import main

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent.parent / "golden" / "cli"
SHOP = ("-f", ROOT / "examples/shop", "-f", ROOT / "examples/fleet.yaml", "-f", ROOT / "examples/policies")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path / "no-home"))
    monkeypatch.setenv("COLUMNS", "110")


def _roam(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; UPDATE_GOLDEN=1 writes it anew"


def _fleet(folder: Path, *documents: dict[str, Any]) -> Path:
    path = folder / "all.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def _small(folder: Path, **spec: object) -> Path:
    """Three services, one of them pinned down by a rule, one too large."""
    cart = a_microservice("cart", replicas=2, calls=[{"service": "db", "gibPerHour": 2.0}], **spec)
    cart["metadata"]["labels"] = {"app": "cart"}
    onprem = a_subcluster("onprem", capacity={"cpu": "1", "memory": "2Gi"})
    location = {"country": "US", "latitude": 41.0, "longitude": -93.0, "operator": "Cloud", "operatorCountry": "US"}
    cloud = a_subcluster("iowa", location=location, pricing={"cpuHour": 0.05, "memoryGiBHour": 0.006})
    policy = {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "PlacementPolicy",
        "metadata": {"name": "eu|only", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "compliance": {"residency": {"allow": ["EU"]}}},
    }
    policy["metadata"] = {"name": "eu-only", "namespace": "shop"}
    return _fleet(folder, cart, a_microservice("db"), onprem, cloud, policy)


def test_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = _small(tmp_path)
    for width in (110, 80, 50):
        monkeypatch.setenv("COLUMNS", str(width))
        code, out, err = _roam(capsys, "plan", "-f", path)
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= width
        assert "\x1b" not in out
        _golden(f"plan-{width}.txt", out)
    _golden("plan.md", _roam(capsys, "plan", "-f", path, "-o", "markdown")[1])


def test_the_shop_adds_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out_file = tmp_path / "plan.json"
    code, out, _ = _roam(capsys, "plan", *SHOP, "-o", "json", "--out", out_file)
    plan = json.loads(out)
    assert code == 0
    assert json.loads(out_file.read_text()) == plan
    assert {"placements", "calls", "total_usd_per_hour", "bound_usd_per_hour", "gap", "changes"} <= plan.keys()
    assert len(plan["placements"]) == 10
    for one in plan["placements"]:
        assert {"namespace", "service", "targets", "cost_usd_per_hour", "terms", "reasons"} <= one.keys()
        assert {"subcluster", "replicas"} == one["targets"][0].keys()
        assert math.isclose(sum(one["terms"].values()), one["cost_usd_per_hour"], abs_tol=1e-6)
    costs = sum(one["cost_usd_per_hour"] for one in plan["placements"])
    assert math.isclose(costs, plan["total_usd_per_hour"], abs_tol=1e-6)
    sums = sum(one["cost_usd_per_hour"] for one in plan["subclusters"])
    assert math.isclose(sums, plan["total_usd_per_hour"], abs_tol=1e-6)
    assert _roam(capsys, "plan", *SHOP, "--detailed-exitcode")[0] == 2


def test_a_service_nobody_may_take_is_4_with_each_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _small(tmp_path)
    text = path.read_text().replace("- EU", "- CH")
    path.write_text(text)
    code, out, _ = _roam(capsys, "plan", "-f", path)
    assert code == 4
    assert "shop/cart: denied by policy everywhere" in out
    code, out, _ = _roam(capsys, "why", "cart", "-n", "shop", "-f", path)
    assert code == 4
    assert out.count("outside [CH]") == 2
    code, out, _ = _roam(capsys, "why", "cart", "-n", "shop", "-f", path, "-o", "json")
    assert code == 4
    assert {one["subcluster"]: one["verdict"] for one in json.loads(out)["candidates"]} == {
        "onprem": "denied",
        "iowa": "denied",
    }


def test_no_room_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    containers = [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "3"}}}]
    path = _small(tmp_path, template={"spec": {"containers": containers}})
    code, out, _ = _roam(capsys, "plan", "-f", path)
    assert code == 3
    assert "shop/cart: no room" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML"),
        ("apiVersion: roam.federation/v1alpha1\nkind: SubClster\nmetadata: {name: a}\n", "SubCluster"),
        ("a: &a [x,x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", "all.yaml"),
        ("!!python/object:os.system {}", "all.yaml"),
    ],
)
def test_bad_files_are_64(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(text)
    code, out, err = _roam(capsys, "plan", "-f", path, "--offline")
    assert (code, out) == (64, "")
    assert said in err
    assert str(path) in err


def test_it_never_asks_a_server_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _fleet(tmp_path, a_microservice("cart"))
    code, _, err = _roam(capsys, "plan", "-f", path, "--offline")
    assert (code, "-f FLEET" in err) == (64, True)
    code, _, err = _roam(capsys, "plan", "-f", path)
    assert (code, "roam serve" in err) == (1, True)


def test_colours_are_for_people_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _small(tmp_path)
    monkeypatch.setattr("federation.cli.plantable.in_colour", lambda _: True)
    assert "\x1b[" in _roam(capsys, "plan", "-f", path)[1]


def test_the_example_of_machines_that_are_bought_whole(capsys: pytest.CaptureFixture[str]) -> None:
    files = ("-f", ROOT / "examples/shop", "-f", ROOT / "examples/machines.yaml", "-n", "shop")
    code, plan, err = _roam(capsys, "plan", *files)
    assert (code, err) == (0, "")
    code, why, err = _roam(capsys, "why", "frontend", *files)
    assert (code, err) == (0, "")
    _golden("plan-machines.txt", f"{plan}\n{why}")

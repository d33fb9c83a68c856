"""`roam simulate`: what it prints, what it refuses, and the scenarios that are shipped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import WIDTH, Roam, golden, transcript
from serving import Served
from whatif import API, a_fleet, policy, service

from federation.app import plan_resources
from federation.cli.world import load_files

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "examples/scenarios"
SHOP = ("-f", ROOT / "examples/shop", "-f", ROOT / "examples/fleet.yaml", "-f", ROOT / "examples/policies")
EU_ONLY = policy("eu", selector={"matchLabels": {"app": "cart"}}, compliance={"residency": {"allow": ["EU"]}})


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path / "no-home"))
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    for name in ("ROAM_NAMESPACE", "ROAM_SERVER"):
        monkeypatch.delenv(name, raising=False)


def _write(path: Path, *documents: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump_all(documents))
    return path


def _scenario(folder: Path, *steps: dict[str, Any], name: str = "scenario.yaml", **spec: Any) -> Path:
    document = {
        "apiVersion": API,
        "kind": "Scenario",
        "metadata": {"name": "what-if", "namespace": "shop"},
        "spec": {"steps": list(steps), **spec},
    }
    return _write(folder / name, document)


def _ground(folder: Path) -> Path:
    return _write(folder / "ground.yaml", *a_fleet(), service("cart", replicas=2), service("web"), EU_ONLY)


STEPS = (
    {"name": "home | fails", "changes": [{"lose": "home"}]},
    {"changes": [{"regain": "home"}, {"apply": policy("away", compliance={"residency": {"allow": ["FR"]}})}]},
    {"name": "calm"},
)


@pytest.mark.parametrize("output", ["table", "json", "yaml", "markdown"])
def test_what_is_shown(output: str, tmp_path: Path, roam: Roam) -> None:
    files = ("-f", _scenario(tmp_path, *STEPS), "-f", _ground(tmp_path))
    code, out, err = roam("simulate", *files, "-o", output)
    assert (code, err) == (4, "")
    assert (code, out, err) == roam("simulate", *files, "-o", output)
    golden(f"simulate.{ {'table': 'txt', 'markdown': 'md'}.get(output, output) }", out)
    if output in ("json", "yaml"):
        document = json.loads(out) if output == "json" else yaml.safe_load(out)
        assert [step["name"] for step in document["steps"]] == ["home | fails", "step 2", "calm"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([], 0),
        ([{"cordon": "home"}], 0),
        ([{"lose": "home"}], 3),
        ([{"apply": policy("away", compliance={"residency": {"allow": ["FR"]}})}], 4),
    ],
)
def test_how_it_ends(changes: list[dict[str, Any]], code: int, tmp_path: Path, roam: Roam) -> None:
    files = ("-f", _scenario(tmp_path, {"changes": changes}), "-f", _ground(tmp_path))
    assert roam("simulate", *files)[0] == code


def test_files_that_are_no_scenario(tmp_path: Path, roam: Roam) -> None:
    ground = _ground(tmp_path)
    code, _, err = roam("simulate", "-f", ground)
    assert (code, err) == (64, "roam: error: no Scenario is among the files; add -f SCENARIO\n")
    two = (_scenario(tmp_path, *STEPS), _scenario(tmp_path, name="b.yaml"))
    code, _, err = roam("simulate", "-f", two[0], "-f", two[1], "-f", ground)
    assert code == 64
    assert "one Scenario at a time" in err
    code, _, err = roam("simulate", "-f", two[0], "--offline")
    assert code == 64
    assert "add -f FLEET" in err


def test_what_is_wrong_comes_with_file_and_line(tmp_path: Path, roam: Roam) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        f"apiVersion: {API}\nkind: Scenario\nmetadata: {{name: x}}\nspec:\n  steps:\n"
        "    - changes:\n        - lose: hom\n    - changs: []\n"
    )
    code, _, err = roam("simulate", "-f", path, "-f", _ground(tmp_path))
    assert code == 64
    assert f"{path}:8: spec.steps[1].changs: unknown field `changs`; did you mean `changes`?" in err
    path.write_text(path.read_text().replace("    - changs: []\n", ""))
    code, _, err = roam("simulate", "-f", path, "-f", _ground(tmp_path))
    assert (code, err) == (
        64,
        f"roam: error: {path}:7: spec.steps[0].changes[0].lose: there is no sub-cluster hom; did you mean `home`?\n",
    )


def test_a_scenario_is_not_applied(tmp_path: Path, roam: Roam) -> None:
    path = _scenario(tmp_path, *STEPS)
    code, out, err = roam("validate", "-f", path)
    assert code == 64
    assert "a Scenario is no resource: it is for `roam simulate`" in out + err


def test_without_steps_the_start_is_shown(tmp_path: Path, roam: Roam) -> None:
    code, out, err = roam("simulate", "-f", _scenario(tmp_path), "-f", _ground(tmp_path))
    assert (code, err) == (0, "roam: warning: the scenario has no steps; what is shown is the start\n")
    assert out.splitlines()[-1].startswith("In all 0 moves of 0 services")


def test_a_server_s_state(shop: Served, tmp_path: Path, roam: Roam) -> None:
    """What runs there is what the steps start from; nothing of it is changed."""
    before = roam("get", "placements", "-A", "-o", "json")[1]
    lose = _scenario(tmp_path, {"changes": [{"lose": "onprem"}]})
    golden("simulate-server", transcript(roam, ("simulate", "-f", lose)).replace(str(tmp_path), "."))
    assert roam("get", "placements", "-A", "-o", "json")[1] == before
    more = _write(tmp_path / "more.yaml", policy("eu-db", compliance={"residency": {"allow": ["FR"]}}))
    code, out, _ = roam("simulate", "-f", _scenario(tmp_path), "-f", more, "-o", "json")
    assert code == 4
    assert [one["service"] for one in json.loads(out)["start"]["out_of_policy"]] == ["cart"]


def test_a_step_without_an_end_says_so(tmp_path: Path, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("federation.whatif.settle.ROUNDS", 1)
    files = ("-f", _scenario(tmp_path, {"changes": [{"lose": "home"}]}), "-f", _ground(tmp_path))
    assert "No end was found to it: services keep moving." in roam("simulate", *files)[1].splitlines()
    steps = json.loads(roam("simulate", *files, "-o", "json")[1])["steps"]
    assert [step["settled"] for step in steps] == [False]


@pytest.mark.parametrize("path", sorted(SCENARIOS.iterdir()), ids=lambda path: path.stem)
def test_the_shipped_scenarios(path: Path, roam: Roam) -> None:
    code, out, err = roam("simulate", "-f", path, *SHOP)
    assert err == ""
    assert code == {"a-rule-is-added": 4, "lose-a-cloud": 3}.get(path.stem, 0)
    golden(f"simulate-{path.stem}", out)


def test_it_starts_from_what_roam_plan_says(roam: Roam) -> None:
    code, out, _ = roam("simulate", "-f", SCENARIOS / "price-doubles.yaml", *SHOP, "-o", "json")
    assert code == 0
    files = [str(word) for word in SHOP if word != "-f"]
    plan = plan_resources(load_files(files, "default").resources, 0.0).plan
    start = json.loads(out)["start"]
    assert start["cost_after_usd_per_hour"] == pytest.approx(plan.total_usd_per_hour)
    assert start["bound_usd_per_hour"] <= start["cost_after_usd_per_hour"]


def test_the_readme_says_what_happens(tmp_path: Path, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")  # as into a file: nothing is wrapped
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    out = roam("simulate", "-f", SCENARIOS / "lose-a-cloud.yaml", *SHOP)[1]
    (shown,) = (block for block in blocks if block.startswith("1. EC2 fails"))
    assert shown in out
    (document,) = (block for block in blocks if "kind: Scenario" in block)
    path = tmp_path / "scenario.yaml"
    path.write_text(document)
    assert roam("simulate", "-f", path, *SHOP)[0] == 0

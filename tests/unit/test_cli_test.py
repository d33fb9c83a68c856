"""`roam test`: the files it finds and refuses, what it prints and writes, and the tests that are shipped."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from commandline import WIDTH, Roam, golden
from whatif import API, a_fleet, policy, service

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
EU_ONLY = policy("eu", selector={"matchLabels": {"app": "cart"}}, compliance={"residency": {"allow": ["EU"]}})
GROUND = (*a_fleet(), service("cart"), service("web"), EU_ONLY)
PASSES = {"name": "carts stay", "expect": [{"service": "cart", "runsIn": {"countries": ["EU"]}}]}
FAILS = {
    "name": "all <may> go",
    "changes": [{"lose": "home"}],
    "expect": [
        {"service": "cart", "mayRunIn": ["iowa"], "placed": True},
        {"service": "web", "runsIn": {"subclusters": ["home"]}},
        {"moves": 0, "maxHourly": "0.001 USD"},
    ],
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path / "no-home"))
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    for name in ("ROAM_NAMESPACE", "ROAM_SERVER"):
        monkeypatch.delenv(name, raising=False)


def _write(path: Path, *documents: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return path


def _test(*cases: dict[str, Any], name: str = "shop", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": API, "kind": "PolicyTest", "metadata": metadata, "spec": {**spec, "cases": list(cases)}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_shown_and_written(folder: Path, roam: Roam) -> None:
    _write(folder / "tests/shop.yaml", _test(PASSES, FAILS), *GROUND)
    _write(folder / "tests/web.yaml", _test(PASSES, name="web", files=["ground.yaml"]))
    _write(folder / "tests/ground.yaml", *GROUND)
    code, out, err = roam("test", "-f", "tests", "--junit", "report.xml")
    assert (code, err) == (1, "")
    golden("test", out)
    golden("test.xml", (folder / "report.xml").read_text())
    code, out, err = roam("test", "-f", "tests", "-o", "json")
    assert (code, err) == (1, "")
    golden("test.json", out)
    document = json.loads(out)
    assert (document["passed"], document["failed"]) == (2, 1)


def test_junit_holds_what_is_printed_and_no_more_than_xml_can(folder: Path, roam: Roam) -> None:
    bell = {**FAILS, "name": "a \a bell & <a tag>"}
    _write(folder / "t.yaml", _test(PASSES, bell), *GROUND)
    assert roam("test", "-f", "t.yaml", "--junit", "report.xml")[0] == 1
    root = ElementTree.parse(folder / "report.xml").getroot()  # noqa: S314 (our own file)
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    case = root.findall("./testsuite/testcase")[1]
    assert case.get("name") == "a ? bell & <a tag>"
    text = case.findall("failure")[0].text or ""
    assert "iowa: outside [EU]: runs in US (PlacementPolicy shop/eu)" in text


def test_all_that_pass_end_with_0(folder: Path, roam: Roam) -> None:
    _write(folder / "t.yaml", _test(PASSES), *GROUND)
    code, out, _ = roam("test")
    assert (code, out.splitlines()[-1]) == (0, "1 case: 1 passed, 0 failed.")


def test_folders_are_searched_below_and_others_files_left_alone(folder: Path, roam: Roam) -> None:
    _write(folder / "a/b/t.yaml", _test(PASSES), *GROUND)
    _write(folder / "a/.hidden/t.yaml", _test(FAILS), *GROUND)
    (folder / "a/chart.yaml").write_text("{{ not: valid")
    _write(folder / "outside.yaml", _test(FAILS), *GROUND)
    (folder / "a/link.yaml").symlink_to(folder / "outside.yaml")
    code, out, err = roam("test", "-f", "a", "-f", "a/b/t.yaml")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "1 case: 1 passed, 0 failed."


def test_nothing_to_test(folder: Path, roam: Roam) -> None:
    _write(folder / "ground.yaml", *GROUND)
    assert roam("test", "-f", ".")[::2] == (
        64,
        "roam: error: .: no PolicyTest in any *.yaml here or below; add -f FILE\n",
    )
    assert roam("test", "-f", "ground.yaml")[::2] == (64, "roam: error: ground.yaml: holds no PolicyTest\n")
    assert roam("test", "-f", "-")[0] == 64
    assert roam("test", "-f", "missing.yaml")[::2] == (64, "roam: error: missing.yaml: no such file or directory\n")


def _refused(roam: Roam, *words: str) -> str:
    code, out, err = roam("test", "-f", "tests/t.yaml", *words)
    assert (code, out) == (64, "")
    return err


@pytest.mark.parametrize("name", ["../ground.yaml", "../", "..", "link.yaml", "links", "sub/../../ground.yaml"])
def test_named_files_stay_in_the_test_s_folder(name: str, folder: Path, roam: Roam) -> None:
    _write(folder / "ground.yaml", *GROUND)
    _write(folder / "tests/t.yaml", _test(PASSES, files=[name]))
    (folder / "tests/link.yaml").symlink_to(folder / "ground.yaml")
    (folder / "tests/links").mkdir()
    (folder / "tests/sub").mkdir()
    (folder / "tests/links/inner.yaml").symlink_to(folder / "ground.yaml")
    err = _refused(roam)
    assert f"spec.files[0]: '{name}' leads out of tests; --root DIR allows more" in err
    assert err.startswith("roam: error: tests/t.yaml:")


def test_a_root_allows_more_but_no_more_than_itself(folder: Path, roam: Roam) -> None:
    _write(folder / "top/ground.yaml", *GROUND)
    _write(folder / "top/tests/t.yaml", _test(PASSES, files=["../ground.yaml"]))
    assert roam("test", "-f", "top/tests", "--root", "top")[0] == 0
    _write(folder / "ground.yaml", *GROUND)
    _write(folder / "top/tests/t.yaml", _test(PASSES, files=["../../ground.yaml"]))
    code, _, err = roam("test", "-f", "top/tests", "--root", "top")
    assert code == 64
    assert "leads out of top" in err


def test_absolute_and_missing_names_are_refused(folder: Path, roam: Roam) -> None:
    _write(folder / "tests/ground.yaml", *GROUND)
    _write(folder / "tests/t.yaml", _test(PASSES, files=[str(folder / "tests/ground.yaml")]))
    assert "leads out of tests" in _refused(roam)
    _write(folder / "tests/t.yaml", _test(PASSES, files=["gruond.yaml"]))
    assert "tests/gruond.yaml: no such file or directory" in _refused(roam)
    _write(folder / "tests/t.yaml", _test(PASSES, files=["x" * 300]))
    assert "file name too long" in _refused(roam)
    os.mkfifo(folder / "tests/pipe.yaml")
    _write(folder / "tests/t.yaml", _test(PASSES, files=["pipe.yaml"]))
    assert "tests/pipe.yaml: not a regular file" in _refused(roam)


def test_what_is_wrong_comes_with_file_and_line_of_all_tests(folder: Path, roam: Roam) -> None:
    wrong = {"name": "x", "expect": [{"service": "cat", "placed": True}]}
    _write(folder / "a.yaml", _test(wrong), *GROUND)
    _write(folder / "b.yaml", _test({**PASSES, "expct": []}), *GROUND)
    _write(folder / "c.yaml", _test(PASSES, PASSES), *GROUND)
    contradicting = policy("us", compliance={"residency": {"allow": ["US"]}})
    _write(folder / "d.yaml", _test(PASSES), *GROUND, contradicting)
    code, out, err = roam("test")
    assert (code, out) == (64, "")
    assert "a.yaml:10: spec.cases[0].expect[0].service: there is no microservice shop/cat" in err
    assert "spec.cases[0].expct: unknown field `expct`; did you mean `expect`?" in err
    assert "the name 'carts stay' is there twice" in err
    assert "d.yaml:1: shop/cart: compliance.residency" in err


def test_manifests_of_kubernetes_are_ground_too(folder: Path, roam: Roam) -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart"}},
        "spec": {
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {
                "metadata": {"labels": {"app": "cart"}},
                "spec": {"containers": [{"name": "main", "image": "registry.example/cart:1"}]},
            },
        },
    }
    _write(folder / "t.yaml", _test(PASSES), *a_fleet(), EU_ONLY, deployment)
    assert roam("test")[0] == 0


def test_a_window_counts_at_the_test_s_time(folder: Path, roam: Roam) -> None:
    """At a fixed one unless told otherwise: no result hangs on the clock."""
    near = {"apiVersion": API, "kind": "SubCluster", "metadata": {"name": "near"}, "spec": {**a_fleet()[0]["spec"]}}
    near["spec"]["pricing"] = {"cpuHour": 0.001, "memoryGiBHour": 0.0001}
    auto = {
        "mode": "automatic",
        "payback": "720h",
        "minSavings": "1%",
        "windows": ["Mon-Fri 20:00-23:00 Europe/Berlin"],
    }
    ground = (*a_fleet(), service("web"), policy("auto", migration=auto))
    case = {"name": "moves", "changes": [{"add": near}], "expect": [{"moves": 1}]}
    _write(folder / "t.yaml", _test(case), *ground)
    assert roam("test")[0] == 1
    _write(folder / "t.yaml", _test(case, at="2026-01-30T20:30:00Z"), *ground)
    assert roam("test")[0] == 0


def test_the_shipped_tests_pass(roam: Roam) -> None:
    code, out, err = roam("test", "-f", EXAMPLES / "policy-tests", "--root", EXAMPLES)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "8 cases: 8 passed, 0 failed."


def test_the_readme_says_what_happens(folder: Path, roam: Roam) -> None:
    for name in ("shop", "policies"):
        shutil.copytree(EXAMPLES / name, folder / name)
    shutil.copy(EXAMPLES / "fleet.yaml", folder)
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    (document,) = (block for block in blocks if "kind: PolicyTest" in block)
    (folder / "t.yaml").write_text(document)
    code, out, err = roam("test", "-f", "t.yaml")
    assert (code, err) == (1, "")
    (shown,) = (block for block in blocks if block.startswith("t.yaml: data\n"))
    head, _, tail = shown.partition("...\n")
    assert out.startswith(head)
    assert out.endswith(tail)

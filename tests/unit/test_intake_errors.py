"""Broken input: each case names file, line, field, what is wrong and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from federation.errors import InvalidInput, InvalidInputs
from federation.intake.loading import load
from federation.intake.resources import validate
from federation.intake.schemas import Schemas
from federation.intake.tree import MAX_FILE_BYTES
from federation.model.meta import Value
from federation.model.quantity import Duration


class Connection(Value):
    address: str = ""
    port: int = 1


class Users(Value):
    country: str
    region: str = ""


class Locality(Value):
    max_latency: Duration | None = None
    users: tuple[Users, ...] = ()


SCHEMAS = Schemas(
    providers={"local": Connection, "ec2": Connection},
    gateways={"envoy": Connection},
    sections={"locality": Locality, "compliance": Connection},
    clouds={"ec2": "aws"},
)
ROAM = "apiVersion: roam.federation/v1alpha1\n"
SUB = ROAM + "kind: SubCluster\nmetadata: {name: x}\nspec:\n"
MICRO = ROAM + "kind: Microservice\nmetadata: {name: x}\nspec:\n"
POLICY = ROAM + "kind: PlacementPolicy\nmetadata: {name: x}\nspec:\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  template:
    metadata: {labels: {app: x}}
    spec:
      containers:
      - name: x
"""
CASES = dict(
    case.split("\n", 1)
    for case in (Path(__file__).parents[1] / "golden" / "intake-errors.txt")
    .read_text(encoding="utf-8")
    .split("==== ")[1:]
)


def faults(text: str, tmp_path: Path, name: str = "in.yaml") -> list[str]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load([path], SCHEMAS)
    assert caught.value.exit_code == 64
    assert isinstance(caught.value, InvalidInputs)
    prefix = f"{path}:"
    found = [str(error) for error in caught.value.errors]
    assert all(each.startswith(prefix) for each in found)
    return [each.removeprefix(prefix) for each in found]


@pytest.mark.parametrize("case", CASES)
def test_broken_input(case: str, tmp_path: Path) -> None:
    text, expected = CASES[case].split("----\n")
    assert faults(text, tmp_path) == expected.splitlines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"a": NaN}', "2: not valid JSON: expected a value, found `NaN}`"),
        ('{"a": 1,\n "a": 2}', "2: the key `a` is there twice, first on line 1; remove one"),
        ('{"a": "\n"}', "1: not valid JSON: invalid control character at"),
        ('{"a": "\\ud800"}', "1: the text holds the unusable character U+D800"),
        ('{"a": 1', "1: not valid JSON: expected `,` or `}`, found `the end`"),
        ("{a: 1}", "1: not valid JSON: expected a key in double quotes, found `a: 1}`"),
        ('{"a": 01}', "1: not valid JSON: expected a value, found `01}`"),
        ("[" * 101, "1: nested deeper than 100 levels"),
    ],
)
def test_broken_json(text: str, message: str, tmp_path: Path) -> None:
    assert faults(text, tmp_path, "in.json") == [message]


def test_every_fault_of_every_file_is_told_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(
        SUB + "  provider: locl\n  regoin: x\n---\n" + POLICY + "  x: 1\n", encoding="utf-8"
    )
    (tmp_path / "a.yaml").write_text("a: [\n", encoding="utf-8")
    with pytest.raises(InvalidInputs) as caught:
        load([tmp_path], SCHEMAS)
    assert [(Path(error.file or "").name, error.line) for error in caught.value.errors] == [
        ("a.yaml", 2),
        ("b.yaml", 5),
        ("b.yaml", 6),
        ("b.yaml", 12),
    ]


def test_the_same_object_twice_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DEPLOYMENT, encoding="utf-8")
    (tmp_path / "b.yaml").write_text("# again\n" + DEPLOYMENT, encoding="utf-8")
    with pytest.raises(InvalidInputs) as caught:
        load([tmp_path], SCHEMAS)
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    assert str(caught.value) == f"{second}:2: Deployment default/x is there twice, first at {first}:1; remove one"


def test_a_microservice_and_a_workload_of_one_name_are_told(tmp_path: Path) -> None:
    text = DEPLOYMENT + "---\n" + MICRO + "  template: {spec: {containers: [{name: x}]}}\n"
    assert faults(text, tmp_path) == [
        f"11: Microservice default/x is there twice, first at {tmp_path / 'in.yaml'}:1; remove one"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xff\n", ":1: not UTF-8 text: byte 0xff"),
        (b"a: b\nc: \x07\n", ":2: not a text file: it holds the character U+0007"),
        (b"[" * 200, ":1: nested deeper than 100 levels"),
        (b"\x7fELF\x00\x01", ":1: not a text file: it holds the character U+007F"),
    ],
)
def test_binary_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "in.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputs) as caught:
        load([path], SCHEMAS)
    assert str(caught.value) == f"{path}{message}"


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    link, empty, missing = tmp_path / "link.yaml", tmp_path / "empty", tmp_path / "missing.yaml"
    link.symlink_to("nothing")
    empty.mkdir()
    with pytest.raises(InvalidInputs) as caught:
        load([missing, empty, link], SCHEMAS)
    assert {str(error) for error in caught.value.errors} == {
        f"{missing}: no such file or directory",
        f"{empty}: the directory holds no *.yaml, *.yml or *.json file",
        f"{link}: a link to nothing, which does not exist",
    }


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "in.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(InvalidInputs, match="larger than 8 MiB; split it up"):
        load([path], SCHEMAS)


@pytest.mark.parametrize(
    "value",
    [{}, {"apiVersion": "roam.federation/v1alpha1"}, {"apiVersion": 3, "kind": []}, {"kind": "SubCluster", "spec": 3}],
)
def test_validate_refuses_what_is_no_object(value: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputs):
        validate(value, SCHEMAS)


def test_validate_refuses_numbers_that_json_does_not_have() -> None:
    value = {"apiVersion": "roam.federation/v1alpha1", "kind": "Event", "metadata": {"name": "x"}, "spec": float("nan")}
    with pytest.raises(InvalidInputs, match="not plain JSON"):
        validate(value, SCHEMAS)

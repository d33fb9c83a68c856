"""YAML and JSON as Kubernetes reads them, and within limits."""

from __future__ import annotations

import io
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from federation.errors import InvalidInput, InvalidInputs
from federation.intake.jsontext import read_json
from federation.intake.loading import load
from federation.intake.schemas import Schemas
from federation.intake.tree import line_at
from federation.intake.yamltext import read_yaml

CONFIG = "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n"


def value_of(text: str) -> Any:
    return next(read_yaml(text, "x")).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("On", True),
        ("y", True),
        ("NO", False),
        ("off", False),
        ("yEs", "yEs"),
        ("null", None),
        ("0644", 420),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("+7", 7),
        ("08", 8),
        ("12:30", "12:30"),
        ("1:20:30.5", "1:20:30.5"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ("1.5", 1.5),
        ("1e3", 1000),
        (".5", 0.5),
        ("1.0", 1),
        ("1.2.3", "1.2.3"),
        ("18446744073709551615", 18446744073709551615),
        ("'yes'", "yes"),
        ("!!str yes", "yes"),
        ("! 3", "3"),
        ("!!int '3'", 3),
        ("!!float 3", 3),
        ("=", "="),
    ],
)
def test_scalars_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    found = value_of(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_whole_number_keys_become_text_as_in_kubernetes() -> None:
    assert value_of("9000: a\n") == {"9000": "a"}


def test_merges_and_aliases() -> None:
    text = "base: &b {x: 1, y1: 2}\none:\n  <<: *b\n  y1: 3\ntwo:\n  <<: [{z: 1}, *b]\nthree: *b\n"
    base = {"x": 1, "y1": 2}
    assert value_of(text) == {"base": base, "one": {"x": 1, "y1": 3}, "two": {"z": 1, **base}, "three": base}


def test_lines_lead_to_the_name_of_a_field() -> None:
    document = next(read_yaml("---\n# c\na:\n  b:\n  - c: 1\n    d:\n      e: 2\n", "x"))
    assert document.line == 3
    paths: list[tuple[str | int, ...]] = [
        ("a",),
        ("a", "b"),
        ("a", "b", 0),
        ("a", "b", 0, "d"),
        ("a", "b", 0, "d", "e"),
    ]
    assert [line_at(document.lines, path) for path in paths] == [3, 4, 5, 6, 7]
    assert line_at(document.lines, ("a", "nothing", "there")) == 3


def test_json_has_lines_escapes_tabs_and_long_keys() -> None:
    text = '{\n\t"a": "\\ud83d\\ude00\\u00e9",\n\t"' + "k" * 3000 + '": [1, 2.5e1, true, null]\n}'
    document = next(read_json(text, "x"))
    assert document.value == json.loads(text)
    assert line_at(document.lines, ("k" * 3000, 2)) == 3


def test_files_directories_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(CONFIG % "b", encoding="utf-8")
    (tmp_path / "a.yaml").write_text(
        "\ufeff---\n" + CONFIG % "a1" + "---\n---\n# nothing\n---\n" + CONFIG % "a2", encoding="utf-8"
    )
    (tmp_path / "c.json").write_text(
        '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}}', encoding="utf-8"
    )
    (tmp_path / "notes.txt").write_text("not read", encoding="utf-8")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "x.yaml").write_text("not read: [", encoding="utf-8")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n", encoding="utf-8")
    manifests = load([tmp_path / "b.yml", tmp_path, "-"], Schemas(), stdin=io.StringIO(CONFIG % "in"))
    assert [item["metadata"]["name"] for item in manifests.unattached] == ["b", "a1", "a2", "c", "in"]
    assert [notice.line for notice in manifests.notices if notice.file.endswith("a.yaml")] == [2, 9]
    assert any("kubectl kustomize" in notice.message for notice in manifests.notices)


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(CONFIG % "x",), daemon=True)
    writer.start()
    assert len(load([path], Schemas()).unattached) == 1
    writer.join(timeout=5)


def test_json_in_flow_style_yaml_on_standard_input() -> None:
    manifests = load(["-"], Schemas(), stdin=io.BytesIO(b"{apiVersion: v1, kind: Namespace, metadata: {name: x}}"))
    assert len(manifests.unattached) == 1


BOMBS = {
    "laughs": "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
    "mappings": "a0: &a0 {k: x}\n" + "".join(f"a{i}: &a{i} {{k: *a{i - 1}, l: *a{i - 1}}}\n" for i in range(1, 60)),
    "merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}], k{i}: 1}}\n" for i in range(1, 40)),
    "text": f"a: &a {'x' * 1_000_000}\nb: [{','.join(['*a'] * 100_000)}]\n",
    "deep sequence": "[" * 2_000_000,
    "deep mapping": "{a: " * 500_000,
    "deep blocks": "- " * 300_000,
    "digits": "a: " + "9" * 5_000_000,
    "keys": "? " * 300_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly_and_in_little_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMBS[name], encoding="utf-8")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with pytest.raises(InvalidInput):
        load([path], Schemas())
    assert time.process_time() - started < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100 * 1024


def test_too_many_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text("[" + "1," * 1_000_001 + "1]", encoding="utf-8")
    with pytest.raises(InvalidInputs, match="too many values in one file"):
        load([path], Schemas())


def test_two_thousand_deployments_and_services_load_in_ten_seconds(tmp_path: Path) -> None:
    one = """---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d%(i)d, labels: {part-of: shop, app: d%(i)d}}
spec:
  selector: {matchLabels: {app: d%(i)d}}
  template:
    metadata: {labels: {part-of: shop, app: d%(i)d}}
    spec:
      containers:
      - {name: x, image: "x:1", env: [{name: NEXT_ADDR, value: "d%(next)d:80"}], resources: {requests: {cpu: 100m}}}
---
apiVersion: v1
kind: Service
metadata: {name: d%(i)d}
spec: {selector: {part-of: shop, app: d%(i)d}, ports: [{name: grpc, port: 80, targetPort: 8080}]}
"""
    path = tmp_path / "many.yaml"
    path.write_text("".join(one % {"i": i, "next": (i + 1) % 2000} for i in range(2000)), encoding="utf-8")
    started = time.process_time()
    manifests = load([path], Schemas())
    assert time.process_time() - started < 10
    assert [call.service for one in manifests.microservices for call in one.spec.calls] == [
        f"d{(i + 1) % 2000}" for i in range(2000)
    ]


def test_lists_are_unfolded_but_not_what_is_only_called_so() -> None:
    config = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "%s", "namespace": "", "uid": null}}'
    text = '{"apiVersion": "v1", "kind": "ConfigMapList", "items": [' + config % "a" + "," + config % "b" + "]}"
    text += '{"apiVersion": "example.org/v1", "kind": "AllowList", "metadata": {"name": "c"}, "items": [1]}'
    manifests = load(["-"], Schemas(), stdin=io.StringIO(text))
    assert [item["metadata"]["name"] for item in manifests.unattached] == ["a", "b", "c"]

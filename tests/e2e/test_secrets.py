"""Secrets planted in every way a user may bring one are found nowhere but where they are delivered to."""

from __future__ import annotations

import base64
import http.client
import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import yaml
from fleet_helpers import Fleet, eventually, migration, running_fleet, service, subcluster
from local_agent import wait_until

from federation.cli.client import BASE, path_of
from federation.cli.context import find_context
from federation.model.kinds import KINDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PLANTED = {
    "data": "planted-in-data-7f3a",
    "string": "planted-in-stringdata-91bc",
    "whole": "planted-by-envfrom-22ee",
    "annotation": "planted-in-annotation-5d08",
    "changed": "planted-by-a-change-c41d",
    "credential": "planted-as-credential-86ab",
    "connection": "planted-in-connection-e0f7",
    "not-base64": "planted not base64 !! 3b9c",
    "bad-shape": "planted-in-a-list-0a6d",
    "bad-yaml": "planted-before-broken-yaml-f2c5",
    "bad-field": "planted-beside-a-wrong-field-774e",
    "refused": "planted-in-a-refused-body-19d2",
}


def _forms(value: str) -> list[bytes]:
    """How it would look: as it is, in base64 (whole, or somewhere inside of other text), in a URL."""
    raw = value.encode()
    inside = [base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    return [raw, quote(value).encode(), base64.b64encode(raw), *inside]


def _found(text: bytes) -> list[str]:
    return [name for name, value in PLANTED.items() if any(form in text for form in _forms(value))]


def _b64(name: str) -> str:
    return base64.b64encode(PLANTED[name].encode()).decode()


def _secret(name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, **fields}


def _carrying_service() -> list[dict[str, Any]]:
    """Plain manifests, as a team has them."""
    record = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": {"p": PLANTED["annotation"]}})}
    db = _secret("db", data={"password": _b64("data")}, stringData={"user": PLANTED["string"]})
    db["metadata"]["annotations"] = record
    env = [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "db", "key": "user"}}},
    ]
    pod = {
        "containers": [
            {
                "name": "main",
                "image": "none",
                "command": ["sleep", "1000"],
                "env": env,
                "envFrom": [{"secretRef": {"name": "all"}}],
            }
        ]
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {"metadata": {"labels": {"app": "cart"}}, "spec": pod},
        },
    }
    return [db, _secret("all", stringData={"WHOLE": PLANTED["whole"]}), deployment]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("roam"), ("near", "farther")) as fleet:
        yield fleet


def _raw(fleet: Fleet, method: str, path: str, body: object = None) -> bytes:
    """What the API answers, to the byte."""
    context = find_context(None, None, fleet.home)
    connection = http.client.HTTPConnection(urlsplit(context.server).netloc, timeout=20)
    headers = {"Authorization": f"Bearer {context.token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse().read()
    finally:
        connection.close()


def _go_wrong(fleet: Fleet, folder: Path) -> list[bytes]:
    """Everything that is refused; what was said to it."""
    wrong = [
        _secret("bad", data={"password": PLANTED["not-base64"]}),
        _secret("bad", stringData={"password": [PLANTED["bad-shape"]]}),
        {**_secret("bad", stringData={"password": PLANTED["bad-field"]}), "datum": {"x": PLANTED["bad-field"]}},
    ]
    for document in wrong:
        user = service("user", env=[{"name": "P", "valueFrom": {"secretKeyRef": {"name": "bad", "key": "password"}}}])
        code, _ = fleet.roam("apply", "-f", "-", stdin=yaml.safe_dump_all([document, user]))
    broken = folder / "broken.yaml"
    broken.write_text(f"kind: Secret\nstringData:\n  password: {PLANTED['bad-yaml']}\n   x: [\n")
    code, _ = fleet.roam("apply", "-f", str(broken))
    assert code == 64
    near = fleet.agents["near"]
    inline = subcluster("inline", near)
    inline["spec"]["credentials"] = {"token": PLANTED["credential"]}
    wordy = subcluster("wordy", near)
    wordy["spec"]["connection"] = {"agent": near.url, "token": PLANTED["connection"]}
    for document in (inline, wordy):
        fleet.roam("apply", "-f", "-", stdin=yaml.safe_dump(document))
    other = {**inline, "metadata": {"name": "other"}, "spec": {**inline["spec"], "provider": "elsewhere"}}
    refused = service("refused", objects=[_secret("r", stringData={"p": PLANTED["refused"]})], surplus=1)
    path = path_of("microservices", "shop")
    return [
        _raw(fleet, "POST", path_of("subclusters"), other),
        _raw(fleet, "POST", path_of("subclusters"), wordy),
        _raw(fleet, "POST", path, refused),
        _raw(fleet, "POST", path, service("refused", objects=[_secret("r", data={"p": PLANTED["not-base64"]})])),
        _raw(fleet, "POST", path, service("refused", objects=[_secret("r", stringData=PLANTED["refused"])])),
        _raw(fleet, "PUT", path_of("microservices", "shop", "cart"), refused),
        _raw(fleet, "PATCH", path_of("microservices", "shop", "cart"), refused),
    ]


def _look(fleet: Fleet) -> list[bytes]:
    """Every answer of the API and every command that shows something."""
    paths = ["/openapi/v3", "/metrics", f"{BASE}/audit?limit=1000", "/"]
    for kind in KINDS:
        paths += [path_of(kind.plural), f"{path_of(kind.plural)}?watch=1&resourceVersion=0&timeoutSeconds=1"]
        for name in ("cart", "near", "inline", "wordy"):
            paths.append(path_of(kind.plural, "shop" if kind.namespaced else None, name))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda path: _raw(fleet, "GET", path), paths))
    for words in (
        ("get", "ms", "-n", "shop", "cart", "-o", "yaml"),
        ("get", "ms", "-A", "-o", "json"),
        ("get", "sub", "-o", "wide"),
        ("describe", "ms", "-n", "shop", "cart"),
        ("describe", "sub", "inline"),
        ("events", "-A"),
        ("plan", "-o", "json"),
        ("why", "shop/cart"),
    ):
        fleet.roam(*words)
    return answers


def test_planted_secrets_are_found_nowhere(fleet: Fleet, tmp_path: Path) -> None:
    code, said = fleet.roam("apply", "-f", "-", stdin=yaml.safe_dump_all(_carrying_service()))
    assert code == 0, said
    eventually(lambda: fleet.running("cart", "near"), "the service runs")
    agent = fleet.agents["near"]
    wait_until(lambda: _delivered(agent.descendants(), "data", "string", "whole"), what="the secrets' delivery")
    answers = _go_wrong(fleet, tmp_path)
    fleet.apply(migration("cart", "near", "farther", replicas=1))
    eventually(lambda: fleet.running("cart", "farther"), "the service has moved")
    _write_back(fleet)
    wait_until(lambda: _delivered(fleet.agents["farther"].descendants(), "changed", "string", "whole"), 40)
    answers += _look(fleet)
    assert fleet.roam("backup", str(fleet.home / "backup"))[0] == 0
    answers += [text.encode() for text in fleet.said]
    assert [(found, text[:200]) for text in answers if (found := _found(text))] == []
    assert _found(fleet.log.read_bytes()) == []
    assert [(path.name, found) for path in fleet.home.rglob("*") if (found := _in_file(path))] == []
    delivered = [
        path for agent in fleet.agents.values() for path in agent.directory.parent.rglob("*") if _in_file(path)
    ]
    assert all(agent.log not in delivered for agent in fleet.agents.values())
    assert [path for path in delivered if not _is_closed(path, fleet.home.parent)] == []


def _write_back(fleet: Fleet) -> None:
    """What was read is applied again, and the secrets are still there; then one of them is changed."""
    _, text = fleet.roam("get", "ms", "-n", "shop", "cart", "-o", "yaml")
    assert "<redacted>" in text
    code, said = fleet.roam("apply", "-f", "-", stdin=text)
    assert (code, said.split()) == (0, ["microservice/cart", "unchanged"])
    document = yaml.safe_load(text)
    for item in document["spec"]["objects"]:
        if item["metadata"]["name"] == "db":
            item["data"]["password"] = _b64("changed")
    code, said = fleet.roam("apply", "-f", "-", stdin=yaml.safe_dump(document))
    assert (code, said.split()) == (0, ["microservice/cart", "configured"])
    fresh = {**document, "metadata": {"name": "copy", "namespace": "shop"}}
    code, said = fleet.roam("apply", "-f", "-", stdin=yaml.safe_dump(fresh))
    assert (code, "placeholder" in said) == (64, True)


def _delivered(pids: list[int], *names: str) -> bool:
    """Whether one process has all of these in its environment."""
    for pid in pids:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if all(PLANTED[name].encode() in environment for name in names):
            return True
    return False


def _in_file(path: Path) -> list[str]:
    return _found(path.read_bytes()) if path.is_file() and not path.is_symlink() else []


def _is_closed(path: Path, top: Path) -> bool:
    """Whether the file, or a directory above it and below `top`, is for its owner only."""
    while path != top:
        if not stat.S_IMODE(path.stat().st_mode) & 0o077:
            return True
        path = path.parent
    return False

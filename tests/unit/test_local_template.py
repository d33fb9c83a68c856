"""What an agent accepts, what it refuses and how it says so; and what a pod reserves."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from federation.contracts.driver import Workload
from federation.errors import Denied, InvalidInput
from federation.model.meta import Key, Metadata
from federation.model.microservice import Port
from federation.model.subcluster import SubCluster, SubClusterSpec
from providers.local.agent import grpc_health
from providers.local.agent.orders import prepare
from providers.local.agent.template import parse_template
from providers.local.plugin import PROVIDER, LocalConnection
from providers.local.tokens import Token


def template(**container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "web", "command": ["x"], **container}]}}


@pytest.mark.parametrize(
    ("raw", "field", "message"),
    [
        ({}, "template.spec", "required"),
        ({"spec": {"containers": []}}, "template.spec.containers", "at least 1"),
        ({"spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}, "containers[0].command", "has only an image"),
        (template(readinessProbe={}), "containers[0].readinessProbe", "one of httpGet"),
        (
            template(readinessProbe={"httpGet": {"port": "http"}}),
            "readinessProbe.port",
            "no container has a port named",
        ),
        (template(readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 0}), "periodSeconds", "greater than"),
        (template(resources={"requests": {"cpu": "much"}}), "resources.requests.cpu", "not a quantity"),
        (template(env=[{"name": "A=B"}]), "env[0].name", "match pattern"),
        (template(env=[{"name": "A", "valueFrom": {}}]), "env[0].valueFrom", "must be one of"),
        ({"spec": {"containers": [{"name": "w", "command": ["x"]}] * 2}}, "containers[0].name", "two containers"),
        ({"spec": {"restartPolicy": "Sometimes", **template()["spec"]}}, "template.spec.restartPolicy", "Always"),
    ],
)
def test_what_is_wrong_is_named(raw: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_template(raw)
    assert field in (caught.value.field or "")
    assert message in caught.value.message


def test_wrong_values_are_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_template(template(env=[{"name": "PASSWORD", "value": {"hush": "hush"}}]))
    assert "hush" not in str(caught.value)


def test_what_others_read_passes() -> None:
    parse_template(template(securityContext={"runAsUser": 1}, imagePullPolicy="Always", args=None))


def test_a_service_port_finds_its_pod_port() -> None:
    ports = (Port(port=80, target_port="http"), Port(port=81), Port(port=82, target_port=9))
    raw = template(ports=[{"name": "http", "containerPort": 8080}])
    assert prepare(Workload(Key("n", "w"), "1", 1, raw, ports)).ports == {80: 8080, 81: 81, 82: 9}
    with pytest.raises(InvalidInput, match="no container has a port named 'grpc'"):
        prepare(Workload(Key("n", "w"), "1", 1, raw, (Port(port=80, target_port="grpc"),)))


def test_a_pod_reserves_as_in_kubernetes() -> None:
    def container(name: str, cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "command": ["x"], "resources": {"requests": {"cpu": cpu}}, **more}

    raw = {
        "spec": {
            "initContainers": [container("side", "100m", restartPolicy="Always"), container("init", "900m")],
            "containers": [container("a", "200m"), container("b", "300m")],
        }
    }
    assert parse_template(raw).request("cpu") == pytest.approx(1.0)
    limits = template(resources={"limits": {"memory": "64Mi"}})
    assert parse_template(limits).request("memory") == 64 * 2**20


@pytest.mark.parametrize(
    "agent",
    ["https://127.0.0.1:1", "http://10.0.0.1:80", "http://127.0.0.1", "http://localhost:80", "http://u@127.0.0.1:80",
     "http://127.0.0.1:80/x", "http://127.0.0.1:99999", "nonsense", "http://[::1"],
)  # fmt: skip
def test_only_agents_on_this_machine(agent: str) -> None:
    with pytest.raises(ValidationError, match="is not an agent on this machine"):
        LocalConnection(agent=agent)


def subcluster(**spec: Any) -> SubCluster:
    return SubCluster(metadata=Metadata(name="here"), spec=SubClusterSpec(provider="local", **spec))


def test_a_place_without_an_agent_is_for_planning() -> None:
    connection = LocalConnection(images=True)
    assert PROVIDER.capabilities(connection).runs_images
    with pytest.raises(InvalidInput, match="here has no agent"):
        PROVIDER.open(subcluster(), connection)


@pytest.mark.parametrize("credentials", [{}, {"profile": "x"}, {"file": "a", "env": "B"}])
def test_credentials_are_a_file_or_a_variable(credentials: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="an agent's token comes from"):
        PROVIDER.open(subcluster(credentials=credentials), LocalConnection(agent="http://127.0.0.1:1"))


def test_a_token_that_others_can_read_is_refused(tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef0123456789abcdef")
    file.chmod(0o644)
    with pytest.raises(Denied, match="chmod 600"):
        PROVIDER.open(subcluster(credentials={"file": str(file)}), LocalConnection(agent="http://127.0.0.1:1"))
    file.unlink()
    with pytest.raises(Denied, match="can't be read"):
        PROVIDER.open(subcluster(credentials={"file": str(file)}), LocalConnection(agent="http://127.0.0.1:1"))


def test_tokens_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "0123456789abcdef-secret"
    monkeypatch.setenv("ROAM_TEST_TOKEN", secret)
    driver = PROVIDER.open(
        subcluster(credentials={"env": "ROAM_TEST_TOKEN"}), LocalConnection(agent="http://127.0.0.1:1")
    )
    assert secret not in repr(driver)
    assert secret not in repr(Token(secret, "here"))
    assert Token(secret, "here").matches(f"Bearer {secret}")
    assert not Token(secret, "here").matches(f"Bearer {secret}x")
    driver.close()


def test_grpc_health_is_understood() -> None:
    def frame(kind: int, flags: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + (1).to_bytes(4, "big") + payload

    settings_frame, message = frame(4, 0, b""), b"\0\0\0\0\x02\x08\x01"
    answer = settings_frame + frame(1, 4, b"\x88") + frame(0, 0, message)
    for cut in range(len(answer)):
        assert grpc_health.read(answer[:cut]).status is None
    reply = grpc_health.read(answer)
    assert (reply.status, reply.acknowledge) == (grpc_health.SERVING, True)
    assert grpc_health.read(frame(0, 0, b"\0\0\0\0\x02\x08\x02")).status == 2
    assert grpc_health.read(frame(0, 0, b"\0\0\0\0\0")).status == 0
    assert grpc_health.read(frame(1, 5, b"\x88")).status == 0
    assert grpc_health.request("127.0.0.1:1", "x" * 300).startswith(b"PRI * HTTP/2.0")

"""Files as changes to what the server has: what they leave out stays, and what they change of others changes those."""

from __future__ import annotations

from pathlib import Path

from federation.app import schemas
from federation.intake.loading import Manifests, load

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web
        envFrom: [{configMapRef: {name: settings}}]
        env: [{name: CART_ADDR, value: "cart:7070"}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: APP}, ports: [{port: 7070}]}
"""
SETTINGS = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: blue}}"
CART = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: cart}]}
"""


def read(folder: Path, *texts: str) -> Manifests:
    path = folder / "files.yaml"
    path.write_text("\n---\n".join(texts))
    return load([path], schemas(), namespace="shop")


def web(replicas: int = 1) -> str:
    return DEPLOYMENT.replace("REPLICAS", str(replicas))


def service(name: str) -> str:
    return SERVICE.replace("NAME", name).replace("APP", name)


def whole(folder: Path) -> Manifests:
    return read(folder, web(), service("web"), SETTINGS, CART, service("cart"))


def test_a_deployment_alone_keeps_its_service_configuration_and_calls(tmp_path: Path) -> None:
    stored = whole(tmp_path).microservices
    manifests = read(tmp_path, web(replicas=3)).beside(stored)
    (changed,) = manifests.microservices
    before = next(one for one in stored if one.metadata.name == "web")
    assert changed.spec.replicas == 3
    assert changed.spec.ports == before.spec.ports != ()
    assert changed.spec.calls == before.spec.calls != ()
    assert [item["kind"] for item in changed.spec.objects] == ["Deployment", "Service", "ConfigMap"]
    (notice,) = manifests.notices
    assert not notice.warning
    assert notice.message == "Deployment web keeps what the server has: Service web, ConfigMap settings"


def test_the_same_files_again_are_the_same_services(tmp_path: Path) -> None:
    manifests = whole(tmp_path)
    assert manifests.beside(manifests.microservices).microservices == manifests.microservices


def test_a_config_map_alone_changes_who_reads_it_and_nothing_else_of_it(tmp_path: Path) -> None:
    stored = tuple(
        one.model_copy(update={"spec": one.spec.model_copy(update={"replicas": 7})})
        for one in whole(tmp_path).microservices
    )
    manifests = read(tmp_path, SETTINGS.replace("blue", "green")).beside(stored)
    (changed,) = manifests.microservices
    assert changed.metadata.name == "web"
    assert changed.spec.replicas == 7
    assert [item["data"] for item in changed.spec.objects if item["kind"] == "ConfigMap"] == [{"colour": "green"}]
    assert manifests.unattached == ()
    assert manifests.notices == ()


def test_a_new_port_of_a_service_reaches_its_microservice(tmp_path: Path) -> None:
    stored = whole(tmp_path).microservices
    (changed,) = read(tmp_path, service("cart").replace("7070", "7071")).beside(stored).microservices
    assert (changed.metadata.name, [port.port for port in changed.spec.ports]) == ("cart", [7071])


def test_what_nobody_refers_to_any_more_goes(tmp_path: Path) -> None:
    stored = whole(tmp_path).microservices
    text = web().replace("        envFrom: [{configMapRef: {name: settings}}]\n", "")
    (changed,) = read(tmp_path, text).beside(stored).microservices
    assert [item["kind"] for item in changed.spec.objects] == ["Deployment", "Service"]


def test_what_belongs_to_nobody_here_or_there_is_told(tmp_path: Path) -> None:
    stored = whole(tmp_path).microservices
    manifests = read(tmp_path, SETTINGS.replace("settings", "others")).beside(stored)
    assert manifests.microservices == ()
    assert ["ConfigMap others belongs to no workload" in one.message for one in manifests.notices] == [True]

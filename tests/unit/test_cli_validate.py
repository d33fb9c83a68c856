"""`roam validate`: every fault and doubt with file and line, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import Roam, golden

ROOT = Path(__file__).parents[2]
DOUBTFUL = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop, labels: {app: cart}}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers:
      - name: main
        image: registry.example/cart:1
        env:
        - name: PASSWORD
          valueFrom: {secretKeyRef: {name: cart-db, key: password}}
        - name: MAYBE
          valueFrom: {configMapKeyRef: {name: perhaps, key: x, optional: true}}
        envFrom:
        - configMapRef: {name: cart-cnf}
        resources: {requests: {cpu: "64"}}
      volumes:
      - name: data
        persistentVolumeClaim: {claimName: carts}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cart-conf, namespace: shop}
data: {a: b}
---
apiVersion: roam.federation/v1alpha1
kind: Microservice
metadata: {name: web, namespace: shop}
spec:
  template: {spec: {containers: [{name: main, image: x}]}}
  ports: [{port: 80}]
  calls:
  - {service: crt}
  - {service: shop/api, port: 81}
  - service: api
    port: 80
---
apiVersion: roam.federation/v1alpha1
kind: Microservice
metadata: {name: api, namespace: shop}
spec:
  template: {spec: {containers: [{name: main, image: x}]}}
  ports: [{port: 80}]
---
apiVersion: roam.federation/v1alpha1
kind: PlacementPolicy
metadata: {name: nobody, namespace: shop}
spec:
  selector: {matchLabels: {app: none}}
  prefer:
  - {matchLabels: {tier: gold}}
---
apiVersion: roam.federation/v1alpha1
kind: ClusterPlacementPolicy
metadata: {name: others}
spec:
  selector: {matchLabels: {app: others}}
  importance: 3
---
apiVersion: roam.federation/v1alpha1
kind: SubCluster
metadata: {name: onprem}
spec:
  provider: local
  connection: {images: true}
  location: {country: DE, latitude: 50.1, longitude: 8.7, operator: Acme, operatorCountry: DE}
  capacity: {cpu: "8", memory: 16Gi}
  pricing: {cpuHour: 0.02, memoryGiBHour: 0.003}
---
apiVersion: roam.federation/v1alpha1
kind: Migration
metadata: {name: away, namespace: shop}
spec: {service: cat, source: onprem, target: mars, replicas: 1}
"""
CLASHING = """\
apiVersion: roam.federation/v1alpha1
kind: Microservice
metadata: {name: web, namespace: shop}
spec:
  template: {spec: {containers: [{name: main, image: x}]}}
---
apiVersion: roam.federation/v1alpha1
kind: PlacementPolicy
metadata: {name: near, namespace: shop}
spec:
  locality:
    latencyWorth: 0.001
---
apiVersion: roam.federation/v1alpha1
kind: PlacementPolicy
metadata: {name: far, namespace: shop}
spec:
  locality:
    latencyWorth: 0.002
"""
BROKEN = """\
apiVersion: roam.federation/v1alpha1
kind: Microservice
metadata: {name: web, namespace: shop}
spec:
  replics: 3
  template: {spec: {containers: [{name: main, image: x}]}}
---
apiVersion: roam.federation/v1alpha1
kind: SubClster
metadata: {name: a}
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, no home; short file names."""
    monkeypatch.setenv("ROAM_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("ROAM_SERVER", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)


def test_findings_with_file_and_line(roam: Roam) -> None:
    parts = []
    for name, text in (("doubtful", DOUBTFUL), ("clashing", CLASHING), ("broken", BROKEN)):
        Path(f"{name}.yaml").write_text(text)
        code, out, err = roam("validate", "-f", f"{name}.yaml")
        parts.append(f"$ roam validate -f {name}.yaml\n{out}{err}-> {code}\n")
    golden("validate", "\n".join(parts))


def test_warnings_fail_only_when_strict(roam: Roam) -> None:
    Path("doubtful.yaml").write_text(DOUBTFUL)
    assert roam("validate", "-f", "doubtful.yaml", "--strict")[0] == 64
    code, out, _ = roam("validate", "-f", "doubtful.yaml", "-o", "json")
    found = json.loads(out)
    assert (code, found["valid"], found["errors"], found["objects"]) == (0, True, 0, 7)
    assert found["warnings"] == sum(one["severity"] == "warning" for one in found["findings"])
    at = {(one["line"], one["field"]) for one in found["findings"]}
    assert (14, "spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef") in at


def test_errors_as_data(roam: Roam) -> None:
    Path("broken.yaml").write_text(BROKEN)
    code, out, err = roam("validate", "-f", "broken.yaml", "-o", "json")
    found = json.loads(out)
    assert (code, err, found["valid"], found["errors"]) == (64, "", False, 2)
    assert [(one["file"], one["line"]) for one in found["findings"]] == [("broken.yaml", 5), ("broken.yaml", 9)]
    assert roam("validate", "-f", "nowhere.yaml")[0] == 64


def test_the_examples_are_sound(roam: Roam) -> None:
    folders = ("shop", "policies", "fleet.yaml")
    words = [word for name in folders for word in ("-f", ROOT / "examples" / name)]
    code, out, _ = roam("validate", *words, "--strict")
    assert (code, "0 errors, 0 warnings" in out) == (0, True), out


def test_standard_input(roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    class Stdin:
        buffer = io.BytesIO(BROKEN.encode())

    monkeypatch.setattr(sys, "stdin", Stdin())
    code, out, _ = roam("validate", "-f", "-")
    assert (code, "replics" in out) == (64, True)


def test_prices_of_machines_that_are_unknown_or_doubtful(
    roam: Roam, price_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    types = "[{type: t3.small, hourly: 0.24}, {type: t3.medium}, {type: t3.large}, {type: mine, cpu: '2', memory: 4Gi}]"
    Path("fleet.yaml").write_text(
        "apiVersion: roam.federation/v1alpha1\nkind: SubCluster\nmetadata: {name: vms}\n"
        f"spec:\n  provider: local\n  region: eu-central-1\n  instances: {types}\n"
    )
    code, out, err = roam("validate", "-f", "fleet.yaml")
    unknown = "is known here; unless the driver has one, it will not be bought"
    assert [line.removeprefix("fleet.yaml:7: ") for line in out.splitlines()[:-1]] == [
        "warning: spec.instances[0].type: the price of t3.small is doubtful: 10 times those in libcloud's price file",
        "warning: spec.instances[1].type: the price of t3.medium is doubtful: 10.6 times those in other regions",
        f"warning: spec.instances[2].type: no price of t3.large {unknown}",
        f"warning: spec.instances[3].type: no price of mine {unknown}",
    ]
    assert (code, err, out.splitlines()[-1]) == (0, "", "1 object, 0 errors, 4 warnings")

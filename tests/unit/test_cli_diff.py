"""`roam diff` against a server: what would change, never a secret, nothing written."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import Roam, a_policy, golden
from serving import SECRET, Served, a_microservice, a_secret, a_subcluster

NEW_SECRET = base64.b64encode(b"a-new-password").decode()


def _write(path: Path, *documents: Any) -> Path:
    path.write_text(yaml.safe_dump_all(documents))
    return path


def _cart(secret: str = SECRET, **spec: object) -> dict[str, Any]:
    full = {
        "replicas": 2,
        "ports": [{"port": 80, "targetPort": 8080, "protocol": "http"}],
        "calls": [{"service": "db", "gibPerHour": 0.5}],
        "objects": [a_secret(secret)],
    }
    return a_microservice("cart", **{**full, **spec})


def test_what_changes_and_what_is_new(
    shop: Served, roam: Roam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cart = _cart(replicas=5)
    cart["metadata"]["labels"] = {"app": "cart"}
    cart["spec"]["template"]["spec"]["containers"][0]["args"] = ["first line\nsecond line\n", "\x1b[31mred"]
    _write(
        Path("all.yaml"),
        cart,
        a_subcluster("onprem"),
        a_policy(
            "shop/fresh", selector={"matchLabels": {"app": "cart"}}, spread={"topology": "provider", "minDomains": 2}
        ),
    )
    version = shop.store.version()
    code, out, err = roam("diff", "-f", "all.yaml")
    assert code == 2
    assert "\x1b" not in out
    golden("diff", f"$ roam diff -f all.yaml\n{out}{err}-> {code}\n")
    code, out, _ = roam("diff", "-f", "all.yaml", "-o", "name")
    assert (code, out) == (2, "microservice/cart\nplacementpolicy/fresh\n")
    code, out, _ = roam("diff", "-f", "all.yaml", "-o", "json")
    found = json.loads(out)["differences"]
    assert [(one["name"], one["result"], one["secrets"]) for one in found] == [
        ("cart", "configured", []),
        ("fresh", "created", []),
    ]
    assert shop.store.version() == version
    assert "\x1b[32m+" in roam("diff", "-f", "all.yaml", "--color", "always")[1]


def test_nothing_differs_when_only_defaults_are_written_out(shop: Served, roam: Roam, tmp_path: Path) -> None:
    same = _write(tmp_path / "same.yaml", _cart(disruption={}, stateful=False), a_subcluster("onprem", taints=[]))
    assert roam("diff", "-f", same) == (0, "", "0 to be created, 0 to be changed, 2 as they are\n")
    whole = tmp_path / "whole.yaml"
    whole.write_text(roam("get", "ms,sub,cpp", "-A", "-o", "yaml")[1])
    assert roam("diff", "-f", whole)[:2] == (0, "")


@pytest.mark.parametrize("replicas", [2, 3])
def test_a_secret_changes_unseen(shop: Served, roam: Roam, tmp_path: Path, replicas: int) -> None:
    path = _write(tmp_path / "cart.yaml", _cart(NEW_SECRET, replicas=replicas))
    for output in ("diff", "json"):
        code, out, err = roam("diff", "-f", path, "-o", output)
        assert code == 2
        for hidden in (SECRET, NEW_SECRET, "a-new-password"):
            assert hidden not in out + err
        assert "the values of Secret db change (not shown)" in out
        assert ("+  replicas: 3" in out) == (replicas == 3)


def test_a_new_secret_is_masked(shop: Served, roam: Roam, tmp_path: Path) -> None:
    path = _write(tmp_path / "db.yaml", a_microservice("db", ports=[{"port": 5432}], objects=[a_secret(NEW_SECRET)]))
    code, out, _ = roam("diff", "-f", path)
    assert (code, NEW_SECRET in out, "password: <redacted>" in out) == (2, False, True)


def test_wrong_files_and_wrong_words(shop: Served, roam: Roam, tmp_path: Path) -> None:
    bad = _write(tmp_path / "bad.yaml", a_microservice("b", replics=3))
    code, out, err = roam("diff", "-f", bad)
    assert (code, out, "did you mean" in err) == (64, "", True)
    assert roam("diff", "-f", _write(tmp_path / "none.yaml"))[0] == 64
    assert roam("diff", "-f", bad, "-U", "many")[0] == 64

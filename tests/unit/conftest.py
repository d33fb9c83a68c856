"""What tests of the command line share; see `commandline.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import WIDTH, Roam, fill_shop
from serving import NOW, TOKEN, Served, serving

from federation.atlas.prices import bundled
from federation.cli.main import main
from federation.server.page.extras import page_extras


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """An empty server that `roam` talks to, 150 seconds after the server's (standing) clock."""
    with serving(tmp_path, extras=lambda store: page_extras(store, lambda: NOW)) as served:
        (tmp_path / "token").write_text(TOKEN)
        monkeypatch.setenv("ROAM_HOME", str(tmp_path))
        monkeypatch.setenv("ROAM_SERVER", served.url)
        monkeypatch.setenv("COLUMNS", str(WIDTH))
        monkeypatch.delenv("ROAM_NAMESPACE", raising=False)
        monkeypatch.setattr("federation.cli.clock.now", lambda: NOW + 150)
        yield served


@pytest.fixture
def shop(api: Served) -> Served:
    """That server with two sub-clusters, two services, where they run, and what happened."""
    fill_shop(api)
    return api


@pytest.fixture
def price_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small price file as libcloud's, found where libcloud would be; of 2025-12-20, seven weeks before `NOW`."""
    dear = {"eu-central-1": 0.5, "eu-west-1": 0.048, "eu-west-3": 0.0472, "us-east-2": 0.0416, "us-west-2": 0.0416}
    n2 = {"on_demand": {"europe-west3": {"price": 0.04}}, "preemptible": {"europe-west3": {"price": 0.01}}}
    ram = {name: {"europe-west3": {"price": usd}} for name, usd in (("on_demand", 0.005), ("preemptible", 0.001))}
    compute = {
        "ec2_linux": {"t3.medium": dear, "t3.small": {"eu-central-1": 0.024}, "t3.large": {"eu-central-1": 0.0}},
        "azure_linux": {"standardd2sv3": {"westeurope": 0.12}},
        "gce_instances": {"n2": {"cpu": n2, "ram": ram}},
    }
    path = tmp_path / "libs" / "libcloud" / "data" / "pricing.json"
    path.parent.mkdir(parents=True)
    (path.parents[1] / "__init__.py").write_text("raise RuntimeError('imported')")
    path.write_text(json.dumps({"updated": 1766188800, "compute": compute}))
    monkeypatch.syspath_prepend(tmp_path / "libs")
    bundled.cache_clear()
    yield path
    bundled.cache_clear()


@pytest.fixture
def roam(capsys: pytest.CaptureFixture[str]) -> Roam:
    """Runs a command line; its exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run

"""What tests of the command line share; see `commandline.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import WIDTH, Roam, fill_shop
from serving import NOW, TOKEN, Served, serving

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
def roam(capsys: pytest.CaptureFixture[str]) -> Roam:
    """Runs a command line; its exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run

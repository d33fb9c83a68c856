"""`roam serve` as a process: starts, says so, keeps what it knows, ends cleanly."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from serving import a_microservice, a_subcluster


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROAM_")}
    return {**kept, "ROAM_HOME": str(home)}


@contextmanager
def _serving(home: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "federation", "serve", "--listen", "127.0.0.1:0", "--write-context"]
    process = subprocess.Popen(words, env=_environment(home), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("roam serves http://127.0.0.1:"), line + process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def _roam(home: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "federation", *words],
        env=_environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_serves_ends_on_a_signal_and_goes_on_where_it_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    manifest = tmp_path / "shop.yaml"
    manifest.write_text(yaml.safe_dump_all([a_microservice("cart"), a_subcluster("onprem")]))
    with _serving(home) as first:
        assert json.loads((home / "context.json").read_text())["token_file"] == str(home / "token")
        assert _roam(home, "apply", "-f", str(manifest))[0] == 0
        assert "cart" in _roam(home, "get", "ms", "-A")[1]
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
        assert first.stderr is not None
        assert "Traceback" not in first.stderr.read()
    assert _roam(home, "get", "ms", "-A")[0] == 1
    for entry in home.iterdir():
        assert not stat.S_IMODE(entry.stat().st_mode) & 0o077, entry
    with _serving(home) as second:
        assert "cart" in _roam(home, "get", "ms", "-A", "-o", "name")[1]
        second.send_signal(signal.SIGINT)
        assert second.wait(20) == 0


def test_a_token_that_others_can_read_stops_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 30)
    token.chmod(0o644)
    code, said = _roam(tmp_path, "serve", "--listen", "127.0.0.1:0")
    assert (code, "chmod 600" in said, "Traceback" in said) == (64, True, False)

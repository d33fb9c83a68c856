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

import pytest
import yaml
from serving import TLS, a_microservice, a_subcluster, certificate


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROAM_")}
    return {**kept, "ROAM_HOME": str(home)}


@contextmanager
def _serving(home: Path, *more: str | Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "federation", "serve", "--listen", "127.0.0.1:0", "--write-context", *more]
    process = subprocess.Popen(words, env=_environment(home), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(("roam serves http://127.0.0.1:", "roam serves https://127.0.0.1:")), (
            line + process.stderr.read()
        )
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


def test_it_speaks_https_knows_tokens_and_writes_down_who_wrote(tmp_path: Path) -> None:
    home, manifest = tmp_path / "home", tmp_path / "shop.yaml"
    manifest.write_text(yaml.safe_dump_all([a_microservice("cart")]))
    cert, key = certificate(tmp_path)
    with _serving(home, "--tls-cert", cert, "--tls-key", key):
        code, said = _roam(home, "token", "create", "ci", "--role", "deploy", "-n", "shop", "--expires", "1h")
        assert code == 0
        (tmp_path / "ci").write_text(next(line for line in said.splitlines() if line.startswith("roam_")))
        as_ci = ("--token-file", str(tmp_path / "ci"))
        assert _roam(home, "apply", "-f", str(manifest), *as_ci)[0] == 0
        assert "cart" in _roam(home, "get", "ms", "-n", "shop", *as_ci)[1]
        code, said = _roam(home, "get", "ms", "-n", "other", *as_ci)
        assert (code, "does not reach the namespace 'other'" in said) == (1, True)
        assert _roam(home, "token", "revoke", "ci")[0] == 0
        assert "does not take this token" in _roam(home, "get", "ms", "-n", "shop", *as_ci)[1]
        context = json.loads((home / "context.json").read_text())
        (home / "context.json").write_text(json.dumps({**context, "ca_file": str(TLS / "ca.pem")}))
        assert _roam(home, "get", "ms", "-n", "shop")[0] == 0
        assert _roam(home, "audit", "verify")[0] == 0
    (record,) = (json.loads(line) for line in (home / "audit.log").read_text().splitlines())
    assert (record["who"], record["objects"]) == ("ci", ["created Microservice shop/cart"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--listen", "0.0.0.0:0"], "without TLS tokens would travel in the clear"),
        (["--tls-cert", "x.pem"], "belong together"),
    ],
)
def test_it_does_not_start_unprotected(tmp_path: Path, words: list[str], says: str) -> None:
    code, said = _roam(tmp_path, "serve", *words)
    assert (code, says in said, "Traceback" in said) == (64, True, False)

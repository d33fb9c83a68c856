"""Verbs, exit codes and messages of the command line as such."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from federation.cli import main as cli
from federation.cli.kinds import KINDS as TABLE
from federation.cli.main import main
from federation.cli.parsing import seconds
from federation.errors import Denied, FederationError, InvalidInput, InvalidInputs, StaleWrite, TimedOut, Unplaceable
from federation.model.kinds import KINDS

SLOW = ("pydantic", "numpy", "rich", "sqlalchemy", "yaml", "cheroot", "urllib3", "tenacity", "federation.app")


def _roam(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROAM_")}
    return subprocess.run(
        [sys.executable, "-m", "federation", *words],
        env={**kept, "ROAM_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["get", "ms"], ["get", "--help"], ["unpin", "cart"]])
def test_what_must_start_at_once_imports_nothing_slow(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token")
    script = (
        "import sys\nfrom federation.cli.main import main\n"
        f"code = main({[*words, '--server', '127.0.0.1:1'] if words[-1] in ('ms', 'cart') else words!r})\n"
        f"slow = sorted(name for name in {SLOW!r} if name in sys.modules)\n"
        "print('slow:', slow, 'code:', code, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "ROAM_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    code = 1 if words[-1] in ("ms", "cart") else 0
    assert done.stderr.splitlines()[-1] == f"slow: [] code: {code}", done.stderr


def test_the_table_of_kinds_is_the_models() -> None:
    table = {one.name: (one.plural, one.short, one.namespaced) for one in TABLE}
    assert table == {kind.kind_name: (kind.plural, kind.short_names, kind.namespaced) for kind in KINDS}
    names = [name for one in TABLE for name in (one.plural, *one.short)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage: roam VERB"),
        (["aply"], "did you mean `apply`?"),
        (["--server", "x", "get"], "write the verb first"),
        (["get"], "KIND[/NAME]"),
        (["get", "microservcies"], "did you mean microservices?"),
        (["get", "zzz"], "known: "),
        (["get", "ms", "--selectr", "a=b"], "did you mean --selector?"),
        (["get", "ms", "-o", "xml"], "'table', 'wide', 'json', 'yaml', 'name'"),
        (["get", "ms/cart", "sub"], "KIND/NAME"),
        (["get", "ms,sub", "-w"], "one kind at a time"),
        (["apply"], "-f"),
        (["apply", "-f", "/nowhere/at/all"], "/nowhere/at/all"),
        (["plan", "--offline"], "-f FLEET"),
        (["migrate", "cart"], "--to"),
        (["migrate", "cart", "--to", "x", "--canary", "50,20"], "5,25,50,100"),
        (["migrate", "cart", "--to", "x", "--timeout", "soon"], "90s"),
        (["sandbox", "sideways"], "'up', 'down', 'status'"),
        (["serve", "--listen", "0.0.0.0:7441"], "TLS"),
        (["serve", "--listen", "here"], "127.0.0.1:7441"),
    ],
)
def test_wrong_usage_is_64_and_says_what_is_right(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path))
    (tmp_path / "token").write_text("a-token")
    assert main(words) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert not words or captured.err.startswith("roam: error: ")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InvalidInput("no", file="a.yaml", line=3, field="spec.x"), 64, "a.yaml:3: spec.x: no"),
        (InvalidInputs((InvalidInput("one"), InvalidInput("two"))), 64, "roam: error: one\nroam: error: two"),
        (Unplaceable("x", denied=True), 4, "x"),
        (Unplaceable("x", denied=False), 3, "x"),
        (TimedOut("late"), 5, "late"),
        (FederationError("x"), 1, "x"),
        (StaleWrite("x"), 1, "x"),
        (Denied("x"), 1, "x"),
        (FileNotFoundError(2, "No such file", "f"), 1, "f: No such file"),
        (ZeroDivisionError("oh"), 1, "--debug"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_every_error_has_its_exit_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert main(["get"]) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    if code == 1 and not isinstance(error, OSError):
        with pytest.raises(type(error)):
            main(["get", "--debug"])


def test_without_a_server_it_says_where_it_looked_and_how_to_start_one(tmp_path: Path) -> None:
    none = _roam("get", "ms", home=tmp_path)
    assert (none.returncode, none.stdout) == (1, "")
    assert "roam serve" in none.stderr
    (tmp_path / "token").write_text("a-token")
    (tmp_path / "context.json").write_text(json.dumps({"server": "http://127.0.0.1:9"}))
    silent = _roam("get", "ms", home=tmp_path)
    assert (silent.returncode, "http://127.0.0.1:9" in silent.stderr, "roam sandbox up" in silent.stderr) == (
        1,
        True,
        True,
    )
    other = _roam("get", "ms", home=tmp_path, ROAM_SERVER="127.0.0.1:19")
    assert "http://127.0.0.1:19" in other.stderr
    option = _roam("get", "ms", "--server", "127.0.0.1:29", home=tmp_path, ROAM_SERVER="127.0.0.1:19")
    assert "http://127.0.0.1:29" in option.stderr
    (tmp_path / "context.json").write_text("{")
    broken = _roam("get", "ms", home=tmp_path)
    assert (broken.returncode, "context.json" in broken.stderr) == (64, True)
    bad = _roam("get", "ms", "--server", "ftp://x", home=tmp_path, ROAM_TOKEN_FILE=str(tmp_path / "nope"))
    assert bad.returncode == 1


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "federation", "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        environment = {**os.environ, "ROAM_HOME": str(tmp_path)}
        done = subprocess.run(words, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 141
    assert done.stderr == ""


def test_helps_name_every_verb_and_fit_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for verb, (_, summary) in cli.VERBS.items():
        assert f"  {verb}" in text
        assert summary in text
        assert main([verb, "--help"]) == 0
        assert f"usage: roam {verb}" in capsys.readouterr().out
        assert main(["help", verb]) == 0
        capsys.readouterr()
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("2", 2), ("1.5s", 1.5), ("0", 0)],
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "5x", "-1s", "s", "1s1m", "1e3"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Exception, match="90s"):
        seconds(text)

"""The help of every verb, as it is read."""

from __future__ import annotations

import pytest
from commandline import Roam, golden

from federation.cli.main import VERBS


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("ROAM_HOME", "/home/ann/.roam")
    for name in ("ROAM_NAMESPACE", "ROAM_SERVER"):
        monkeypatch.delenv(name, raising=False)


def test_of_roam(roam: Roam) -> None:
    code, out, err = roam("--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 100
    # The version is another one with every release.
    golden("help", "\n".join(line for line in out.splitlines() if "--version" not in line) + "\n")


@pytest.mark.parametrize("verb", VERBS)
def test_of_a_verb(verb: str, roam: Roam) -> None:
    code, out, err = roam(verb, "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 120
    golden(f"help-{verb}", out)


def test_fits_narrow_terminals(roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = roam("get", "--help")[1].partition("A kind is written")[0].splitlines()
    assert max(map(len, lines)) <= 80

"""The systemd unit and the container file: they start what exists, hardened and not as root."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from argparse import ArgumentParser
from pathlib import Path

from federation.cli import serve

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "packaging" / "roam.service"
CONTAINER = ROOT / "packaging" / "Containerfile"


def settings(section: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    body = UNIT.read_text().partition(f"[{section}]")[2].partition("\n[")[0]
    for line in body.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def instruction(word: str) -> list[str]:
    text = CONTAINER.read_text().replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in text.splitlines() if line.startswith(f"{word} ")]


def understood(arguments: list[str]) -> None:
    parser = ArgumentParser(exit_on_error=False)
    serve.configure(parser)
    assert parser.parse_args(arguments)


def test_the_unit_starts_what_exists() -> None:
    (command,) = settings("Service")["ExecStart"]
    program, verb, *arguments = shlex.split(command)
    assert (Path(program).name, verb) == ("roam", "serve")
    understood(arguments)


def test_the_unit_is_hardened() -> None:
    service = settings("Service")
    assert service["User"] == ["roam"]
    assert service["Restart"] == ["on-failure"]
    assert service["CapabilityBoundingSet"] == [""]
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert service[name] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["StateDirectory"] == ["roam"]


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Where systemd's own checker is at hand; without it the tests above have to do."""
    checker = shutil.which("systemd-analyze")
    if checker is None:
        return
    unit = tmp_path / "roam.service"
    unit.write_text(UNIT.read_text().replace("/opt/roam/bin/roam", "/bin/true"))
    checked = subprocess.run([checker, "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_container_starts_what_exists_and_not_as_root() -> None:
    assert instruction("ENTRYPOINT") == ['["roam"]']
    verb, *arguments = json.loads(instruction("CMD")[0])
    assert verb == "serve"
    understood(arguments)
    assert not instruction("USER")[0].startswith(("0", "root"))
    assert "/livez" in instruction("HEALTHCHECK")[0]


def test_the_container_is_built_in_stages_from_plain_names() -> None:
    bases = instruction("FROM")
    assert len(bases) == 2
    for base in bases:
        assert re.fullmatch(r"python:3\.1\d-slim( AS build)?", base)
    copied = [line.split()[0] for line in instruction("COPY") if not line.startswith("--from")]
    assert all((ROOT / name).exists() for name in copied)

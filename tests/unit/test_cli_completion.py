"""`roam completion`: in real shells on a terminal, and answer by answer."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import socket
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commandline import Roam, golden
from serving import Served

from federation.cli.completing import complete
from federation.cli.main import VERBS, main

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(roam completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -D -u && source <(roam completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "function fish_prompt; echo -n '> '; end; roam completion fish | source"),
}


class Terminal:
    """A shell on a pseudo-terminal."""

    def __init__(self, words: list[str], environment: dict[str, str]):
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(environment["HOME"])
            os.execvpe(words[0], words, environment)  # noqa: S606 - the shell under test
        self.seen = ""

    def write(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str, timeout_s: float = 20.0) -> None:
        """Read until `text` has come since the last call."""
        ends_at = time.monotonic() + timeout_s
        while text not in self.seen:
            left = ends_at - time.monotonic()
            assert left > 0, f"{text!r} did not come; {self.seen[-2000:]!r}"
            if select.select([self._fd], [], [], left)[0]:
                self.seen += os.read(self._fd, 65536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def expect_editing(self, timeout_s: float = 20.0) -> None:
        """Wait until the shell reads keys by itself; the terminal echoes none then."""
        ends_at = time.monotonic() + timeout_s
        while termios.tcgetattr(self._fd)[3] & termios.ECHO:
            assert time.monotonic() < ends_at
            time.sleep(0.01)  # a terminal's mode can't be waited for

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@contextmanager
def _shell(name: str, folder: Path, server: str) -> Iterator[Terminal]:
    command = folder / "bin" / "roam"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m federation "$@"\n')
    command.chmod(0o755)
    environment = {
        **{
            key: value for key, value in os.environ.items() if key in ("LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "FPATH")
        },
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "ROAM_HOME": str(folder),
        "ROAM_SERVER": server,
        "TERM": "xterm",
        "PS1": "> ",
    }
    terminal = Terminal(SHELLS[name][0], environment)
    try:
        terminal.write(f"{SHELLS[name][1]} && echo rea''dy\n")
        terminal.expect("ready")
        yield terminal
    finally:
        terminal.close()


LINES = {
    "descr\t": "describe",
    "get microserv\t": "get microservices",
    "get pl -n shop car\t": "get pl -n shop cart",
    "get pl/car\t-n shop": "get pl/car-n shop",
    "get -n shop pl/car\t": "get -n shop pl/cart",
    "get sub onp\t--no-h\t": "get sub onprem --no-headers",
    "get ms --output=na\t": "get ms --output=name",
    "migrate cart --to clo\t": "migrate cart --to cloud",
    "apply -f manif\t": "apply -f manifest.yaml",
}
"""What is typed, and what then stands on the line. (In the namespace `default` there is no `cart`.)"""


@pytest.mark.parametrize("name", [name for name in SHELLS if shutil.which(name) or name == "bash"])
def test_in_a_shell_on_a_terminal(shop: Served, tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.yaml").write_text("")
    with _shell(name, tmp_path, shop.url) as terminal:
        for typed, line in LINES.items():
            # Then back to the beginning of the line, and shown instead of run.
            terminal.expect("> ")
            terminal.expect_editing()
            terminal.write(f"roam {typed}\x01echo ran: \x05:e''nd\r")
            terminal.expect(f"ran: roam {line}")
            terminal.expect(":end")


def test_a_prompt_is_never_disturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roam: Roam) -> None:
    """No server, no home, no sense: the answer is empty, at once, and nothing goes to stderr."""
    monkeypatch.setenv("ROAM_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("ROAM_SERVER", "http://127.0.0.1:1")
    for line in (
        "roam get ms ",
        "roam get nothing ",
        "roam zzz ",
        'roam why "x',
        "roam",
        "",
        "roam get ms/",
        "roam help zz",
    ):
        code, out, err = roam("__complete", "bash", line)
        assert (code, err) == (0, "")
        assert "cart" not in out
    assert roam("__complete") == (0, "", "")
    # A server that takes the call and never answers is left alone after a moment.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ROAM_SERVER", f"http://127.0.0.1:{silent.getsockname()[1]}")
        (tmp_path / "token").write_text("a-token")
        monkeypatch.setenv("ROAM_HOME", str(tmp_path))
        began_at = time.monotonic()
        assert roam("__complete", "bash", "roam get ms ") == (0, "words\n", "")
        assert time.monotonic() - began_at < 5


ANSWERS: dict[str, set[str]] = {
    "roam get ms -n shop ": {"cart", "db"},
    "roam get ms -n shop cart ": {"db"},
    "roam get ms/cart -n shop pl/": {"pl/cart", "pl/db"},
    "roam describe sub ": {"cloud", "onprem"},
    "roam get ms -n ": {"default", "shop"},
    "roam get ms --namespace=sh": {"--namespace=shop"},
    "roam why shop/c": {"shop/cart"},
    "roam migrate shop/cart --to ": {"cloud", "onprem"},
    "roam unpin shop/cart ": {"--namespace", "--server"},
    "roam get ms,pl": {"ms,placements", "ms,placementpolicies", "ms,pl"},
    "roam events --for microserv": {"microservice/"},
    "roam events -n shop --for ms/": {"ms/cart", "ms/db"},
    "roam get ms --color ": {"auto", "always", "never"},
    "roam get ms -o ": {"table", "wide", "json", "yaml", "name"},
    "roam help descr": {"describe"},
    "roam sandbox ": {"up", "down", "status"},
    "roam get ms --server nowhere:1 -n shop ": set(),
}
"""A line, and what is among its answers."""


def test_answers(shop: Served) -> None:
    for line, expected in ANSWERS.items():
        found = set(complete(line, VERBS).candidates)
        assert found >= expected if expected else not found, line


@pytest.mark.parametrize("verb", VERBS)
def test_every_verbs_options_are_completed(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    stated = set(re.findall(r"^  (?:-., )?(--[a-z][-a-z]+)", capsys.readouterr().out, re.MULTILINE))
    found = complete(f"roam {verb} --", VERBS).candidates.keys()
    assert stated | {"--help", "--color", "--debug"} <= found


def test_the_scripts(roam: Roam) -> None:
    for shell in SHELLS:
        code, out, err = roam("completion", shell)
        assert (code, err) == (0, "")
        golden(f"completion-{shell}", out)
    assert roam("completion", "tcsh")[0] == 64

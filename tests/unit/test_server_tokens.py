"""The file of tokens: changed whole, loaded anew, never holding a token; and the verb that keeps it."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from pathlib import Path

import pytest
from serving import BASE, NOW, SHOP, serving

from federation.cli import token as verb
from federation.cli.main import main
from federation.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from federation.server.access import Caller
from federation.server.tokens import TokenFile, create, load, revoke

GOLDEN = Path(__file__).parent.parent / "golden" / "cli"
HEX = "0" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "tokens.yaml"


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_two_at_once_lose_none(path: Path) -> None:
    names = [f"t{number}" for number in range(40)]
    made: dict[str, str] = {}

    def make(name: str) -> None:
        made[name] = create(path, name, "view", None, now=0.0, expires=None)

    threads = [threading.Thread(target=make, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(token.name for token in load(path)) == sorted(names)
    known = TokenFile(path, lambda: NOW)
    assert {known.find(made[name]) for name in names} == {Caller(name, "view") for name in names}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(token in path.read_text() for token in made.values())
    threads = [threading.Thread(target=revoke, args=(path, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load(path) == ()


def test_a_token_counts_from_its_creation_to_its_end_or_revocation(path: Path) -> None:
    now = [NOW]
    known = TokenFile(path, lambda: now[0])
    assert known.find("") is None
    token = create(path, "ci", "deploy", ("shop",), now=NOW, expires=NOW + 10)
    assert known.find(token) == Caller("ci", "deploy", frozenset({"shop"}))
    assert known.find(token[:-1]) is None
    now[0] = NOW + 10
    assert known.find(token) is None
    now[0] = NOW
    assert known.find(token) is not None
    revoke(path, "ci")
    assert known.find(token) is None
    with pytest.raises(NotFound):
        revoke(path, "ci")
    create(path, "ci", "view", None, now=NOW, expires=None)
    with pytest.raises(AlreadyExists):
        create(path, "ci", "view", None, now=NOW, expires=None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tokens: [", "not YAML"),
        ("tokens: 3", "tokens"),
        ("tokenz: []", "tokenz"),
        (f"tokens: [{{name: a, sha256: '{HEX[:9]}', role: view}}]", "SHA-256"),
        (f"tokens: [{{name: a, sha256: '{HEX}', role: king}}]", "role"),
        (f"tokens: [{{name: a, sha256: '{HEX}', role: admin, namespaces: [b]}}]", "fleet"),
        (f"tokens: [{{name: a, sha256: '{HEX}', role: view, namespaces: []}}]", "namespace"),
        (f"tokens: [{{name: admin, sha256: '{HEX}', role: view}}]", "another name"),
        (
            f"tokens: [{{name: a, sha256: '{HEX}', role: view}}, {{name: b, sha256: '{HEX}', role: view}}]",
            "same sha256",
        ),
        ("!!python/object/apply:os.system [id]", "not YAML"),
        ("[" * 3000, "not YAML"),
        ("\x00", "not YAML"),
    ],
)
def test_a_file_that_makes_no_sense_lets_nobody_in(
    path: Path, text: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = create(path, "ci", "view", None, now=NOW, expires=None)
    good, known = path.read_text(), TokenFile(path, lambda: NOW)
    _write(path, text)
    with pytest.raises(InvalidInput, match=says) as raised:
        load(path)
    assert str(path) in str(raised.value)
    with pytest.raises(Unavailable):
        known.find(token)
    assert "until this is mended" in caplog.text
    _write(path, good)
    assert known.find(token) is not None


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    create(path, "ci", "view", None, now=NOW, expires=None)
    path.chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        load(path)


def test_a_running_server_notices(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    with serving(tmp_path, tokens=tokens) as api:
        assert api.call("GET", f"{SHOP}/microservices", token="roam_unknown").code == 401
        token = create(tokens, "ann", "view", ("shop",), now=0.0, expires=None)
        assert api.call("GET", f"{SHOP}/microservices", token=token).code == 200
        assert api.call("GET", f"{BASE}/microservices", token=token).code == 403
        tokens.chmod(0o644)
        blind = api.call("GET", f"{SHOP}/microservices", token=token)
        assert (blind.code, blind.body["reason"]) == (503, "Unavailable")
        assert api.call("GET", f"{SHOP}/microservices").code == 200, "the server's own token goes on"
        tokens.chmod(0o600)
        revoke(tokens, "ann")
        assert api.call("GET", f"{SHOP}/microservices", token=token).code == 401


def test_what_the_verb_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path))
    monkeypatch.setattr(verb, "time", type("clock", (), {"time": staticmethod(lambda: NOW)}))
    said = []
    for words in (
        "list",
        "create ci --role deploy -n shop -n other --expires 30d",
        "create ann --role admin -A",
        "create old --role view -A --expires 1ms",
        "create ci --role view -A",
        "create bob --role admin -n shop",
        "create bob --role view",
        "create bob -A",
        "create Bob --role view -A",
        "create bob --role view -A --expires soon",
        "create",
        "list ci",
        "revoke c",
        "revoke ann",
        "revoke ci --role view",
    ):
        code = main(["token", *words.split()])
        captured = capsys.readouterr()
        out = re.sub(r"roam_[-\w]{43}", "roam_<the token>", captured.out)
        said.append(f"$ roam token {words}\n{out}{captured.err}[{code}]\n")
    monkeypatch.setattr(verb, "time", type("clock", (), {"time": staticmethod(lambda: NOW + 1)}))
    assert main(["token", "list"]) == 0
    said.append(f"$ roam token list\n{capsys.readouterr().out}")
    text = "".join(said).replace(str(tmp_path), "<home>")
    golden = GOLDEN / "token.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert main(["token", "list", "-o", "json"]) == 0
    assert '"name": "ci"' in capsys.readouterr().out
    assert time.time() > NOW

"""The audit log: complete, chained, and stronger than a full disk."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import BASE, SECRET, SHOP, a_microservice, a_secret, serving

from federation.cli.main import main
from federation.errors import InvalidInput
from federation.server import audit
from federation.server.audit import ORIGIN, AuditFull, AuditLog, parts
from federation.server.auditcheck import Broken, verify
from federation.server.requests import Limits
from federation.server.tokens import create

ENTRY = {"who": "ann", "verb": "create", "name": "cart"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "audit.log"


@pytest.fixture
def log(path: Path) -> AuditLog:
    path.parent.mkdir()
    return AuditLog(path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """`left`: how many bytes there is room for; what is removed gives room again."""
    state = {"left": 10**9}
    write, unlink = os.write, Path.unlink

    def limited(file: int, data: Any) -> int:
        if len(data) > state["left"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        state["left"] -= len(data)
        return write(file, data)

    def removing(self: Path, missing_ok: bool = False) -> None:
        state["left"] += self.stat().st_size
        unlink(self, missing_ok)

    monkeypatch.setattr(audit.os, "write", limited)
    monkeypatch.setattr(Path, "unlink", removing)
    yield state
    monkeypatch.undo()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_write_is_in_it_with_who_what_and_how_it_ended(tmp_path: Path) -> None:
    tokens, log = tmp_path / "tokens.yaml", tmp_path / "audit.log"
    ci = create(tokens, "ci", "deploy", ("shop",), now=0.0, expires=None)
    with serving(tmp_path, tokens=tokens, audit=log) as api:
        cart = a_microservice("cart", objects=[a_secret()])
        headers = {"X-Request-Id": "from-the-pipeline"}
        assert api.call("POST", f"{SHOP}/microservices", cart, token=ci, headers=headers).code == 201
        assert api.call("GET", f"{SHOP}/microservices/cart", token=ci).code == 200
        assert (
            api.patch(f"{SHOP}/microservices/cart", {"spec": {"replicas": 2}, "metadata": {"labels": {}}}).code == 200
        )
        assert api.call("DELETE", f"{BASE}/subclusters/x", token=ci).code == 403
        assert api.call("POST", f"{SHOP}/microservices", cart, token="wrong-token-altogether").code == 401
        assert api.patch(f"{SHOP}/microservices/cart", {"spec": {SECRET: 1}}).code == 422
        assert api.call("POST", f"{BASE}/apply?dryRun=All", [cart]).code == 200
        assert api.call("POST", f"{BASE}/apply", [cart, *(a_microservice(f"s{n}") for n in range(120))]).code == 200
        assert api.call("POST", f"{SHOP}/migrations", {"metadata": {"generateName": "m-"}, "spec": {}}).code == 422
        elsewhere = cart | {"metadata": {"name": "cart", "namespace": "other"}}
        assert api.call("POST", f"{BASE}/apply", [cart, elsewhere], token=ci).code == 403
        shown = api.call("GET", f"{BASE}/audit?limit=3").body["items"]
        assert api.call("GET", f"{BASE}/audit", token=ci).code == 403
    lines = _lines(log)
    assert shown == lines[-3:]
    told = [(line["who"], line["verb"], line["kind"], line["namespace"], line["name"], line["code"]) for line in lines]
    assert told == [
        ("ci", "create", "microservices", "shop", "cart", 201),
        ("admin", "patch", "microservices", "shop", "cart", 200),
        ("ci", "delete", "subclusters", "", "x", 403),
        ("admin", "patch", "microservices", "shop", "cart", 422),
        ("admin", "apply", "", "", "", 200),
        ("admin", "apply", "", "", "", 200),
        ("admin", "create", "migrations", "shop", "", 422),
        ("ci", "apply", "microservices", "other", "cart", 403),
    ]
    assert (lines[0]["request"], lines[0]["from"], lines[0]["role"]) == ("from-the-pipeline", "127.0.0.1", "deploy")
    assert lines[1]["fields"] == ["metadata.labels", "spec.replicas"]
    assert (lines[2]["reason"], lines[3]["reason"]) == ("Forbidden", "Invalid")
    assert len(lines[4]["objects"]) == 100
    assert len(lines[5]["objects"]) == 21, "an apply of many objects takes several lines"
    assert SECRET not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert verify(log, older=True).last == 8


def test_what_is_changed_removed_or_put_in_shows(path: Path, log: AuditLog) -> None:
    for number in range(5):
        log.record([{**ENTRY, "code": 200 + number}])
    whole = path.read_text().splitlines()
    verdict = verify(path, older=True)
    assert (verdict.first, verdict.last, verdict.hash) == (1, 5, json.loads(whole[-1])["hash"])
    forged = audit.encode_line({**ENTRY, "code": 999}, 3, json.loads(whole[1])["hash"])[0].decode().rstrip()
    cases: list[tuple[list[str], int]] = [
        ([*whole[:2], whole[2].replace("ann", "bob"), *whole[3:]], 3),
        ([*whole[:2], *whole[3:]], 3),
        ([*whole[:2], whole[3], whole[2], whole[4]], 3),
        ([*whole[:2], forged, *whole[3:]], 4),
        ([*whole[:2], "", *whole[2:]], 3),
        ([*whole[:2], "{}", *whole[3:]], 3),
        (["x", *whole[1:]], 1),
        ([*whole, whole[-1]], 6),
    ]
    for lines, broken in cases:
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(Broken, match=f"audit.log:{broken}:"):
            verify(path, older=True)
    path.write_text("\n".join(whole[:3]) + "\n")
    assert verify(path, older=True).last == 3
    with pytest.raises(Broken, match="cut off"):
        verify(path, older=True, known=verdict.hash)
    path.write_text("\n".join(whole)[:-5])
    with pytest.raises(Broken, match="not whole"):
        verify(path, older=True)


def test_parts_hang_together(path: Path) -> None:
    path.parent.mkdir()
    log = AuditLog(path, rotate_bytes=1_000)
    for _ in range(40):
        log.record([ENTRY])
    found = parts(path)
    assert len(found) > 3
    assert all(stat.S_IMODE(part.stat().st_mode) == 0o600 for part in found)
    assert verify(path, older=True).last == 40
    assert verify(found[1], older=False).first > 1
    found[1].rename(path.parent / "elsewhere")
    with pytest.raises(Broken):
        verify(path, older=True)


def test_it_goes_on_after_a_restart_and_a_crash(path: Path, log: AuditLog) -> None:
    log.record([ENTRY, ENTRY])
    with path.open("ab") as file:
        file.write(b'{"number": 3, "who')
    AuditLog(path).record([ENTRY])
    log.record([ENTRY])
    assert verify(path, older=True).last == 4
    path.unlink()
    log.record([ENTRY])
    assert verify(path, older=True).first == 5, "a log that was taken away shows as a gap"


def test_several_threads_and_processes_write_one_chain(path: Path, log: AuditLog) -> None:
    others = [AuditLog(path, rotate_bytes=20_000) for _ in range(4)]

    def write(mine: AuditLog) -> None:
        for _ in range(40):
            mine.record([ENTRY])

    threads = [threading.Thread(target=write, args=(each,)) for each in (*others, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(path, older=True).last == 8 * 40


def test_a_full_disk_refuses_writes_and_loses_no_record(path: Path, log: AuditLog, disk: dict[str, int]) -> None:
    log.record([ENTRY])
    log.check()
    disk["left"] = 0
    # This write was under way when the disk became full: it is written into the space that was kept for it.
    log.record([{**ENTRY, "name": "last"}])
    assert _lines(path)[-1]["name"] == "last"
    disk["left"] = 0
    with pytest.raises(AuditFull, match="No space left"):
        log.check()
    with pytest.raises(AuditFull):
        log.record([{**ENTRY, "name": "late"}])
    disk["left"] = 10**9
    log.check()
    assert [line["name"] for line in _lines(path)] == ["cart", "last", "late"]
    assert verify(path, older=True).last == 3


def test_the_api_says_so_when_nothing_can_be_written_down(tmp_path: Path, disk: dict[str, int]) -> None:
    with serving(tmp_path, audit=tmp_path / "audit.log") as api:
        assert api.call("POST", f"{SHOP}/microservices", a_microservice("a")).code == 201
        (tmp_path / ".audit.log.reserve").unlink()
        disk["left"] = 0
        refused = api.call("POST", f"{SHOP}/microservices", a_microservice("b"))
        assert (refused.code, refused.body["reason"]) == (507, "AuditLogUnavailable")
        assert "No space left" in refused.body["message"]
        assert api.call("GET", f"{SHOP}/microservices/b").code == 404, "what is not written down does not happen"
        disk["left"] = 10**9
        assert api.call("POST", f"{SHOP}/microservices", a_microservice("b")).code == 201
    assert verify(tmp_path / "audit.log", older=True).last == 2


def test_a_file_that_is_no_log_is_not_written_to(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("something else\n")
    with pytest.raises(InvalidInput, match="roam audit verify"):
        AuditLog(path)
    assert path.read_text() == "something else\n"


def test_an_acknowledged_write_is_in_it(tmp_path: Path) -> None:
    """Whatever the mix of threads: as many lines as answers, each with its own request."""
    log = tmp_path / "audit.log"
    with serving(tmp_path, Limits(), audit=log) as api:
        ids: list[str] = []

        def create_some(first: int) -> None:
            for number in range(first, first + 10):
                reply = api.call("POST", f"{SHOP}/microservices", a_microservice(f"s{number}"))
                assert reply.code == 201
                ids.append(reply.headers["X-Request-Id"])

        threads = [threading.Thread(target=create_some, args=(first,)) for first in range(0, 80, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(line["request"] for line in _lines(log)) == sorted(ids)
    assert verify(log, older=True).last == len(ids) == 80


def test_the_verb_says_what_it_found(
    path: Path, log: AuditLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROAM_HOME", str(path.parent))
    run: Callable[..., int] = lambda *words: main(["audit", "verify", *words])  # noqa: E731
    assert run() == 0
    assert capsys.readouterr().out == f"{path} is empty\n"
    log.record([ENTRY, ENTRY])
    digest = _lines(path)[0]["hash"]
    assert run("--contains", digest) == 0
    assert f"{path}: lines 1 to 2 are as they were written\n" in capsys.readouterr().out
    assert run("--contains", ORIGIN) == 1
    assert "cut off" in capsys.readouterr().err
    path.write_text(path.read_text().replace("cart", "card", 1))
    assert run() == 1
    assert capsys.readouterr().err == f"roam: error: {path}:1: it is not as it was written\n"
    assert run(str(path.parent / "none")) == 64

"""What verbs that write files, serve or play print, kept as golden files; what differs from run to run is masked."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from commandline import WIDTH, Roam, golden, transcript
from rich.console import Console
from serving import NOW, TOKEN, Served, a_microservice, serving

from federation.cli.demo.evaluate import Act, build_report
from federation.cli.demo.screen import Screen
from federation.server.audit import AuditLog
from federation.server.backup import backup_extras


def masked(text: str, home: Path) -> str:
    """`text` without sizes, hashes, addresses and the home's path."""
    text = text.replace(str(home), "HOME")
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:PORT", text)
    text = re.sub(r"\b\d+ bytes", "N bytes", text)
    text = re.sub(r"before-\d+", "before-SECONDS", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?UTC|Z|\+00:00)?", "TIME", text)


def test_what_apply_prints(api: Served, roam: Roam, tmp_path: Path) -> None:
    good, worse, wrong = (tmp_path / f"{name}.json" for name in ("good", "worse", "wrong"))
    good.write_text(json.dumps(a_microservice("cart")))
    worse.write_text(json.dumps(a_microservice("cart", replicas=3)))
    wrong.write_text(json.dumps(a_microservice("cart", replica=3)))
    text = transcript(
        roam,
        ("apply", "-f", good, "--dry-run"),
        ("apply", "-f", good),
        ("apply", "-f", good),
        ("apply", "-f", worse),
        ("apply", "-f", wrong),
        ("apply", "-f", tmp_path / "none.json"),
        ("apply",),
        ("subcluster", "remove", "nowhere"),
    )
    golden("apply", masked(text, tmp_path))


def test_what_backups_print(tmp_path: Path, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    (tmp_path / "token").write_text(TOKEN)
    file = tmp_path / "monday"
    with serving(tmp_path, extras=backup_extras(tmp_path / "store.db", lambda: NOW)) as served:
        monkeypatch.setenv("ROAM_SERVER", served.url)
        served.call("POST", "/apis/roam.federation/v1alpha1/namespaces/shop/microservices", a_microservice("cart"))
        text = transcript(roam, ("backup", file), ("backup", file), ("backup", file, "--force"))
    text += "\n" + transcript(roam, ("restore", file), ("restore", file, "--force"), ("restore", tmp_path / "token"))
    golden("backup-restore", re.sub(r"(restore|key) [0-9a-f]{8,}", r"\1 ID", masked(text, tmp_path)))


def test_what_an_audit_prints(tmp_path: Path, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path))
    log = tmp_path / "audit.log"
    AuditLog(log).record([{"who": "ann", "verb": "create", "name": name} for name in ("cart", "web", "db")])
    text = transcript(roam, ("audit", "verify"))
    log.write_text(log.read_text().replace("web", "wed"))
    text += "\n" + transcript(roam, ("audit", "verify"), ("audit", "verify", tmp_path / "other.log"))
    golden("audit", masked(text, tmp_path))


def test_what_serve_and_sandbox_refuse(tmp_path: Path, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path))
    (tmp_path / "secrets.key").write_text("anybody may read it")
    (tmp_path / "secrets.key").chmod(0o644)
    text = transcript(
        roam,
        ("serve", "--listen", "0.0.0.0:7441"),
        ("serve", "--listen", "nowhere"),
        ("serve",),
        ("sandbox", "status"),
        ("sandbox", "down"),
    )
    golden("serve-sandbox", masked(text, tmp_path))


def test_what_the_demo_prints_in_the_end() -> None:
    planned = Act("migrate", "catalogue", "ec2-frankfurt", "gce-frankfurt", True, 0.0, 15.0, 0)
    wrong = Act("drain", "currency frontend", "ec2-frankfurt", "azure-netherlands", True, 20.0, 31.5, 3, ("a rule",))
    report = build_report([planned, wrong], [(0.0, 1.0), (19.0, 20.0)], [], 3)
    out = io.StringIO()
    Screen(Console(file=out, width=WIDTH, no_color=True, highlight=False)).result(report)
    golden("demo-result", "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n")

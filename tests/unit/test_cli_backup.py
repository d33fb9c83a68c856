"""`roam backup` and `roam restore`, through the API and on files."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest
from commandline import Roam
from serving import NOW, TOKEN, a_microservice, serving

from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.server.access import ADMIN
from federation.server.backup import PATH, backup_extras
from federation.server.tokens import create
from federation.store.hold import hold
from federation.store.sql import open_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROAM_HOME", str(tmp_path))
    (tmp_path / "token").write_text(TOKEN)
    return tmp_path


def test_there_and_back(home: Path, roam: Roam, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / "monday"
    with serving(home, extras=backup_extras(home / "store.db", lambda: NOW)) as served:
        monkeypatch.setenv("ROAM_SERVER", served.url)
        served.call("POST", PATH.replace("backup", "namespaces/shop/microservices"), a_microservice("cart"))
        code, out, _ = roam("backup", file)
        assert (code, out.startswith("backup/monday made: version ")) == (0, True)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        code, _, err = roam("backup", file)
        assert (code, "monday: is there already; --force replaces it" in err) == (64, True)
        served.call("DELETE", PATH.replace("backup", "namespaces/shop/microservices/cart"))
    assert roam("restore", file)[0] == 64
    with hold(home / "store.db"):
        code, _, err = roam("restore", file, "--force")
        assert (code, "in use by a controller" in err) == (1, True)
    code, out, err = roam("restore", file, "--force")
    assert (code, out.startswith("store/store.db restored: as of 2026-02-02 ")) == (0, True)
    assert "is now" in err
    with closing(open_store(home / "store.db")) as store:
        assert store.get(Microservice, Key("shop", "cart"))


def test_without_a_server(home: Path, roam: Roam) -> None:
    open_store(home / "store.db").close()
    assert roam("backup", home / "b", "--store", home / "store.db")[0] == 0
    assert roam("restore", home / "b", "--store", home / "other.db")[0] == 0
    code, _, err = roam("backup", home / "c", "--store", home / "none.db")
    assert (code, "none.db: no store is there" in err) == (64, True)
    code, _, err = roam("restore", home / "token", "--store", home / "new.db")
    assert (code, "token: is not a backup of Roam" in err) == (64, True)
    assert not (home / "new.db").exists()


def test_only_an_admin_may(home: Path) -> None:
    tokens = home / "tokens.yaml"
    others = create(tokens, "ops", "operate", None, now=NOW, expires=None)
    with serving(home, extras=backup_extras(home / "store.db", lambda: NOW), tokens=tokens) as served:
        assert served.call("GET", PATH, token=None).code == 401
        assert served.call("GET", PATH, token=others).code == 403
        assert served.call("POST", PATH).code == 405
        assert ADMIN.role == "admin"

"""Volumes of processes: mount paths become directories, what is claimed stays, files are for nobody else."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.contracts.driver import Workload
from federation.errors import InvalidInput
from federation.model.meta import Key
from providers.local.agent.environment import ConfigError, Configuration, Identity
from providers.local.agent.orders import Order, prepare
from providers.local.agent.paths import Paths, normal_mount
from providers.local.agent.template import Template
from providers.local.agent.volumes import Claims, VolumePlan, free_claims, mount_volumes, paths_of

KEY = Key("shop", "db")
IDENTITY = Identity(
    name="db-1", namespace="shop", uid="u-1", address="127.41.1.1", host_address="127.41.0.1", node="onprem",
    allocatable={"cpu": 4.0, "memory": 8 * 2.0**30},
)  # fmt: skip
CONFIGURATION = Configuration(
    (
        {
            "kind": "ConfigMap",
            "metadata": {"name": "config"},
            "data": {"mode": "fast"},
            "binaryData": {"logo": base64.b64encode(b"\xff\x00").decode()},
        },
        {"kind": "Secret", "metadata": {"name": "keys"}, "data": {"key": base64.b64encode(b"s3cret").decode()}},
    )
)
SEGMENT = st.from_regex(r"[a-z0-9_.-]{1,6}", fullmatch=True).filter(lambda text: text.strip("."))
MOUNT = st.lists(SEGMENT, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", "/real"),
        ("/data/", "/real/"),
        ("/data/carts.log", "/real/carts.log"),
        ("--dir=/data", "--dir=/real"),
        ("cat '/data/a' /data/b>/data", "cat '/real/a' /real/b>/real"),
        ("/bin:/data:/usr/bin", "/bin:/real:/usr/bin"),
        ("file:///data/x", "file:///real/x"),
        ("sqlite:////data/x.db", "sqlite:////real/x.db"),
        ('open("/data/x")', 'open("/real/x")'),
        ("look in /data.", "look in /real."),
        ("/data/sub/x", "/deep/x"),
        ("/data/subway", "/real/subway"),
        *((same, same) for same in ("/data2", "/data-old", "/data.bak", "/srv/data", "srv/data", "data", "")),
        *((same, same) for same in ("$HOME/data", "${X}/data", "$(X)/data", "~/data", "http://data/x", "./data")),
    ],
)
def test_a_mount_is_written_over_where_it_is_a_path_of_its_own(text: str, expected: str) -> None:
    assert Paths({"/data": "/real", "/data/sub": "/deep"}).real(text) == expected


@given(mount=MOUNT, inside=st.lists(SEGMENT, max_size=3), before=st.sampled_from(["", "--x=", "a b:", '"', "'"]))
def test_every_path_below_a_mount_is_found_below_its_directory(mount: str, inside: list[str], before: str) -> None:
    tail = "".join(f"/{part}" for part in inside)
    assert Paths({mount: "/var/agent/v"}).real(before + mount + tail) == f"{before}/var/agent/v{tail}"


@given(mounts=st.dictionaries(MOUNT, MOUNT, max_size=4), text=st.text(alphabet="ab/.:=$ -\n", max_size=40))
def test_text_is_changed_in_no_other_way(mounts: dict[str, str], text: str) -> None:
    marked = Paths({mount: f"<{mount}>" for mount in mounts}).real(text)
    assert marked.replace("<", "").replace(">", "") == text
    if not any(mount in text for mount in mounts):
        assert marked == text


@given(outer=MOUNT, inner=SEGMENT)
def test_what_was_put_in_is_not_looked_at_again(outer: str, inner: str) -> None:
    """An agent may itself live below a path that a pod uses as a mount."""
    assert Paths({outer: f"{outer}/{inner}"}).real(f"{outer}/x") == f"{outer}/{inner}/x"


@given(st.text(alphabet="ab./\0", max_size=12))
def test_a_mount_path_is_absolute_and_goes_nowhere_else(path: str) -> None:
    normal = normal_mount(path)
    if normal is not None:
        assert normal.startswith("/")
        assert not normal.endswith("/")
        assert "//" not in normal
        assert "\0" not in normal
        assert ".." not in normal.split("/")


def order(*volumes: dict[str, Any], mounts: list[dict[str, Any]], claims: tuple[str, ...] = ()) -> Order:
    container = {"name": "main", "command": ["true"], "volumeMounts": mounts}
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [container], "volumes": list(volumes)}}
    stateful = {"kind": "StatefulSet", "spec": {"volumeClaimTemplates": [{"metadata": {"name": x}} for x in claims]}}
    return prepare(Workload(KEY, "1", 1, template, objects=(stateful,) if claims else ()))


def mount(tmp_path: Path, *volumes: dict[str, Any], **claimed: str) -> dict[str, Path | None]:
    template = Template.model_validate({
        "metadata": {"labels": {"app": "db", "tier": 'a"b'}},
        "spec": {"containers": [{"name": "main"}], "volumes": list(volumes)},
    })  # fmt: skip
    plan = VolumePlan(tmp_path / "pod", Claims(tmp_path / "volumes").of(KEY), claimed)
    return mount_volumes(plan, template, IDENTITY, CONFIGURATION)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_claimed_stays_until_it_is_discarded(tmp_path: Path) -> None:
    wanted = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    claims = Claims(tmp_path / "volumes")
    for _ in range(2):
        made = mount(tmp_path, wanted, own="own-db-0")
        assert made["data"] is not None
        assert made["own"] is not None
        assert mode(made["data"]) == mode(made["own"]) == mode(claims.of(KEY)) == 0o700
    (made["data"] / "x").write_text("kept")
    assert (claims.of(KEY) / "data" / "x").read_text() == "kept"
    free = claims.discard(KEY)
    assert free is not None
    assert not claims.of(KEY).exists()
    assert claims.discard(KEY) is None
    Claims(tmp_path / "volumes").sweep()
    assert list((tmp_path / "volumes").iterdir()) == []


def test_each_pod_of_a_stateful_set_has_its_own_claim() -> None:
    first = free_claims("db", ["data", "log"], [])
    second = free_claims("db", ["data", "log"], [first])
    assert (first, second) == (
        {"data": "data-db-0", "log": "log-db-0"},
        {"data": "data-db-1", "log": "log-db-1"},
    )
    assert free_claims("db", ["data", "log"], [second]) == first
    assert free_claims("web", [], [{}, {}]) == {}


def test_files_hold_what_their_sources_say_and_are_for_nobody_else(tmp_path: Path) -> None:
    sources = [
        {"configMap": {"name": "config", "items": [{"key": "mode", "path": "a/mode"}]}},
        {"secret": {"name": "keys", "optional": True}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"serviceAccountToken": {"path": "token"}},
    ]
    made = mount(
        tmp_path,
        {"name": "config", "configMap": {"name": "config", "defaultMode": 0o777}},
        {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o444}},
        {"name": "all", "projected": {"sources": sources}},
        {"name": "none", "configMap": {"name": "missing", "optional": True}},
        {"name": "api", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
        {"name": "scratch", "emptyDir": None},
        {"name": "host", "hostPath": {"path": "/"}},
    )
    found = {
        (name, str(file.relative_to(directory))): (file.read_bytes(), mode(file))
        for name, directory in made.items()
        if directory is not None
        for file in directory.rglob("*")
        if file.is_file()
    }
    assert found == {
        ("config", "mode"): (b"fast", 0o700),
        ("config", "logo"): (b"\xff\x00", 0o700),
        ("keys", "key"): (b"s3cret", 0o600),
        ("all", "a/mode"): (b"fast", 0o600),
        ("all", "key"): (b"s3cret", 0o600),
        ("all", "labels"): (b'app="db"\ntier="a\\"b"', 0o600),
    }
    assert made["host"] is None
    assert made["scratch"] is not None
    assert mode(made["scratch"]) == 0o700


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "missing"}}, 'ConfigMap "missing" not found'),
        ({"secret": {"secretName": "keys", "items": [{"key": "no", "path": "x"}]}}, 'key "no" not found'),
        ({"configMap": {"name": "config", "items": [{"key": "mode", "path": "../x"}]}}, "not a path within a volume"),
        ({"configMap": {"name": "config", "items": [{"key": "mode", "path": "/x"}]}}, "not a path within a volume"),
    ],
)
def test_a_volume_that_can_not_be_made_says_why(tmp_path: Path, volume: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mount(tmp_path, {"name": "v", **volume})
    assert not (tmp_path / "x").exists()


def test_a_part_of_a_volume_is_mounted_but_nothing_beside_it(tmp_path: Path) -> None:
    made = mount(tmp_path, {"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "config"}})
    assert made["v"] is not None
    parts = [("v", "/v", "a/b"), ("c", "/etc/mode", "mode")]
    mounts = [{"name": name, "mountPath": path, "subPath": part} for name, path, part in parts]
    whole = order({"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "config"}}, mounts=mounts)
    paths = paths_of(whole.template.spec.containers[0], made)
    assert paths.real("/v /etc/mode") == f"{made['v']}/a/b {made['c']}/mode"
    assert (made["v"] / "a" / "b").is_dir()
    (made["v"] / "out").symlink_to("/etc")
    led_out = order({"name": "v", "emptyDir": {}}, mounts=[{"name": "v", "mountPath": "/v", "subPath": "out"}])
    with pytest.raises(ConfigError, match="leads out of volume"):
        paths_of(led_out.template.spec.containers[0], made)


def test_a_link_in_the_place_of_a_claim_is_not_followed(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "volumes").of(KEY)
    claims.mkdir(parents=True)
    (claims / "data").symlink_to("/etc")
    with pytest.raises(ConfigError, match="replaced by a link"):
        mount(tmp_path, {"name": "v", "persistentVolumeClaim": {"claimName": "data"}})


@pytest.mark.parametrize(
    ("mounted", "field", "message"),
    [
        ({"name": "other", "mountPath": "/x"}, "name", "there is no volume 'other'"),
        ({"name": "v", "mountPath": "x"}, "mountPath", "absolute path"),
        ({"name": "v", "mountPath": "/"}, "mountPath", "below /"),
        ({"name": "v", "mountPath": "/x/../y"}, "mountPath", r"without \.\."),
        ({"name": "v", "mountPath": "/x", "subPath": "../y"}, "subPath", "relative path"),
        ({"name": "v", "mountPath": "/x", "subPath": "/y"}, "subPath", "relative path"),
        ({"name": "v", "mountPath": "/x", "subPathExpr": "$(Y)"}, "subPathExpr", "give a subPath"),
    ],
)
def test_a_mount_that_leads_nowhere_is_refused(mounted: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        order({"name": "v", "emptyDir": {}}, mounts=[mounted])
    assert refused.value.field == f"template.spec.containers[0].volumeMounts[0].{field}"


def test_who_has_a_claim_is_one_writer_and_what_is_not_mounted_is_told() -> None:
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    assert order(claim, mounts=[]).one_writer
    assert not order({"name": "v", "emptyDir": {}}, mounts=[]).one_writer
    own = order(mounts=[{"name": "data", "mountPath": "/data"}], claims=("data",))
    assert (own.claims, own.one_writer, own.unmounted) == (("data",), True, ())
    host = {"name": "v", "hostPath": {"path": "/"}}
    assert order(host, mounts=[{"name": "v", "mountPath": "/host"}]).unmounted == ("v",)
    assert order(host, mounts=[]).unmounted == ()

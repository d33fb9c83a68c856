"""`roam plan --out` and `roam apply PLAN`: carried out as it was made, or refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import Roam, a_policy
from hypothesis import given
from hypothesis import strategies as st
from serving import BASE, SECRET, Served, a_microservice, a_secret

from federation.cli.carrying import move_all
from federation.cli.client import Client
from federation.cli.order import callers_first
from federation.cli.planfile import PlanFile, Shift
from federation.cli.waiting import Progress
from federation.contracts.store import Replace
from federation.errors import FederationError
from federation.model.meta import Key
from federation.model.migration import Migration
from federation.model.subcluster import SubCluster

PLACES = ("a", "b", "c", "d")


def _plan(roam: Roam, folder: Path, *files: object) -> Path:
    path = folder / f"{time.monotonic_ns()}.json"
    words = [word for file in files for word in ("-f", file)]
    assert roam("plan", "--out", path, *words)[0] == 0
    return path


def _file(folder: Path, *documents: object) -> Path:
    path = folder / f"{time.monotonic_ns()}.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


@pytest.fixture
def misplaced(shop: Served) -> Served:
    """The shop, with `cart` where it costs more than it has to."""
    placement = shop.call("GET", f"{BASE}/namespaces/shop/placements/cart").body
    assert placement["spec"]["targets"] == [{"subcluster": "onprem", "replicas": 2}]
    dear = {"spec": {"pricing": {"cpuHour": 5.0, "memoryGiBHour": 1.0}, "taints": []}}
    assert shop.patch(f"{BASE}/subclusters/onprem", dear).code == 200
    record = shop.store.get(SubCluster, Key("", "onprem"))
    shop.store.write([Replace(record.model_copy(update={"status": type(record.status)(health="Healthy")}))], now=0.0)
    return shop


def test_a_plan_is_carried_out(misplaced: Served, roam: Roam, tmp_path: Path) -> None:
    new = _file(tmp_path, a_microservice("new"))
    path = _plan(roam, tmp_path, new)
    code, out, _ = roam("apply", path, "--dry-run")
    assert (code, out.splitlines()) == (
        0,
        [
            "microservice/new created (dry run)",
            "shop/cart: 2 replicas would move from onprem to cloud (dry run)",
        ],
    )
    code, out, err = roam("apply", path)
    assert (code, out.splitlines()[0]) == (0, "microservice/new created")
    assert "roam migrations" in err
    made = misplaced.store.list(Migration).items
    assert [(one.spec.source, one.spec.target, one.spec.replicas, one.spec.reason) for one in made] == [
        ("onprem", "cloud", 2, "Cost")
    ]
    code, _, err = roam("apply", path)
    assert (code, "Microservice shop/new is new" in err, "is new" in err) == (7, True, True)


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        ("namespaces/shop/microservices/db", {"spec": {"replicas": 2}}, "Microservice shop/db has changed"),
        ("namespaces/shop/microservices/db", {"metadata": {"labels": {"a": "b"}}}, "Microservice shop/db has changed"),
        ("subclusters/cloud", {"spec": {"unschedulable": True}}, "SubCluster cloud has changed"),
        ("namespaces/shop/placements/cart", {"spec": {"pinned": "onprem"}}, "Placement shop/cart has changed"),
        ("clusterplacementpolicies/eu", {"spec": {"precedence": 4}}, "ClusterPlacementPolicy eu has changed"),
        ("clusterplacementpolicies/eu", None, "ClusterPlacementPolicy eu is gone"),
    ],
)
def test_a_stale_plan_is_refused(
    shop: Served, roam: Roam, tmp_path: Path, path: str, change: dict[str, Any] | None, said: str
) -> None:
    plan = _plan(roam, tmp_path)
    answer = shop.call("DELETE", f"{BASE}/{path}") if change is None else shop.patch(f"{BASE}/{path}", change)
    assert answer.code == 200
    code, out, err = roam("apply", plan)
    assert (code, out, said in err) == (7, "", True)


def test_what_was_only_seen_anew_makes_no_plan_stale(shop: Served, roam: Roam, tmp_path: Path) -> None:
    plan = _plan(roam, tmp_path)
    annotated = {"metadata": {"annotations": {"note": "seen"}}}
    assert shop.patch(f"{BASE}/namespaces/shop/microservices/db", annotated).code == 200
    code, _, err = roam("apply", plan)
    assert (code, "changes nothing" in err) == (0, True)


def test_a_plan_holds_no_secrets(shop: Served, roam: Roam, tmp_path: Path) -> None:
    known = _file(tmp_path, a_microservice("cart", replicas=3, objects=[a_secret()]))
    plan = _plan(roam, tmp_path, known)
    assert SECRET not in plan.read_text()
    code, out, _ = roam("apply", plan)
    assert (code, out) == (0, "microservice/cart configured\n")
    fresh = _file(tmp_path, a_microservice("vault", objects=[a_secret("bmV3LXNlY3JldA==")]))
    plan = _plan(roam, tmp_path, fresh)
    code, _, err = roam("apply", plan)
    assert (code, "placeholder" in err) == (64, True)
    other = _file(tmp_path, a_microservice("vault", replicas=2, objects=[a_secret()]))
    code, _, err = roam("apply", plan, "-f", other)
    assert (code, "not those the plan was made from: Microservice shop/vault" in err) == (7, True)
    assert roam("apply", plan, "-f", fresh)[:2] == (0, "microservice/vault created\n")


def test_what_is_no_plan_is_told(shop: Served, roam: Roam, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text, said in (("{", "is not JSON"), ("[]", "is not a plan"), ('{"changes": []}', "made from files alone")):
        path.write_text(text)
        code, _, err = roam("apply", path)
        assert (code, said in err) == (64, True)
    assert roam("apply", tmp_path / "none.json")[0] == 64
    assert roam("apply")[0] == 64


COUNTS = st.dictionaries(st.sampled_from(PLACES), st.integers(1, 5), max_size=4)


@given(COUNTS, COUNTS)
def test_shifts_lead_from_one_to_the_other(before: dict[str, int], after: dict[str, int]) -> None:
    """Carried out, nothing that was to go is left beyond what grows or shrinks by itself; no step is for nothing."""

    def shown(counts: dict[str, int]) -> list[dict[str, Any]]:
        return [{"subcluster": name, "replicas": count} for name, count in counts.items()]

    change = {"namespace": "shop", "service": "cart", "from": shown(before), "to": shown(after)}
    shifts = PlanFile((), {}, (change,)).shifts().get(Key("shop", "cart"), [])
    now = dict(before)
    for one in shifts:
        assert one.replicas > 0
        now[one.source] -= one.replicas
        now[one.target] = now.get(one.target, 0) + one.replicas
    rest = {name: after.get(name, 0) - now.get(name, 0) for name in PLACES}
    assert all(count >= 0 for count in rest.values()) or all(count <= 0 for count in rest.values())
    assert sum(rest.values()) == sum(after.values()) - sum(before.values())


CALLS = st.dictionaries(st.sampled_from("abcdefg"), st.sets(st.sampled_from("abcdefgxyz"), max_size=4))


@given(CALLS)
def test_callers_stop_before_those_they_call(calls: dict[str, set[str]]) -> None:
    layers = callers_first(calls)
    assert sorted(name for layer in layers for name in layer) == sorted(calls)
    at = {name: number for number, layer in enumerate(layers) for name in layer}

    def reach(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            for other in calls.get(waiting.pop(), ()):
                if other not in found and other in calls:
                    found.add(other)
                    waiting.append(other)
        return found

    for one in calls:
        for other in reach(one) - {one}:
            assert at[one] <= at[other] if one in reach(other) else at[one] < at[other]
            assert at[one] == at[other] or one not in reach(other)


def test_progress_on_a_terminal_is_rewritten_in_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.cli.waiting.in_colour", lambda _: True)
    monkeypatch.setattr("federation.cli.waiting.shutil.get_terminal_size", lambda _: (40, 4))
    progress = Progress()
    progress.show("first\nsecond")
    progress.show("one\ntwo\nthree\nfour\n" + "x" * 100)
    progress.end()
    text = capsys.readouterr().err
    assert "\x1b[1A\x1b[J" in text
    last = text.rpartition("\x1b[J")[2]
    assert "and 3 more" in last
    assert max(map(len, last.splitlines())) < 40


def test_policies_go_after_what_they_rule(shop: Served, roam: Roam, tmp_path: Path) -> None:
    files = _file(tmp_path, a_policy("eu", importance=1), a_microservice("cart", objects=[a_secret()]))
    out = roam("delete", "-f", files, "--no-wait")[1]
    assert out.splitlines() == ["microservice/cart deleted", "clusterplacementpolicy/eu deleted"]


class Crowded(Client):
    """Refuses a move to `full` until another one has ended well; all others succeed at once."""

    def __init__(self, full: str) -> None:
        super().__init__("http://127.0.0.1:1", "")
        self.full = full
        self.made: list[dict[str, Any]] = []

    def post(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        gone = any(one["status"]["phase"] == "Succeeded" for one in self.made)
        phase = "Failed" if body["spec"]["target"] == self.full and not gone else "Succeeded"
        name = f"m{len(self.made)}"
        status = {"phase": phase, "weight": 0, "message": "has 0 of 1 CPU left"}
        self.made.append({"metadata": {**body["metadata"], "name": name}, "spec": body["spec"], "status": status})
        return self.made[-1]

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        return next(one for one in self.made if path.endswith(f"/{one['metadata']['name']}"))

    def items(self, plural: str, namespace: str | None = None, selector: str = "") -> tuple[list[Any], str]:
        return list(self.made), "1"


def test_a_move_into_room_that_another_one_leaves_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    client = Crowded("home")
    move_all(client, [Shift(Key("shop", "in"), "away", "home", 1), Shift(Key("shop", "out"), "home", "away", 1)], 5.0)
    assert [one["spec"]["service"] for one in client.made] == ["in", "out", "in"]
    assert "shop/in moved from away to home" in capsys.readouterr().out


def test_a_move_that_nobody_makes_room_for_is_tried_once() -> None:
    client = Crowded("home")
    with pytest.raises(FederationError, match="has 0 of 1 CPU left"):
        move_all(client, [Shift(Key("shop", "in"), "away", "home", 1)], 5.0)
    assert len(client.made) == 1

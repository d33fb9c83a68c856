"""Each expectation of a policy test, where it holds and where it does not, and what is said then."""

from __future__ import annotations

from typing import Any

import pytest
from serving import a_subcluster
from whatif import DEAR, US, a_fleet, case_of, policy, service, state

from federation.errors import InvalidInput, InvalidInputs
from federation.whatif.expecting import Failure
from federation.whatif.state import State

EU_ONLY = policy("eu", selector={"matchLabels": {"app": "cart"}}, compliance={"residency": {"allow": ["EU"]}})


def _ground(*more: dict[str, Any]) -> State:
    """`cart` may run in the EU only, `web` anywhere; both run at home, which is cheaper."""
    return state(*a_fleet(), service("cart"), service("web"), EU_ONLY, *more)


LOST = [{"lose": "home"}]
NOWHERE = [{"apply": policy("nowhere", compliance={"residency": {"allow": ["FR"]}})}]


@pytest.mark.parametrize(
    ("expect", "changes"),
    [
        ({"service": "cart", "runsIn": {"subclusters": ["home"]}}, []),
        ({"service": "cart", "runsIn": {"countries": ["EU"]}}, []),
        ({"service": "shop/cart", "runsIn": {"matchLabels": {"tier": "onprem"}}}, []),
        ({"service": "cart", "runsIn": {"anyOf": [{"countries": ["US"]}, {"subclusters": ["home"]}]}}, []),
        ({"service": "web", "runsIn": {"subclusters": ["iowa"], "countries": ["US"]}}, LOST),
        ({"service": "cart", "never": {"countries": ["US"]}}, []),
        ({"service": "cart", "never": {"countries": ["US"]}}, LOST),
        ({"service": "cart", "mayRunIn": ["home"]}, []),
        ({"service": "cart", "mayRunIn": ["home"]}, LOST),
        ({"service": "web", "mayRunIn": ["home", "iowa"]}, []),
        ({"service": "cart", "mustNotRunIn": ["iowa"]}, []),
        ({"service": "cart", "placed": True}, []),
        ({"service": "cart", "placed": False, "verdict": "full"}, LOST),
        ({"service": "cart", "placed": True}, NOWHERE),
        ({"service": "cart", "deniedBy": {"subcluster": "iowa", "policy": "eu"}}, []),
        ({"service": "cart", "deniedBy": {"subcluster": "iowa", "policy": "shop/eu"}}, []),
        ({"service": "cart", "maxHourly": "0.02 USD"}, []),
        ({"maxHourly": 0.03}, []),
        ({"moves": 0}, []),
        ({"moves": 1, "movesAtMost": 1, "unplaced": ["cart"]}, LOST),
        ({"unplaced": [], "outOfPolicy": []}, []),
        ({"outOfPolicy": ["cart", "web"]}, NOWHERE),
    ],
)
def test_what_holds(expect: dict[str, Any], changes: list[dict[str, Any]]) -> None:
    assert case_of(_ground(), expect, changes).failures == ()


def _failure(expect: dict[str, Any], changes: list[dict[str, Any]], *more: dict[str, Any]) -> Failure:
    (failure,) = case_of(_ground(*more), expect, changes).failures
    return failure


def test_the_wrong_place() -> None:
    found = _failure({"service": "cart", "runsIn": {"subclusters": ["iowa"]}}, [])
    assert (str(found.service), found.expectation) == ("shop/cart", "runsIn")
    assert (found.expected, found.found) == ("runs in iowa only", "runs in home 1")
    assert found.reasons[-1] == "iowa is denied: outside [EU]: runs in US (PlacementPolicy shop/eu)"


def test_a_part_in_the_wrong_place() -> None:
    spread = policy("two", spread={"topology": "country", "minDomains": 2}, selector={"matchLabels": {"app": "ads"}})
    ads = service("ads", replicas=2)
    found = _failure({"service": "ads", "runsIn": {"countries": ["EU"]}}, [], ads, spread)
    assert found.found == "runs in home 1, iowa 1"


def test_no_place_at_all() -> None:
    found = _failure({"service": "cart", "runsIn": {"subclusters": ["home"]}}, LOST)
    assert found.found == "runs nowhere"
    assert set(found.reasons) == {
        "iowa is denied: outside [EU]: runs in US (PlacementPolicy shop/eu)",
        "home is full: is lost: nothing was heard of it for longer than its detection window",
    }


def test_where_it_never_should() -> None:
    found = _failure({"service": "web", "never": {"countries": ["DE"]}}, [])
    assert (found.expected, found.found) == ("never runs in home", "runs in home 1")
    assert found.reasons[0] == "no rule forbids it in home"
    assert "next best iowa" in found.reasons[1]


def test_where_it_never_should_and_can_t_leave() -> None:
    found = _failure({"service": "web", "never": {"subclusters": ["home"]}}, NOWHERE)
    assert found.reasons[0] == "home: outside [FR]: runs in DE (PlacementPolicy shop/nowhere)"


def test_denied_where_it_should_be_permitted() -> None:
    found = _failure({"service": "cart", "mayRunIn": ["home", "iowa"]}, [])
    assert (found.expected, found.found) == ("may run in home, iowa", "denied in iowa")
    assert found.reasons == ("iowa: outside [EU]: runs in US (PlacementPolicy shop/eu)",)


def test_permitted_where_it_should_be_denied() -> None:
    found = _failure({"service": "cart", "mustNotRunIn": ["iowa", "home"]}, [])
    assert (found.found, found.reasons) == (
        "permitted in home",
        ("the policies that select it: PlacementPolicy shop/eu",),
    )
    assert _failure({"service": "web", "mustNotRunIn": ["iowa"]}, []).reasons == ("no policy selects it",)


def test_placed_and_not_placed() -> None:
    found = _failure({"service": "web", "placed": False}, [])
    assert (found.expected, found.found) == ("has no place", "placed: runs in home 1")
    found = _failure({"service": "cart", "placed": True}, LOST)
    assert found.found.startswith("full: 0/2 sub-clusters")
    assert "iowa is denied: outside [EU]: runs in US (PlacementPolicy shop/eu)" in found.reasons


def test_another_verdict() -> None:
    found = _failure({"service": "cart", "verdict": "denied"}, LOST)
    assert found.expected == "is denied"
    assert found.found.startswith("full: ")


def test_denied_by_nobody_or_by_others() -> None:
    found = _failure({"service": "web", "deniedBy": {"subcluster": "iowa", "policy": "eu"}}, [])
    assert (found.expected, found.found) == ("denied in iowa by PlacementPolicy shop/eu", "permitted in iowa")
    other = policy("ours", compliance={"operators": {"deny": ["US"]}})
    found = _failure({"service": "web", "deniedBy": {"subcluster": "iowa", "policy": "eu"}}, [], other)
    assert found.found == "denied by others"
    assert found.reasons == ("iowa: operated by Cloud (US), operators deny [US] (PlacementPolicy shop/ours)",)


def test_too_dear() -> None:
    found = _failure({"service": "cart", "maxHourly": 0.001}, [])
    assert found.expected.startswith("at most 0.00")
    assert found.reasons[0].startswith("home: 0.01")
    found = _failure({"maxHourly": 0.001}, [])
    assert [reason.partition(":")[0] for reason in found.reasons] == ["shop/cart", "shop/web"]


@pytest.mark.parametrize("name", ["moves", "movesAtMost"])
def test_who_moves_after_all(name: str) -> None:
    found = _failure({name: 0}, LOST)
    assert found.found == "1 move"
    assert found.reasons == ("shop/web: home 1 -> iowa 1: home is lost",)


def test_others_without_a_place_or_out_of_policy() -> None:
    found = _failure({"unplaced": ["web"]}, LOST)
    assert (found.expected, found.found) == ("without a place: shop/web", "without a place: shop/cart")
    assert found.reasons[1] == "shop/web runs in iowa 1"
    found = _failure({"outOfPolicy": []}, NOWHERE)
    assert found.expected == "out of policy: nobody"
    assert [reason.partition(":")[0] for reason in found.reasons] == ["shop/cart", "shop/web"]


@pytest.mark.parametrize(
    ("expect", "field", "message"),
    [
        ({"service": "cat", "placed": True}, "service", "there is no microservice shop/cat; did you mean `shop/cart`?"),
        ({"service": "cart", "mayRunIn": ["hom"]}, "mayRunIn[0]", "there is no sub-cluster hom; did you mean `home`?"),
        ({"service": "cart", "mustNotRunIn": ["x"]}, "mustNotRunIn[0]", "there is no sub-cluster x"),
        ({"service": "cart", "never": {"subclusters": ["x"]}}, "never.subclusters[0]", "there is no sub-cluster x"),
        ({"service": "cart", "runsIn": {"countries": ["EUU"]}}, "runsIn.countries[0]", "jurisdiction 'EUU'"),
        (
            {"service": "cart", "deniedBy": {"subcluster": "iowa", "policy": "us"}},
            "deniedBy.policy",
            "there is no policy us",
        ),
        (
            {"service": "cart", "deniedBy": {"subcluster": "x", "policy": "eu"}},
            "deniedBy.subcluster",
            "there is no sub-cluster x",
        ),
        ({"unplaced": ["cat"]}, "unplaced[0]", "there is no microservice shop/cat"),
    ],
)
def test_names_that_are_not_there(expect: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        case_of(_ground(), expect, [])
    assert caught.value.field == f"spec.cases[0].expect[0].{field}"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ({"service": "cart"}, "expects nothing"),
        ({"service": "cart", "runIn": {"countries": ["EU"]}}, "unknown field `runIn`; did you mean `runsIn`?"),
        ({"placed": True}, "`placed` is said of a service; add `service`"),
        ({"service": "cart", "moves": 0}, "`moves` is said of everything; write it without `service`"),
        ({"service": "cart", "runsIn": {}}, "says nothing"),
        ({"service": "cart", "runsIn": {"anyOf": []}}, "needs at least 1"),
        ({"service": "cart", "maxHourly": "2 EUR"}, "EUR"),
        ({"service": "cart", "verdict": "placd"}, "did you mean `placed`?"),
    ],
)
def test_what_is_no_expectation(expect: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputs) as caught:
        case_of(_ground(), expect, [])
    assert message in str(caught.value)


def test_room_and_price_say_nothing_on_what_policies_permit() -> None:
    tiny = a_subcluster("tiny", capacity={"cpu": "0.1"}, location=US, pricing=DEAR)
    assert case_of(_ground(tiny), {"service": "web", "mayRunIn": ["tiny"]}, [{"cordon": "tiny"}]).passed

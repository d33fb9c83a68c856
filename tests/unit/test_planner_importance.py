"""Importance: who gets room when not everything fits, and that it takes nothing from what runs."""

import pytest
from planning import VIRGINIA, placement, planned, policy, request, service, subcluster, where
from pydantic import ValidationError

from federation.model.meta import Key
from federation.planner.decide import decide
from policies.importance import ImportanceSection

SMALL = subcluster("small", "gce", "europe-west1", capacity={"cpu": "2"})
VITAL = policy("vital", selector={"tier": "vital"}, importance=100)
SPARE = policy("spare", selector={"tier": "spare"}, importance=-5)


def one(name, cpu="1", tier="", replicas=1):
    return service(name, replicas, cpu=cpu, labels={"tier": tier} if tier else {})


def placed(plan):
    return {each.service for each in plan.placements if each.targets}


def test_the_important_first_and_the_least_important_last():
    services = [one("a"), one("b", tier="spare"), one("c", tier="vital"), one("d")]
    assert placed(decide(request(services, [VITAL, SPARE], [SMALL]))) == {"a", "c"}
    assert placed(decide(request([*services, one("big", "2", "vital")], [VITAL, SPARE], [SMALL]))) in (
        {"a", "c"},
        {"big"},
    )


def test_one_important_counts_for_more_than_many_others():
    services = [one(f"s{index}", "500m") for index in range(4)] + [one("big", "2", "vital")]
    assert placed(decide(request(services, [VITAL], [SMALL]))) == {"big"}


def test_after_a_loss_the_important_get_the_room_that_is_left():
    lost = subcluster("lost", "gce", "europe-west1", status={"health": "Lost"})
    running = {
        Key("shop", "here"): placement("here", small=1),
        Key("shop", "gone"): placement("gone", lost=1),
        Key("shop", "vital"): placement("vital", lost=1),
    }
    services = [one("here", tier="spare"), one("gone"), one("vital", tier="vital"), one("new", tier="vital")]
    plan = decide(request(services, [VITAL, SPARE], [SMALL, lost], placements=running))
    assert placed(plan) == {"here", "vital"}
    assert planned(plan, "gone").verdict == planned(plan, "new").verdict == "full"


def test_what_runs_stays_and_more_of_it_waits_for_room():
    running = {Key("shop", "web"): placement("web", small=1), Key("shop", "db"): placement("db", small=1)}
    services = [one("web", replicas=2), one("db", tier="spare"), one("new", tier="vital")]
    plan = decide(request(services, [VITAL, SPARE], [SMALL], placements=running))
    assert (where(plan, "web"), where(plan, "db"), where(plan, "new")) == ({"small": 1}, {"small": 1}, {})
    assert planned(plan, "web").verdict == "full"
    assert "room for 1 of 2 replicas only: those that run stay" in planned(plan, "web").reasons
    plan = decide(request(services, [VITAL, SPARE], [SMALL, VIRGINIA], placements=running))
    assert where(plan, "web") == {"small": 1, "azure-virginia": 1}


def test_a_tie_is_a_conflict():
    rival = policy("rival", selector={"tier": "vital"}, importance=1)
    asked = request([one("web", tier="vital")], [VITAL, rival])
    (messages,) = asked.conflicts.values()
    assert "ClusterPlacementPolicy rival says 1 and ClusterPlacementPolicy vital says 100" in messages[0]
    assert request([one("web", tier="vital")], [VITAL, policy("top", importance=3, precedence=1)]).importance == [3]


@pytest.mark.parametrize("value", ["10", 1.5, None, True, 10**10])
def test_no_whole_number(value):
    with pytest.raises(ValidationError):
        ImportanceSection.model_validate(value)

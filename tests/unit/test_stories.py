"""What moves, what stays and why, when labels, taints, rules and sub-clusters come and go: the real engine and planner
on scripted places and a virtual clock."""

from __future__ import annotations

from story import Story

from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.subcluster import SubCluster
from federation.testing.simulation.scenario import ServiceSpec

NO_EXECUTE = [{"key": "broken", "effect": "NoExecute"}]


def _services(count: int, replicas: int = 2) -> list[ServiceSpec]:
    return [ServiceSpec(f"s{number}", replicas) for number in range(count)]


def _reasons(story: Story) -> set[str]:
    return {migration.spec.reason for migration in story.moves()}


def test_a_drain_empties_in_waves_and_nothing_comes_back() -> None:
    story = Story(*_services(5))
    assert all(story.where(f"s{n}") == {"home": 2} for n in range(5))
    story.change(SubCluster, "home", drain={"parallel": 2}, unschedulable=True)
    widest = 0

    def look() -> None:
        nonlocal widest
        widest = max(widest, len(story.moves(still_open=True)))

    story.wait(120.0, look)
    assert widest == 2
    assert all(story.runs(f"s{n}") == {"near": 2} for n in range(5))
    assert _reasons(story) == {"Drain"}
    assert story.condition(SubCluster, "home", "Drained") == ("True", "Empty", "nothing of Roam's runs here")
    story.change(SubCluster, "home", drain=None, unschedulable=False)
    story.wait(90.0)
    assert len(story.moves()) == 5
    assert story.condition(SubCluster, "home", "Drained") is None


def test_what_cannot_leave_a_drained_place_stays_and_is_named() -> None:
    story = Story(ServiceSpec("db", 1, stateful=True), ServiceSpec("web", 2))
    story.change(SubCluster, "home", drain={"parallel": 2})
    story.wait(60.0)
    assert story.runs("db") == {"home": 1}
    assert story.runs("web") == {"near": 2}
    assert story.condition(SubCluster, "home", "Drained") == ("False", "Draining", "1 left: default/db")
    assert "Draining" in story.reasons("db")
    assert "Waiting" in story.reasons("db")


def test_without_room_elsewhere_a_drain_waits() -> None:
    story = Story(*_services(3), capacity={"near": 2, "far": 2})
    story.change(SubCluster, "home", drain={"parallel": 3})
    story.wait(90.0)
    running = [story.runs(f"s{n}") for n in range(3)]
    assert sorted(sum(each.values()) for each in running) == [2, 2, 2]
    assert sum("home" in each for each in running) == 1


def test_a_removed_place_is_emptied_before_it_is_forgotten() -> None:
    story = Story(*_services(2))

    def look() -> None:
        if story.find(SubCluster, "home") is None:
            assert not any("home" in story.runs(f"s{n}") for n in range(2))

    story.remove("home")
    story.wait(60.0, look)
    assert story.find(SubCluster, "home") is None
    assert all(story.runs(f"s{n}") == {"near": 2} for n in range(2))


def test_a_place_that_is_forgotten_at_once_is_as_one_that_is_lost() -> None:
    story = Story(*_services(2))
    story.forget("home")
    story.wait(30.0)
    assert all(story.where(f"s{n}") == {"near": 2} for n in range(2))
    assert _reasons(story) == {"Failover"}


def test_a_noschedule_taint_moves_nothing_and_admits_nothing_new() -> None:
    story = Story(*_services(1))
    story.change(SubCluster, "home", taints=[{"key": "full", "effect": "NoSchedule"}])
    story.wait(20.0)
    assert story.runs("s0") == {"home": 2}
    assert not story.moves()


def test_a_noexecute_taint_moves_what_does_not_tolerate_it() -> None:
    story = Story(ServiceSpec("plain", 2), ServiceSpec("hardy", 2))
    story.label(Microservice, "hardy", hardy="yes")
    story.policy(
        "hardy", selector={"matchLabels": {"hardy": "yes"}}, tolerations=[{"key": "broken", "operator": "Exists"}]
    )
    story.wait(3.0)
    story.change(SubCluster, "home", taints=NO_EXECUTE)
    story.wait(40.0)
    assert story.runs("plain") == {"near": 2}
    assert story.runs("hardy") == {"home": 2}
    assert _reasons(story) == {"Taint"}


def test_toleration_seconds_delay_the_move_and_a_taint_taken_back_stops_it() -> None:
    story = Story(*_services(1))
    patient = [{"key": "broken", "operator": "Exists", "tolerationSeconds": 30}]
    story.policy("patient", selector={}, tolerations=patient)
    story.wait(3.0)
    story.change(SubCluster, "home", taints=NO_EXECUTE)
    story.wait(20.0)
    assert not story.moves()
    overtaken = story.placement("s0").status.overtaken
    assert [(entry.subcluster, entry.cause) for entry in overtaken] == [("home", "Taint")]
    story.change(SubCluster, "home", taints=[])
    story.wait(40.0)
    assert not story.moves()
    assert story.placement("s0").status.overtaken == ()
    story.change(SubCluster, "home", taints=NO_EXECUTE)
    story.wait(25.0)
    assert not story.moves()
    story.wait(30.0)
    assert story.runs("s0") == {"near": 2}


def test_a_rule_that_comes_later_moves_what_it_overtakes_within_its_grace() -> None:
    story = Story(ServiceSpec("web", 2), ServiceSpec("other", 2))
    story.label(Microservice, "web", data="french")
    story.policy(
        "law",
        selector={"matchLabels": {"data": "french"}},
        compliance={"residency": {"allow": ["FR"]}, "grace": "20s"},
    )
    story.wait(1.5)
    assert story.condition(Placement, "web", "OutOfPolicy") is not None
    story.wait(18.5)
    assert story.runs("web") == {"far": 2}
    assert story.runs("other") == {"home": 2}
    assert _reasons(story) == {"Policy"}
    found = story.condition(Placement, "web", "OutOfPolicy")
    assert found is not None
    assert found[0] == "False"


def test_with_nowhere_to_go_it_runs_on_flagged_unless_it_is_to_stop() -> None:
    story = Story(ServiceSpec("kept", 1), ServiceSpec("stopped", 1))
    story.label(Microservice, "kept", rule="move")
    story.label(Microservice, "stopped", rule="stop")
    for action in ("move", "stop"):
        section = {"residency": {"allow": ["JP"]}, "grace": "8s", "onViolation": action}
        story.policy(action, selector={"matchLabels": {"rule": action}}, compliance=section)
    story.wait(6.0)
    assert story.runs("kept") == story.runs("stopped") == {"home": 1}
    story.wait(14.0)
    assert story.runs("kept") == {"home": 1}
    assert story.runs("stopped") == {}
    assert story.placement("stopped").spec.stopped
    assert "Stopped" in story.reasons("stopped")
    story.remove_policy("stop")
    story.wait(10.0)
    assert story.runs("stopped") == {"home": 1}
    assert not story.placement("stopped").spec.stopped


def test_data_that_a_rule_stopped_is_found_again_where_it_is() -> None:
    story = Story(ServiceSpec("db", 1, stateful=True))
    story.label(Microservice, "db", rule="stop")
    section = {"residency": {"allow": ["FR"]}, "grace": "5s", "onViolation": "stop"}
    story.policy("stop", selector={"matchLabels": {"rule": "stop"}}, compliance=section)
    story.wait(20.0)
    assert story.runs("db") == {}
    assert story.condition(Placement, "db", "Placed") is not None
    story.remove_policy("stop")
    story.wait(15.0)
    assert story.runs("db") == {"home": 1}


def test_a_label_that_a_rule_no_longer_matches_moves_nothing() -> None:
    story = Story(ServiceSpec("web", 2))
    story.policy("law", selector={"matchLabels": {"data": "french"}}, compliance={"residency": {"allow": ["FR"]}})
    story.label(Microservice, "web", data="french")
    story.wait(40.0)
    assert story.runs("web") == {"far": 2}
    story.label(Microservice, "web")
    story.wait(90.0)
    assert story.runs("web") == {"far": 2}
    assert len(story.moves()) == 1


def _preferring() -> Story:
    story = Story(ServiceSpec("web", 2))
    story.label(SubCluster, "far", tier="own")
    story.policy("order", selector={}, prefer=[{"matchLabels": {"tier": "own"}}])
    story.wait(90.0)
    assert story.runs("web") == {"far": 2}
    assert _reasons(story) == {"Preference"}
    return story


def test_a_blink_of_the_preferred_place_is_not_followed() -> None:
    story = _preferring()
    story.simulation.places["far"].cut_off(1.0)
    story.wait(90.0)
    assert len(story.moves()) == 1


def test_failover_goes_down_the_list_and_fail_back_up_after_a_rest() -> None:
    story = _preferring()
    story.simulation.places["far"].cut_off(15.0)
    story.wait(25.0)
    assert story.where("web") == {"home": 2}
    story.wait(30.0)
    assert story.where("web") == {"home": 2}  # it has just moved
    story.wait(60.0)
    assert story.runs("web") == {"far": 2}
    assert [migration.spec.reason for migration in story.moves()] == ["Preference", "Failover", "Preference"]


def test_a_place_that_loses_its_label_loses_its_preference() -> None:
    story = _preferring()
    story.label(SubCluster, "near", tier="own")
    story.label(SubCluster, "far")
    story.wait(120.0)
    assert story.runs("web") == {"near": 2}


def test_a_pin_holds_until_its_place_is_drained() -> None:
    story = Story(ServiceSpec("web", 2))
    story.change(Placement, "web", pinned="home")
    story.policy("order", selector={}, prefer=[{"matchLabels": {"tier": "own"}}])
    story.label(SubCluster, "far", tier="own")
    story.wait(90.0)
    assert story.runs("web") == {"home": 2}
    story.change(SubCluster, "home", drain={"parallel": 1})
    story.wait(40.0)
    assert story.runs("web") == {"far": 2}
    assert story.placement("web").spec.pinned is None


def test_scaling_up_only_adds_even_where_moves_for_cost_are_automatic() -> None:
    story = Story(ServiceSpec("web", 2), ServiceSpec("other", 2), automatic=True)
    before = story.moves()

    def look() -> None:
        assert story.runs("web").get("home", 0) >= 2
        assert story.runs("other") == {"home": 2}

    story.change(Microservice, "web", replicas=5)
    story.wait(30.0, look)
    assert sum(story.runs("web").values()) == 5
    assert story.moves() == before


def test_a_paused_move_stays_where_it_is_until_it_is_resumed() -> None:
    story = Story(ServiceSpec("web", 2))
    story.change(SubCluster, "home", drain={"parallel": 1})
    story.wait(1.0)
    (move,) = story.moves()
    story.change(Migration, move.metadata.name, paused=True)
    story.wait(1.0)
    phase = story.moves()[0].status.phase
    story.wait(60.0)
    assert story.moves()[0].status.phase == phase
    assert phase != "Succeeded"
    story.change(Migration, move.metadata.name, paused=False)
    story.wait(20.0)
    assert story.moves()[0].status.phase == "Succeeded"


def _cheaper_far(**rules: object) -> Story:
    story = Story(ServiceSpec("web", 2))
    story.policy("thrift", selector={}, migration={"mode": "automatic", **rules}, precedence=10)
    story.change(SubCluster, "far", pricing={"cpu_hour": 0.008, "memory_gib_hour": 0.0})
    return story


def test_a_move_for_cost_has_to_save_what_the_policy_asks_for() -> None:
    story = _cheaper_far(min_savings="50%")
    story.wait(60.0)
    assert not story.moves()
    story.change(SubCluster, "far", pricing={"cpu_hour": 0.002, "memory_gib_hour": 0.0})
    story.wait(300.0)
    assert story.runs("web") == {"far": 2}
    assert _reasons(story) == {"Cost"}


def test_a_move_for_cost_waits_for_its_cooldown() -> None:
    story = _cheaper_far(cooldown="3m")
    story.wait(150.0)
    assert story.runs("web") == {"far": 2}
    story.change(SubCluster, "near", pricing={"cpu_hour": 0.001, "memory_gib_hour": 0.0})
    story.wait(20.0)
    assert story.runs("web") == {"far": 2}
    story.wait(320.0)
    assert story.runs("web") == {"near": 2}


def test_only_the_newest_moves_are_remembered() -> None:
    story = Story(ServiceSpec("web", 1))
    for number in range(13):
        here, there = ("home", "near") if number % 2 == 0 else ("near", "home")
        assert story.runs("web") == {here: 1}
        story.migrate("web", here, there)
        story.wait(12.0)
    assert story.runs("web") == {"near": 1}
    names = [migration.metadata.name for migration in story.moves()]
    assert names == [f"web-{number}" for number in range(3, 13)]


def test_nothing_is_left_of_a_deleted_service() -> None:
    story = Story(ServiceSpec("web", 1))
    story.migrate("web", "home", "near")
    story.wait(12.0)
    story.delete("web")
    story.wait(20.0)
    assert story.runs("web") == {}
    assert story.find(Placement, "web") is None
    assert story.moves() == []

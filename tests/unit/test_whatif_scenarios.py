"""What each kind of change of a scenario sets in motion, and how wrong ones are refused."""

from __future__ import annotations

from typing import Any

import pytest
from serving import a_subcluster
from whatif import CHEAP, GB, PLANNER, a_fleet, places, played, policy, scenario, service, shop, state

from federation.app import machines_sold
from federation.errors import InvalidInput, InvalidInputs
from federation.model.meta import Metadata
from federation.model.migration import Migration
from federation.model.placement import Placement, PlacementSpec, Target
from federation.whatif.changes import carry_out
from federation.whatif.documents import UNDATED
from federation.whatif.playing import play
from federation.whatif.settle import settle
from federation.whatif.state import State, state_of

EU_ONLY = {"compliance": {"residency": {"allow": ["EU"]}}}


def _small(**spec: Any) -> State:
    return state(*a_fleet(), service("cart", **spec))


def _after(start: State, change: dict[str, Any]) -> State:
    """The state right after a change, before anybody acts on it."""
    return carry_out(start, scenario([change]).steps[0].changes[0])


def test_what_is_lost_is_started_elsewhere_and_stays_there_when_it_returns() -> None:
    found = played(_small(replicas=2), [{"lose": "home"}], [{"regain": "home"}])
    assert places(found, 0) == {"cart": ("home=2", "iowa=2")}
    (move,) = found.steps[0].moves
    assert (move.type, move.reason, move.why) == ("move", "Failover", "home is lost")
    assert found.steps[0].after_usd_per_hour > found.steps[0].before_usd_per_hour
    assert found.steps[1].moves == ()
    assert found.steps[1].free_usd_per_hour == found.start.after_usd_per_hour
    assert found.totals()["replicas_moved"] == 2


def test_what_is_lost_with_no_other_place_waits_and_comes_back_by_itself() -> None:
    start = state(*a_fleet(), service("cart"), policy("eu", **EU_ONLY))
    found = played(start, [{"lose": "home"}], [{"regain": "home"}])
    (trouble,) = found.steps[0].unplaced
    assert (trouble.key, trouble.runs, trouble.lacks) == (shop("cart"), (), "full")
    assert "1 lost" in trouble.why[0]
    assert found.steps[0].after_usd_per_hour == 0.0
    assert (found.steps[1].moves, found.steps[1].unplaced) == ((), ())
    assert found.exit_code == 3


def test_data_waits_for_the_place_that_has_it() -> None:
    found = played(_small(stateful=True), [{"lose": "home"}])
    (trouble,) = found.steps[0].unplaced
    assert trouble.why == ("home is lost and holds the only copy of its data; a person has to decide",)
    assert found.steps[0].moves == ()


def test_data_that_a_rule_overtakes_is_told_of() -> None:
    new = {"apply": policy("not-here", compliance={"residency": {"deny": ["DE"]}})}
    (trouble,) = played(_small(stateful=True), [new]).steps[0].out_of_policy
    assert trouble.lacks == "full"
    assert "residency denies [DE] (PlacementPolicy shop/not-here)" in trouble.why[0]
    assert "moving its data is not possible" in trouble.why[1]


def test_a_cordon_moves_nothing_and_a_drain_everything() -> None:
    found = played(_small(), [{"cordon": "home"}], [{"replicas": {"count": 2}}], [{"drain": "home"}], [])
    assert found.steps[0].moves == ()
    assert places(found, 1) == {"cart": ("home=1", "home=2")}
    assert places(found, 2) == {"cart": ("home=2", "iowa=2")}
    assert found.steps[2].moves[0].reason == "Drain"
    opened = _after(_after(_small(), {"drain": "home"}), {"uncordon": "home"})
    assert (opened.subclusters["home"].spec.unschedulable, opened.subclusters["home"].spec.drain) == (False, None)


def test_an_added_place_takes_who_may_move_for_cost() -> None:
    near = a_subcluster("near", pricing={"cpuHour": 0.001, "memoryGiBHour": 0.0001})
    automatic = policy("auto", migration={"mode": "automatic", "payback": "720h", "minSavings": "1%"})
    assert played(_small(), [{"add": near}]).steps[0].moves == ()
    found = played(state(*a_fleet(), service("cart"), automatic), [{"add": near}])
    assert places(found) == {"cart": ("home=1", "near=1")}
    assert found.steps[0].moves[0].reason == "Cost"


@pytest.mark.parametrize(
    ("which", "homes", "iowas"),
    [
        ({"subcluster": "home"}, 2, 1),
        ({"provider": "local"}, 2, 2),
        ({"matchLabels": {"tier": "public"}}, 1, 2),
        ({}, 2, 2),
    ],
)
def test_prices_are_scaled_where_it_says(which: dict[str, Any], homes: float, iowas: float) -> None:
    start = _small()
    after = _after(start, {"prices": {"factor": 2, **which}})
    for name, factor in (("home", homes), ("iowa", iowas)):
        old, new = (each.subclusters[name].spec.pricing for each in (start, after))
        assert new.cpu_hour == pytest.approx(factor * old.cpu_hour)
        assert new.memory_gib_hour == pytest.approx(factor * old.memory_gib_hour)
    (step,) = played(start, [{"prices": {"factor": 2, **which}}]).steps
    assert step.moves == ()
    assert step.after_usd_per_hour == pytest.approx(homes * step.before_usd_per_hour)


def test_prices_by_cloud_resource_and_offer() -> None:
    frankfurt = a_subcluster("ec2", region="eu-central-1", location={})
    frankfurt["status"] = {"offers": [{"name": "all", "cpuCores": 4, "memoryBytes": 1e9, "cpuHourUsd": 0.5}]}
    start = state(*a_fleet(), frankfurt, service("cart"))
    after = _after(start, {"prices": {"provider": "aws", "factor": 3, "of": ["cpu"]}})
    spec, (offer,) = after.subclusters["ec2"].spec, after.subclusters["ec2"].status.offers
    assert (spec.pricing.cpu_hour, spec.pricing.memory_gib_hour) == (pytest.approx(0.06), 0.003)
    assert (offer.cpu_hour_usd, offer.memory_gib_hour_usd) == (1.5, None)
    assert after.subclusters["home"] == start.subclusters["home"]


def test_prices_of_whole_machines_and_of_those_in_the_price_file() -> None:
    types = [{"type": "t3.medium", "hourly": 0.05}, {"type": "m6i.large"}]
    vms = a_subcluster("vms", region="eu-central-1", location={}, pricing={}, instances=types)
    start = state(vms, service("cart", replicas=4))
    (step,) = played(start, [{"prices": {"subcluster": "vms", "factor": 3}}]).steps
    assert step.before_usd_per_hour == pytest.approx(2 * 0.05)
    assert step.after_usd_per_hour == pytest.approx(3 * 2 * 0.05)
    old, new = (
        {one.instance_type: one.usd_per_hour for one in machines_sold(each.subclusters["vms"])}
        for each in (start, _after(start, {"prices": {"factor": 2}}))
    )
    assert new == {name: pytest.approx(2 * (usd or 0.0)) for name, usd in old.items()}
    assert old["m6i.large"], "it is in the price file that is installed"
    with pytest.raises(InvalidInput, match="vms: machines are bought whole there, with cores and memory"):
        _after(start, {"prices": {"factor": 2, "of": ["cpu"]}})


def test_traffic_grows_of_all_or_of_some_and_assumed_volumes_stay_marked() -> None:
    calls = [{"service": "db", "gibPerHour": 2.0}, {"service": "mail"}]
    start = state(*a_fleet(), service("cart", calls=calls), service("db"), service("mail"))

    def volumes(change: dict[str, Any]) -> list[tuple[float | None, bool]]:
        spec = _after(start, {"traffic": change}).services[shop("cart")].spec
        return [(call.gib_per_hour, call.assumed) for call in spec.calls]

    assert volumes({"factor": 3}) == [(6.0, False), (pytest.approx(0.15), True)]
    assert volumes({"factor": 3, "services": ["db"]}) == [(6.0, False), (None, False)]
    assert volumes({"factor": 3, "services": ["shop/cart"]}) == [(6.0, False), (pytest.approx(0.15), True)]


def test_traffic_to_an_alias_is_traffic_to_the_service() -> None:
    cart = service("cart", calls=[{"service": "redis", "gibPerHour": 1.0}])
    start = state(*a_fleet(), cart, service("db", aliases=["redis"]))
    after = _after(start, {"traffic": {"factor": 2, "services": ["db"]}})
    assert after.services[shop("cart")].spec.calls[0].gib_per_hour == 2.0


@pytest.mark.parametrize(("change", "count"), [({"factor": 1.1}, 11), ({"factor": 1.01}, 11), ({"count": 0}, 0)])
def test_replicas_are_rounded_up_but_not_by_what_binary_numbers_leave_over(change: dict[str, Any], count: int) -> None:
    assert _after(_small(replicas=10), {"replicas": change}).services[shop("cart")].spec.replicas == count


def test_replicas_without_room_are_told_of() -> None:
    found = played(_small(), [{"replicas": {"services": ["cart"], "count": 20}}])
    (trouble,) = found.steps[0].unplaced
    assert trouble.lacks == "full"
    assert found.exit_code == 3


def test_a_rule_moves_what_it_overtakes_and_flags_what_has_nowhere_to_go() -> None:
    away = {"apply": policy("away", compliance={"residency": {"deny": ["DE"]}})}
    nowhere = {"apply": policy("away", compliance={"residency": {"allow": ["FR"]}})}
    found = played(_small(), [away], [nowhere], [{"remove": "away"}])
    assert places(found, 0) == {"cart": ("home=1", "iowa=1")}
    assert found.steps[0].moves[0].why == "home: runs in DE, residency denies [DE] (PlacementPolicy shop/away)"
    (trouble,) = found.steps[1].out_of_policy
    assert (trouble.lacks, trouble.runs) == ("denied", (Target(subcluster="iowa", replicas=1),))
    assert found.steps[1].after_usd_per_hour == found.steps[0].after_usd_per_hour
    assert (found.steps[2].out_of_policy, found.steps[2].moves) == ((), ())
    assert found.exit_code == 4


def test_a_rule_that_stops_does_so_after_its_grace() -> None:
    rule = {"residency": {"allow": ["FR"]}, "grace": "10m", "onViolation": "stop"}
    found = played(_small(), [{"apply": policy("stop", compliance=rule)}])
    (move,) = found.steps[0].moves
    assert (move.type, move.reason, move.after) == ("stopped", "Stopped", ())
    assert [one.lacks for one in found.steps[0].unplaced] == ["denied"]
    assert found.steps[0].after_usd_per_hour == 0.0


def test_a_jurisdiction_loses_a_member_in_this_scenario_only() -> None:
    london = a_subcluster("london", pricing=CHEAP, location=GB)
    rule = policy("adequate", compliance={"residency": {"allow": ["GDPR-adequate"]}})
    start = state(london, a_subcluster("home"), service("cart"), rule)
    change = {"jurisdiction": {"name": "GDPR-adequate", "remove": ["GB"]}}
    found = played(start, [change], [{"jurisdiction": {"name": "GDPR-adequate", "add": ["GB"]}}])
    assert places(found, 0) == {"cart": ("london=1", "home=1")}
    assert found.steps[0].moves[0].why.startswith("london: outside [GDPR-adequate]: runs in GB")
    assert found.steps[1].free_usd_per_hour == found.start.after_usd_per_hour
    assert played(start, []).steps[0].moves == ()


def test_operators_follow_the_jurisdiction_too() -> None:
    rule = policy("ours", compliance={"operators": {"deny": ["Five-Eyes"]}})
    start = state(*a_fleet(), service("cart"), rule)
    found = played(start, [{"jurisdiction": {"name": "Five-Eyes", "add": ["DE"]}}])
    (trouble,) = found.steps[0].out_of_policy
    assert "operated by Acme (DE), operators deny [Five-Eyes]" in trouble.why[0]


def test_what_the_controller_would_do_anyway_is_the_start_and_no_consequence() -> None:
    there = Placement(
        metadata=Metadata(name="cart", namespace="shop"),
        spec=PlacementSpec(targets=(Target(subcluster="iowa", replicas=1),)),
    )
    base = state(*a_fleet(), service("cart"), policy("eu", **EU_ONLY))
    start = state_of([*base.resources(), there], UNDATED)
    found = played(start, [])
    assert [(one.key.name, one.reason) for one in found.start.moves] == [("cart", "Policy")]
    assert found.steps[0].moves == ()


def test_who_is_on_the_move_is_held_and_pins_are_kept() -> None:
    pinned = Placement(
        metadata=Metadata(name="cart", namespace="shop"),
        spec=PlacementSpec(targets=(Target(subcluster="iowa", replicas=1),), pinned="iowa"),
    )
    base = _small()
    found = played(state_of([*base.resources(), pinned], UNDATED), [{"prices": {"subcluster": "iowa", "factor": 9}}])
    assert (found.start.moves, found.steps[0].moves) == ((), ())
    moving = Migration.model_validate(
        {
            "metadata": {"name": "m1", "namespace": "shop"},
            "spec": {"service": "cart", "source": "iowa", "target": "home", "replicas": 1},
        }
    )
    found = played(state_of([*base.resources(), pinned, moving], UNDATED), [])
    assert found.start.under_way == (shop("cart"),)


def test_all_go_back_to_what_they_prefer_in_one_step() -> None:
    prefer = policy("home-first", prefer=[{"matchLabels": {"tier": "onprem"}}, {"matchLabels": {"tier": "public"}}])
    start = state(*a_fleet(), *(service(f"s{number}") for number in range(5)), prefer)
    found = played(start, [{"lose": "home"}], [{"regain": "home"}])
    assert [len(step.moves) for step in found.steps] == [5, 5]
    assert {move.reason for move in found.steps[1].moves} == {"Preference"}


def test_a_toleration_s_seconds_are_waited_for() -> None:
    tolerating = policy("t", tolerations=[{"key": "hot", "operator": "Exists", "tolerationSeconds": 300}])
    start = state(*a_fleet(), service("cart"), tolerating)
    hot = start.subclusters["home"]
    spec = hot.spec.model_copy(update={"taints": (_taint("hot"),)})
    settled = settle(start, PLANNER)
    tainted = {**settled.state.subclusters, "home": hot.model_copy(update={"spec": spec})}
    after = settle(State(**{**vars(settled.state), "subclusters": tainted}), PLANNER)
    assert after.state.placements[shop("cart")].spec.targets == (Target(subcluster="iowa", replicas=1),)
    assert after.state.now == UNDATED + 300.0


def _taint(key: str) -> Any:
    from federation.model.subcluster import Taint

    return Taint(key=key, effect="NoExecute")


def test_a_change_leaves_the_state_before_as_it_was() -> None:
    start = _small()
    before = start.resources()
    for change in ({"lose": "home"}, {"prices": {"factor": 2}}, {"replicas": {"count": 5}}):
        _after(start, change)
    assert start.resources() == before


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"lose": "hom"}, "lose", "there is no sub-cluster hom; did you mean `home`?"),
        ({"regain": "home"}, "regain", "home is not lost at this point"),
        ({"add": a_subcluster("home")}, "add.metadata.name", "there is a sub-cluster home already"),
        ({"remove": "eux"}, "remove", "there is no policy eux; did you mean `eu`?"),
        ({"prices": {"factor": 1, "subcluster": "x"}}, "prices.subcluster", "there is no sub-cluster x"),
        ({"prices": {"factor": 1, "provider": "gcp"}}, "prices", "matches no sub-cluster"),
        ({"traffic": {"factor": 1, "services": ["cat"]}}, "traffic.services[0]", "there is no microservice shop/cat"),
        ({"replicas": {"count": 1, "services": ["cat"]}}, "replicas.services[0]", "did you mean `shop/cart`?"),
        ({"jurisdiction": {"name": "EUU", "add": ["GB"]}}, "jurisdiction.name", "did you mean `EU`?"),
        ({"jurisdiction": {"name": "EU", "add": ["DE"]}}, "jurisdiction.add[0]", "DE is a member already of EU"),
        ({"jurisdiction": {"name": "EU", "remove": ["US"]}}, "jurisdiction.remove[0]", "US is no member of EU"),
        ({"jurisdiction": {"name": "EU", "add": ["ZZ"]}}, "jurisdiction.add[0]", "ZZ is no country"),
    ],
)
def test_names_that_are_not_there_are_refused_with_their_place(
    change: dict[str, Any], field: str, message: str
) -> None:
    start = state(*a_fleet(), service("cart"), policy("eu", **EU_ONLY))
    with pytest.raises(InvalidInput) as caught:
        play(scenario([change]), start, PLANNER)
    assert caught.value.field == f"spec.steps[0].changes[0].{field}"
    assert caught.value.file == "scenario.yaml"
    assert message in caught.value.message


def test_a_policy_s_name_in_both_scopes_needs_its_namespace() -> None:
    fleet_wide = {**policy("eu", **EU_ONLY), "kind": "ClusterPlacementPolicy", "metadata": {"name": "eu"}}
    start = state(*a_fleet(), policy("eu", **EU_ONLY), fleet_wide)
    with pytest.raises(InvalidInput, match="both named so"):
        _after(start, {"remove": "eu"})
    assert list(_after(start, {"remove": "shop/eu"}).policies) == [("ClusterPlacementPolicy", ("", "eu"))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loose": "home"}, "unknown field `loose`; did you mean `lose`?"),
        ({}, "a change is one of lose, regain"),
        ({"lose": "home", "cordon": "home"}, "given: cordon, lose"),
        ({"lose": None}, "a change is one of"),
        ({"replicas": {}}, "give either factor or count"),
        ({"prices": {"factor": -1}}, "it must be >= 0"),
        ({"prices": {"factor": 2, "of": []}}, "needs at least 1"),
        ({"jurisdiction": {"name": "EU"}}, "changes nothing"),
        ({"jurisdiction": {"name": "EU", "remove": ["usa"]}}, "is not a country code"),
        ({"add": policy("p")}, "`add` takes a SubCluster, not `PlacementPolicy`"),
        ({"apply": a_subcluster("x")}, "`apply` takes a PlacementPolicy or ClusterPlacementPolicy"),
        ({"apply": policy("p", complience={})}, "unknown field `complience`; did you mean `compliance`?"),
        ({"apply": policy("p", compliance={"residency": {"allow": ["EUU"]}})}, "unknown country or jurisdiction 'EUU'"),
        ({"add": a_subcluster("x", provider="locl")}, "unknown provider `locl`"),
    ],
)
def test_what_is_not_a_change_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputs) as caught:
        scenario([change])
    assert message in str(caught.value)
    assert "spec.steps[0].changes[0]" in str(caught.value)


def test_policies_that_contradict_each_other_are_refused() -> None:
    start = state(*a_fleet(), service("cart"), policy("eu", **EU_ONLY))
    other = {"apply": policy("us", compliance={"residency": {"allow": ["US"]}})}
    with pytest.raises(InvalidInputs, match="together leave no country"):
        played(start, [other])

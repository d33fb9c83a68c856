"""Scenarios on random small worlds: nothing comes of nothing, order is no matter, no rule is broken in silence."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from serving import a_subcluster
from whatif import PLANNER, case_of, played, policy, scenario, service, shop, state

from federation.whatif.playing import changed
from federation.whatif.report import ScenarioReport
from federation.whatif.settle import settle

COUNTRIES = {"home": "DE", "paris": "FR", "iowa": "US", "london": "GB"}
NAMES = ("ads", "cart", "db", "web")
Documents = list[dict[str, Any]]


@st.composite
def fleets(draw: st.DrawFn) -> Documents:
    names = draw(st.lists(st.sampled_from(sorted(COUNTRIES)), min_size=1, max_size=4, unique=True))
    found = []
    for name in names:
        usd = draw(st.sampled_from([0.01, 0.02, 0.05]))
        place = a_subcluster(
            name,
            location={"country": COUNTRIES[name], "operator": "Acme", "operatorCountry": COUNTRIES[name]},
            capacity={"cpu": str(draw(st.sampled_from([1, 2, 4, 8]))), "memory": "64Gi"},
            pricing={"cpuHour": usd, "memoryGiBHour": usd / 8},
        )
        place["metadata"]["labels"] = {"tier": draw(st.sampled_from(["onprem", "public"]))}
        found.append(place)
    return found


@st.composite
def services(draw: st.DrawFn) -> Documents:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    return [
        service(
            name,
            cpu=draw(st.sampled_from(["500m", "1", "2"])),
            replicas=draw(st.integers(0, 3)),
            stateful=draw(st.booleans()) if name == "db" else False,
            calls=[{"service": other, "gibPerHour": 1.0} for other in names if other < name and draw(st.booleans())],
        )
        for name in names
    ]


@st.composite
def policies(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if draw(st.booleans()):
        spec["selector"] = {"matchLabels": {"app": draw(st.sampled_from(NAMES))}}
    if draw(st.booleans()):
        denied = draw(st.lists(st.sampled_from(["DE", "FR", "US", "EU", "GDPR-adequate"]), min_size=1, max_size=2))
        spec["compliance"] = {"residency": {"deny": denied}}
        if draw(st.booleans()):
            spec["compliance"] |= {"grace": "10m", "onViolation": draw(st.sampled_from(["move", "stop"]))}
    if draw(st.booleans()):
        spec["spread"] = {"topology": "country", "minDomains": 2}
    if draw(st.booleans()):
        spec["prefer"] = [{"matchLabels": {"tier": "onprem"}}]
    if draw(st.booleans()):
        spec["migration"] = {"mode": draw(st.sampled_from(["automatic", "manual"])), "payback": "720h"}
    if not spec.keys() - {"selector"}:
        spec["tolerations"] = [{"operator": "Exists"}]
    return policy(name, **spec)


@st.composite
def worlds(draw: st.DrawFn) -> Documents:
    return [*draw(fleets()), *draw(services()), draw(policies("one")), draw(policies("two"))]


@st.composite
def changes(draw: st.DrawFn, world: Documents) -> Documents:
    places = [each["metadata"]["name"] for each in world if each["kind"] == "SubCluster"]
    place = draw(st.sampled_from(places))
    return [
        draw(
            st.one_of(
                st.sampled_from([{"lose": place}, {"cordon": place}, {"drain": place}]),
                st.builds(lambda p: {"apply": p}, policies("three")),
                st.builds(lambda f: {"prices": {"factor": f, "subcluster": place}}, st.sampled_from([0.5, 2.0])),
                st.builds(lambda f: {"replicas": {"factor": f}}, st.sampled_from([0.0, 0.5, 2.0])),
                st.builds(lambda f: {"traffic": {"factor": f}}, st.sampled_from([0.0, 3.0])),
                st.just({"jurisdiction": {"name": "GDPR-adequate", "remove": ["DE"]}}),
                st.just({"jurisdiction": {"name": "EU", "add": ["US"]}}),
            )
        )
    ]


@st.composite
def stories(draw: st.DrawFn) -> tuple[Documents, Documents]:
    world = draw(worlds())
    return world, draw(changes(world))


def _costs(found: ScenarioReport) -> list[float]:
    return [found.start.after_usd_per_hour, *(step.after_usd_per_hour for step in found.steps)]


@given(stories())
def test_nothing_comes_of_nothing(story: tuple[Documents, Documents]) -> None:
    world, change = story
    found = played(state(*world), [], change, [])
    for index in (0, 2):
        step = found.steps[index]
        assert step.ended
        assert step.moves == ()
        assert step.after_usd_per_hour == step.before_usd_per_hour
    assert found.steps[0].unplaced == found.start.unplaced
    assert found.steps[2].out_of_policy == found.steps[1].out_of_policy
    assert _costs(found)[0] == _costs(found)[1]


@given(stories(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_declared_is_no_matter(story: tuple[Documents, Documents], random: Any) -> None:
    world, change = story
    shuffled = list(world)
    random.shuffle(shuffled)
    assert played(state(*world), change).document() == played(state(*shuffled), change).document()


@given(worlds(), st.data())
def test_what_is_lost_and_returns_has_all_run_again(world: Documents, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([each["metadata"]["name"] for each in world if each["kind"] == "SubCluster"]))
    found = played(state(*world), [{"lose": place}], [{"regain": place}])
    before = {one.key for one in found.start.unplaced if not one.runs}
    after = {one.key for one in found.steps[1].unplaced if not one.runs}
    assert after <= before
    assert {move.reason for move in found.steps[1].moves} <= {"Cost", "Preference", "Placed", "Scaled", "Policy"}


@given(stories())
def test_no_rule_is_broken_in_silence_and_no_place_overfilled(story: tuple[Documents, Documents]) -> None:
    world, change = story
    start = settle(state(*world), PLANNER)
    after = changed(start, scenario(change).steps[0].changes, PLANNER)
    report = played(state(*world), change).steps[0]
    flagged = {one.key for one in report.out_of_policy}
    used = dict.fromkeys(after.state.subclusters, 0.0)
    for key, placement in after.state.placements.items():
        cores = {"500m": 0.5}.get(cpu := _cpu(world, key.name)) or float(cpu)
        for target in placement.spec.targets:
            used[target.subcluster] += cores * target.replicas
            if target.replicas and not after.state.is_lost(target.subcluster) and key not in flagged:
                assert not after.judged.forbidden(key, target.subcluster)
    for name, cpu_used in used.items():
        capacity = after.state.subclusters[name].spec.capacity.cpu
        assert capacity is not None
        assert cpu_used <= float(capacity) + 1e-6


@given(stories())
def test_what_it_costs_is_the_cost_of_what_runs(story: tuple[Documents, Documents]) -> None:
    world, change = story
    after = changed(settle(state(*world), PLANNER), scenario(change).steps[0].changes, PLANNER)
    for planned in after.judgement.plan.placements:
        placement = after.state.placements.get(shop(planned.service))
        runs = {t.subcluster: t.replicas for t in placement.spec.targets if t.replicas} if placement else {}
        if runs and not all(after.state.is_lost(name) for name in runs):
            assert {t.subcluster: t.replicas for t in planned.targets} == runs
    bound = after.judgement.plan.bound_usd_per_hour
    assert bound is not None
    assert bound <= after.total_usd_per_hour + 1e-9


def _cpu(world: Documents, name: str) -> str:
    (found,) = (each for each in world if each["kind"] == "Microservice" and each["metadata"]["name"] == name)
    return str(found["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])


@given(stories())
def test_a_test_and_a_scenario_say_the_same(story: tuple[Documents, Documents]) -> None:
    world, change = story
    found = played(state(*world), change).steps[0]
    expect = {
        "moves": len(found.moves),
        "unplaced": [one.key.name for one in found.unplaced],
        "outOfPolicy": [one.key.name for one in found.out_of_policy],
        "maxHourly": found.after_usd_per_hour,
    }
    assert case_of(state(*world), expect, change).passed
    assert not case_of(state(*world), {**expect, "moves": len(found.moves) + 1}, change).passed
    for one in found.unplaced:
        assert case_of(state(*world), {"service": one.key.name, "placed": False, "verdict": one.lacks}, change).passed
        assert one.key == shop(one.key.name)

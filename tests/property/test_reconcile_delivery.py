"""Steps of delivery: only where Roam may look, nothing started where it is not allowed, nothing deleted too soon."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from federation.contracts.driver import PodState, WorkloadState
from federation.model.meta import Key
from federation.reconcile.delivery import DeliveryFacts, Step, is_through, plan_delivery, ready_replicas
from federation.reconcile.desired import min_available

NAMES = ["a", "b", "c"]
KEY = Key("default", "web")


def _state(revision: str, replicas: int) -> WorkloadState:
    pods = tuple(PodState(f"p{n}", f"10.0.0.{n}", True, revision, {}) for n in range(replicas))
    return WorkloadState(KEY, revision, replicas, pods)


states = st.none() | st.builds(_state, st.sampled_from(["old", "new"]), st.integers(0, 4))


@st.composite
def _facts(draw: st.DrawFn) -> DeliveryFacts:
    observed = draw(st.dictionaries(st.sampled_from(NAMES), states))
    return DeliveryFacts(
        wanted=draw(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4))),
        revisions=dict.fromkeys(NAMES, "new"),
        observed=observed,
        allowed=draw(st.frozensets(st.sampled_from(NAMES))),
        retirable=draw(st.booleans()),
    )


def _carried_out(facts: DeliveryFacts, steps: tuple[Step, ...]) -> DeliveryFacts:
    observed = dict(facts.observed)
    for step in steps:
        observed[step.subcluster] = _state("new", step.replicas) if step.verb == "Apply" else None
    return replace(facts, observed=observed)


def _to_the_end(facts: DeliveryFacts) -> DeliveryFacts:
    for _ in range(len(NAMES) + 1):
        facts = _carried_out(facts, plan_delivery(facts))
    return facts


@given(_facts())
def test_steps_go_only_to_who_answers_one_each_in_order(facts: DeliveryFacts) -> None:
    places = [step.subcluster for step in plan_delivery(facts)]
    assert places == sorted(set(places))
    assert set(places) <= facts.observed.keys()


@given(_facts())
def test_nothing_is_started_where_it_is_not_allowed(facts: DeliveryFacts) -> None:
    for step in plan_delivery(facts):
        if step.verb == "Apply" and step.subcluster not in facts.allowed:
            state = facts.observed[step.subcluster]
            assert state is not None
            assert state.revision == "new"
            assert step.replicas < state.replicas


@given(_facts())
def test_what_is_wanted_is_never_deleted_and_nothing_before_it_may_go(facts: DeliveryFacts) -> None:
    for step in plan_delivery(facts):
        if step.verb == "Delete":
            assert facts.retirable
            assert facts.wanted.get(step.subcluster, 0) == 0
            assert facts.observed[step.subcluster] is not None
        else:
            assert step.replicas == facts.wanted[step.subcluster] > 0


@given(_facts())
def test_carried_out_once_nothing_is_left_to_do(facts: DeliveryFacts) -> None:
    assert plan_delivery(_to_the_end(facts)) == ()


@given(_facts())
def test_all_that_is_allowed_is_brought_about(facts: DeliveryFacts) -> None:
    after = _to_the_end(facts)
    for name in facts.observed.keys() & facts.allowed if not _blocked(after) else ():
        wanted, state = facts.wanted.get(name, 0), after.observed[name]
        if wanted:
            assert state is not None
            assert (state.revision, state.replicas) == ("new", wanted)
        elif facts.retirable:
            assert state is None


def _blocked(facts: DeliveryFacts) -> bool:
    """Whether a place where nothing may be started keeps the others waiting."""
    return any(
        state is not None
        and facts.wanted.get(name, 0)
        and state.revision == facts.revisions[name]
        and not is_through(state, facts.wanted[name])
        for name, state in facts.observed.items()
    )


@given(_facts(), st.booleans(), st.sampled_from(["", *NAMES]))
def test_a_new_revision_goes_to_one_place_after_the_other(facts: DeliveryFacts, uncertain: bool, first: str) -> None:
    facts = replace(facts, uncertain=uncertain, first=first)
    steps = [step for step in plan_delivery(facts) if step.why == "Changed"]
    serving = {step.subcluster for step in steps if ready_replicas(facts.observed[step.subcluster])}
    assert len(serving) <= 1
    if serving:
        assert not uncertain
        assert not _blocked(facts)
        behind = {
            name
            for name, state in facts.observed.items()
            if state is not None and facts.wanted.get(name) and state.revision == "old" and name in facts.allowed
        }
        well = all(ready_replicas(facts.observed[name]) >= facts.wanted[name] for name in behind)
        assert not well or first not in behind or serving == {first}


def test_a_revision_that_does_not_work_stops_at_the_first_place() -> None:
    bad = replace(_state("new", 1), pods=(PodState("p", "10.0.0.1", False, "new", {}),))
    facts = DeliveryFacts(
        wanted={"a": 1, "b": 1},
        revisions=dict.fromkeys(NAMES, "new"),
        observed={"a": bad, "b": _state("old", 1)},
        allowed=frozenset(NAMES),
        retirable=True,
    )
    assert plan_delivery(facts) == ()
    mended = replace(facts, revisions=dict.fromkeys(NAMES, "newer"))
    assert [step.subcluster for step in plan_delivery(mended)] == ["a"]


@given(st.integers(0, 100), st.none() | st.integers(0, 100))
def test_what_must_stay_available_is_never_more_than_there_is(replicas: int, declared: int | None) -> None:
    needed = min_available(replicas, declared)
    assert 0 <= needed <= replicas
    if declared is None and replicas:
        assert needed >= 1
        assert replicas == 1 or needed == replicas - 1


def test_ready_counts_ready_pods_only() -> None:
    pods = (PodState("a", "1", True, "r", {}), PodState("b", "2", False, "r", {}))
    assert ready_replicas(WorkloadState(KEY, "r", 2, pods)) == 1
    assert ready_replicas(None) == 0

"""From a plan to commitments and moves: nothing empties a placement, nothing that runs moves but by a migration."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from federation.model.placement import Target
from federation.reconcile.desired import as_targets
from federation.reconcile.moves import Commit, Keep, Move, MoveFacts, plan_change, resize_pinned

NAMES = ["a", "b", "c", "d"]
counts = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5), max_size=4)
some_counts = counts.filter(bool)
places = st.frozensets(st.sampled_from(NAMES))


@dataclass(frozen=True)
class World:
    lost: frozenset[str]
    leaving: frozenset[str]
    full: frozenset[str]
    unstarted: frozenset[str]
    stateful: bool
    automatic: bool
    preferred: frozenset[str] = frozenset()

    def facts(self) -> MoveFacts:
        return MoveFacts(
            lost=lambda name: name in self.lost,
            leave=lambda name: "Policy" if name in self.leaving else None,
            rank=lambda name: 0 if name in self.preferred else 1,
            full=lambda name: name in self.full,
            unstarted=lambda name: 2 if name in self.unstarted else 0,
            stateful=self.stateful,
            automatic=self.automatic,
        )


worlds = st.builds(World, places, places, places, places, st.booleans(), st.booleans(), places)


stateful_worlds = worlds.map(lambda world: replace(world, stateful=True))


def _counts(targets: tuple[Target, ...]) -> dict[str, int]:
    return {target.subcluster: target.replicas for target in targets}


@given(counts, worlds)
def test_an_empty_answer_never_empties_a_placement(now: dict[str, int], world: World) -> None:
    assert plan_change(as_targets(now), (), world.facts()) == Keep()


@given(some_counts, some_counts, worlds)
def test_commits_place_something_and_all_of_it_or_step_towards_it(
    now: dict[str, int], then: dict[str, int], world: World
) -> None:
    change = plan_change(as_targets(now), as_targets(then), world.facts())
    if isinstance(change, Commit):
        placed = _counts(change.targets)
        assert placed
        assert all(count > 0 for count in placed.values())
        # Either the number of replicas is right now, or the number stays while unstarted ones are placed elsewhere.
        assert sum(placed.values()) in (sum(then.values()), sum(now.values()))


@given(some_counts, some_counts, worlds)
def test_a_commit_takes_nothing_from_where_it_runs_to_put_it_elsewhere(
    now: dict[str, int], then: dict[str, int], world: World
) -> None:
    change = plan_change(as_targets(now), as_targets(then), world.facts())
    if isinstance(change, Commit):
        placed = _counts(change.targets)
        losers = {name for name in now if placed.get(name, 0) < now[name]}
        gainers = {name for name in placed if placed[name] > now.get(name, 0)}
        assert not gainers or losers <= world.unstarted
        taken = {name: now[name] - placed.get(name, 0) for name in losers}
        assert not gainers or all(count <= 2 for count in taken.values())


@given(some_counts, some_counts, stateful_worlds)
def test_what_is_stateful_never_moves(now: dict[str, int], then: dict[str, int], world: World) -> None:
    assert not isinstance(plan_change(as_targets(now), as_targets(then), world.facts()), Move)


@given(st.sampled_from(NAMES), st.integers(0, 4), some_counts, stateful_worlds)
def test_what_is_stateful_stays_in_one_place(home: str, replicas: int, then: dict[str, int], world: World) -> None:
    """A writer that runs is not joined by another one elsewhere, whatever the plan says."""
    world = replace(world, unstarted=world.unstarted - {home})
    change = plan_change(as_targets({home: replicas}), as_targets(then), world.facts())
    if isinstance(change, Commit):
        assert set(_counts(change.targets)) == {home}


@given(some_counts, some_counts, worlds)
def test_moves_are_due_and_possible(now: dict[str, int], then: dict[str, int], world: World) -> None:
    change = plan_change(as_targets(now), as_targets(then), world.facts())
    if not isinstance(change, Move):
        return
    assert 0 < change.replicas <= now[change.source]
    assert change.replicas <= then[change.target] - now.get(change.target, 0)
    assert change.source != change.target
    reasons = {
        "Failover": change.source in world.lost,
        "Policy": change.source in world.leaving,
        "Preference": change.target in world.preferred and change.source not in world.preferred,
        "Cost": world.automatic,
    }
    assert reasons[change.reason]
    losers = {name for name in now if now[name] > then.get(name, 0)}
    if losers & world.lost:
        assert change.reason == "Failover"  # the most urgent first
    elif losers & world.leaving:
        assert change.reason == "Policy"
    else:
        assert sum(now.values()) >= sum(then.values())  # what is missing is added first


@given(some_counts, some_counts, worlds)
def test_moves_lead_to_the_plan(now: dict[str, int], then: dict[str, int], world: World) -> None:
    """With moving allowed, carrying out step after step ends where the plan is, in as many steps as there are pairs."""
    facts = World(world.lost, world.leaving, world.full, world.unstarted, False, True, world.preferred).facts()
    targets = as_targets(now)
    for _ in range(2 * len(NAMES) + 1):
        change = plan_change(targets, as_targets(then), facts)
        if isinstance(change, Commit):
            targets = change.targets
        elif isinstance(change, Move):
            moved = _counts(targets)
            moved[change.source] -= change.replicas
            moved[change.target] = moved.get(change.target, 0) + change.replicas
            targets = as_targets({name: count for name, count in moved.items() if count})
        else:
            break
    assert targets == as_targets(then)


@given(some_counts, st.data(), st.integers(1, 20))
def test_a_pinned_service_has_the_number_it_asks_for(now: dict[str, int], data: st.DataObject, replicas: int) -> None:
    pin = data.draw(st.sampled_from(sorted(now)))
    resized = _counts(resize_pinned(as_targets(now), pin, replicas))
    assert sum(resized.values()) == replicas
    assert resized.get(pin, 0) >= min(now[pin], replicas)
    assert all(0 < resized[name] <= now[name] for name in resized if name != pin)

"""Routes: nobody is cut off while something runs, and weights divide the traffic as asked."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from federation.contracts.driver import PodState, WorkloadState
from federation.contracts.gateway import EndpointLoad, GatewayState, RouteEndpoint, RouteState
from federation.model.meta import Key, Metadata
from federation.model.microservice import Microservice, MicroserviceSpec, MicroserviceStatus, Port
from federation.model.migration import Migration, MigrationSpec, MigrationStatus
from federation.model.placement import Placement, PlacementSpec, Target
from federation.reconcile.desired import COPYING, desired_replicas, moved_targets, traffic_shares
from federation.reconcile.routing import RoutingFacts, load_on, plan_endpoints, plan_routes, settled

NAMES = ["a", "b", "c"]
KEY = Key("default", "web")


@st.composite
def _states(draw: st.DrawFn) -> dict[str, WorkloadState]:
    states = {}
    for index, name in enumerate(NAMES):
        if draw(st.booleans()):
            pods = tuple(
                PodState(
                    f"{name}{number}",
                    f"10.{index}.0.{number}",
                    ready=phase == "Running" and draw(st.booleans()),
                    revision="r",
                    ports={80: 8080},
                    phase=phase,
                )
                for number in range(draw(st.integers(0, 4)))
                for phase in [draw(st.sampled_from(["Pending", "Running", "Running", "Terminating", "Failed"]))]
            )
            states[name] = WorkloadState(KEY, "r", len(pods), pods)
    return states


shares = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 500))
nears = st.sampled_from([None, *NAMES])


@st.composite
def _facts(draw: st.DrawFn) -> RoutingFacts:
    found = draw(shares)
    moving = (
        frozenset(draw(st.permutations(sorted(found)))[:2]) if len(found) > 1 and draw(st.booleans()) else frozenset()
    )
    return RoutingFacts(found, moving, draw(_states()))


def _open(endpoints: tuple[RouteEndpoint, ...]) -> list[RouteEndpoint]:
    """Those that take new requests now."""
    return [endpoint for endpoint in endpoints if endpoint.priority == 0 and endpoint.weight > 0]


@given(_facts(), nears)
def test_never_empty_while_a_pod_runs(facts: RoutingFacts, near: str | None) -> None:
    running = [
        pod
        for name, state in facts.states.items()
        if name in facts.shares
        for pod in state.pods
        if pod.phase == "Running"
    ]
    endpoints = plan_endpoints(facts, near, 80)
    assert bool(_open(endpoints)) == bool(running)
    assert all(endpoint.subcluster in facts.shares for endpoint in endpoints)


@given(_facts(), nears)
def test_only_ready_pods_while_any_is_ready(facts: RoutingFacts, near: str | None) -> None:
    ready = {
        pod.address for name, state in facts.states.items() if name in facts.shares for pod in state.pods if pod.ready
    }
    if ready:
        assert {endpoint.address for endpoint in plan_endpoints(facts, near, 80)} == ready


@given(_facts(), nears)
def test_no_new_request_where_the_share_is_zero_while_another_serves(facts: RoutingFacts, near: str | None) -> None:
    endpoints = plan_endpoints(facts, near, 80)
    serving = [endpoint for endpoint in endpoints if facts.shares[endpoint.subcluster] > 0]
    if serving:
        assert all(facts.shares[endpoint.subcluster] > 0 for endpoint in endpoints if endpoint.weight > 0)


@given(_facts(), nears)
def test_weights_divide_the_traffic_by_the_shares(facts: RoutingFacts, near: str | None) -> None:
    weights: dict[str, int] = defaultdict(int)
    pods: dict[str, int] = defaultdict(int)
    for endpoint in _open(plan_endpoints(facts, near, 80)):
        weights[endpoint.subcluster] += endpoint.weight
        pods[endpoint.subcluster] += 1
    total = sum(facts.shares[name] for name in weights)
    for name, weight in weights.items() if total else ():
        # Division among pods loses less than one unit of a thousandth of a share for each pod.
        assert abs(weight / sum(weights.values()) - facts.shares[name] / total) <= sum(pods.values()) / 1000


@given(_facts(), st.sampled_from(NAMES))
def test_near_first_unless_traffic_is_being_shifted(facts: RoutingFacts, near: str) -> None:
    endpoints = plan_endpoints(facts, near, 80)
    here = any(endpoint.subcluster == near for endpoint in endpoints)
    if near not in facts.moving and facts.shares.get(near, 0) > 0 and here:
        assert {endpoint.subcluster for endpoint in _open(endpoints)} == {near}


@given(_facts(), nears)
def test_equal_facts_give_equal_routes(facts: RoutingFacts, near: str | None) -> None:
    again = RoutingFacts(dict(reversed(facts.shares.items())), facts.moving, dict(reversed(facts.states.items())))
    assert plan_endpoints(facts, near, 80) == plan_endpoints(again, near, 80)


def _service() -> Microservice:
    return Microservice(
        metadata=Metadata(name="web", namespace="default"),
        spec=MicroserviceSpec(template={}, ports=(Port(port=80), Port(port=81))),
        status=MicroserviceStatus(gateway_ports={"80": 20000}),
    )


@given(_facts(), nears)
def test_settled_means_every_route_in_force(facts: RoutingFacts, near: str | None) -> None:
    routes = plan_routes(_service(), facts, near)
    assert [route.port for route in routes] == [80]  # the other has no gateway port yet
    in_force = {route.key: RouteState(route.key, route.revision, (), 0) for route in routes}
    assert settled(routes, GatewayState(in_force))
    assert not settled(routes, GatewayState({}))
    assert not settled(routes, None)
    assert not settled(routes, GatewayState({key: RouteState(key, "other", (), 0) for key in in_force}))


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 9), st.integers(0, 99), st.integers(0, 9))))
def test_load_counts_just_the_asked_endpoints(loads: list[tuple[str, int, int, int]]) -> None:
    endpoints = tuple(
        EndpointLoad(address, 80, flying, requests, errors) for address, flying, requests, errors in loads
    )
    state = GatewayState(
        {
            "default/web:80": RouteState("default/web:80", "", endpoints, 0),
            "default/webby:80": RouteState("default/webby:80", "", endpoints, 0),
        }
    )
    load = load_on(KEY, frozenset("xy"), [state, state])
    assert load.in_flight == 2 * sum(flying for address, flying, _, _ in loads if address in "xy")
    assert load.requests == 2 * sum(requests for address, _, requests, _ in loads if address in "xy")
    assert load.errors == 2 * sum(errors for address, _, _, errors in loads if address in "xy")


# Shares during a move


@st.composite
def _move(draw: st.DrawFn) -> tuple[Placement, Migration]:
    committed = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5), min_size=1))
    source = draw(st.sampled_from(sorted(committed)))
    target = draw(st.sampled_from([name for name in NAMES if name != source]))
    replicas = draw(st.integers(1, committed[source]))
    targets = tuple(Target(subcluster=name, replicas=count) for name, count in sorted(committed.items()))
    metadata = Metadata(name="web", namespace="default")
    migration = Migration(
        metadata=metadata,
        spec=MigrationSpec(service="web", source=source, target=target, replicas=replicas),
        status=MigrationStatus(
            phase=draw(st.sampled_from(sorted(COPYING))), weight=draw(st.sampled_from([0, 5, 50, 100]))
        ),
    )
    return Placement(metadata=metadata, spec=PlacementSpec(targets=targets)), migration


@given(_move())
def test_a_move_shifts_traffic_and_loses_none(move: tuple[Placement, Migration]) -> None:
    placement, migration = move
    before, during = traffic_shares(placement, None), traffic_shares(placement, migration)
    assert sum(during.values()) == sum(before.values())
    shifted = migration.spec.replicas * migration.status.weight
    assert during[migration.spec.source] == before[migration.spec.source] - shifted
    assert during[migration.spec.target] == before.get(migration.spec.target, 0) + shifted


@given(_move())
def test_at_full_weight_traffic_is_where_the_move_will_have_committed_it(move: tuple[Placement, Migration]) -> None:
    placement, migration = move
    status = migration.status.model_copy(update={"weight": 100})
    full = traffic_shares(placement, migration.model_copy(update={"status": status}))
    spec = PlacementSpec(targets=moved_targets(placement, migration))
    after = traffic_shares(placement.model_copy(update={"spec": spec}), None)
    assert {name: share for name, share in full.items() if share} == after


@given(_move())
def test_during_a_move_both_copies_are_wanted_in_full(move: tuple[Placement, Migration]) -> None:
    placement, migration = move
    wanted = desired_replicas(placement, migration)
    assert all(wanted[target.subcluster] >= target.replicas for target in placement.spec.targets)
    assert sum(wanted.values()) == sum(t.replicas for t in placement.spec.targets) + migration.spec.replicas
    moved = sum(target.replicas for target in moved_targets(placement, migration))
    assert moved == sum(target.replicas for target in placement.spec.targets)

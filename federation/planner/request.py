"""`PlanRequest`: all that one decision rests on, and the arrays made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from federation.atlas.places import Place
from federation.atlas.prices import Prices
from federation.contracts.policy import FleetView, Opinion, PairLimit, PolicyEngine, Tie
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.placement import Target
from federation.model.plan import MOVING
from federation.model.policy import MigrationRules, Policy, migration_rules
from federation.planner.feasibility import infeasible, runs_images, runs_there
from federation.planner.moving import Moving, moving
from federation.planner.parts import ask
from federation.planner.problem import Problem, SpendLimit, SpreadRule
from federation.planner.taints import avoidance
from federation.planner.ties import all_ties, contradictions, forbidden_pairs
from federation.planner.world import World, build_view, conflicts, notices

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class PlanRequest:
    """One decision's input. `engines` and `opinions` go together, ordered by name. `images` [C]: where images run.
    `fixed`: services that must not move, with the targets they are held at. `reserved`: what open migrations are about
    to start. `moving`: services with an open migration. `policies`: those that say how services move. `notices`: what
    was left out or assumed on the way."""

    view: FleetView
    engines: tuple[PolicyEngine, ...]
    opinions: tuple[Opinion, ...]
    images: Bools
    fixed: Mapping[Key, tuple[Target, ...]] = field(default_factory=dict)
    reserved: Mapping[Key, tuple[Target, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    moving: frozenset[Key] = frozenset()
    policies: tuple[Policy, ...] = ()

    @cached_property
    def service_index(self) -> dict[Key, int]:
        """A service's row."""
        return {service.key: index for index, service in enumerate(self.view.services)}

    @cached_property
    def subcluster_index(self) -> dict[str, int]:
        """A sub-cluster's column."""
        return {each.metadata.name: index for index, each in enumerate(self.view.subclusters)}

    @cached_property
    def infeasible(self) -> Bools:
        """[S, C] what is impossible whatever the policies say."""
        return infeasible(self.view, self.images)

    @cached_property
    def prices(self) -> dict[str, Floats]:
        """Price terms by name [S, C], NaN where unknown; terms of one name added up. `taint` is what new copies pay
        for a PreferNoSchedule taint that they do not tolerate; `moving`: see there."""
        result: dict[str, Floats] = {}
        once = self.moves.price()
        if once is not None:
            result[MOVING] = once
        avoided = avoidance(self.view, runs_there(self.view))
        if avoided is not None:
            result["taint"] = avoided
        for opinion in self.opinions:
            for term, price in opinion.prices.items():
                result[term] = result[term] + price if term in result else price
        return result

    @cached_property
    def moves(self) -> Moving:
        """What moving each service that runs costs once."""
        known: dict[tuple[object, ...], MigrationRules] = {}

        def rules(service: Microservice) -> MigrationRules:
            mark = (service.metadata.namespace, *sorted(service.metadata.labels.items()))
            if mark not in known:
                known[mark] = migration_rules(service, self.policies)
            return known[mark]

        return moving(self.view, self.images, rules)

    @cached_property
    def priceless(self) -> Bools:
        """[S, C] where some price is unknown."""
        result = np.zeros((len(self.view.services), len(self.view.subclusters)), dtype=bool)
        for price in self.prices.values():
            result |= np.isnan(price)
        return result

    @cached_property
    def pair_terms(self) -> tuple[str, ...]:
        """The names of the pair terms, in the order of `Problem.price`."""
        return tuple(pair.term for opinion in self.opinions for pair in opinion.pairs)

    @cached_property
    def limits(self) -> tuple[PairLimit, ...]:
        """Every hard limit on calls."""
        return tuple(limit for opinion in self.opinions for limit in opinion.limits)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What the policies name and is not there; part of `notices`."""
        return tuple(dict.fromkeys(notice for opinion in self.opinions for notice in opinion.notices))

    @cached_property
    def ties(self) -> tuple[Tie, ...]:
        """What has to run together or apart; `Problem` has them behind the calls, in this order."""
        return all_ties(self.view, self.opinions)

    @cached_property
    def ties_of(self) -> dict[int, tuple[Tie, ...]]:
        """The ties of each service (index) that has any, whichever end of them it is."""
        found: dict[int, list[Tie]] = {}
        for tie in self.ties:
            found.setdefault(tie.first, []).append(tie)
            found.setdefault(tie.second, []).append(tie)
        return {service: tuple(ties) for service, ties in found.items()}

    @cached_property
    def ranks(self) -> Ints | None:
        """[S, C] each service's order of preference, 0 the most preferred; None where nobody prefers anything. Of
        several engines' orders the first one's decides, then the next one's."""
        result = None
        for ranks in (opinion.ranks for opinion in self.opinions if opinion.ranks is not None):
            result = ranks if result is None else result * (int(ranks.max(initial=0)) + 1) + ranks
        return result

    @cached_property
    def importance(self) -> Ints | None:
        """[S] who gets the room when not everything fits; None where all are alike. Several engines' add up."""
        stated = [opinion.importance for opinion in self.opinions if opinion.importance is not None]
        return np.sum(stated, axis=0) if stated else None

    @cached_property
    def conflicts(self) -> dict[Key, tuple[str, ...]]:
        """What is contradictory in the policies, by service; each message names both sides."""
        found = dict(conflicts(self.view, self.engines))
        for key, messages in contradictions(self.view, self.ties).items():
            found[key] = (*found.get(key, ()), *messages)
        return found

    @cached_property
    def problem(self) -> Problem:
        """The arrays that the solver works on."""
        return _problem(self)


def prepare(
    world: World,
    engines: Sequence[PolicyEngine],
    places: Mapping[str, Place],
    now: float,
    *,
    images: Mapping[str, bool] | None = None,
    fixed: Mapping[Key, tuple[Target, ...]] | None = None,
    prices: Prices | None = None,
) -> PlanRequest:
    """Read the world and ask every engine.

    Args: places, by sub-cluster name; images, by sub-cluster name: whether it runs images, where the sub-cluster itself
    has not reported; fixed, services that must not move; prices, of machines that nobody else has the price of. Without
    `fixed`, those with an open migration are held, and those pinned where they run, unless a hard rule forbids that
    place.
    Raises: InvalidInputs for policies that no engine understands."""
    ordered = tuple(sorted(engines, key=lambda engine: engine.name))
    view, opinions = ask(build_view(world, ordered, places, now, prices), ordered)
    able = np.array([runs_images(each, images or {}) for each in view.subclusters], dtype=bool)
    reserved = _reserved(world, view)
    under_way = world.moving | {Key(m.metadata.namespace, m.spec.service) for m in world.migrations if m.open}
    how = tuple(policy for policy in world.policies if policy.spec.migration is not None)
    request = PlanRequest(view, ordered, opinions, able, {}, reserved, notices(world), under_way, how)
    held = _held(world, request) if fixed is None else {key: targets for key, targets in fixed.items() if targets}
    return replace(request, fixed=held, notices=tuple(dict.fromkeys([*request.notices, *request.warnings])))


def _held(world: World, request: PlanRequest) -> dict[Key, tuple[Target, ...]]:
    """Open migrations' services, and pinned ones where their pin may stand."""
    held = {}
    for index, service in enumerate(request.view.services):
        placement = world.placements.get(service.key)
        if placement is None or not placement.spec.targets:
            continue
        if service.key in request.moving:
            held[service.key] = placement.spec.targets
        elif placement.spec.pinned is not None:
            targets = _pinned(request, index, placement.spec.pinned)
            if targets:
                held[service.key] = targets
    return held


def _pinned(request: PlanRequest, service: int, pinned: str) -> tuple[Target, ...]:
    """What a pinned service is held at: its targets, grown or shrunk where the pin is; nothing if a rule forbids it."""
    counts = {target.subcluster: target.replicas for target in request.view.current[service] if target.replicas}
    columns = [request.subcluster_index[name] for name in counts]
    if pinned not in counts or not request.problem.allowed[service][columns].all():
        return ()
    others = sum(counts.values()) - counts[pinned]
    counts[pinned] = max(request.view.services[service].spec.replicas - others, 1)
    return tuple(Target(subcluster=name, replicas=count) for name, count in counts.items())


def _reserved(world: World, view: FleetView) -> dict[Key, tuple[Target, ...]]:
    """What open migrations are about to start at their targets, beyond what placements show."""
    known = {each.metadata.name for each in view.subclusters}
    keys = set(view.keys())
    result: dict[Key, tuple[Target, ...]] = {}
    for migration in sorted(world.migrations, key=lambda each: each.key):
        key = Key(migration.metadata.namespace, migration.spec.service)
        if not migration.open or key not in keys or migration.spec.target not in known:
            continue
        placement = world.placements.get(key)
        shown = placement.replicas_in(migration.spec.target) if placement is not None else 0
        if migration.spec.replicas > shown:
            result[key] = (Target(subcluster=migration.spec.target, replicas=migration.spec.replicas - shown),)
    return result


def _problem(request: PlanRequest) -> Problem:
    view = request.view
    shape = (len(view.services), len(view.subclusters))
    replicas = np.array([service.spec.replicas for service in view.services], dtype=np.int64)
    unary = np.zeros(shape)
    for price in request.prices.values():
        unary += price
    allowed = ~request.infeasible & ~request.priceless
    for opinion in request.opinions:
        if opinion.denied is not None:
            allowed &= ~opinion.denied
    current, fixed = _committed(request)
    demand = np.column_stack([view.cpu_cores, view.memory_bytes]).reshape(shape[0], 2)
    demand[replicas == 0] = 0.0
    capacity = np.column_stack([view.capacity_cpu_cores, view.capacity_memory_bytes]).reshape(shape[1], 2)
    for key, targets in request.reserved.items():
        for target in targets:
            column = request.subcluster_index[target.subcluster]
            capacity[column] -= target.replicas * demand[request.service_index[key]]
    weight, price, spend = _pairs(request)
    barrier, forbidden = _barriers(request)
    return Problem(
        replicas=replicas,
        demand=demand,
        capacity=np.maximum(capacity, 0.0),
        allowed=allowed,
        unary=np.nan_to_num(unary, nan=0.0),
        caller=np.array([*(e.caller for e in view.edges), *(t.first for t in request.ties)], dtype=np.int64),
        callee=np.array([*(e.callee for e in view.edges), *(t.second for t in request.ties)], dtype=np.int64),
        weight=weight,
        price=price,
        barrier=barrier,
        forbidden=forbidden,
        current=current,
        fixed=fixed,
        spread=_spread(request),
        limits=spend,
        ranks=request.ranks,
        importance=request.importance,
        idle=_idle(request),
    )


def _committed(request: PlanRequest) -> tuple[Ints, Bools]:
    """[S, C] committed replicas, and which services are held at them."""
    view = request.view
    counts = np.zeros((len(view.services), len(view.subclusters)), dtype=np.int64)
    fixed = np.zeros(len(view.services), dtype=bool)
    for service, key in enumerate(view.keys()):
        targets = request.fixed.get(key, view.current[service])
        fixed[service] = key in request.fixed
        # A service scaled to nothing keeps its place: it counts as one replica that needs no room.
        idle = not any(target.replicas for target in targets)
        for target in targets:
            column = request.subcluster_index.get(target.subcluster)
            if column is not None:
                counts[service, column] += 1 if idle else target.replicas
    return counts, fixed


def _idle(request: PlanRequest) -> frozenset[int]:
    """Services that were scaled to nothing and keep their place."""
    current = request.view.current
    return frozenset(s for s, targets in enumerate(current) if targets and not any(t.replicas for t in targets))


def _pairs(request: PlanRequest) -> tuple[Floats, Floats, tuple[SpendLimit, ...]]:
    """Weights [K, E] and prices [K, C, C] of the pair terms; the ceilings, each counting its own opinion's terms."""
    shape = (len(request.view.services), len(request.view.subclusters))
    weights, prices, owners = [], [], []
    for owner, opinion in enumerate(request.opinions):
        for pair in opinion.pairs:
            weight = np.zeros(len(request.view.edges) + len(request.ties))
            weight[pair.calls] = pair.weight
            weight[: len(request.view.edges)][_silent(request.view)] = 0.0
            weights.append(weight)
            prices.append(pair.price)
            owners.append(owner)
    spend = []
    for owner, opinion in enumerate(request.opinions):
        own = sum(opinion.prices.values(), np.zeros(shape)) if opinion.ceilings else np.zeros(shape)
        terms = np.array([each == owner for each in owners], dtype=bool)
        spend += [
            SpendLimit(c.name, c.services, c.subclusters, c.max_usd_per_hour, np.nan_to_num(own, nan=0.0), terms)
            for c in opinion.ceilings
        ]
    return (
        np.array(weights).reshape(len(weights), len(request.view.edges) + len(request.ties)),
        np.array(prices).reshape(len(prices), shape[1], shape[1]),
        tuple(spend),
    )


def _silent(view: FleetView) -> Bools:
    """[E] calls that nobody makes or answers, since one end has no replicas."""
    idle = [service.spec.replicas == 0 for service in view.services]
    return np.array([idle[edge.caller] or idle[edge.callee] for edge in view.edges], dtype=bool)


def _barriers(request: PlanRequest) -> tuple[Ints, Bools]:
    """For each call, and then each tie, which matrix of forbidden pairs of places applies (-1: none)."""
    count = len(request.view.subclusters)
    rules: dict[int, list[tuple[int, float]]] = {}
    for number, limit in enumerate(request.limits):
        for call, most in zip(limit.calls.tolist(), limit.limit.tolist(), strict=True):
            rules.setdefault(call, []).append((number, most))
    silent = _silent(request.view)
    barrier = np.full(len(request.view.edges), -1, dtype=np.int64)
    known: dict[tuple[tuple[int, float], ...], int] = {}
    matrices: list[Bools] = []
    for call, rule in sorted(rules.items()):
        if silent[call]:
            continue
        mark = tuple(rule)
        if mark not in known:
            known[mark] = len(matrices)
            matrices.append(np.logical_or.reduce([~(request.limits[n].value <= most) for n, most in rule]))
        barrier[call] = known[mark]
    tied, pairs = forbidden_pairs(request.ties, count)
    calls = np.array(matrices, dtype=bool).reshape(len(matrices), count, count)
    return np.concatenate([barrier, tied + len(matrices)]), np.concatenate([calls, pairs])


def _spread(request: PlanRequest) -> dict[int, tuple[SpreadRule, ...]]:
    """The spread rules of each service; services of like rules share the objects."""
    known: dict[tuple[int, int, int, float], SpreadRule] = {}
    rules: dict[int, tuple[SpreadRule, ...]] = {}
    for number, opinion in enumerate(request.opinions):
        for index, term in enumerate(opinion.spread):
            columns = zip(term.services.tolist(), term.min_domains.tolist(), term.max_share.tolist(), strict=True)
            for service, least, most in columns:
                mark = (number, index, least, most)
                rule = known.setdefault(mark, SpreadRule(term.topology, least, most, term.domain))
                rules[service] = (*rules.get(service, ()), rule)
    return dict(sorted(rules.items()))

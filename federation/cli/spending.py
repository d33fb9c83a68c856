"""What runs and what it costs, in whole millionths of a US dollar per hour, so that every sum is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor

from federation.app import plan_resources
from federation.model.meta import Key, Resource
from federation.model.placement import Placement, Target, counts_of
from federation.model.plan import MOVING, PlannedService
from federation.model.subcluster import SubCluster

MILLION = 1_000_000
HOURS_PER_MONTH = 730


@dataclass(frozen=True)
class Share:
    """What one service costs in one sub-cluster: millionths of a US dollar per hour by term, and its replicas there."""

    key: Key
    subcluster: str
    provider: str
    replicas: int
    terms: Mapping[str, int]

    @property
    def total(self) -> int:
        """All terms together."""
        return sum(self.terms.values())


@dataclass(frozen=True)
class Proposed:
    """A service that the planner would have elsewhere, with what it costs now and would cost then."""

    key: Key
    before: tuple[Target, ...]
    after: tuple[Target, ...]
    now: int
    then: int


@dataclass(frozen=True)
class Spending:
    """What runs, by service and place; where the planner would have it; what all of it would cost then.
    `unpriced`: sub-clusters with a price that nobody knows."""

    shares: tuple[Share, ...]
    proposed: tuple[Proposed, ...]
    proposed_total: int
    unpriced: tuple[str, ...]

    @property
    def total(self) -> int:
        """What everything that runs costs."""
        return sum(share.total for share in self.shares)


def spending(resources: Iterable[Resource], now: float, wanted: Callable[[Key], bool]) -> Spending:
    """What the services that are wanted cost where they are committed to run, and where the planner would have them.

    Args: resources, the state of a server; now, seconds since 1970. A call's cost stands with the caller.
    Raises: as `federation.app.plan_resources`."""
    everything = tuple(resources)
    committed = {
        each.key: each.spec.targets
        for each in everything
        if isinstance(each, Placement) and any(target.replicas for target in each.spec.targets)
    }
    providers = {each.metadata.name: each.spec.provider for each in everything if isinstance(each, SubCluster)}
    present = _services(plan_resources(everything, now, held=committed, certify=False).plan.placements)
    future = _services(plan_resources(everything, now, certify=False).plan.placements)
    keys = [key for key in sorted(committed) if wanted(key) and key in present]
    shares = tuple(share for key in keys for share in _shares(present[key], committed[key], providers))
    proposed = tuple(
        Proposed(key, committed[key], future[key].targets, _sum(present[key]), _sum(future[key]))
        for key in keys
        if future[key].targets and counts_of(future[key].targets) != counts_of(committed[key])
    )
    then = sum(_sum(future[key] if future[key].targets else present[key]) for key in keys)
    used = {share.subcluster for share in shares}
    return Spending(shares, proposed, then, _unpriced(everything, used))


def amount(millionths: int) -> str:
    """US dollars with all six digits."""
    return f"{'-' if millionths < 0 else ''}{abs(millionths) // MILLION:,}.{abs(millionths) % MILLION:06}"


def _shares(service: PlannedService, targets: Sequence[Target], providers: Mapping[str, str]) -> Iterable[Share]:
    """Each term divided by replicas; what a division leaves over goes to the largest remainders."""
    key = Key(service.namespace, service.service)
    there = [target for target in targets if target.replicas]
    parts = {term: divided(millionths, [one.replicas for one in there]) for term, millionths in _terms(service).items()}
    for index, target in enumerate(there):
        terms = {term: part[index] for term, part in parts.items()}
        yield Share(key, target.subcluster, providers.get(target.subcluster, ""), target.replicas, terms)


def divided(whole: int, weights: Sequence[int]) -> list[int]:
    """`whole` in parts as the weights (>= 0, not all 0) are to each other; the parts add up to it exactly."""
    total = sum(weights)
    exact = [whole * weight / total for weight in weights]
    parts = [floor(each) for each in exact]
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[: whole - sum(parts)]:
        parts[index] += 1
    return parts


def _terms(service: PlannedService) -> dict[str, int]:
    return {term: round(usd * MILLION) for term, usd in service.terms.items() if term != MOVING}


def _sum(service: PlannedService) -> int:
    return sum(_terms(service).values())


def _services(found: Iterable[PlannedService]) -> dict[Key, PlannedService]:
    return {Key(one.namespace, one.service): one for one in found}


def _unpriced(resources: Iterable[Resource], used: set[str]) -> tuple[str, ...]:
    return tuple(
        each.metadata.name
        for each in resources
        if isinstance(each, SubCluster)
        and each.metadata.name in used
        and any(None in (offer.cpu_hour_usd, offer.memory_gib_hour_usd) for offer in each.status.offers)
    )

"""What a change to the fleet, a policy or a label would set in motion, by asking for a plan with the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from federation.app import plan_resources
from federation.cli.plantable import money
from federation.cli.table import print_table
from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement, Target
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy

if TYPE_CHECKING:
    from federation.model.plan import PlannedService, Violation
    from federation.planner.decide import Judgement

DATA_STAYS = "keeps its data with it; moving data is not possible in this release"


@dataclass(frozen=True)
class Departure:
    """A service that has to leave a place. `after`: where all of it would run then, () when there is nowhere to go.
    `lacks`: "denied" or "full" when it can't leave, "" when it can; `why`: why it has to leave, or can't."""

    key: Key
    before: tuple[Target, ...]
    after: tuple[Target, ...]
    why: str
    lacks: str = ""
    delay_s: float = 0.0
    cost_before_usd_per_hour: float = 0.0
    cost_after_usd_per_hour: float = 0.0

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {
            "namespace": self.key.namespace,
            "service": self.key.name,
            "from": [target.model_dump() for target in self.before],
            "to": [target.model_dump() for target in self.after],
            "verdict": self.lacks or "placed",
            "why": self.why,
            "delay_s": self.delay_s,
            "cost_before_usd_per_hour": self.cost_before_usd_per_hour,
            "cost_after_usd_per_hour": self.cost_after_usd_per_hour,
        }


@dataclass(frozen=True)
class Foresight:
    """Who has to leave because of the change, by key, and what everything that runs costs before and after.
    `under_way`: who would have to, but is on the move already."""

    departures: tuple[Departure, ...]
    before_usd_per_hour: float
    after_usd_per_hour: float
    under_way: tuple[Key, ...] = ()

    @property
    def exit_code(self) -> int:
        """4 when a service that has to leave is denied everywhere else, 3 when there is no room for one, else 0."""
        lacks = {one.lacks for one in self.departures}
        return 4 if "denied" in lacks else 3 if "full" in lacks else 0

    def document(self) -> dict[str, Any]:
        """As JSON-like data, snake_case."""
        return {
            "departures": [one.document() for one in self.departures],
            "under_way": [str(key) for key in self.under_way],
            "before_usd_per_hour": self.before_usd_per_hour,
            "after_usd_per_hour": self.after_usd_per_hour,
        }


def foresee(before: Iterable[Resource], after: Iterable[Resource], now: float) -> Foresight:
    """Who would have to leave where it runs if `before` became `after`, and did not have to already, and where to.

    Everybody else is held where it is. Args: now, seconds since 1970. Raises: as `federation.app.plan_resources`."""
    old, new = tuple(before), tuple(after)
    committed = {
        each.key: each.spec.targets for each in new if isinstance(each, Placement) and any(_counts(each.spec.targets))
    }
    present = plan_resources(old, now, held=committed, certify=False)
    changed = plan_resources(new, now, held=committed, certify=False)
    moving = [each for each in new if isinstance(each, Migration) and each.open]
    going = {Key(each.metadata.namespace, each.spec.service) for each in moving}
    leaving: dict[Key, Violation] = {}
    for key, targets in committed.items():
        for one in _counts(targets):
            violation = changed.violation(key, one.subcluster)
            if violation is not None and present.violation(key, one.subcluster) is None:
                leaving[key] = violation
    under_way = tuple(sorted(leaving.keys() & going))
    leaving = {key: violation for key, violation in leaving.items() if key not in going}
    data = {each.key for each in new if isinstance(each, Microservice) and each.spec.stateful}
    free = {key: violation for key, violation in leaving.items() if key not in data and not violation.delay_s}
    then = plan_resources(
        new, now, held={key: targets for key, targets in committed.items() if key not in free}, certify=False
    )
    costs, costs_then = _services(changed), _services(then)
    found_departures = tuple(
        _departure(then.candidates(key), violation, committed[key], costs[key], data=key in data)
        for key, violation in sorted(leaving.items())
        if key in costs and key in costs_then
    )
    return Foresight(found_departures, _total(costs, committed), _total(costs_then, committed), under_way)


def chosen_by(resources: Iterable[Resource], service: Microservice) -> list[str]:
    """The policies that select the service, by kind and name."""
    return sorted(
        f"{each.kind_name} {each.key}"
        for each in resources
        if isinstance(each, PlacementPolicy | ClusterPlacementPolicy)
        and each.key.namespace in ("", service.key.namespace)
        and each.spec.selector.matches(service.metadata.labels)
    )


def _departure(
    then: PlannedService, violation: Violation, targets: tuple[Target, ...], now: PlannedService, *, data: bool
) -> Departure:
    after, why, lacks = then.targets, violation.message, ""
    if data:
        after, why, lacks = (), DATA_STAYS, "full"
    elif violation.delay_s:
        after = targets
    elif then.verdict != "placed":
        after, why, lacks = (), " ".join(then.reasons), _lack(then, targets)
    costs = now.running_usd_per_hour, then.running_usd_per_hour
    key = Key(then.namespace, then.service)
    return Departure(key, targets, after, why, lacks, 0.0 if data else violation.delay_s, *costs)


def _lack(service: PlannedService, left: tuple[Target, ...]) -> str:
    """What is against every place but those it has to leave: "denied", or "full" where only room lacks."""
    leaves = {target.subcluster for target in left}
    others = {each.verdict for each in service.candidates if each.subcluster not in leaves}
    return "denied" if others == {"denied"} else "full"


def _counts(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    return tuple(target for target in targets if target.replicas)


def _services(judgement: Judgement) -> dict[Key, PlannedService]:
    return {Key(one.namespace, one.service): one for one in judgement.plan.placements}


def _total(services: Mapping[Key, PlannedService], committed: Mapping[Key, object]) -> float:
    return round(sum(one.running_usd_per_hour for key, one in services.items() if key in committed), 9)


def print_foresight(found: Foresight) -> None:
    """A table of who would move where at what cost, or that nobody would."""
    if found.under_way:
        print(f"Under way already: {', '.join(map(str, found.under_way))}.")
    if not found.departures and not found.under_way:
        print("No service that runs has to move because of it.")
    if not found.departures:
        return
    rows = [
        [str(one.key), _where(one.before), _to(one), *_costs(one), one.why if one.lacks or one.delay_s else ""]
        for one in found.departures
    ]
    titles = ["SERVICE", "FROM", "TO", "USD/H", "THEN", "WHY"]
    if not any(row[-1] for row in rows):
        titles, rows = titles[:-1], [row[:-1] for row in rows]
    print_table(titles, rows, wrap=True)
    if any(one.lacks or one.delay_s for one in found.departures):
        return
    change = found.after_usd_per_hour - found.before_usd_per_hour
    print(
        f"In all {money(found.after_usd_per_hour)} instead of {money(found.before_usd_per_hour)} USD per hour "
        f"({'+' if change >= 0 else '-'}{money(abs(change))})."
    )


def _to(one: Departure) -> str:
    if one.why == DATA_STAYS:
        return "stays"
    if one.lacks:
        return {"denied": "nowhere: denied", "full": "nowhere: no room"}[one.lacks]
    return f"leaves after {one.delay_s:g} s" if one.delay_s else _where(one.after)


def _costs(one: Departure) -> tuple[str, str]:
    return money(one.cost_before_usd_per_hour), "" if one.lacks or one.delay_s else money(one.cost_after_usd_per_hour)


def _where(targets: tuple[Target, ...]) -> str:
    return ", ".join(f"{target.subcluster} {target.replicas}" for target in targets) or "nowhere"

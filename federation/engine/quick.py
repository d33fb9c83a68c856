"""Quick decisions: a few changed services are judged with those they talk to, all others left as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from federation.contracts.store import Create, Write
from federation.engine.cache import Cache
from federation.engine.consequences import Consequences
from federation.engine.judging import Situation, Verdict
from federation.engine.room import Room
from federation.engine.situation import Surroundings
from federation.engine.verdicts import Verdicts
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.plan import PlannedService
from federation.model.podtemplate import has_command, requests

MOST_SERVICES = 32
"""More changed services than this at once are left to the decision on everything."""
MOST_NEIGHBOURS = 400


@dataclass(frozen=True)
class Outcome:
    """What follows at once, service by service; and whether everything has to be decided anew, `soon` or some time
    `later`."""

    writes: tuple[list[Write], ...] = ()
    soon: bool = False
    later: bool = False


@dataclass
class QuickDecisions:
    """Makes them. `neighbours(key)`: services that the service may talk to, either way.

    Nothing that runs is moved or left without a place by a quick decision, and nothing is placed where the room of all
    others would not suffice."""

    cache: Cache
    surroundings: Surroundings
    consequences: Consequences
    verdicts: Verdicts
    room: Room
    neighbours: Callable[[Key], frozenset[Key]]

    def decide(self, keys: Iterable[Key]) -> Outcome:
        """Judge these services anew, under the present rules."""
        services = {key: self.cache.of(Microservice)[key] for key in keys if key in self.cache.of(Microservice)}
        near = frozenset().union(*(self.neighbours(key) for key in services)) - services.keys()
        full = self.verdicts.current
        if full is None or len(services) > MOST_SERVICES or len(near) > MOST_NEIGHBOURS:
            return Outcome(soon=True)
        changed = {key: service for key, service in services.items() if self._matters(service)}
        situation = self._situation(services, near)
        verdict = self.surroundings.judgement(situation)
        if changed and not (full.separable and verdict.separable):
            return Outcome(soon=True)
        self.verdicts.add(verdict, services)
        outcome = Outcome(later=bool(changed))
        for planned in verdict.plan.placements:
            key = Key(planned.namespace, planned.service)
            if key in services:
                outcome = self._follow(outcome, services[key], planned, verdict, situation)
        return outcome

    def _follow(
        self, outcome: Outcome, service: Microservice, planned: PlannedService, verdict: Verdict, situation: Situation
    ) -> Outcome:
        placement = self.cache.placement(service.key)
        if planned.verdict != "placed":
            return replace(outcome, soon=True)
        if placement is not None and placement.spec.targets == planned.targets:
            broken = any(verdict.violation(service.key, target.subcluster) for target in planned.targets)
            return replace(outcome, soon=outcome.soon or broken or bool(placement.status.overtaken))
        writes = self.consequences.of(service, (planned, planned), verdict, situation)
        if any(isinstance(write, Create) and isinstance(write.resource, Migration) for write in writes):
            return replace(outcome, soon=True)
        return replace(outcome, writes=(*outcome.writes, writes)) if writes else outcome

    def _matters(self, service: Microservice) -> bool:
        """Whether the change may be of consequence for other services."""
        last = self.verdicts.last_seen(service.key)
        return last is None or _aspects(last) != _aspects(service)

    def _situation(self, services: dict[Key, Microservice], near: frozenset[Key]) -> Situation:
        placements = self.cache.of(Placement)
        placed = {key for key in near if (found := placements.get(key)) is not None and found.spec.targets}
        situation = self.surroundings.now([*services, *placed])
        fixed = {key: placements[key].spec.targets for key in placed}
        for key, service in services.items():
            placement = placements.get(key)
            targets = placement.spec.targets if placement is not None else ()
            if targets and sum(target.replicas for target in targets) == service.spec.replicas:
                fixed[key] = targets
        there = [*services, *placed]
        return replace(
            situation,
            subclusters=tuple(self.room.without(record, there) for record in situation.subclusters),
            fixed={**fixed, **situation.fixed},
        )


def _aspects(service: Microservice) -> tuple[object, ...]:
    """What plans are made from. Rules may look at more, but only with regard to the service itself."""
    spec = service.spec
    pod = spec.template.get("spec")
    rest = {key: value for key, value in pod.items() if key != "containers"} if isinstance(pod, dict) else pod
    others = spec.model_copy(update={"template": {}, "objects": ()})
    return (
        service.metadata.uid,
        service.metadata.labels,
        others,
        rest,
        requests(spec.template),
        has_command(spec.template),
    )

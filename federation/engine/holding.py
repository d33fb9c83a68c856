"""Who is held where while others are placed: a plan may count only on moves that are really made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from federation.engine.cache import Cache
from federation.engine.judging import Situation, Verdict
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement, Target
from federation.model.policy import migration_rules
from federation.reconcile.timing import may_move_at, may_move_for_cost

PREFERENCE_PARALLEL = 2
"""How many services go back to a preferred place at the same time."""
PREFERENCE_REST_S = 60.0
"""How long after a move a service is not moved for preference."""


@dataclass
class Holding:
    """Nobody makes room for another by a move that is not due. `unstarted(placement, subcluster)`: how many replicas
    that are committed there were refused; `parallel`: how many services go back to a preferred place at a time."""

    cache: Cache
    unstarted: Callable[[Placement, str], int]
    parallel: int = PREFERENCE_PARALLEL

    def held(self, situation: Situation, wish: Verdict) -> tuple[dict[Key, tuple[Target, ...]], float | None]:
        """Those who stay, with where they are; and when time alone may change that (seconds since 1970).

        They stay unless they return to what they prefer, or moving for cost alone is automatic for them and worth it,
        nothing is urgent, and the last plan's moves for cost are through: plans made of half a move run after each
        other. Data is not moved at all."""
        ended = self._ended()
        returning, rested = self._returning(situation, wish, ended)
        waiting, ripe = self._waiting(situation, wish, ended)
        wake = min((time for time in (rested, ripe) if time is not None), default=None)
        urgent = self._is_urgent(situation, wish)
        busy = any(m.open and m.spec.reason == "Cost" for m in self.cache.of(Migration).values())
        held = {}
        for service in situation.services:
            placement = situation.placements.get(service.key)
            if service.key in situation.fixed or placement is None or not placement.spec.targets:
                continue
            targets = placement.spec.targets
            if any(self.unstarted(placement, target.subcluster) for target in targets):
                continue
            if service.spec.stateful and placement.spec.stopped:
                held[service.key] = targets
            elif sum(target.replicas for target in targets) == service.spec.replicas:
                manual = migration_rules(service, situation.policies).mode == "manual"
                settled = urgent or busy or manual or service.key in waiting
                leaves = service.key in returning and not urgent
                if service.spec.bound or (settled and not leaves and wish.stands(service.key)):
                    held[service.key] = targets
        return held, wake

    def _is_urgent(self, situation: Situation, wish: Verdict) -> bool:
        """Whether somebody who could be placed has no place, or must not stay where it runs."""
        for planned in wish.plan.placements:
            key = Key(planned.namespace, planned.service)
            if not planned.targets or key in situation.fixed:
                continue
            placement = situation.placements.get(key)
            now = placement.spec.targets if placement is not None else ()
            if now != planned.targets and not (now and wish.stands(key)):
                service = self.cache.of(Microservice).get(key)
                if not now or service is None or not service.spec.bound:
                    return True
        return False

    def _ended(self) -> dict[Key, float]:
        """When each service that has moved did so last (seconds since 1970)."""
        ended: dict[Key, float] = {}
        for migration in self.cache.of(Migration).values():
            if migration.status.phase == "Succeeded":
                key = Key(migration.metadata.namespace, migration.spec.service)
                ended[key] = max(ended.get(key, 0.0), migration.status.since)
        return ended

    def _waiting(
        self, situation: Situation, wish: Verdict, ended: Mapping[Key, float]
    ) -> tuple[frozenset[Key], float | None]:
        """Whose move for cost is not worth it or not due yet, as its policy says; and when time may change that."""
        services = {service.key: service for service in situation.services}
        waiting: list[Key] = []
        wake: float | None = None
        for planned in wish.plan.placements:
            key = Key(planned.namespace, planned.service)
            placement = situation.placements.get(key)
            if placement is None or not placement.spec.targets or placement.spec.targets == planned.targets:
                continue
            rules = migration_rules(services[key], situation.policies)
            saving = wish.saving(key) if rules.mode == "automatic" and wish.stands(key) else None
            if saving is None:
                continue
            last = ended.get(key)
            if may_move_for_cost(rules, situation.now, last, *saving):
                waiting.append(key)
                ripe = may_move_at(rules, situation.now, last)
                if ripe > situation.now:
                    wake = ripe if wake is None else min(wake, ripe)
        return frozenset(waiting), wake

    def _returning(
        self, situation: Situation, wish: Verdict, ended: Mapping[Key, float]
    ) -> tuple[frozenset[Key], float | None]:
        """Who may go back to a place that is preferred to the present one: a few at a time, and none that moved just
        now, so that a place which comes and goes is not followed each time; and when the next one has rested."""
        wake: float | None = None
        back = sum(each.open and each.spec.reason == "Preference" for each in self.cache.of(Migration).values())
        slots = self.parallel - back
        found: list[Key] = []
        for planned in wish.plan.placements:
            key = Key(planned.namespace, planned.service)
            placement = situation.placements.get(key)
            if slots <= len(found):
                break
            if placement is None or not (placement.spec.targets and planned.targets) or key in situation.fixed:
                continue
            best = max(wish.rank(key, target.subcluster) for target in planned.targets)
            now = max(wish.rank(key, target.subcluster) for target in placement.spec.targets)
            rested_at = ended.get(key, 0.0) + PREFERENCE_REST_S
            if best < now and situation.now >= rested_at:
                found.append(key)
            elif best < now:
                wake = rested_at if wake is None else min(wake, rested_at)
        return frozenset(found), wake

"""The places of one service, as `roam why` tells them: chosen, how much dearer, full, or denied by whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from federation.contracts.store import Store
from federation.errors import NotFound
from federation.model.meta import Key, Resource
from federation.model.microservice import Microservice
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.plan import PlannedService
from federation.model.policy import ClusterPlacementPolicy, PlacementPolicy
from federation.model.subcluster import SubCluster
from federation.server.page.shared import Made, Shared

if TYPE_CHECKING:
    from federation.planner.decide import Judgement

KINDS: tuple[type[Resource], ...] = (
    SubCluster,
    Microservice,
    ClusterPlacementPolicy,
    PlacementPolicy,
    Placement,
    Migration,
)
"""What a plan is made from."""


class Candidates:
    """Answers from one plan of the whole store for all who ask (see `Shared`). `clock` gives seconds since 1970."""

    def __init__(self, store: Store, clock: Callable[[], float]):
        self._store = store
        self._clock = clock
        self._plans = Shared(store, KINDS, self._plan)
        self._explaining = threading.Lock()

    def of(self, key: Key) -> Made[PlannedService]:
        """The service with all its candidates, all other services held as planned.

        Raises: NotFound; InvalidInputs for policies that contradict each other; Unavailable (ask again)."""
        self._store.get(Microservice, key)
        made = self._plans.get()
        with self._explaining:
            try:
                found = made.value.candidates(key)
            except KeyError:
                raise NotFound(f"the plan does not know {key} yet; ask again") from None
        return Made(found, made.version, made.fresh)

    def _plan(self) -> Judgement:
        from federation.app import plan_resources

        everything = [each for kind in KINDS for each in self._store.list(kind).items]
        return plan_resources(everything, self._clock())

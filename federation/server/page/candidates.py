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
    from federation.planner.decide import Judgement, Standing

KINDS: tuple[type[Resource], ...] = (
    Microservice,
    Placement,
    SubCluster,
    ClusterPlacementPolicy,
    PlacementPolicy,
    Migration,
)
"""What a plan is made from."""


_SEARCHED = 300
"""Up to so many services a plan is made anew when some have none yet; more would take too long."""


class Candidates:
    """Explains the controller's own plan, as the placements have it, so that nothing is searched for once more; all who
    ask share what is prepared for that (see `Shared`). `clock` gives seconds since 1970."""

    def __init__(self, store: Store, clock: Callable[[], float]):
        self._store = store
        self._clock = clock
        self._plans = Shared(store, KINDS, self._prepare)
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

    def _prepare(self) -> Judgement | Standing:
        from federation.app import plan_request
        from federation.planner.decide import Judgement, Standing

        services = self._store.list(Microservice).items
        placements = self._store.list(Placement).items
        others = [each for kind in KINDS[2:] for each in self._store.list(kind).items]
        request = plan_request([*services, *placements, *others], self._clock())
        planned = {each.key: each.status.proposed.targets for each in placements if each.status.proposed is not None}
        if len(services) > _SEARCHED or all(each.key in planned for each in services):
            return Standing(request, planned)
        return Judgement(request, certify=False)

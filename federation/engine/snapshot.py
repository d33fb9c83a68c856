"""The engine's view at one moment, to be judged on another thread while the engine goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from federation.contracts.driver import Capabilities, WorkloadState
from federation.contracts.runtime import Runtime
from federation.engine.cache import Cache
from federation.engine.judging import Judgement
from federation.engine.links import SubClusterLink
from federation.engine.situation import Surroundings
from federation.model.meta import Key
from federation.model.offers import Offer
from federation.model.subcluster import SubCluster
from federation.reconcile.health import Pulse


@dataclass(frozen=True)
class LinkSnapshot:
    """What a decision asks of a link. `workloads`: of the services that were refused there, those that run."""

    subcluster: SubCluster
    pulse: Pulse
    offers: tuple[Offer, ...] | None
    capabilities: Capabilities
    answering: bool
    workloads: Mapping[Key, WorkloadState]
    refused: frozenset[Key]

    def refuses(self, key: Key) -> bool:
        """Whether the last step for `key` was refused."""
        return key in self.refused


@dataclass(frozen=True)
class _Moment:
    """A clock that stands."""

    at: float

    def now(self) -> float:
        return self.at


def snapshot(cache: Cache, runtime: Runtime, links: Mapping[str, SubClusterLink], judgement: Judgement) -> Surroundings:
    """Surroundings that stay as they are now. The objects are shared (they never change), the tables copied."""
    seen = {
        name: LinkSnapshot(
            subcluster=link.subcluster,
            pulse=link.pulse,
            offers=link.offers,
            capabilities=link.capabilities,
            answering=link.answering,
            workloads={key: link.workloads[key] for key in link.refused if key in link.workloads},
            refused=link.refused,
        )
        for name, link in links.items()
    }
    return Surroundings(cache.copy(), _Moment(runtime.now()), seen, judgement)

"""A policy engine gives its opinion on all services and sub-clusters at once, in columns.

Shapes: S services, C sub-clusters, E calls; both axes are ordered as in the `FleetView`. All money is USD per hour.
Reasons are computed when somebody asks, never stored for each pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel

from federation.atlas.places import Place
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.offers import Offer
from federation.model.placement import Target
from federation.model.policy import Toleration
from federation.model.subcluster import SubCluster

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Section:
    """An engine's section of one policy that applies to a service. `origin` names the policy, for reasons."""

    origin: str
    precedence: int
    value: BaseModel


@dataclass(frozen=True, slots=True)
class Edge:
    """A call between two services of the view, by index. `gib_per_hour` is assumed where nobody declared one. `call`:
    which of the caller's calls it is."""

    caller: int
    callee: int
    gib_per_hour: float
    max_latency_s: float | None
    assumed: bool
    call: int = 0


@dataclass(frozen=True)
class FleetView:
    """What an opinion is formed on. `subclusters` and `services` are ordered by name and key; `places[c]` are the
    atlas's facts on sub-cluster c; `sections[engine][s]` what applies to service s; `current[s]` where it is committed
    now (empty: nowhere); `tolerations[s]` which taints it bears; `tainted_since[s]` since when one would have it leave
    a sub-cluster, by name, seconds since 1970; `cpu_cores` and `memory_bytes` [S] are requests of one replica;
    `capacity_*` [C]; `cpu_hour_usd` and `memory_gib_hour_usd` [C] the price there, NaN where unknown. `jurisdictions`:
    members of those that are taken to be others than the atlas says (see `atlas.lookup.members`). `machines[c]`: the
    types of machines that are bought whole in c, ordered by name; none where cores and memory are had in any division
    (or, left out, nowhere). `parts` [S]: in how many sub-clusters each service has to run at least, as far as that is
    known yet; None: in one."""

    subclusters: tuple[SubCluster, ...]
    places: tuple[Place, ...]
    services: tuple[Microservice, ...]
    sections: Mapping[str, Sequence[tuple[Section, ...]]]
    current: tuple[tuple[Target, ...], ...]
    edges: tuple[Edge, ...]
    cpu_cores: Floats
    memory_bytes: Floats
    capacity_cpu_cores: Floats
    capacity_memory_bytes: Floats
    cpu_hour_usd: Floats
    memory_gib_hour_usd: Floats
    now: float
    tolerations: tuple[tuple[Toleration, ...], ...]
    tainted_since: tuple[Mapping[str, float], ...]
    jurisdictions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    machines: tuple[tuple[Offer, ...], ...] = ()
    parts: Ints | None = None

    def keys(self) -> tuple[Key, ...]:
        """The services' keys, in order."""
        return tuple(service.key for service in self.services)


@dataclass(frozen=True)
class PairTerm:
    """What two services cost each other by place: `weight[e] * price[c, d]` for call e from c to d (`calls`: indices
    into `FleetView.edges`). Counted once, on the caller."""

    term: str
    calls: Ints
    weight: Floats
    price: Floats


@dataclass(frozen=True)
class PairLimit:
    """A hard limit on calls: from c to d is forbidden where `value[c, d] > limit[e]`."""

    name: str
    calls: Ints
    limit: Floats
    value: Floats


@dataclass(frozen=True)
class SpreadTerm:
    """Services (indices) that must run in at least `min_domains` domains with at most `max_share` of the replicas in
    one domain. `domain[c]` numbers sub-cluster c's domain of the topology; -1: in none, not usable."""

    topology: str
    services: Ints
    min_domains: Ints
    max_share: Floats
    domain: Ints


@dataclass(frozen=True)
class Ceiling:
    """The sum of the services' cost over the marked services [S] and sub-clusters [C] is at most `max_usd_per_hour`.

    Counted are the price and pair terms of the same opinion only: money, not what another engine's preference is worth.
    """

    name: str
    services: Bools
    subclusters: Bools
    max_usd_per_hour: float


@dataclass(frozen=True, slots=True)
class Tie:
    """A hard rule on two services (indices): `together`, every sub-cluster of the first has replicas of the second;
    otherwise no sub-cluster has replicas of both. It says nothing while one of them has no place. `origin` names the
    policy."""

    first: int
    second: int
    together: bool
    origin: str


@dataclass(frozen=True)
class Opinion:
    """One engine's opinion. `denied` [S, C], or None for no denial. `prices`: term name -> [S, C], for the whole
    service with all its replicas (a part of the replicas costs that part); NaN: no price known, not a candidate.
    `ranks` [S, C]: an order of preference that comes before all prices, 0 the most preferred; None: all alike.
    `importance` [S]: who gets the room when not everything fits, 0 where nobody says so. `warned` [S, C]: where a
    person should think twice; nothing is decided by it, None for nowhere. `noted` [S, C]: where there is
    something to tell of a price. `notices`: sentences on what was left out."""

    denied: Bools | None = None
    prices: Mapping[str, Floats] = field(default_factory=dict)
    pairs: tuple[PairTerm, ...] = ()
    limits: tuple[PairLimit, ...] = ()
    spread: tuple[SpreadTerm, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    ranks: Ints | None = None
    importance: Ints | None = None
    ties: tuple[Tie, ...] = ()
    warned: Bools | None = None
    noted: Bools | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a candidate is denied (or, for information, priced so). `code` is CamelCase and stable; `short` is the few
    words of a summary ("outside [EU]"), `message` the whole sentence; `origin` the policy or field that decided.
    Of a copy that runs there already: by when it has to be gone (`grace_s` after it was first seen; None: no limit),
    and whether it is to `stop` then when there is nowhere to go. `warning`: it denies nothing, and is only told;
    `note`: neither, it says what is bought for a price."""

    code: str
    short: str
    message: str
    origin: str = ""
    grace_s: float | None = None
    stop: bool = False
    warning: bool = False
    note: bool = False


class PolicyEngine(Protocol):
    """One engine (entry-point group `roam.policies`). `section` is the key of a policy's spec it reads."""

    name: str
    section: str
    schema: type[BaseModel]

    def opine(self, view: FleetView) -> Opinion:
        """The opinion on everything at once. Pure, deterministic, no Python loop over services times sub-clusters."""
        ...

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Why this engine denies that candidate, what it warns of and notes there, in a stable order."""
        ...

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """What is contradictory in the sections that apply to one service; each message names both origins."""
        ...

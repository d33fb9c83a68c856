"""Locality: how near services are to their users and to each other.

Hard: `maxLatency` on the mean latency of a service's users, a call's own `maxLatency`, and `with` and `apart`, the
services that a service runs beside or never beside. Soft: `latencyWorth`, on
the users' mean latency and, in part, on that of the service's calls. An unknown latency is never permitted by a hard
rule, and counts as the longest on Earth for a soft one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, model_validator

from federation.atlas.distance import latency_matrix
from federation.atlas.lookup import country_place, region_place
from federation.atlas.places import Place
from federation.contracts.policy import FleetView, Opinion, PairLimit, PairTerm, Reason, Section, Tie
from federation.contracts.sections import grouped, strongest, ties
from federation.errors import InvalidInput
from federation.model.meta import Key, Value
from federation.model.quantity import Duration, Share, parse_duration_s

if TYPE_CHECKING:
    from federation.contracts.policy import Floats

CALL_SHARE = 0.25
"""What part of the users' requests waits for any one call of the service: a millisecond of a call's latency is worth
this part of a millisecond of the users'. An assumption, until gateways measure it."""
UNKNOWN_MS = 300.0
"""What an unknown latency counts as where it is only a price: about the longest round trip between two regions."""


def _known_region(value: str) -> str:
    try:
        region_place(value)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return value


def _known_country(value: str) -> str:
    try:
        country_place(value)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return value


def _positive_duration(value: str) -> str:
    if parse_duration_s(value) <= 0:
        raise ValueError(f"{value!r} is no latency: it has to be longer than nothing")
    return value


def _service(value: str) -> str:
    if not _SERVICE.fullmatch(value):
        raise ValueError(f"{value!r} is not a microservice; write name or namespace/name")
    return value


_SERVICE = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
Partners = Annotated[tuple[Annotated[str, AfterValidator(_service)], ...], Field(min_length=1, max_length=1000)]


class UserGroup(Value):
    """Users in a region or a country, and which share of all users they are."""

    region: Annotated[str, AfterValidator(_known_region)] | None = None
    country: Annotated[str, AfterValidator(_known_country)] | None = None
    share: Annotated[Share, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> UserGroup:
        if (self.region is None) == (self.country is None):
            raise ValueError("give either region or country")
        return self

    def place(self) -> Place:
        """Where they are."""
        return region_place(self.region) if self.region is not None else country_place(self.country or "")


class LocalitySection(Value):
    """`users`: where they are; shares of at most 100 % in all, weighed against each other; without any, all alike.
    `max_latency`: their mean latency at most. `latency_worth`: USD per hour for each millisecond of it. `beside`
    (`with`): services of which a replica runs in every sub-cluster of this one; `apart`: services that share no
    sub-cluster with it; by `name` in the same namespace or by `namespace/name`."""

    users: Annotated[tuple[UserGroup, ...], Field(min_length=1)] | None = None
    max_latency: Annotated[Duration, AfterValidator(_positive_duration)] | None = None
    latency_worth: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    beside: Annotated[Partners | None, Field(alias="with")] = None
    apart: Partners | None = None

    @model_validator(mode="after")
    def _consistent(self) -> LocalitySection:
        if not self.model_fields_set:
            raise ValueError("says nothing; give users, maxLatency, latencyWorth, with or apart")
        both = sorted(set(self.beside or ()) & set(self.apart or ()))
        if both:
            raise ValueError(f"with and apart: {', '.join(both)} cannot be both")
        shares = [group.share for group in self.users or ()]
        stated = [share for share in shares if share is not None]
        if stated and len(stated) < len(shares):
            raise ValueError("users: give a share to each group or to none")
        if sum(stated) > 1 + 1e-9:
            raise ValueError(f"users: the shares add up to {sum(stated):.0%}, more than 100%")
        places = [(group.region, group.country) for group in self.users or ()]
        if len(set(places)) < len(places):
            raise ValueError("users: a region or country is there twice")
        return self


Users = tuple[UserGroup, ...]


class LocalityEngine:
    """Prices latency, and denies too much of it."""

    name = "locality"
    section = "locality"
    schema: type[BaseModel] = LocalitySection

    def opine(self, view: FleetView) -> Opinion:
        """`latency`: what the users' mean latency costs. `call-latency`: the same for calls, by `CALL_SHARE`. A tie for
        each partner that there is, and a notice for each that there is not."""
        shape = (len(view.services), len(view.subclusters))
        denied, price, worth = np.zeros(shape, dtype=bool), np.zeros(shape), np.zeros(shape[0])
        for sections, services in grouped(view, self.name):
            users, rate = _users(sections), _worth(sections)
            rows = list(services)
            worth[rows] = rate
            if users is None:
                continue
            mean = _mean_ms(users, view.places)
            price[rows] = rate * np.where(np.isnan(mean), UNKNOWN_MS, mean)
            most = min((limit for _, limit in _limits(sections)), default=np.inf)
            denied[rows] = ~(mean <= most) if np.isfinite(most) else False
        replicas = np.array([service.spec.replicas for service in view.services])
        price[replicas == 0] = 0.0
        calls = latency_matrix(view.places)
        terms, limits = _call_terms(view, worth, calls), _call_limits(view, calls)
        prices = {"latency": price} if price.any() else {}
        ties, unknown = _ties(view)
        return Opinion(denied=denied, prices=prices, pairs=terms, limits=limits, ties=ties, notices=unknown)

    def explain(self, view: FleetView, service: int, subcluster: int) -> tuple[Reason, ...]:
        """Each `maxLatency` that the users' mean latency to the sub-cluster exceeds."""
        rows = view.sections.get(self.name, ())
        sections = rows[service] if rows else ()
        users = _users(sections)
        if users is None:
            return ()
        mean = float(_mean_ms(users, view.places)[subcluster])
        found = []
        for section, limit in _limits(sections):
            if np.isnan(mean):
                text = "its latency to the users is unknown, and limited; state spec.location.country"
                found.append(Reason("LatencyUnknown", "with unknown latency", text, section.origin))
            elif mean > limit:
                text = f"{mean:.0f} ms from its users on average, at most {limit:g} ms"
                found.append(Reason("TooFar", f"more than {limit:g} ms from users", text, section.origin))
        return tuple(found)

    def conflicts(self, sections: tuple[Section, ...]) -> tuple[str, ...]:
        """Different users or worths of the same precedence, and a `maxLatency` when nobody says where the users are."""
        homeless = [
            f"locality.maxLatency of {section.origin} needs users; no policy of the service states them"
            for section, _ in _limits(sections)
            if _users(sections) is None
        ]
        return (
            *ties(sections, "locality.users", lambda section: _value(section).users, _shown),
            *ties(sections, "locality.latencyWorth", lambda section: _value(section).latency_worth),
            *homeless,
        )


def _value(section: Section) -> LocalitySection:
    if not isinstance(section.value, LocalitySection):
        raise InvalidInput(f"{section.origin}: not a locality section")
    return section.value


def _users(sections: tuple[Section, ...]) -> Users | None:
    return strongest(sections, lambda section: _value(section).users)


def _worth(sections: tuple[Section, ...]) -> float:
    return strongest(sections, lambda section: _value(section).latency_worth) or 0.0


def _limits(sections: tuple[Section, ...]) -> list[tuple[Section, float]]:
    """The sections with a `maxLatency`, and that in milliseconds."""
    stated = ((section, _value(section).max_latency) for section in sections)
    return [(section, parse_duration_s(text) * 1000.0) for section, text in stated if text is not None]


def _shown(users: Users) -> str:
    return "[" + ", ".join(group.region or group.country or "" for group in users) + "]"


@lru_cache(maxsize=256)
def _mean_ms(users: Users, places: tuple[Place, ...]) -> Floats:
    """[C] the users' mean latency to each place in milliseconds, NaN where unknown; not to be written to."""
    share = np.array([1.0 if group.share is None else group.share for group in users])
    matrix = latency_matrix([*(group.place() for group in users), *places])
    return np.asarray(share / share.sum() @ matrix[: len(users), len(users) :], dtype=np.float64)


def _call_terms(view: FleetView, worth: Floats, latency_ms: Floats) -> tuple[PairTerm, ...]:
    calls = np.array([e for e, edge in enumerate(view.edges) if worth[edge.caller] > 0], dtype=np.int64)
    if not len(calls):
        return ()
    weight = np.array([CALL_SHARE * worth[view.edges[e].caller] for e in calls], dtype=np.float64)
    return (PairTerm("call-latency", calls, weight, np.where(np.isnan(latency_ms), UNKNOWN_MS, latency_ms)),)


def _call_limits(view: FleetView, latency_ms: Floats) -> tuple[PairLimit, ...]:
    limited = [(e, edge.max_latency_s) for e, edge in enumerate(view.edges) if edge.max_latency_s is not None]
    if not limited:
        return ()
    value = np.where(np.isnan(latency_ms), np.inf, latency_ms / 1000.0)
    calls = np.array([e for e, _ in limited], dtype=np.int64)
    return (PairLimit("maxLatency", calls, np.array([limit for _, limit in limited], dtype=np.float64), value),)


def _ties(view: FleetView) -> tuple[tuple[Tie, ...], tuple[str, ...]]:
    """What is to run beside or apart from what, and who is named and is not there. Nobody is tied to itself."""
    known: dict[Key, int] | None = None
    ties, unknown = [], []
    for sections, services in grouped(view, LocalityEngine.name):
        for section in sections:
            value = _value(section)
            partners = [(name, True) for name in value.beside or ()] + [(name, False) for name in value.apart or ()]
            for name, together in partners:
                known = _names(view) if known is None else known
                for service in services:
                    namespace, slash, plain = name.partition("/")
                    home = view.services[service].metadata.namespace
                    other = known.get(Key(namespace, plain) if slash else Key(home, name))
                    if other is None:
                        word = "with" if together else "apart from"
                        unknown.append(
                            f"{section.origin} has {view.services[service].key} run {word} {name}, which is no "
                            "microservice here; that is left out"
                        )
                    elif other != service:
                        ties.append(Tie(service, other, together, section.origin))
    return tuple(ties), tuple(sorted(set(unknown)))


def _names(view: FleetView) -> dict[Key, int]:
    """Services by name, their own before anybody's alias."""
    known: dict[Key, int] = {}
    for index, service in enumerate(view.services):
        for alias in service.spec.aliases:
            known.setdefault(Key(service.metadata.namespace, alias), index)
    known.update({service.key: index for index, service in enumerate(view.services)})
    return known


ENGINE = LocalityEngine()

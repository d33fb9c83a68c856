"""What has been judged, and under which rules: nothing new is started on the word of a verdict that rules overtook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.engine.cache import Cache
from federation.engine.judging import Verdict
from federation.model.meta import Key
from federation.model.microservice import Microservice

Mark = tuple[str, int, tuple[tuple[str, str], ...]]
"""Which state of a service was judged: uid, generation, labels."""


def mark_of(service: Microservice) -> Mark:
    """The state of a service, as far as rules may look at it."""
    metadata = service.metadata
    return metadata.uid, metadata.generation, tuple(metadata.labels.items()) if metadata.labels else ()


@dataclass
class Verdicts:
    """The newest verdict on everything, and newer ones on single services. `rules` counts changes of policies and
    sub-clusters: a verdict counts while it was made under the present ones, of the service as it is now."""

    cache: Cache
    rules: int = 0
    full: Verdict | None = None
    _full_rules: int = -1
    _seen: Mapping[Key, Mark] = field(default_factory=dict)
    _services: Mapping[Key, Microservice] = field(default_factory=dict)
    _single: dict[Key, tuple[Verdict, int, Microservice]] = field(default_factory=dict)
    _waiting: set[Key] = field(default_factory=set)

    def of(self, key: Key) -> Verdict | None:
        """The verdict that counts for the service; None while there is none. Who asked in vain is told by `release`."""
        service = self.cache.of(Microservice).get(key)
        if service is not None:
            single = self._single.get(key)
            if single is not None and single[1] == self.rules and mark_of(single[2]) == mark_of(service):
                return single[0]
            if self._full_rules == self.rules and self._seen.get(key) == mark_of(service):
                return self.full
        self._waiting.add(key)
        return None

    @property
    def current(self) -> Verdict | None:
        """The verdict on everything, if it was made under the present rules."""
        return self.full if self._full_rules == self.rules else None

    def forbidden(self, key: Key, subcluster: str) -> str | None:
        """Why a hard rule forbids it there; "" when none does; None while that is not judged."""
        verdict = self.of(key)
        if verdict is None:
            return None
        why = verdict.forbidden(key, subcluster)
        if why:
            self._waiting.add(key)
        return why

    def last_seen(self, key: Key) -> Microservice | None:
        """The service as it was when it was judged last."""
        single = self._single.get(key)
        return single[2] if single is not None else self._services.get(key)

    def knows(self, service: Microservice) -> bool:
        """Whether the service has been judged as it is, be it under older rules."""
        last = self.last_seen(service.key)
        return last is not None and mark_of(last) == mark_of(service)

    def add(self, verdict: Verdict, services: Mapping[Key, Microservice]) -> None:
        """Take over a verdict on single services, made under the present rules."""
        for key, service in services.items():
            self._single[key] = (verdict, self.rules, service)

    def replace(self, verdict: Verdict, rules: int, services: Mapping[Key, Microservice]) -> None:
        """Take over a verdict on all services, made under the rules number `rules`."""
        self.full, self._full_rules = verdict, rules
        self._services, self._seen = services, {key: mark_of(service) for key, service in services.items()}
        self._single = {
            key: kept
            for key, kept in self._single.items()
            if key in self.cache.of(Microservice) and mark_of(kept[2]) != self._seen.get(key)
        }

    def keep(self, rules: int) -> None:
        """No judgement was possible under those rules: what was judged before goes on to count."""
        if self.full is not None:
            self._full_rules = rules

    def release(self) -> set[Key]:
        """Who asked since the last call and was told to wait, or that a rule forbids it."""
        waiting, self._waiting = self._waiting, set()
        return waiting

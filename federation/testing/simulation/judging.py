"""A tiny decision for the simulation: the cheapest place that is allowed, healthy and has room; what runs stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.engine.situation import Situation, Verdict
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.placement import Target
from federation.model.plan import Plan, PlannedService
from federation.model.podtemplate import requests
from federation.model.policy import Policy
from federation.model.subcluster import SubCluster


def forbidden_by(policy: Policy, service: Microservice, country: str | None) -> bool:
    """Whether the residency rule of `policy` keeps `service` out of `country`."""
    if not policy.spec.selector.matches(service.metadata.labels):
        return False
    section = policy.spec.sections.get("compliance")
    residency = section.get("residency") if isinstance(section, Mapping) else None
    allow = residency.get("allow") if isinstance(residency, Mapping) else None
    return isinstance(allow, list) and country not in allow


@dataclass
class TinyVerdict:
    """Implements `federation.engine.situation.Verdict`."""

    situation: Situation
    plan: Plan = field(init=False)
    _free: dict[str, float] = field(default_factory=dict)
    _used: dict[Key, dict[str, float]] = field(default_factory=dict)
    _placed: dict[Key, tuple[Target, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = {record.metadata.name: record for record in self.situation.subclusters}
        self._services = {service.key: service for service in self.situation.services}
        self._free = {name: sum(o.cpu_cores for o in r.status.offers) for name, r in self._places.items()}
        order = sorted(self.situation.services, key=lambda s: (self._standing(s.key) is None, s.key))
        for service in order:
            if service.key in self.situation.fixed:
                self._take(service, self.situation.fixed[service.key])
        for service in order:
            if service.key not in self.situation.fixed:
                self._take(service, self._choose(service))
        self.plan = Plan(placements=tuple(self._planned(service) for service in self.situation.services))

    def _standing(self, key: Key) -> tuple[Target, ...] | None:
        placement = self.situation.placements.get(key)
        return placement.spec.targets if placement is not None and placement.spec.targets else None

    def _take(self, service: Microservice, targets: tuple[Target, ...]) -> None:
        cores = requests(service.spec.template).cpu_cores
        self._placed[service.key] = targets
        self._used[service.key] = {target.subcluster: target.replicas * cores for target in targets}
        for name, used in self._used[service.key].items():
            self._free[name] = self._free.get(name, 0.0) - used

    def _candidates(self, service: Microservice) -> list[str]:
        standing = {target.subcluster for target in self._standing(service.key) or ()}
        found = []
        for name, record in self._places.items():
            health = record.status.health
            usable = health in ("Healthy", "Silent") or (health == "Returning" and name in standing)
            if usable and not self.forbidden(service.key, name):
                found.append((self._price(record) * (0.9 if name in standing else 1.0), name))
        return [name for _, name in sorted(found)]

    @staticmethod
    def _price(record: SubCluster) -> float:
        price = record.spec.pricing.cpu_hour
        return price if price is not None else 1.0

    def _choose(self, service: Microservice) -> tuple[Target, ...]:
        names, replicas = self._candidates(service), service.spec.replicas
        cores = requests(service.spec.template).cpu_cores
        spread = service.metadata.labels.get("spread") == "yes" and replicas > 1
        share = -(-replicas // 2) if spread else replicas
        left, targets = replicas, []
        for name in names:
            count = min(left, share)
            if count and self._free.get(name, 0.0) >= count * cores:
                targets.append(Target(subcluster=name, replicas=count))
                left -= count
        return tuple(sorted(targets, key=lambda target: target.subcluster)) if left == 0 else ()

    def _planned(self, service: Microservice) -> PlannedService:
        targets = self._placed[service.key]
        if targets or service.spec.replicas == 0:
            return _answer(service, "placed", targets, ())
        if self._candidates(service):
            return _answer(service, "full", (), ("no sub-cluster has room",))
        return _answer(service, "denied", (), ("every sub-cluster is out",))

    def stands(self, key: Key) -> bool:
        """See `Verdict.stands`."""
        return self._standing(key) is not None

    def forbidden(self, key: Key, subcluster: str) -> str:
        """Why residency forbids it there."""
        service, record = self._services.get(key), self._places.get(subcluster)
        if service is None or record is None:
            return ""
        country = record.spec.location.country
        names = [p.metadata.name for p in self.situation.policies if forbidden_by(p, service, country)]
        return f"{subcluster} is in {country}, outside of {names[0]}" if names else ""

    def objection(self, key: Key, subcluster: str) -> str:
        """Why it could not be started there now."""
        rule = self.forbidden(key, subcluster)
        if rule:
            return rule
        service, record = self._services[key], self._places[subcluster]
        if record.status.health != "Healthy":
            return f"{subcluster} is {record.status.health.lower()}"
        free = self._free[subcluster] + self._used.get(key, {}).get(subcluster, 0.0)
        if free < service.spec.replicas * requests(service.spec.template).cpu_cores:
            return f"{subcluster} has no room"
        return ""


def _answer(service: Microservice, verdict: str, targets: tuple[Target, ...], why: tuple[str, ...]) -> PlannedService:
    return PlannedService.model_validate(
        {
            "namespace": service.metadata.namespace,
            "service": service.metadata.name,
            "verdict": verdict,
            "targets": targets,
            "reasons": why,
        }
    )


def judge_simply(situation: Situation) -> TinyVerdict:
    """A `federation.engine.situation.Judgement`."""
    return TinyVerdict(situation)


def judge_really(situation: Situation) -> Verdict:
    """The real planner with the real policy engines, over places that are known by country only."""
    from federation.app import policy_engines
    from federation.atlas.lookup import place_of
    from federation.planner.decide import Judgement
    from federation.planner.request import prepare
    from federation.planner.world import World

    world = World(
        situation.subclusters, situation.services, situation.policies, situation.placements, situation.migrations
    )
    places = {record.metadata.name: place_of(record.spec, None) for record in situation.subclusters}
    images = {record.metadata.name: True for record in situation.subclusters}
    return Judgement(prepare(world, policy_engines(), places, situation.now, images=images, fixed=situation.fixed))

"""What one seed stands for: a fleet, services, policies, and a schedule of what people and fate do."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

Argument = str | float | int


@dataclass(frozen=True)
class PlaceSpec:
    """One sub-cluster: where it stands, how many replicas fit, what a core costs per hour, how names are reached."""

    name: str
    country: str
    capacity: int
    cpu_hour_usd: float
    rewrites: bool


@dataclass(frozen=True)
class ServiceSpec:
    """One microservice. `personal` data is what residency policies are about."""

    name: str
    replicas: int
    personal: bool = False
    spread: bool = False
    stateful: bool = False
    min_available: int | None = None
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Action:
    """What somebody does, or what happens, at `at_s` virtual seconds."""

    at_s: float
    verb: str
    args: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        words = [f"{arg:g}" if isinstance(arg, float) else str(arg) for arg in self.args]
        return f"{self.at_s:7.2f} s  {self.verb} {' '.join(words)}".rstrip()


@dataclass(frozen=True)
class Scenario:
    """Everything about one run. The same scenario gives the same run, in every process."""

    seed: int
    places: tuple[PlaceSpec, ...]
    services: tuple[ServiceSpec, ...]
    residency: tuple[str, ...]
    automatic: bool
    actions: tuple[Action, ...]

    def with_actions(self, actions: tuple[Action, ...]) -> Scenario:
        """The same fleet under another schedule."""
        return replace(self, actions=actions)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, moves for cost: {'automatic' if self.automatic else 'manual'}"]
        lines += [f"  {p.name} in {p.country}: {p.capacity} replicas, {p.cpu_hour_usd} USD/h" for p in self.places]
        for service in self.services:
            marks = [mark for mark in ("personal", "spread", "stateful") if getattr(service, mark)]
            lines.append(f"  {service.name} x{service.replicas} {' '.join(marks)}".rstrip())
        if self.residency:
            lines.append(f"  personal data only in {', '.join(self.residency)}")
        return "\n".join([*lines, "schedule:", *(f"  {action}" for action in self.actions)])


_PLACES = (("onprem", "DE"), ("gce", "NL"), ("ec2", "US"), ("azure", "FR"))
_SCHEDULE_S = 45.0


def make_scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = random.Random(f"{seed}/scenario")  # noqa: S311 - a seed to be repeated, no secret
    room = chance.choice(((14, 24), (14, 24), (7, 12)))
    places = tuple(
        PlaceSpec(name, country, chance.randint(*room), round(chance.uniform(0.01, 0.09), 3), chance.random() < 0.4)
        for name, country in _PLACES[: chance.choice((3, 4, 4))]
    )
    services = _services(chance)
    residency: tuple[str, ...] = tuple(sorted(chance.sample(("DE", "NL", "FR"), 2))) if chance.random() < 0.5 else ()
    actions = [_action(chance, services, places) for _ in range(chance.randint(8, 20))]
    actions += [
        Action(move.at_s, "kill-at-write", (chance.randint(3, 24), chance.choice((0.2, 1.0, 5.0))))
        for move in actions
        if move.verb == "migrate" and chance.random() < 0.4
    ]
    actions += [Action(0.0, "create", (service.name,)) for service in services]
    return Scenario(
        seed,
        places,
        services,
        residency,
        chance.random() < 0.5,
        tuple(sorted(actions, key=lambda action: (action.at_s, str(action)))),
    )


def _services(chance: random.Random) -> tuple[ServiceSpec, ...]:
    count = chance.randint(4, 7)
    names = [f"s{number}" for number in range(count)]
    services = [ServiceSpec("db", 1, personal=chance.random() < 0.5, stateful=True)]
    for name in names:
        replicas = chance.randint(1, 4)
        services.append(
            ServiceSpec(
                name,
                replicas,
                personal=chance.random() < 0.4,
                spread=replicas > 1 and chance.random() < 0.3,
                min_available=chance.choice((None, None, 1, replicas)),
                calls=tuple(sorted(chance.sample(["db", *names], chance.randint(0, 2)))),
            )
        )
    return tuple(services)


def _action(chance: random.Random, services: tuple[ServiceSpec, ...], places: tuple[PlaceSpec, ...]) -> Action:
    at_s = round(chance.uniform(2.0, _SCHEDULE_S), 2)
    service = chance.choice(services).name
    movable = chance.choice(services[1:]).name
    place = chance.choice(places).name
    length_s = round(chance.choice((1.0, 1.0, 3.0, 8.0)) * chance.uniform(0.5, 3.0), 2)
    options: tuple[tuple[int, str, tuple[Argument, ...]], ...] = (
        (8, "migrate", (movable, place)),
        (2, "migrate-twice", (movable, place, chance.choice(places).name)),
        (2, "rollback", (movable,)),
        (2, "unpin", (movable,)),
        (3, "scale", (movable, chance.randint(0, 5))),
        (3, "template", (service,)),
        (1, "delete", (movable,)),
        (2, "create", (movable,)),
        (2, "forbid", (place,)),
        (2, "forbid", (place, round(chance.uniform(3.0, 20.0), 1))),
        (3, "permit", ()),
        (3, "drain", (place, chance.randint(1, 3))),
        (3, "undrain", (place,)),
        (2, "taint", (place, chance.choice(("NoSchedule", "NoExecute", "NoExecute")))),
        (3, "untaint", (place,)),
        (2, "pause", (movable, length_s)),
        (2, "price", (place, round(chance.uniform(0.01, 0.09), 3))),
        (4, "kill-pod", (service, place)),
        (3, "wipe", (service, place)),
        (3, "crash", (place, length_s)),
        (3, "cut-off", (place, length_s)),
        (4, "trouble", (place, length_s, chance.choice((0.3, 0.7, 1.0)))),
        (3, "gateway-trouble", (chance.choice(("edge", place)), length_s, chance.choice((0.3, 0.7, 1.0)))),
        (2, "errors", (place, length_s)),
        (1, "gateway-reset", (chance.choice(("edge", place)),)),
        (2, "store-outage", (round(chance.uniform(0.2, 6.0), 2),)),
        (2, "set-clock", (round(chance.choice((-1, 1)) * chance.choice((2.0, 60.0, 4000.0)), 2),)),
        (6, "kill-controller", (chance.randint(1, 120), chance.choice((0.2, 1.0, 5.0)))),
        (4, "kill-at-write", (chance.randint(1, 24), chance.choice((0.2, 1.0, 5.0)))),
    )
    weights = [weight for weight, _, _ in options]
    _, verb, args = chance.choices(options, weights)[0]
    return Action(at_s, verb, args)

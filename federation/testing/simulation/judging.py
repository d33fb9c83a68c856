"""The decisions of a simulated controller: the real planner; and residency once more, told apart for the checks."""

from __future__ import annotations

from collections.abc import Mapping

from federation.engine.judging import Situation, Verdict
from federation.model.microservice import Microservice
from federation.model.policy import Policy


def forbidden_by(policy: Policy, service: Microservice, country: str | None) -> bool:
    """Whether the residency rule of `policy` keeps `service` out of `country`."""
    if not policy.spec.selector.matches(service.metadata.labels):
        return False
    section = policy.spec.sections.get("compliance")
    residency = section.get("residency") if isinstance(section, Mapping) else None
    allow = residency.get("allow") if isinstance(residency, Mapping) else None
    return isinstance(allow, list) and country not in allow


def judge_really(situation: Situation) -> Verdict:
    """The real planner with the real policy engines, over places that are known by country only."""
    from federation.app import policy_engines
    from federation.atlas.lookup import place_of
    from federation.planner.decide import Judgement
    from federation.planner.request import prepare
    from federation.planner.world import World

    world = World(
        situation.subclusters,
        situation.services,
        situation.policies,
        situation.placements,
        situation.migrations,
        situation.moving,
    )
    places = {record.metadata.name: place_of(record.spec, None) for record in situation.subclusters}
    images = {record.metadata.name: True for record in situation.subclusters}
    request = prepare(world, policy_engines(), places, situation.now, images=images, fixed=situation.fixed)
    return Judgement(request, certify=False)

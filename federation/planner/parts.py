"""Into how many parts services are divided: known once every engine was asked, and of consequence for some prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from federation.contracts.policy import FleetView, Opinion, PolicyEngine
from federation.planner.problem import SpreadRule

if TYPE_CHECKING:
    from federation.contracts.policy import Ints


def ask(view: FleetView, engines: Sequence[PolicyEngine]) -> tuple[FleetView, tuple[Opinion, ...]]:
    """Every engine's opinion, in order, and the view that it is on: where services are divided, the engines that price
    whole machines are asked again, now for the parts."""
    opinions = tuple(engine.opine(view) for engine in engines)
    if not any(view.machines) or not any(opinion.spread for opinion in opinions):
        return view, opinions
    view = replace(view, parts=_parts(view, opinions))
    return view, tuple(
        opinion if opinion.noted is None else engine.opine(view)
        for engine, opinion in zip(engines, opinions, strict=True)
    )


def _parts(view: FleetView, opinions: Sequence[Opinion]) -> Ints:
    """[S] in how many sub-clusters each service has to run, at least."""
    parts = np.ones(len(view.services), dtype=np.int64)
    for opinion in opinions:
        for term in opinion.spread:
            columns = zip(term.services.tolist(), term.min_domains.tolist(), term.max_share.tolist(), strict=True)
            for service, least, most in columns:
                rule = SpreadRule(term.topology, least, most, term.domain)
                needed = rule.domains_needed(view.services[service].spec.replicas)
                parts[service] = max(parts[service], needed or 1)
    return parts

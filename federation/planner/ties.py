"""Services that have to run with each other or apart: what that closes, what breaks it, what contradicts itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from federation.contracts.policy import FleetView, Opinion, Reason, Tie
from federation.model.meta import Key

if TYPE_CHECKING:
    from federation.contracts.policy import Bools, Ints


def all_ties(view: FleetView, opinions: Sequence[Opinion]) -> tuple[Tie, ...]:
    """Every tie between two services that have replicas, each once, in a stable order."""
    idle = [service.spec.replicas == 0 for service in view.services]
    found = {tie: None for opinion in opinions for tie in opinion.ties if not idle[tie.first] and not idle[tie.second]}
    return tuple(sorted(found, key=lambda tie: (tie.first, tie.second, tie.together, tie.origin)))


def forbidden_pairs(ties: Sequence[Tie], subclusters: int) -> tuple[Ints, Bools]:
    """For each tie which of the matrices [2, C, C] of forbidden pairs of places applies, first service by second:
    together is everything but the same place, apart is the same place."""
    same = np.eye(subclusters, dtype=bool)
    return np.array([0 if tie.together else 1 for tie in ties], dtype=np.int64), np.array([~same, same])


def is_broken(tie: Tie, counts: Ints) -> bool:
    """Whether the two so placed [S, C] break the tie; never while one of them has no place."""
    first, second = counts[tie.first] > 0, counts[tie.second] > 0
    if not first.any() or not second.any():
        return False
    return bool((first & ~second).any() if tie.together else (first & second).any())


def tie_reasons(view: FleetView, ties: Sequence[Tie], counts: Ints, service: int) -> list[Reason]:
    """Why the service may not stand as `counts` [S, C] has it, with the others as they are: the ties that it breaks."""
    if not ties:
        return []
    keys = view.keys()
    found = []
    for tie in ties:
        if service not in (tie.first, tie.second) or not is_broken(tie, counts):
            continue
        other = tie.second if tie.first == service else tie.first
        there = _where(view, counts[other])
        code = "NotTogether" if tie.together else "NotApart"
        if tie.first == service:
            word = "with" if tie.together else "apart from"
            short, text = f"not {word} {keys[other]}", f"has to run {word} {keys[other]}, which runs in {there}"
        else:
            word = "with it" if tie.together else "apart from it"
            text = f"{keys[other]}, which runs in {there}, has to run {word}"
            short = f"not where {keys[other]} needs it" if tie.together else f"taken by {keys[other]}"
        found.append(Reason(code, short, text, tie.origin))
    return found


def kept_ties(view: FleetView, ties: Sequence[Tie], counts: Ints, service: int) -> list[str]:
    """What the service is tied to, as short sentences: `with shop/db (ClusterPlacementPolicy data)`."""
    if not ties:
        return []
    keys = view.keys()
    return [
        f"{'with' if tie.together else 'apart from'} {keys[tie.second]} ({tie.origin})"
        for tie in ties
        if tie.first == service and counts[tie.second].any() and not is_broken(tie, counts)
    ]


def contradictions(view: FleetView, ties: Sequence[Tie]) -> dict[Key, tuple[str, ...]]:
    """Services that would have to run both with and apart from each other, by the service that can run nowhere."""
    keys = view.keys()
    joined: dict[int, list[Tie]] = {}
    for tie in ties:
        if tie.together:
            joined.setdefault(tie.first, []).append(tie)
    parted = [tie for tie in ties if not tie.together]
    found = {}
    for service in sorted(joined):
        near = _reached(service, joined)
        messages = []
        for tie in parted:
            if tie.first in near and tie.second in near:
                origins = dict.fromkeys([*near[tie.first], *near[tie.second]])
                named = " and ".join(origins) or tie.origin
                messages.append(
                    f"locality: {named} would have {keys[service]} run with {_named(keys, service, tie)}, and "
                    f"{tie.origin} has {keys[tie.first]} run apart from {keys[tie.second]}"
                )
        if messages:
            found[keys[service]] = tuple(dict.fromkeys(messages))
    return found


def _named(keys: Sequence[Key], service: int, tie: Tie) -> str:
    return " and ".join(str(keys[each]) for each in (tie.first, tie.second) if each != service)


def _reached(service: int, joined: dict[int, list[Tie]]) -> dict[int, tuple[str, ...]]:
    """Every service that runs wherever this one does, itself included, and by which policies."""
    found: dict[int, tuple[str, ...]] = {service: ()}
    queue = [service]
    for at in queue:
        for tie in joined.get(at, ()):
            if tie.second not in found:
                found[tie.second] = (*found[at], tie.origin)
                queue.append(tie.second)
    return found


def _where(view: FleetView, row: Ints) -> str:
    return " and ".join(view.subclusters[c].metadata.name for c in np.flatnonzero(row).tolist())

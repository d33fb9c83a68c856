"""What policy engines do with the sections that apply to services: group alike services, settle single values.

A section object is shared by all services that its policy selects, so work is done once per section, not per service.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from federation.contracts.policy import FleetView, Section

Setting = TypeVar("Setting")


def grouped(view: FleetView, engine: str) -> tuple[tuple[tuple[Section, ...], tuple[int, ...]], ...]:
    """The services (indices, ascending) to which the same sections of the engine apply, with those sections; services
    without any are left out. In order of the groups' first services."""
    rows = view.sections.get(engine, ())
    groups: dict[tuple[int, ...], tuple[tuple[Section, ...], list[int]]] = {}
    for service, sections in enumerate(rows):
        if sections:
            groups.setdefault(tuple(map(id, sections)), (sections, []))[1].append(service)
    return tuple((sections, tuple(services)) for sections, services in groups.values())


def by_section(view: FleetView, engine: str) -> tuple[tuple[Section, tuple[int, ...]], ...]:
    """Every section of the engine with the services (indices, ascending) it applies to, in order of appearance."""
    found: dict[int, tuple[Section, list[int]]] = {}
    for sections, services in grouped(view, engine):
        for section in sections:
            found.setdefault(id(section), (section, []))[1].extend(services)
    return tuple((section, tuple(sorted(services))) for section, services in found.values())


def strongest(sections: Sequence[Section], read: Callable[[Section], Setting | None]) -> Setting | None:
    """A single-valued setting: that of the highest precedence that states it, of equals the first by origin; None when
    nobody does."""
    stated = [section for section in sections if read(section) is not None]
    best = min(stated, key=lambda section: (-section.precedence, section.origin), default=None)
    return None if best is None else read(best)


def ties(
    sections: Sequence[Section],
    name: str,
    read: Callable[[Section], Setting | None],
    show: Callable[[Setting], str] = str,
) -> tuple[str, ...]:
    """The conflict over a single-valued setting, if there is one: the same highest precedence, different values."""
    stated = [(section, value) for section in sections if (value := read(section)) is not None]
    top = max((section.precedence for section, _ in stated), default=0)
    rivals = sorted(((s.origin, value) for s, value in stated if s.precedence == top), key=lambda rival: rival[0])
    for origin, value in rivals[1:]:
        if value != rivals[0][1]:
            return (
                f"{name}: {rivals[0][0]} says {show(rivals[0][1])} and {origin} says {show(value)}, both with "
                f"precedence {top}; give one of them a higher precedence",
            )
    return ()

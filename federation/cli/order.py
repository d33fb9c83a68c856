"""In which order services stop: callers before those they call."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def callers_first(calls: Mapping[T, Collection[T]]) -> list[list[T]]:
    """All keys of `calls` in layers, each key after everything that calls it; those that call each other, in one layer.

    Args: calls, whom each one calls; others than the keys are of no matter. Within a layer the order of `calls` stays.
    Time grows with keys times calls only where there are circles."""
    callees = {one: {other for other in called if other in calls and other != one} for one, called in calls.items()}
    left = dict.fromkeys(calls)
    layers = []
    while left:
        called = {other for one in left for other in callees[one]}
        layer = [one for one in left if one not in called] or _first_circle(left, callees)
        layers.append(layer)
        for one in layer:
            del left[one]
    return layers


def _first_circle(left: Collection[T], callees: Mapping[T, Collection[T]]) -> list[T]:
    """Those of a circle that nobody outside of it calls. `left`: everybody in it is called by somebody."""
    reached = {one: _reach(one, left, callees) for one in left}
    for one in left:
        circle = [other for other in left if other in reached[one] and one in reached[other]]
        if circle and all(other in circle for other in left if one in reached[other]):
            return circle
    raise AssertionError("everybody is called, so there is a circle, and one is the first")


def _reach(start: T, left: Collection[T], callees: Mapping[T, Collection[T]]) -> set[T]:
    found: set[T] = set()
    waiting = [start]
    while waiting:
        for other in callees[waiting.pop()]:
            if other in left and other not in found:
                found.add(other)
                waiting.append(other)
    return found

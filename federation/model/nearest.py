"""The nearest known names to one that is not known, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 12


def nearest(unknown: str, known: Iterable[str], count: int = 1) -> tuple[str, ...]:
    """At most `count` names of `known` that resemble `unknown`, best first; letter case is ignored."""
    names: dict[str, str] = {}
    for name in sorted(known):
        names.setdefault(name.casefold(), name)
    # difflib is quadratic in the length of both names: an absurdly long one resembles nothing.
    if len(unknown) > 100:
        return ()
    return tuple(names[match] for match in get_close_matches(unknown.casefold(), names, n=count, cutoff=0.6))


def suggestion(unknown: str, known: Iterable[str]) -> str:
    """The end of a message on an unknown name: `did you mean X?`, or a list of what is known."""
    names = sorted(known)
    close = nearest(unknown, names)
    if close:
        return f"did you mean `{close[0]}`?"
    if not names:
        return "none is known here"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"known: {', '.join(names[:_SHOWN])}{more}"

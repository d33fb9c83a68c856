"""Memory that is not needed any more goes back to the machine, where the C library is one that can be told to."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from federation.engine.judging import Judgement, Situation, Verdict

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 256 * 1024
_ARENAS = 2
_MANY_SERVICES = 1_000


def be_thrifty() -> None:
    """Have few heaps for all threads, and large arrays outside of them, so that what is freed can be given back.

    To be called before threads are started. Source: glibc manual, "Malloc Tunable Parameters"; elsewhere nothing."""
    mallopt = _found("mallopt")
    if mallopt is not None:
        for name, value in ((_ARENA_MAX, _ARENAS), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, _LARGE_BYTES)):
            mallopt(name, value)


def giving_back(judgement: Judgement) -> Judgement:
    """`judgement`, after which what it needed meanwhile is given back, where that is much."""

    def judge(situation: Situation) -> Verdict:
        verdict = judgement(situation)
        trim = _found("malloc_trim")
        if trim is not None and len(situation.services) >= _MANY_SERVICES:
            trim(0)
        return verdict

    return judge


@cache
def _found(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # no C library that can be asked
        return None
    return found

"""Memory of a controller that holds thousands of objects: what it needs no more goes back to the machine, where the C
library is one that can be told to; and what it keeps is not looked through for garbage again and again."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from federation.engine.judging import Judgement, Situation, Verdict
from federation.store.collector import making_many

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 256 * 1024
_ARENAS = 2
_MANY_SERVICES = 1_000
_FULL = 2
_LOOK_THROUGH_S = 3600.0
"""How often everything is looked through for garbage: with 10,000 services that takes a second in which nothing else is
done."""


def be_thrifty() -> None:
    """Have few heaps for all threads, and large arrays outside of them, so that what is freed can be given back.

    To be called before threads are started. Source: glibc manual, "Malloc Tunable Parameters"; elsewhere nothing."""
    mallopt = _found("mallopt")
    if mallopt is not None:
        for name, value in ((_ARENA_MAX, _ARENAS), (_MMAP_THRESHOLD, _LARGE_BYTES), (_TRIM_THRESHOLD, _LARGE_BYTES)):
            mallopt(name, value)


@contextmanager
def collecting_once() -> Iterator[None]:
    """Within, Python's collector of cyclic garbage looks at each object only until it has survived a full collection.

    Otherwise every so many new objects it looks through all that the controller holds, a second at a time. What it
    leaves alone is still freed when nothing refers to it any more; cycles among it wait for the look through everything
    that is due once an hour. Source: Python's documentation of `gc.freeze` and `gc.callbacks`."""
    looked_at = [time.monotonic()]

    def on_collection(phase: str, info: dict[str, int]) -> None:
        if info["generation"] < _FULL:
            return
        if phase == "stop":
            gc.freeze()
        elif time.monotonic() - looked_at[0] > _LOOK_THROUGH_S:
            gc.unfreeze()
            looked_at[0] = time.monotonic()

    gc.callbacks.append(on_collection)
    try:
        yield
    finally:
        gc.callbacks.remove(on_collection)
        gc.unfreeze()


def giving_back(judgement: Judgement) -> Judgement:
    """`judgement`, after which what it needed meanwhile is given back, where that is much. Meanwhile nothing is looked
    through for garbage."""

    def judge(situation: Situation) -> Verdict:
        if len(situation.services) < _MANY_SERVICES:
            return judgement(situation)
        with making_many():
            verdict = judgement(situation)
        gc.freeze()
        trim = _found("malloc_trim")
        if trim is not None:
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

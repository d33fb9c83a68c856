"""What the demo measured, act by act, and which of its bars were missed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from federation.sandbox.load import Record, summarise

RETRIED_SHARE = 0.001
"""At most this share of the requests of a planned act may have been retried by a gateway."""
P99_RATIO = 2.0
"""A planned act's p99 may be at most this many times the p99 before it."""
RESTORED_S = 5.0
"""After a sub-cluster was killed, no request may fail later than this."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act as it was played: wall-clock seconds, what the gateways retried meanwhile, and rules seen broken.

    `planned` acts must not fail a request; others only until `RESTORED_S` after their start."""

    name: str
    service: str
    source: str
    target: str
    planned: bool
    start_s: float
    end_s: float
    retried: int
    violations: tuple[str, ...] = ()


class Report(TypedDict):
    """The whole report. `violations` counts rules seen broken; `missed` names the bars that were not met."""

    requests: int
    failed: int
    retried: int
    violations: int
    p50_ms: float | None
    p99_ms: float | None
    acts: list[dict[str, object]]
    missed: list[str]


def report_act(act: Act, records: Iterable[Record], before: tuple[float, float]) -> dict[str, object]:
    """The figures of an act; `before` is the window (start, end) it is compared with."""
    records = list(records)
    during = summarise(records, act.start_s, act.end_s)
    calm = summarise(records, *before)
    return {
        "name": act.name,
        "service": act.service,
        "from": act.source,
        "to": act.target,
        "seconds": round(act.end_s - act.start_s, 2),
        "requests": during["requests"],
        "failed": during["failed"],
        "failures": during["failures"],
        "retried": act.retried,
        "p50_ms": _rounded(during["p50_ms"]),
        "p99_ms": _rounded(during["p99_ms"]),
        "p99_before_ms": _rounded(calm["p99_ms"]),
        "last_failure_s": _rounded(during["last_failure_s"]),
    }


def missed_bars(act: Act, figures: dict[str, object]) -> list[str]:
    """One sentence for each bar that the act missed; empty when it met all."""
    missed = [f"{act.name}: {violation}" for violation in act.violations]
    failed, requests = _number(figures["failed"]), _number(figures["requests"])
    if requests == 0:
        missed.append(f"{act.name}: no request was made")
    if act.planned:
        if failed:
            missed.append(f"{act.name}: {failed:.0f} requests failed, none may")
        if act.retried > RETRIED_SHARE * requests:
            missed.append(f"{act.name}: {act.retried} of {requests:.0f} requests retried, over {RETRIED_SHARE:.1%}")
        before, during = figures["p99_before_ms"], figures["p99_ms"]
        if before is not None and during is not None and _number(during) > P99_RATIO * _number(before):
            missed.append(f"{act.name}: p99 {during} ms is over {P99_RATIO:g} times {before} ms")
    elif figures["last_failure_s"] is not None and _number(figures["last_failure_s"]) > RESTORED_S:
        missed.append(
            f"{act.name}: a request failed {figures['last_failure_s']} s after the kill, over {RESTORED_S:g} s"
        )
    return missed


def build_report(
    acts: Sequence[Act], befores: Sequence[tuple[float, float]], records: Sequence[Record], retried: int
) -> Report:
    """The report of a whole run. `retried`: by all gateways from first to last request."""
    entries = [report_act(act, records, before) for act, before in zip(acts, befores, strict=True)]
    everything = summarise(records, float("-inf"), float("inf"))
    return Report(
        requests=everything["requests"],
        failed=everything["failed"],
        retried=retried,
        violations=sum(len(act.violations) for act in acts),
        p50_ms=_rounded(everything["p50_ms"]),
        p99_ms=_rounded(everything["p99_ms"]),
        acts=entries,
        missed=[bar for act, figures in zip(acts, entries, strict=True) for bar in missed_bars(act, figures)],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0

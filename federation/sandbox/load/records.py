"""What the load generator writes down of each request, and the figures of a window of them.

A latency counts from the moment at which the request was due, not from when it was sent: a generator that waits for a
slow answer must not forget the requests that users would have made meanwhile ("coordinated omission", Gil Tene).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict


class Record(NamedTuple):
    """One request. `failure` is empty, or the kind: connect, closed, timeout, status, body, lost-write."""

    due_s: float  # wall clock (time.time) at which it was due
    latency_ms: float  # from then until its answer was verified, or it had failed
    page: str
    failure: str = ""
    detail: str = ""

    @property
    def end_s(self) -> float:
        """Wall clock at which the outcome was known."""
        return self.due_s + self.latency_ms / 1000


class Summary(TypedDict):
    """Figures of a window. Percentiles are those of the verified answers; None when there are none."""

    requests: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    last_failure_s: float | None  # from the window's start to the moment at which the last failure was known
    failures: dict[str, int]  # by kind


class Figures(TypedDict):
    """One interval, as the generator reports it: what was due in it, and what ended in it."""

    t: float  # wall clock at its end
    sent: int
    ok: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None


class Totals(Figures):
    """The generator's last line. Of `writes` acknowledged cart writes, `lost_writes` were not there when read back;
    `unverified_writes` could not be read back (the shop was gone, or a failed checkout may have taken them)."""

    final: bool
    seconds: float
    failures: dict[str, int]
    writes: int
    lost_writes: int
    unverified_writes: int
    connections: int
    cpu_s: float


def percentile(sorted_values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` (0 to 1] of all don't exceed; None of an empty sequence."""
    if not sorted_values:
        return None
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


def summarise(records: Iterable[Record], start_s: float, end_s: float) -> Summary:
    """Return the figures of the requests that were due in [start_s, end_s), wall clock seconds.

    A request belongs to the window in which it was due, even if its failure was only known later; so
    `last_failure_s` may exceed the window's length by the request timeout."""
    window = [record for record in records if start_s <= record.due_s < end_s]
    latencies = sorted(record.latency_ms for record in window if not record.failure)
    failures = [record for record in window if record.failure]
    last_failure = max((record.end_s for record in failures), default=None)
    return Summary(
        requests=len(window),
        failed=len(failures),
        p50_ms=percentile(latencies, 0.50),
        p99_ms=percentile(latencies, 0.99),
        last_failure_s=None if last_failure is None else last_failure - start_s,
        failures=dict(sorted(Counter(record.failure for record in failures).items())),
    )


def to_line(record: Record) -> str:
    """Return the record as a line of JSON: an array in the order of the fields."""
    return json.dumps([round(record.due_s, 6), round(record.latency_ms, 3), *record[2:]], separators=(",", ":")) + "\n"


def read_records(path: Path) -> list[Record]:
    """Return the records in `path`, in the order of their outcomes; a last line still being written is left out."""
    with path.open(encoding="utf-8") as lines:
        return [Record(*json.loads(line)) for line in lines if line.endswith("\n")]

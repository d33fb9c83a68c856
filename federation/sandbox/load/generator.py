"""The open loop: requests leave when they are due, whatever became of those before."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO
from urllib.parse import urlsplit

from federation.errors import InvalidInput
from federation.sandbox.load.client import Answer, Broken, Client
from federation.sandbox.load.records import Figures, Record, Totals, percentile, to_line
from federation.sandbox.load.shoppers import Shoppers, Visit, Wrong, verify

READ_BACK_LIMIT_S = 5.0
READ_BACKS_AT_ONCE = 4


@dataclass(frozen=True)
class LoadOptions:
    """What to generate. `fresh_share`: the share of requests (0 to 1) over a connection opened for them alone."""

    url: str
    rate_per_s: float = 150.0
    arrivals: str = "poisson"  # or "fixed": evenly spaced
    seed: int = 0
    timeout_s: float = 2.0
    fresh_share: float = 0.2
    report_every_s: float = 0.5
    seconds: float | None = None

    def address(self) -> tuple[str, int]:
        """Return host and port of the URL. Raises: InvalidInput."""
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise InvalidInput(f"the shop's address is like http://127.0.0.1:8080, not {self.url!r}", field="--url")
        return parts.hostname, parts.port or 80


def arrivals_s(rate_per_s: float, kind: str, seed: int) -> Iterator[float]:
    """Yield when requests are due, in seconds from the start, without end: evenly spaced, or as a Poisson process."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable schedule, not a secret
    due = 0.0
    while True:
        due += chance.expovariate(rate_per_s) if kind == "poisson" else 1 / rate_per_s
        yield due


class Generator:
    """Runs the load until `stop` is called or its time is over; writes figures to `out` and records to `log`."""

    def __init__(self, options: LoadOptions, out: TextIO, log: TextIO | None) -> None:
        self.options, self._out, self._log = options, out, log
        self._host, self._port = options.address()
        self._client = Client(self._host, self._port)
        self._run = secrets.token_hex(4)
        self._shoppers = Shoppers(options.seed, self._run)
        self._chance = random.Random(options.seed + 1)  # noqa: S311 - a repeatable choice, not a secret
        self._arrivals = arrivals_s(options.rate_per_s, options.arrivals, options.seed)
        self._stopped = asyncio.Event()
        self._idle = asyncio.Event()
        self._sent = self._under_way = 0
        self._failures: Counter[str] = Counter()
        self._interval: list[Record] = []
        self._sent_before = 0
        self._latencies: list[float] = []

    def stop(self) -> None:
        """Send no further request; `run` then reads back what is open and returns."""
        self._stopped.set()

    async def run(self) -> Totals:
        """Generate, report, and return the totals, which are reported as the last line."""
        loop = asyncio.get_running_loop()
        self._started, self._started_wall_s = loop.time(), time.time()
        if self.options.seconds is not None:
            loop.call_later(self.options.seconds, self.stop)
        self._next_due = self._started + next(self._arrivals)
        self._timer = loop.call_at(self._next_due, self._tick)
        reporter = loop.create_task(self._report_forever())
        await self._stopped.wait()
        self._timer.cancel()
        seconds = loop.time() - self._started
        await self._settled()
        await self._read_back()
        reporter.cancel()
        self._client.close()
        return self._finish(seconds)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while self._next_due <= loop.time():
            self._send(self._shoppers.next(), self._next_due)
            self._next_due = self._started + next(self._arrivals)
        self._timer = loop.call_at(self._next_due, self._tick)

    def _send(self, visit: Visit, due: float, then: Callable[[], None] = lambda: None) -> None:
        self._sent += 1
        self._under_way += 1
        nonce = f"{self._run}-{self._sent}"
        length = f"Content-Length: {len(visit.body)}\r\n" if visit.method == "POST" else ""
        head = (
            f"{visit.method} {visit.path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nX-Nonce: {nonce}\r\n{length}"
        )
        fresh = self._chance.random() < self.options.fresh_share
        clock = asyncio.get_running_loop().time

        def done(outcome: Answer | Broken) -> None:
            failure = judge(outcome, nonce, visit)
            self._note(visit, due, clock() - due, failure)
            then()

        message = head.encode("latin-1") + b"\r\n" + visit.body
        self._client.request(message, fresh, due + self.options.timeout_s - clock(), done)

    def _note(self, visit: Visit, due: float, latency_s: float, failure: Broken | None) -> None:
        due_wall_s = self._started_wall_s + due - self._started
        kind, detail = failure or ("", "")
        record = Record(due_wall_s, latency_s * 1000, visit.page, kind, detail)
        self._interval.append(record)
        if kind:
            self._failures[kind] += 1
        else:
            self._latencies.append(record.latency_ms)
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def _settled(self) -> None:
        while self._under_way:
            self._idle.clear()
            await self._idle.wait()

    async def _read_back(self) -> None:
        """Read each cart with lines nobody has seen since their write was acknowledged; a few at a time."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + READ_BACK_LIMIT_S
        waiting = self._shoppers.unread()
        while waiting and clock() < deadline:
            batch, waiting = waiting[:READ_BACKS_AT_ONCE], waiting[READ_BACKS_AT_ONCE:]
            for customer in batch:
                self._send(self._shoppers.read_cart(customer), clock())
            await self._settled()

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(self.options.report_every_s)
            self._report()

    def _report(self) -> None:
        records, self._interval = self._interval, []
        if self._log is not None:
            self._log.write("".join(map(to_line, records)))
            self._log.flush()
        latencies = sorted(record.latency_ms for record in records if not record.failure)
        sent, self._sent_before = self._sent - self._sent_before, self._sent
        failed = len(records) - len(latencies)
        self._write(figures(sent, failed, latencies))

    def _finish(self, seconds: float) -> Totals:
        self._report()
        unread = sum(len(customer.unread) for customer in self._shoppers.unread())
        totals: Totals = {
            **figures(self._sent, self._failures.total(), sorted(self._latencies)),
            "final": True,
            "seconds": round(seconds, 3),
            "failures": dict(sorted(self._failures.items())),
            "writes": self._shoppers.writes,
            "lost_writes": self._shoppers.lost_writes,
            "unverified_writes": self._shoppers.unverified_writes + unread,
            "connections": self._client.opened,
            "cpu_s": round(time.process_time(), 3),
        }
        self._write(totals)
        return totals

    def _write(self, line: Figures) -> None:
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


def judge(outcome: Answer | Broken, nonce: str, visit: Visit) -> Broken | None:
    """Return why the visit failed, or None; tells the visit its end."""
    failure: Broken | None = None
    if isinstance(outcome, Broken):
        failure = outcome
    else:
        try:
            verify(outcome, nonce, visit)
        except Wrong as wrong:
            failure = Broken(wrong.kind, wrong.detail)
    visit.end(failure is None)
    return failure


def figures(sent: int, failed: int, sorted_latencies_ms: list[float]) -> Figures:
    """Return one line of the report, at the present wall clock."""
    p50, p99 = percentile(sorted_latencies_ms, 0.50), percentile(sorted_latencies_ms, 0.99)
    return {
        "t": round(time.time(), 3),
        "sent": sent,
        "ok": len(sorted_latencies_ms),
        "failed": failed,
        "p50_ms": None if p50 is None else round(p50, 3),
        "p99_ms": None if p99 is None else round(p99, 3),
    }

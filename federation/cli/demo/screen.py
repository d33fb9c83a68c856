"""What a person sees of the demo: finished steps as lines, and below them a live panel on a terminal."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from federation.cli.demo.evaluate import Report
from federation.sandbox.load import Figures

BARS = "▁▂▃▄▅▆▇█"
HISTORY = 48
NO_TERMINAL_WIDTH = 110


def sparkline(values: list[float]) -> str:
    """The values as bars, the highest one full."""
    top = max(values, default=0.0) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int(value / top * (len(BARS) - 1)))] for value in values)


class Screen:
    """Prints steps to stderr, so that stdout stays for results. Without a terminal there are lines only."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _console()
        self._started = time.monotonic()
        self._latencies: deque[float] = deque(maxlen=HISTORY)
        self._figures: Figures | None = None
        self._sent = self._failed = self._retried = 0
        self._moves: dict[str, tuple[str, int]] = {}
        self._told: dict[str, str] = {}
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def title(self, text: str) -> None:
        """A new part of the play."""
        self._console.print()
        self._console.print(Text(text, style="bold cyan"))

    def step(self, text: str) -> None:
        """One line with the time since the start."""
        self._console.print(Text.assemble((f"{time.monotonic() - self._started:6.1f} s  ", "dim"), text))

    def command(self, text: str) -> None:
        """A command that a user could type just so."""
        self._console.print(Text.assemble("          ", ("$ ", "dim"), (text, "bold")), soft_wrap=True)

    def text(self, text: str) -> None:
        """What a command printed, as it printed it."""
        self._console.print(Text(text.rstrip()), soft_wrap=True)

    def load(self, figures: Figures | None, retried: int) -> None:
        """The newest figures of the load."""
        if figures is not None:
            self._figures = figures
            self._sent += figures["sent"]
            self._failed += figures["failed"]
            self._latencies.append(figures["p99_ms"] or 0.0)
        self._retried = retried
        self._refresh()

    def move(self, service: str, phase: str, weight: int) -> None:
        """How far a migration is; a change of phase or weight is a line too."""
        self._moves[service] = (phase, weight)
        line = f"{service}: {phase}" + (f", {weight} % of the traffic moved" if phase == "Shifting" else "")
        if line != self._told.get(service):
            self._told[service] = line
            self.step(line)
        self._refresh()

    def settle(self) -> None:
        """The migrations are over: take their bars away."""
        self._moves, self._told = {}, {}
        self._refresh()

    def result(self, report: Report) -> None:
        """The figures of each act, and which bars were missed."""
        self.title("What was measured")
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        for column in ("act", "from", "to"):
            table.add_column(column)
        for column in ("s", "requests", "failed", "retried", "p50 ms", "p99 ms", "before"):
            table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
        for act in report["acts"]:
            names = ("from", "to", "seconds", "requests", "failed", "retried", "p50_ms", "p99_ms", "p99_before_ms")
            table.add_row(f"{act['name']} {act['service']}", *(_cell(act[name]) for name in names))
        self._console.print(table)
        for act in report["acts"]:
            if act["failed"]:
                self._console.print(f"{act['name']}: the last failure was {act['last_failure_s']} s after it began")
        for bar in report["missed"]:
            self._console.print(Text(f"missed: {bar}", style="bold red"))
        if not report["missed"]:
            self._console.print(Text(f"every bar met, {report['violations']} rules broken", style="bold green"))

    def _refresh(self) -> None:
        if self._live.is_started:
            self._live.update(self._panel())

    def _panel(self) -> RenderableType:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim")
        rows.add_column()
        if self._figures is not None:
            p50, p99 = self._figures["p50_ms"] or 0.0, self._figures["p99_ms"] or 0.0
            failed = Text(str(self._failed), style="bold red" if self._failed else "bold green")
            rows.add_row(
                "requests", Text.assemble(f"{self._sent:,} sent, ", failed, f" failed, {self._retried} retried")
            )
            rows.add_row("latency", f"p50 {p50:.1f} ms   p99 {p99:.1f} ms")
            rows.add_row("p99", Text(sparkline(list(self._latencies)), style="cyan"))
        parts: list[RenderableType] = [rows]
        if self._moves:
            bars = Table.grid(padding=(0, 2))
            for service, (phase, weight) in sorted(self._moves.items()):
                bar = ProgressBar(total=100, completed=weight, width=40)
                bars.add_row(Text(f"{service} {phase}"), bar, f"{weight} %")
            parts.append(bars)
        return Panel(Group(*parts), title="the shop under load", border_style="cyan", expand=False)


def _console() -> Console:
    """On stderr; without a terminal wide enough for the tables, which a log can hold."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=NO_TERMINAL_WIDTH)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)

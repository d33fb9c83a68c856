"""Tables for people: plain columns as kubectl prints them, fitted to the terminal, coloured where colours are read."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

from federation.cli.output import in_colour, paint, printable, terminal_width

_GAP, _NARROW = "   ", "  "
_COMFORT, _LEAST, _NAME_WIDTH = 24, 10, 40
_NAMES = ("NAME", "NAMESPACE", "SERVICE", "SUB-CLUSTER", "SETTING", "OBJECT")
_TONES = {
    "green": "Healthy Ready Succeeded placed chosen",
    "yellow": "Pending Silent Unknown Returning MinimumReady Starting Draining RollingBack Suspended full stopped",
    "red": "Warning Lost Denied NoCapacity OutOfPolicy Failed RolledBack NotReady Unavailable denied",
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words.split()}
_TONED = frozenset({"STATUS", "HEALTH", "PHASE", "TYPE", "VERDICT", "READY"})


class TableWriter:
    """Rows under titles, all at once or as they come (`write` again); columns stay in line and only ever grow.

    A row is as many cells as there are titles. Lines fit `terminal_width()`, if that is known and `fit` is not False:
    the longest cells give way first, names last. They are cut, with an ellipsis, or, with `wrap`, go on below, so that
    nothing is lost. Titles are printed before the first row, unless `header` is False."""

    def __init__(
        self, titles: Sequence[str], *, header: bool = True, wrap: bool = False, fit: bool = True, indent: str = ""
    ):
        self._titles = list(titles)
        self._header = header
        self._wrap = wrap
        self._fit = fit
        self._indent = indent
        self._widths = [len(title) if header else 0 for title in titles]
        self._words = [0 for _ in titles]

    def write(self, rows: Iterable[Sequence[str]]) -> None:
        """Print these rows, below those before."""
        lines = [[printable(cell) for cell in row] for row in rows]
        for line in lines:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, line, strict=True)]
            self._words = [max(most, _longest_word(cell)) for most, cell in zip(self._words, line, strict=True)]
        gap, widths = self._layout()
        colour = in_colour(sys.stdout)
        if self._header:
            self._header = False
            self._print(_line(self._titles, widths, gap, ["bold"] * len(widths) if colour else []))
        for line in lines:
            tones = [tone(title, cell) for title, cell in zip(self._titles, line, strict=True)] if colour else []
            self._print(_line(line, widths, gap, tones, wrap=self._wrap))
        sys.stdout.flush()

    def _layout(self) -> tuple[str, list[int]]:
        """What stands between columns, and how wide they are."""
        room = terminal_width() if self._fit else None
        if room is None or sum(self._widths) + len(_GAP) * (len(self._widths) - 1) <= room - len(self._indent):
            return _GAP, self._widths
        available = room - len(self._indent) - len(_NARROW) * (len(self._widths) - 1)
        comfort = [max(_COMFORT, word if self._wrap else 0) for word in self._words]
        names = [_NAME_WIDTH if title in _NAMES else _LEAST for title in self._titles]
        found = _shrunk(self._widths, [max(len(t), c) for t, c in zip(self._titles, comfort, strict=True)], available)
        return _NARROW, _shrunk(found, [max(len(t), n) for t, n in zip(self._titles, names, strict=True)], available)

    def _print(self, lines: Sequence[str]) -> None:
        print("\n".join(self._indent + line for line in lines))


def print_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, header: bool = True, wrap: bool = False
) -> None:
    """One table; see `TableWriter`. Without rows only its titles."""
    TableWriter(titles, header=header, wrap=wrap).write(rows)


def tone(title: str, cell: str) -> str:
    """The colour of a cell that tells how something does, else ""."""
    ready, slash, wanted = cell.partition("/")
    if title == "READY" and slash:
        return "" if ready == wanted else ("yellow" if ready != "0" else "red")
    return _TONE_OF.get(cell.partition(",")[0].partition(" ")[0], "") if title in _TONED else ""


def _shrunk(widths: Sequence[int], least: Sequence[int], available: int) -> list[int]:
    """`widths`, the widest of them made less, none below its least, until their sum is `available` or no more goes."""
    found = list(widths)
    while sum(found) > available:
        spare = [width - floor if width > floor else 0 for width, floor in zip(found, least, strict=True)]
        widest = max(range(len(found)), key=lambda index: (spare[index] > 0, found[index]), default=None)
        if widest is None or not spare[widest]:
            break
        found[widest] -= 1
    return found


def _longest_word(cell: str) -> int:
    return max((len(word) for word in cell.split()), default=0)


def _line(
    cells: Sequence[str], widths: Sequence[int], gap: str, tones: Sequence[str], *, wrap: bool = False
) -> list[str]:
    if wrap:
        parts = [
            textwrap.wrap(cell, width, break_on_hyphens=False) or [""]
            for cell, width in zip(cells, widths, strict=True)
        ]
    else:
        parts = [[_cut(cell, width)] for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for number in range(max(map(len, parts))):
        row = [part[number] if number < len(part) else "" for part in parts]
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        text = gap.join(padded).rstrip()
        if any(tones):
            text = gap.join(paint(cell, how) for cell, how in zip(padded, tones, strict=True)).rstrip()
        lines.append(text)
    return lines


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: max(width - 1, 0)] + "…"

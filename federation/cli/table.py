"""Tables for people: plain columns as kubectl prints them, fitted to the terminal, coloured where colours are read."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

from federation.cli.output import in_colour, paint, printable, terminal_width

_GAP = "   "
_COMFORT, _LEAST = 24, 10
_TONES = {
    "green": "Healthy Ready True Succeeded placed chosen",
    "yellow": "Pending Silent Unknown Returning MinimumReady Starting Draining RollingBack Suspended full stopped",
    "red": "Warning Lost Denied NoCapacity OutOfPolicy Failed RolledBack NotReady Unavailable denied False",
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words.split()}
_TONED = frozenset({"STATUS", "HEALTH", "PHASE", "TYPE", "VERDICT", "READY"})


class TableWriter:
    """Rows under titles, all at once or as they come (`write` again); columns stay in line and only ever grow.

    A row is as many cells as there are titles. Lines fit `terminal_width()`, if that is known: the longest cells give
    way first, cut with an ellipsis, or, with `wrap`, continued on further lines, so that nothing is lost. Titles are
    printed before the first row, unless `header` is False."""

    def __init__(self, titles: Sequence[str], *, header: bool = True, wrap: bool = False):
        self._titles = list(titles)
        self._header = header
        self._wrap = wrap
        self._widths = [len(title) if header else 0 for title in titles]

    def write(self, rows: Iterable[Sequence[str]]) -> None:
        """Print these rows, below those before."""
        lines = [[printable(cell) for cell in row] for row in rows]
        for line in lines:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, line, strict=True)]
        widths = _fitted(self._widths, self._titles, terminal_width())
        colour = in_colour(sys.stdout)
        if self._header:
            self._header = False
            print("\n".join(_line(self._titles, widths, ["bold"] * len(widths) if colour else [])))
        for line in lines:
            tones = [tone(title, cell) for title, cell in zip(self._titles, line, strict=True)] if colour else []
            print("\n".join(_line(line, widths, tones, wrap=self._wrap)))
        sys.stdout.flush()


def print_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, header: bool = True, wrap: bool = False
) -> None:
    """One table; see `TableWriter`. Without rows only its titles."""
    TableWriter(titles, header=header, wrap=wrap).write(rows)


def tone(title: str, cell: str) -> str:
    """The colour of a cell that tells how something does, else ""."""
    return _TONE_OF.get(cell.partition(",")[0].partition(" ")[0], "") if title in _TONED else ""


def _fitted(widths: Sequence[int], titles: Sequence[str], room: int | None) -> list[int]:
    """`widths`, the widest ones cut until the line fits into `room`; short names are the last to be cut."""
    found = list(widths)
    if room is None:
        return found
    available = room - len(_GAP) * (len(found) - 1)
    for enough in (_COMFORT, _LEAST):
        least = [min(width, max(enough, len(title))) for width, title in zip(widths, titles, strict=True)]
        while sum(found) > available:
            spare, index = max(
                (width - floor, index) for index, (width, floor) in enumerate(zip(found, least, strict=True))
            )
            if spare <= 0:
                break
            found[index] -= min(spare, max(1, (sum(found) - available) // 2))
    return found


def _line(cells: Sequence[str], widths: Sequence[int], tones: Sequence[str], *, wrap: bool = False) -> list[str]:
    if wrap:
        parts = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    else:
        parts = [[_cut(cell, width)] for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for number in range(max(map(len, parts))):
        row = [part[number] if number < len(part) else "" for part in parts]
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        text = _GAP.join(padded).rstrip()
        if any(tones):
            text = _GAP.join(paint(cell, how) for cell, how in zip(padded, tones, strict=True)).rstrip()
        lines.append(text)
    return lines


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: max(width - 1, 0)] + "…"

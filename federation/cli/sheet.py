"""Pages about one object, as `roam describe` prints them: fields below each other, tables and text under headings."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

from federation.cli.output import coloured, printable, terminal_width
from federation.cli.table import TableWriter, tone

_INDENT = "  "
_LABEL = 14


class Sheet:
    """Writes a page from top to bottom. Headings and words that tell how something does are coloured for people."""

    def field(self, label: str, value: object, *, how: str = "") -> None:
        """`Label:  value`; several lines stand below each other; nothing at all for an empty value."""
        text = "" if value is None else str(value)
        if not text:
            return
        lines = [printable(line) for line in text.split("\n")]
        width = terminal_width()
        room = width - _LABEL - 2 if width is not None else 0
        wrapped = [part for line in lines for part in (textwrap.wrap(line, max(room, 20)) if room else [line])]
        print(f"{label + ':':<{_LABEL}}  " + f"\n{'':<{_LABEL}}  ".join(coloured(line, how) for line in wrapped))

    def heading(self, title: str, what: str = "") -> None:
        """A new section; `what` in short stands beside it."""
        print()
        print(coloured(title, "bold") + (f"  {printable(what)}" if what else ""))

    def line(self, text: str, *, how: str = "") -> None:
        """Text below a heading, wrapped."""
        width = terminal_width()
        plain = printable(text)
        for part in textwrap.wrap(plain, max(width - 2, 20)) if width else [plain]:
            print(_INDENT + coloured(part, how))

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table below a heading; columns that are empty in every row are left out."""
        found = [list(row) for row in rows]
        used = [index for index in range(len(titles)) if any(row[index] for row in found)]
        TableWriter([titles[index] for index in used], wrap=True, indent=_INDENT).write(
            [[row[index] for index in used] for row in found]
        )


def bar(share: float, width: int = 20) -> str:
    """How full: `#####...............  25%`, with blocks where a terminal shows them."""
    full = round(max(0.0, min(share, 1.0)) * width)
    filled, empty = ("█", "░") if sys.stdout.isatty() and "UTF" in (sys.stdout.encoding or "").upper() else ("#", ".")
    return f"{filled * full}{empty * (width - full)} {share:4.0%}"


def how_of(word: str) -> str:
    """The colour of a word that tells how something does."""
    return tone("STATUS", word)

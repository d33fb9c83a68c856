"""Waits for something on the server, and shows how it goes."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from federation.cli.output import in_colour, paint, printable
from federation.errors import Unavailable

T = TypeVar("T")
_POLL_S = 0.25
_FILLED = re.compile(r"(?<=\[)#+(?=\.*\])")
"""What is full of a bar such as `[###.......]`."""
_CLEAR_BELOW = "\x1b[J"


class Progress:
    """Some lines on stderr: rewritten in place on a terminal; elsewhere each line that says something new is added."""

    def __init__(self) -> None:
        self._live = in_colour(sys.stderr)
        self._last: list[str] = []
        self._began_at = time.monotonic()

    def show(self, text: str) -> None:
        """Say how it goes, in one line or several."""
        lines = [printable(line) for line in text.split("\n")]
        sys.stdout.flush()
        seconds = time.monotonic() - self._began_at
        if self._live:
            self._rewrite([f"{seconds:4.0f} s  {lines[0]}", *(f"        {line}" for line in lines[1:])])
        else:
            for line in lines:
                if line not in self._last:
                    print(f"{seconds:6.1f} s  {line}", file=sys.stderr, flush=True)
            self._last = lines

    def end(self) -> None:
        """Leave what was said last standing."""
        if self._live and self._last:
            print(file=sys.stderr)

    def _rewrite(self, lines: list[str]) -> None:
        """A line that wraps could not be rewritten: it is cut, as are lines for which there is no room."""
        columns, rows = shutil.get_terminal_size((100, 24))
        room = max(rows - 1, 1)
        if len(lines) > room:
            lines = [*lines[: room - 1], f"        and {len(lines) - room + 1} more"]
        lines = [_FILLED.sub(lambda found: paint(found[0], "green"), line[: max(columns - 1, 20)]) for line in lines]
        up = f"\x1b[{len(self._last) - 1}A" if len(self._last) > 1 else ""
        print(f"\r{up}{_CLEAR_BELOW}" + "\n".join(lines), end="", file=sys.stderr, flush=True)
        self._last = lines


def wait_until(look: Callable[[], tuple[T | None, str]], timeout_s: float) -> tuple[T | None, str]:
    """Look again and again until there is a result; shows the text that comes with each look.

    A server that doesn't answer is waited for: it may be starting again. Returns the result, None when the time is
    over, and the last text. Raises: Unavailable when the server does not answer at the end."""
    progress = Progress()
    ends_at = time.monotonic() + timeout_s
    try:
        while True:
            unavailable: Unavailable | None = None
            result: T | None = None
            try:
                result, text = look()
            except Unavailable as error:
                unavailable, text = error, "waiting for the server to answer again"
            progress.show(text)
            if result is not None:
                return result, text
            if time.monotonic() >= ends_at:
                if unavailable is not None:
                    raise unavailable
                return None, text
            time.sleep(min(_POLL_S, max(ends_at - time.monotonic(), 0.0)))
    finally:
        progress.end()

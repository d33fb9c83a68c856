"""Waits for something on the server, and shows how it goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from federation.cli.output import in_colour, printable
from federation.errors import Unavailable

T = TypeVar("T")
_POLL_S = 0.25
_CLEAR = "\r\x1b[K"


class Progress:
    """One line on stderr: rewritten in place on a terminal, else a new line whenever it says something new."""

    def __init__(self) -> None:
        self._live = in_colour(sys.stderr)
        self._last = ""
        self._began_at = time.monotonic()

    def show(self, text: str) -> None:
        """Say how it goes."""
        text = printable(text)
        sys.stdout.flush()
        seconds = time.monotonic() - self._began_at
        if self._live:
            print(f"{_CLEAR}{seconds:4.0f} s  {text}", end="", file=sys.stderr, flush=True)
        elif text != self._last:
            print(f"{seconds:6.1f} s  {text}", file=sys.stderr, flush=True)
        self._last = text

    def end(self) -> None:
        """Leave the last line standing."""
        if self._live and self._last:
            print(file=sys.stderr)


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

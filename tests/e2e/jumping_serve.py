"""`roam serve` on a machine whose clock is ahead by the seconds that are in the file `$CLOCK_OFFSET` at that moment."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_REAL = time.time
_OFFSET = Path(os.environ["CLOCK_OFFSET"])


def _jumping() -> float:
    return _REAL() + float(_OFFSET.read_text() or 0)


time.time = _jumping

from federation.cli.main import main  # noqa: E402 - the clock first

sys.exit(main(["serve", "--listen", "127.0.0.1:0", "--write-context", "--log-level", "info"]))

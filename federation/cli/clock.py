"""What time it is, for ages: one place, so that what is printed can be tested. Import the module, not the function."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since 1970."""
    return time.time()

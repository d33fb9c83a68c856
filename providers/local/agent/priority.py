"""What starts must not take the processor from what serves: it comes after the others until it is ready.

Only where that can be taken back again, with the capability SYS_NICE; elsewhere everything runs alike."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

BEHIND = 10
"""By how much a starting process is nicer than the agent."""
_SYS_NICE = 23  # its bit in the sets of capabilities; source: capabilities(7)


@cache
def may_be_changed() -> bool:
    """Whether this process may raise priorities again that it lowered."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _SYS_NICE & 1)


def set_niceness(leader: int, more: int) -> None:
    """Make the process group of `leader` nicer than the agent by `more` (0: just as the agent). A group that is gone,
    or a system that does not allow it, is no error."""
    if may_be_changed():
        with suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PGRP, leader, min(os.getpriority(os.PRIO_PROCESS, 0) + more, 19))

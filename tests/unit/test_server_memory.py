"""The collector of cyclic garbage looks at what is kept once, and at everything once an hour."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, time, weakref
from federation.server.memory import collecting_once

class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return node

now = time.monotonic()
time.monotonic = lambda: now
with collecting_once():
    kept = cycle()
    gc.collect()
    print("kept apart", gc.get_freeze_count() > 0)
    young, old = weakref.ref(cycle()), weakref.ref(kept)
    kept = None
    gc.collect()
    print("young garbage", young() is None, "old", old() is None)
    now += 3601
    gc.collect()
    print("an hour later, old", old() is None)
print("afterwards", gc.get_freeze_count())
"""


def test_what_is_kept_is_looked_at_once_and_again_after_an_hour() -> None:
    """In a process of its own: the collector is one for all."""
    said = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    assert said == "kept apart True\nyoung garbage True old False\nan hour later, old True\nafterwards 0\n"

"""Files that Envoy watches, replaced whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PARTIAL_SUFFIX: Final = ".partial"


def replace(path: Path, content: bytes) -> bool:
    """Make `path` hold `content`, by rename: a reader sees the old file or the new one, never a part.

    Returns: whether anything had to be written. Raises: OSError.
    Envoy reads a file again on exactly this event (inotify `IN_MOVED_TO`)."""
    if read(path) == content:
        return False
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    partial.write_bytes(content)
    os.replace(partial, path)
    return True


def touch(path: Path) -> None:
    """Have Envoy read `path` again, unchanged. Raises: OSError."""
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    partial.write_bytes(path.read_bytes())
    os.replace(partial, path)


def read(path: Path) -> bytes | None:
    """The content, or None when there is no such file. Raises: OSError, for any other reason."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None

"""Files that only their owner may read: keys and tokens. Others are refused, and what is new comes as a whole."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from federation.errors import InvalidInput


def read_private(path: Path, what: str, most_bytes: int) -> bytes:
    """The content of a file, at most `most_bytes` of it. Args: what, such as "the keys", for messages.

    Raises: FileNotFoundError; InvalidInput when others could read or change it, or when it can't be read."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise InvalidInput(f"is not a regular file; {what} would be in one", file=str(path))
            if found.st_mode & 0o077:
                mode = stat.S_IMODE(found.st_mode)
                raise InvalidInput(
                    f"others can read or write {what} (mode {mode:04o}); run: chmod 600 {path}", file=str(path)
                )
            return file.read(most_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidInput(f"{what} can't be read: {error.strerror}", file=str(path)) from error


def make_private(path: Path, text: str, what: str) -> None:
    """Write a new file as a whole, mode 0600, durably; one that another process writes at the same time stays.

    Raises: InvalidInput when nothing can be kept there."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            return
        finally:
            draft.unlink()
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise InvalidInput(f"{what} can't be kept there: {error.strerror}", file=str(path)) from error

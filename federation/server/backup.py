"""`GET .../backup`: the whole store as one file, while everything goes on. For admins; secrets stay encrypted in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from federation.model.meta import API_VERSION
from federation.server.access import Caller
from federation.server.extras import Extra, Lines, Page
from federation.server.requests import Request
from federation.store.snapshot import backup

_LOG = logging.getLogger(__name__)
PATH = f"/apis/{API_VERSION}/backup"


def backup_extras(path: Path, clock: Callable[[], float]) -> tuple[Extra, ...]:
    """The path, for a store in the file `path`; `clock` gives seconds since 1970."""

    def handle(_request: Request, caller: Caller) -> Lines:
        pieces = backup(path, now=clock())
        # Made now: what goes wrong is an answer with a code, not a file that ends early.
        first = next(pieces)
        _LOG.info("%s makes a backup of the store", caller.name)

        def stream() -> Generator[bytes | None]:
            with closing(pieces):
                yield first
                yield from pieces

        return Lines(stream(), "application/octet-stream")

    return (Page(PATH, handle, role="admin"),)

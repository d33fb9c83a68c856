"""`roam backup`: everything the controller knows, in one file, while it runs."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federation.cli.client import BASE
from federation.cli.output import note
from federation.cli.parsing import add_connection, connect
from federation.errors import FederationError, InvalidInput

if TYPE_CHECKING:
    from federation.store.snapshot import Head


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "The controller goes on meanwhile; the file holds one moment. Secrets stay encrypted in it: reading them\n"
        "again takes the store's keys (secrets.key), so keep a copy of those, too, elsewhere. Asks the controller,\n"
        "with the token of an admin; with --store, reads that file here, with or without a controller."
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="where to write it, mode 0600")
    parser.add_argument("--store", type=Path, metavar="PATH", help="read this store's file instead of asking a server")
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    add_connection(parser)


def run(args: Any) -> int:
    """Write it, check it, and only then give it its name."""
    path: Path = args.file.expanduser()
    if path.exists() and not args.force:
        raise InvalidInput("is there already; --force replaces it", file=str(path))
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write(draft, _pieces(args))
        head = _checked(draft)
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    sealed = f"; its secrets need the key {', '.join(head.keys)}" if head.keys else ""
    print(f"backup/{path.name} made: version {head.version}, {path.stat().st_size} bytes{sealed}")
    if not head.keys:
        note("Secrets in that store are not encrypted, so neither are they in the backup.")
    return 0


def _pieces(args: Any) -> Iterator[bytes]:
    if args.store is not None:
        from federation.store.snapshot import backup

        yield from backup(args.store.expanduser(), now=time.time())
        return
    with connect(args) as client:
        yield from client.download(f"{BASE}/backup")


def _write(draft: Path, pieces: Iterator[bytes]) -> None:
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _checked(draft: Path) -> Head:
    from federation.store.snapshot import pieces_of, receive

    with draft.open("rb") as file, Path(os.devnull).open("wb") as nowhere:
        try:
            return receive(pieces_of(file), nowhere)
        except InvalidInput as error:
            raise FederationError(f"the backup did not arrive whole ({error}); try again") from error

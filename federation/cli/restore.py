"""`roam restore`: make a backup the store of a controller that is stopped."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federation.cli.output import note
from federation.cli.parsing import home
from federation.errors import InvalidInput

if TYPE_CHECKING:
    from federation.store.snapshot import Head

STORE_FILE = "store.db"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Stop the controller first, start it afterwards: it finds out what runs, and makes it what the store says.\n"
        "Whoever watched is told to list again. The keys of secrets are not in a backup: put secrets.key back, too."
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="what roam backup wrote")
    parser.add_argument("--home", type=Path, metavar="DIR", help="Roam's folder (default: $ROAM_HOME or ~/.roam)")
    parser.add_argument("--store", type=Path, metavar="PATH", help=f"the store's file (default: DIR/{STORE_FILE})")
    parser.add_argument(
        "--force", action="store_true", help="where a store is already: put it aside, beside the new one"
    )


def run(args: Any) -> int:
    """Check it and put it in place, or change nothing."""
    from federation.store.hold import hold
    from federation.store.snapshot import restore

    path = (args.store or (args.home or home()) / STORE_FILE).expanduser().absolute()
    source: Path = args.file.expanduser()
    try:
        file = source.open("rb")
    except OSError as error:
        raise InvalidInput(f"can't be read: {error.strerror}", file=str(source)) from error
    with file, hold(path):
        try:
            head, aside = restore(file, path, now=time.time(), force=args.force)
        except InvalidInput as error:
            raise error if error.file else InvalidInput(error.message, file=str(source)) from error
    made = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(head.made_at))
    print(f"store/{path.name} restored: as of {made}, version {head.version}")
    if aside is not None:
        note(f"The store that was there is now {aside}.")
    _note_keys(head, path)
    return 0


def _note_keys(head: Head, path: Path) -> None:
    """Say so now when the keys are not at hand, and not only when the controller does not start."""
    from federation.store.keyfile import KEY_FILE, keyring_from

    if head.keys:
        keys = keyring_from(path.with_name(KEY_FILE), os.environ, may_make=False)
        missing = sorted(set(head.keys) - set(keys.ids if keys else ()))
        if missing:
            where = path.with_name(KEY_FILE)
            note(f"Its secrets need the key {', '.join(missing)}: put it into {where} before starting.")

"""`roam audit`: whether the server's log of who wrote what is as it was written."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from federation.cli.parsing import home

AUDIT_FILE = "audit.log"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "verify  follows the chain of hashes from line to line, and names the first line that is not as it was\n"
        "        written. Without FILE: the home's log with all its older parts. Exit code 1 when it is broken.\n"
        "That nothing was cut off at the end can be told only with a number and hash kept elsewhere: --contains."
    )
    parser.add_argument("action", choices=("verify",))
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="one file, on its own")
    parser.add_argument("--contains", metavar="HASH", help="a hash that some line must have, as printed earlier")
    parser.add_argument("--home", type=Path, metavar="DIR", help="Roam's folder (default: $ROAM_HOME or ~/.roam)")


def run(args: Any) -> int:
    """Check it."""
    from federation.server.auditcheck import verify

    path: Path = (args.file or (args.home or home()) / AUDIT_FILE).expanduser()
    verdict = verify(path, older=args.file is None, known=args.contains or "")
    if not verdict.last:
        print(f"{path} is empty")
        return 0
    print(f"{path}: lines {verdict.first} to {verdict.last} are as they were written")
    print(f"the last one's hash is {verdict.hash}")
    return 0

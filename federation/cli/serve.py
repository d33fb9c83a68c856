"""`roam serve`: the controller and its API, in the foreground."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from federation.cli.context import DEFAULT_SERVER, TOKEN_FILE, write_context
from federation.cli.output import note
from federation.cli.parsing import home
from federation.errors import InvalidInput

STORE_FILE = "store.db"
TOKENS_FILE = "tokens.yaml"
AUDIT_FILE = "audit.log"
_LEVELS = ("debug", "info", "warning", "error")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Ends on SIGTERM or Ctrl-C. What runs in the sub-clusters goes on without it, and the next `roam serve` on\n"
        "the same store takes over where this one was."
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="Roam's folder (default: $ROAM_HOME or ~/.roam)")
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        default=DEFAULT_SERVER.partition("//")[2],
        help="address and port, port 0 for any free one; beyond loopback only with TLS (default: %(default)s)",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="PATH", help="certificate with its chain, PEM: speak HTTPS")
    parser.add_argument("--tls-key", type=Path, metavar="PATH", help="the certificate's key, PEM, without a password")
    parser.add_argument("--store", type=Path, metavar="PATH", help=f"the store's file (default: DIR/{STORE_FILE})")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="PATH",
        help=f"an admin's token, made if it is not there (default: DIR/{TOKEN_FILE})",
    )
    parser.add_argument(
        "--tokens",
        type=Path,
        metavar="PATH",
        help=f"others' tokens, kept by roam token (default: DIR/{TOKENS_FILE})",
    )
    parser.add_argument("--audit-log", type=Path, metavar="PATH", help=f"who wrote what (default: DIR/{AUDIT_FILE})")
    parser.add_argument(
        "--secrets-key",
        type=Path,
        metavar="PATH",
        help="keys that encrypt secrets in the store, made if not there (default: secrets.key beside the store); "
        "$ROAM_SECRETS_KEY comes first",
    )
    parser.add_argument(
        "--write-context", action="store_true", help="make it the server that commands with this home talk to"
    )
    parser.add_argument("--log-level", choices=_LEVELS, default="warning", help="to stderr (default: %(default)s)")
    parser.add_argument(
        "--log-format", choices=("text", "json"), help="default: text on a terminal, otherwise a JSON object a line"
    )


def run(args: Any) -> int:
    """Serve until a signal comes."""
    from federation.server.controller import ServeOptions, serve
    from federation.server.logs import set_up

    set_up(args.log_level, args.log_format)
    folder = (args.home or home()).expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"can't be Roam's folder: {error.strerror}", file=str(folder)) from error
    token_file = (args.token_file or folder / TOKEN_FILE).expanduser().absolute()

    def ready(url: str) -> None:
        if args.write_context:
            write_context(folder, url, token_file, args.tls_cert and args.tls_cert.expanduser().absolute())
        note(f"roam serves {url} (also a page to look at; token: {token_file}, process {os.getpid()})")

    serve(
        ServeOptions(
            store=(args.store or folder / STORE_FILE).expanduser(),
            token_file=token_file,
            tokens=(args.tokens or folder / TOKENS_FILE).expanduser().absolute(),
            audit=(args.audit_log or folder / AUDIT_FILE).expanduser().absolute(),
            listen=args.listen,
            ready=ready,
            tls=_tls(args),
            secrets_key=args.secrets_key and args.secrets_key.expanduser().absolute(),
        )
    )
    return 0


def _tls(args: Any) -> tuple[Path, Path] | None:
    if bool(args.tls_cert) is not bool(args.tls_key):
        raise InvalidInput("--tls-cert and --tls-key belong together: give both, or neither")
    return (args.tls_cert.expanduser(), args.tls_key.expanduser()) if args.tls_cert else None

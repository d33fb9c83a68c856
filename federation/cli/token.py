"""`roam token`: who may use the API, and for what. Works on the server's file of tokens, without the server."""

from __future__ import annotations

import argparse
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federation.cli.output import note, print_json
from federation.cli.parsing import home
from federation.cli.table import print_table
from federation.errors import InvalidInput

if TYPE_CHECKING:
    from federation.server.tokens import Token

TOKENS_FILE = "tokens.yaml"
_ROLES = ("view", "deploy", "operate", "admin")
_TITLES = ("NAME", "ROLE", "NAMESPACES", "CREATED", "EXPIRES")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "create NAME  makes a token and prints it, this once; only its hash is kept\n"
        "list         shows all of them\n"
        "revoke NAME  takes one back; a running server notices at once\n\n"
        "view     reads everything in its namespaces, and the fleet\n"
        "deploy   also writes microservices, placement policies, migrations and pins there\n"
        "operate  also changes sub-clusters and gateways (cordon, drain, taint); needs --all-namespaces for that\n"
        "admin    everything: the fleet's make-up, policies for all namespaces, the audit log\n\n"
        "example: roam token create ci --role deploy -n shop --expires 30d > ci.token"
    )
    parser.add_argument("action", choices=("create", "list", "revoke"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="who or what will use it, such as ci or ann")
    parser.add_argument("--role", choices=_ROLES, help="what it may do")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-n", "--namespace", metavar="NS", dest="namespaces", action="append", help="where; repeat for more"
    )
    where.add_argument("-A", "--all-namespaces", action="store_true", help="everywhere, and in the fleet as such")
    parser.add_argument("--expires", metavar="TIME", type=_duration_s, help="after this long, such as 12h or 30d")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to list them")
    parser.add_argument("--home", type=Path, metavar="DIR", help="Roam's folder (default: $ROAM_HOME or ~/.roam)")
    parser.add_argument("--tokens", type=Path, metavar="PATH", help=f"the file (default: DIR/{TOKENS_FILE})")


def run(args: Any) -> int:
    """Create, list or revoke."""
    path: Path = (args.tokens or (args.home or home()) / TOKENS_FILE).expanduser()
    _check(args)
    if args.action == "create":
        return _create(path, args)
    if args.action == "revoke":
        from federation.server.tokens import revoke

        revoke(path, args.name)
        print(f"token/{args.name} revoked")
        return 0
    return _list(path, args)


def _check(args: Any) -> None:
    """Raises: InvalidInput for what does not go together."""
    if (args.action == "list") is bool(args.name):
        raise InvalidInput(f"{args.action} takes {'no name' if args.name else 'a NAME'} (roam token --help)")
    given = args.role or args.namespaces or args.all_namespaces or args.expires is not None
    if args.action != "create":
        if given:
            raise InvalidInput("--role, --namespace, --all-namespaces and --expires are for create")
        return
    if args.role is None:
        raise InvalidInput(f"say what it may do with --role {'|'.join(_ROLES)}")
    if not (args.namespaces or args.all_namespaces):
        raise InvalidInput("say where: -n NS, repeated for more, or --all-namespaces")


def _create(path: Path, args: Any) -> int:
    from federation.server.tokens import create

    now = time.time()
    expires = None if args.expires is None else now + args.expires
    namespaces = tuple(dict.fromkeys(args.namespaces)) if args.namespaces else None
    token = create(path, args.name, args.role, namespaces, now=now, expires=expires)
    until = "until it is revoked" if expires is None else f"until {_when(expires)}"
    where = "all namespaces" if namespaces is None else ", ".join(namespaces)
    note(f"token {args.name}: {args.role} in {where}, {until}. It is shown this once:")
    print(token)
    return 0


def _list(path: Path, args: Any) -> int:
    from federation.server.tokens import load

    tokens = load(path)
    if args.output == "json":
        print_json([token.model_dump(mode="json", by_alias=True) for token in tokens])
    elif tokens:
        now = time.time()
        print_table(_TITLES, [_row(token, now) for token in tokens])
    else:
        note(f"No tokens in {path}; the server's own token is an admin's.")
    return 0


def _row(token: Token, now: float) -> tuple[str, ...]:
    ends = "never" if token.expires is None else _when(token.expires)
    if token.expires is not None and token.expires <= now:
        ends += " (expired)"
    where = "all" if token.namespaces is None else ",".join(token.namespaces)
    return token.name, token.role, where, _when(token.created), ends


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")


def _duration_s(text: str) -> float:
    from federation.model.quantity import parse_duration_s

    try:
        found = parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if found <= 0:
        raise argparse.ArgumentTypeError("a token that expires at once is of no use")
    return found

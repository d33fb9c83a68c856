"""Which server to talk to, and with which token."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from federation.errors import InvalidInput, Unavailable

DEFAULT_SERVER = "http://127.0.0.1:7441"
CONTEXT_FILE = "context.json"
TOKEN_FILE = "token"  # noqa: S105 - a file's name


@dataclass(frozen=True)
class Context:
    """A server's address and token, and who vouches for its certificate (None: whom this machine trusts)."""

    server: str
    token: str = field(repr=False)
    ca_file: str | None = None


def find_context(server: str | None, token_file: str | None, home: Path, ca_file: str | None = None) -> Context:
    """Options first, then `$ROAM_SERVER`, `$ROAM_TOKEN_FILE` and `$ROAM_CA_FILE`, then `<home>/context.json`, then the
    defaults.

    Raises: Unavailable (no token file), InvalidInput."""
    server = server or os.environ.get("ROAM_SERVER")
    token_file = token_file or os.environ.get("ROAM_TOKEN_FILE")
    stored = {} if server and token_file else _stored(home / CONTEXT_FILE)
    address = server or stored.get("server") or DEFAULT_SERVER
    path = token_file or stored.get("token_file") or str(home / TOKEN_FILE)
    if "://" not in address:
        address = f"http://{address}"
    try:
        token = Path(path).expanduser().read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise Unavailable(
            f"no Roam server is known at {address}: there is no token file {path}; "
            "start one with `roam serve` or `roam sandbox up`, or name the file with --token-file"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the token file can't be read: {error}", file=path) from error
    if not token or not token.isprintable():
        raise InvalidInput("the token file holds no token", file=path)
    ca_file = ca_file or os.environ.get("ROAM_CA_FILE") or stored.get("ca_file")
    return Context(address.rstrip("/"), token, ca_file)


def write_context(home: Path, server: str, token_file: Path, ca_file: Path | None = None) -> None:
    """Make `server` the one that commands with this home talk to."""
    found = {"server": server, "token_file": str(token_file), **({"ca_file": str(ca_file)} if ca_file else {})}
    text = json.dumps(found, indent=2) + "\n"
    draft = home / f".{CONTEXT_FILE}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(home / CONTEXT_FILE)


def _stored(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"can't be read: {error}; remove it, or name --server and --token-file", file=str(path)
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidInput("holds no context; remove it, or name --server and --token-file", file=str(path))
    return found

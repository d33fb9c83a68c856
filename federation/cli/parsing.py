"""Command lines: argparse with Roam's exit code and messages, and the options that several verbs share."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from federation.errors import InvalidInput

if TYPE_CHECKING:
    from federation.cli.client import Client


_HELP_WIDTH = 100
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?|{_NUMBER}")


class Verb(NamedTuple):
    """One verb of a module that has several."""

    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Any], int]


def _value_name(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices is not None else action.dest.upper()


class UsageShown(Exception):
    """The command has done all it was asked for by printing its help."""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Options as `-o, --output FORMAT`, in lines that fit, the same with every version of Python."""

    def __init__(self, prog: str):
        width = min(max(shutil.get_terminal_size((_HELP_WIDTH, 24)).columns, 60), _HELP_WIDTH)
        super().__init__(prog, max_help_position=30, width=width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class Parser(argparse.ArgumentParser):
    """An argument parser that raises InvalidInput (exit code 64) where argparse would exit with 2."""

    def __init__(self, **options: Any):
        options.setdefault("formatter_class", _Help)
        super().__init__(allow_abbrev=False, **options)

    def format_help(self) -> str:
        """The help; its first line names what has to be there, and leaves the rest to the list below it."""
        parts = [self.prog]
        for action in self._actions:
            name = _value_name(action)
            if action.option_strings and action.required:
                parts.append(f"{max(action.option_strings, key=len)} {name}")
            elif not action.option_strings:
                # Where options and words come in any order, argparse sets this aside while it reads the options.
                nargs = str(getattr(action, "save_nargs", action.nargs))
                parts.append({"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(nargs, name))
        self.usage = " ".join([*parts, "[options]"]).replace("%", "%%")
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raises: InvalidInput."""
        raise InvalidInput(f"{message} ({self.prog} --help)")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        """Raises: UsageShown."""
        raise UsageShown(message or "")

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse, with options and words in any order; an unknown option comes with the nearest known one.

        Raises: InvalidInput, UsageShown."""
        found, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:
            from federation.model.nearest import nearest

            known = [option for action in self._actions for option in action.option_strings]
            close = nearest(unknown[0].partition("=")[0], known)
            hint = f"; did you mean {close[0]}?" if close else ""
            self.error(f"unexpected {unknown[0]!r}{hint}")
        return found


def add_connection(parser: argparse.ArgumentParser) -> None:
    """`--server`, `--token-file` and `--ca-file`."""
    group = parser.add_argument_group("server")
    group.add_argument("--server", metavar="URL", help="the API's address (else $ROAM_SERVER, else the home's context)")
    group.add_argument(
        "--token-file", metavar="PATH", help="file with its token (else $ROAM_TOKEN_FILE, else the home's)"
    )
    group.add_argument(
        "--ca-file", metavar="PATH", help="who vouches for its certificate, PEM (else $ROAM_CA_FILE, else the home's)"
    )


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """`-n`."""
    parser.add_argument(
        "-n",
        "--namespace",
        metavar="NS",
        default=os.environ.get("ROAM_NAMESPACE") or "default",
        help="namespace (default: $ROAM_NAMESPACE or %(default)s)",
    )


def add_output(parser: argparse.ArgumentParser, *formats: str) -> None:
    """`-o`, one of these formats, the first unless told otherwise (none given: table, wide, json, yaml or name)."""
    choices = formats or ("table", "wide", "json", "yaml", "name")
    parser.add_argument("-o", "--output", default=choices[0], choices=choices, help="how to show it")


def add_all_namespaces(parser: argparse.ArgumentParser) -> None:
    """`-A`."""
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")


def add_selector(parser: argparse.ArgumentParser) -> None:
    """`-l`."""
    parser.add_argument(
        "-l",
        "--selector",
        default="",
        metavar="SELECTOR",
        help="by label: app=cart,tier!=test,zone in (a,b),owner,!legacy",
    )


def add_watch(parser: argparse.ArgumentParser) -> None:
    """`-w`."""
    parser.add_argument("-w", "--watch", action="store_true", help="go on with what changes")


_FILES = "a YAML or JSON file, a folder of them, or - for stdin; repeat for more"


def add_files(parser: argparse.ArgumentParser, *, required: bool, what: str = _FILES) -> None:
    """`-f`, as often as wanted; `what`: its help."""
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        dest="files",
        action="append",
        required=required,
        default=None if required else [],
        help=what,
    )


def add_timeout(parser: argparse.ArgumentParser, default: str) -> None:
    """`--timeout`."""
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=seconds,
        default=seconds(default),
        help=f"how long to wait (default: {default})",
    )


def seconds(text: str) -> float:
    """A duration such as 90s, 5m or 1h30m, or a plain number of seconds. Raises: argparse.ArgumentTypeError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write for instance 90s, 5m or 1h30m")
    scales = (3600.0, 60.0, 1.0, 0.001, 1.0)
    return sum(float(part) * scale for part, scale in zip(found.groups(), scales, strict=True) if part)


def home() -> Path:
    """Roam's folder: `$ROAM_HOME`, else `~/.roam`."""
    return Path(os.environ.get("ROAM_HOME") or "~/.roam").expanduser()


def connect(args: Any) -> Client:
    """A client for the server that options, environment or the home's context name. Raises: InvalidInput."""
    from federation.cli.client import Client
    from federation.cli.context import find_context

    found = find_context(args.server, args.token_file, home(), args.ca_file)
    return Client(found.server, found.token, found.ca_file)


def split_name(text: str, namespace: str) -> tuple[str, str]:
    """`name` or `namespace/name`. Raises: InvalidInput."""
    first, slash, second = text.partition("/")
    given = (first, second) if slash else (namespace, first)
    if not all(given) or "/" in given[1]:
        raise InvalidInput(f"{text!r} is not a service; write NAME or NAMESPACE/NAME")
    return given

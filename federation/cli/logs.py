"""`roam logs`: what the pods of a service wrote, wherever they run."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

from federation.cli.client import path_of
from federation.cli.output import blamed, coloured, note
from federation.cli.parsing import add_connection, add_namespace, connect, split_name

_TONES = ("cyan", "green", "yellow", "bold")
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_EPILOG = """Lines of several pods each begin with the pod's name, and with its container's where it has several.

examples:
  roam logs cart                        all its pods, in all sub-clusters
  roam logs cart -f --tail 20           the last lines, then what comes
  roam logs cart --previous             what was written before the last restart
  roam logs cart --subcluster onprem    of the pods there
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    add_namespace(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, wherever its pods are then")
    parser.add_argument("--tail", type=int, metavar="N", help="only the last N lines of each container")
    parser.add_argument("-c", "--container", default="", metavar="NAME", help="only this container's")
    parser.add_argument("-p", "--previous", action="store_true", help="of the run before the last restart")
    parser.add_argument("--subcluster", default="", metavar="SUB", help="only of pods there")
    parser.add_argument("--pod", default="", metavar="POD", help="only of this pod")
    add_connection(parser)


def run(args: Any) -> int:
    """Print the lines as they come."""
    namespace, name = split_name(args.service, args.namespace)
    query = {
        "subcluster": args.subcluster,
        "pod": args.pod,
        "container": args.container,
        "tailLines": "" if args.tail is None else str(max(args.tail, 0)),
        "previous": "1" if args.previous else "",
        "follow": "1" if args.follow else "",
    }
    with connect(args) as client:
        path = f"{path_of('microservices', namespace, name)}/log"
        lines = client.stream(path, {key: value for key, value in query.items() if value})
        if args.follow:
            _print(lines, _Prefix(always=not args.pod))
            return 0
        found = list(lines)
        pods = {one["pod"] for one in found if "pod" in one}
        _print(found, _Prefix(always=len(pods) > 1, containers=_several(found)))
        if not found:
            note(f"No lines from {namespace}/{name} yet.")
    return 0


def _several(lines: Iterable[Mapping[str, str]]) -> bool:
    return len({(one["pod"], one["container"]) for one in lines if "pod" in one}) > len(
        {one["pod"] for one in lines if "pod" in one}
    )


class _Prefix:
    """What stands before a line: nothing, its pod, or its pod and container; each pod in a colour of its own."""

    def __init__(self, *, always: bool, containers: bool = False) -> None:
        self._always = always
        self._containers = containers
        self._container_of: dict[str, str] = {}
        self._tones: dict[str, str] = {}

    def of(self, line: Mapping[str, str]) -> str:
        """The prefix of one line."""
        pod, container = line["pod"], line["container"]
        if self._container_of.setdefault(pod, container) != container:
            self._containers = True
        name = f"{pod} {container}" if self._containers else pod
        if not (self._always or self._containers):
            return ""
        tone = self._tones.setdefault(pod, _TONES[len(self._tones) % len(_TONES)])
        return f"{coloured(f'[{name}]', tone)} "


def _print(lines: Iterable[Mapping[str, str]], prefix: _Prefix) -> None:
    for line in lines:
        if "error" in line:
            note(f"roam: {blamed(line['subcluster'], line['error'])}")
            continue
        sys.stdout.write(f"{prefix.of(line)}{_safe(line['line'])}\n")
        sys.stdout.flush()


def _safe(line: str) -> str:
    """A log's own colours are for a terminal; all else that would act on it is not."""
    if not sys.stdout.isatty():
        return line
    parts = _COLOUR.split(line)
    parts[::2] = ["".join(c for c in part if c.isprintable() or c == "\t") for part in parts[::2]]
    return "".join(parts)

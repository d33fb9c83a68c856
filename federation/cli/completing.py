"""Answers a shell that completes a command line: from the verbs' own declarations, and the names on the server.

The answer: a line that says how to go on (`words`, `more` for words that are not complete, `files`, `folders`), then
a line for each candidate, with a tab and a few words about it. Whatever goes wrong, nothing is printed that would
disturb a prompt."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from threading import Thread
from typing import Any

from federation.cli.kinds import KINDS, Kind, find_kind
from federation.cli.parsing import Parser, add_connection, connect
from federation.errors import FederationError

PATIENCE_S = 1.0
"""How long a server may take before a prompt goes on without it."""
_MOST = 500
_EVERYWHERE = {"--color": "auto, always or never", "--debug": "show where an unexpected error came from"}
_FILES = ("PATH", "FILE", "PLAN")
_OF_METAVAR = {"SERVICE": "ms", "SUB": "sub", "SUBCLUSTER": "sub"}
_OF_ATLAS = ("FACT", "CLOUD", "COUNTRY", "JURISDICTION", "REGION")
_FOR_COLOURS = ("auto", "always", "never")


@dataclass(frozen=True)
class Answer:
    """Candidates with a few words about each, and how to go on."""

    candidates: Mapping[str, str] = field(default_factory=dict)
    mode: str = "words"


def answer(words: Sequence[str], verbs: Mapping[str, tuple[str, str]]) -> int:
    """Print what completes a line. Args: words, the shell and the line up to the cursor; verbs, as main has them."""
    with suppress(Exception):
        shell, line = words[0], words[1]
        found = complete(line, verbs)
        print(found.mode)
        for candidate, about in found.candidates.items():
            # bash cuts words at = and : and replaces the last piece only.
            shown = re.split(r"[=:]", candidate)[-1] if shell == "bash" else candidate
            print(f"{shown}\t{about}" if about else shown)
    return 0


def complete(line: str, verbs: Mapping[str, tuple[str, str]]) -> Answer:
    """What may stand where `line` ends. Args: verbs, summaries and modules by verb."""
    before, current = _split(line)
    if not before:
        options = {"--help": "what there is", "--version": "of this command"}
        return _fitting({**{verb: about for verb, (_, about) in verbs.items()}, **options}, current)
    if before[0] == "help" and len(before) == 1:
        return _fitting({verb: about for verb, (_, about) in verbs.items()}, current)
    if before[0] not in verbs:
        return Answer()
    place, about = verbs[before[0]]
    module, _, name = place.partition(":")
    loaded = import_module(module)
    parser = Parser(prog="roam", description=about)
    (getattr(loaded, name) if name else loaded).configure(parser)
    return _Line(parser, before[1:]).complete(current)


def _split(line: str) -> tuple[list[str], str]:
    """The words before the one that is being written, without the command's name, and that one."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = []
    try:
        words = list(lexer)
    except ValueError:
        # An open quote: what was read before it counts, the rest is what is being written.
        words = line.split()
    if not line or line[-1].isspace():
        words.append("")
    return words[1:-1], words[-1] if len(words) > 1 else ""


def _fitting(candidates: Mapping[str, str], current: str, *, mode: str = "words") -> Answer:
    return Answer({word: about for word, about in candidates.items() if word.startswith(current)}, mode)


class _Line:
    """A verb's words so far, as its parser would take them."""

    def __init__(self, parser: Parser, words: Sequence[str]):
        self._options = {option: action for action in parser._actions for option in action.option_strings}
        self._positionals = [action for action in parser._actions if not action.option_strings]
        self.given: dict[str, list[str]] = {}
        self.words: list[str] = []
        self._waiting: argparse.Action | None = None
        self._waiting_colour = False
        self._read(words)

    def _read(self, words: Sequence[str]) -> None:
        for word in words:
            if self._waiting is not None or self._waiting_colour:
                if self._waiting is not None:
                    self.given.setdefault(self._waiting.dest, []).append(word)
                self._waiting, self._waiting_colour = None, False
                continue
            option, equals, value = word.partition("=")
            action = self._options.get(option)
            if action is not None:
                self.given.setdefault(action.dest, []).extend([value] if equals else [])
                self._waiting = None if equals or not _takes_value(action) else action
            elif option == "--color":
                self._waiting_colour = not equals
            elif not word.startswith("-") or word == "-":
                self.words.append(word)

    def complete(self, current: str) -> Answer:
        if self._waiting_colour:
            return _fitting(dict.fromkeys(_FOR_COLOURS, ""), current)
        if self._waiting is not None:
            return self._value(self._waiting, current)
        if current.startswith("-"):
            option, equals, value = current.partition("=")
            action = self._options.get(option)
            if equals and action is not None:
                found = self._value(action, value)
                return Answer({f"{option}={word}": about for word, about in found.candidates.items()}, found.mode)
            return self._option(current)
        if not self._positionals:
            return self._option(current)
        # The last positional takes all the further words, if it takes several.
        taken = len(self.words)
        action = self._positionals[min(taken, len(self._positionals) - 1)]
        if taken >= len(self._positionals) and action.nargs not in ("+", "*"):
            return self._option(current)
        return self._value(action, current)

    def _option(self, current: str) -> Answer:
        """The options that may still come, each by its longest name."""
        found = {}
        for action in dict.fromkeys(self._options.values()):
            repeats = isinstance(action, argparse._AppendAction)
            if (action.dest not in self.given or repeats) and action.help != argparse.SUPPRESS:
                found[max(action.option_strings, key=len)] = _in_short(action)
                if current and not current.startswith("--"):
                    found.update({one: _in_short(action) for one in action.option_strings if one.startswith(current)})
        return _fitting({**found, **_EVERYWHERE}, current)

    def _value(self, action: argparse.Action, current: str) -> Answer:
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        if action.choices is not None:
            return _fitting({str(choice): "" for choice in action.choices}, current)
        if action.dest == "namespace":
            return _fitting(dict.fromkeys(_namespaces(self.given), ""), current)
        if metavar == "DIR":
            return Answer(mode="folders")
        if metavar in _FILES or action.dest in ("files", "file"):
            return Answer(mode="files")
        if metavar in _OF_ATLAS:
            from federation.cli.atlas.naming import candidates

            return _fitting(candidates(metavar, self.words), current)
        if metavar.startswith("KIND"):
            return self._kinds_or_names(action, current)
        if metavar == "SERVICE|MIGRATION":
            return self._names([find_kind("ms"), find_kind("mig")], current)
        if metavar in _OF_METAVAR:
            return self._names([find_kind(_OF_METAVAR[metavar])], current)
        return Answer()

    def _kinds_or_names(self, action: argparse.Action, current: str) -> Answer:
        if "/" in current:
            written, _, _ = current.partition("/")
            with suppress(FederationError):
                names = self._names([find_kind(written)], "").candidates
                return _fitting({f"{written}/{name}": about for name, about in names.items()}, current)
            return Answer()
        if action.option_strings or any("/" in word for word in self.words):
            kinds = {f"{kind.singular}/": "" for kind in KINDS}
            return _fitting(kinds, current, mode="more")
        if self.words:
            with suppress(FederationError):
                return self._names([find_kind(self.words[0])], current, but=self.words[1:])
            return Answer()
        first, comma, last = current.rpartition(",")
        # Not the singular: it would stand in the way of its plural.
        others = {kind.plural: [name for name in kind.short if name != kind.singular] for kind in KINDS}
        kinds = {plural: ", ".join(names) for plural, names in others.items()}
        short = {name: plural for plural, names in others.items() for name in names if last}
        return _fitting({f"{first}{comma}{kind}": about for kind, about in {**kinds, **short}.items()}, current)

    def _names(self, kinds: Iterable[Kind], current: str, but: Sequence[str] = ()) -> Answer:
        space, slash, _ = current.rpartition("/")
        given = {**self.given, "namespace": [space]} if slash else self.given
        found = {name: "" for kind in kinds for name in _names_of(kind, given) if name not in but}
        return _fitting({f"{space}{slash}{name}": about for name, about in found.items()}, current)


def _takes_value(action: argparse.Action) -> bool:
    return action.nargs != 0


def _in_short(action: argparse.Action) -> str:
    text = (action.help or "").split(" (")[0].split(";")[0]
    return text if "%" not in text else ""


def _namespaces(given: Mapping[str, Sequence[str]]) -> list[str]:
    items = _ask("/microservices", given)
    return sorted({str(item["metadata"]["namespace"]) for item in items} | {"default"})


def _names_of(kind: Kind, given: Mapping[str, Sequence[str]]) -> list[str]:
    namespace = (given.get("namespace") or [os.environ.get("ROAM_NAMESPACE") or "default"])[-1]
    path = f"/namespaces/{namespace}/{kind.plural}" if kind.namespaced else f"/{kind.plural}"
    return sorted(str(item["metadata"]["name"]) for item in _ask(path, given))


def _ask(path: str, given: Mapping[str, Sequence[str]]) -> list[Any]:
    """The objects there; none when no server answers in time, or it refuses."""
    found: list[Any] = []

    def ask() -> None:
        from federation.cli.client import BASE

        with suppress(Exception):
            parser = Parser()
            add_connection(parser)
            options = parser.parse_args([])
            vars(options).update(
                {name: values[-1] for name, values in given.items() if values and hasattr(options, name)}
            )
            with connect(options) as client:
                found.extend(client.get(f"{BASE}{path}", {"limit": str(_MOST)})["items"])

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return list(found)

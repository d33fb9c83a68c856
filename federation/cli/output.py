"""Prints JSON, YAML, names and notes; knows how wide the terminal is, and whether colours are read by a person."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_colour = "auto"


def use_colour(when: str) -> None:
    """Obey `--color`: auto, always or never, until it is called again."""
    global _colour
    _colour = when


def in_colour(stream: TextIO) -> bool:
    """Whether a person reads `stream` and likes colours. Source: no-color.org."""
    if _colour != "auto":
        return _colour == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, how: str) -> str:
    """`text` bold, dim, red, green, yellow or cyan; as it is with "". Blanks at the end stay unpainted."""
    bare = text.rstrip()
    return f"\x1b[{_CODES[how]}m{bare}\x1b[0m{text[len(bare) :]}" if how and bare else text


def coloured(text: str, how: str, stream: TextIO | None = None) -> str:
    """`paint`, where colours are read on `stream` (stdout)."""
    return paint(text, how) if in_colour(stream or sys.stdout) else text


def terminal_width() -> int | None:
    """Columns of what shows stdout: `$COLUMNS`, else the terminal's; None when it goes into a file or a pipe."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return int(given)
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else None


def note(message: str) -> None:
    """Say something to the person, on stderr."""
    sys.stdout.flush()
    print(message, file=sys.stderr)


def blamed(who: str, message: str) -> str:
    """`message` with whose it is before it, unless it says so itself."""
    return message if message.startswith(f"{who}:") else f"{who}: {message}"


def print_json(document: object) -> None:
    """Indented JSON."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_json_line(document: object) -> None:
    """JSON on one line, for streams of documents; seen at once by who reads them."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def print_yaml(documents: Sequence[Mapping[str, Any]]) -> None:
    """YAML, one document each."""
    print(to_yaml(documents), end="")


def to_yaml(documents: Sequence[Mapping[str, Any]]) -> str:
    """The text of `documents` as YAML: fields in their order, lines never folded, text of several lines as such."""
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc]
        """Also leaves out aliases: the same value twice is written twice."""

        def ignore_aliases(self, _data: object) -> bool:
            """Always."""
            return True

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100_000))


def as_list(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A Kubernetes `List` of them."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def print_objects(items: Sequence[Mapping[str, Any]], output: str, *, single: bool = False) -> None:
    """`json`, `yaml` or `name` of objects as the server gives them; `single`: a lone one without a `List` around it."""
    if output == "name":
        for item in items:
            print(title_of(item))
        return
    document = items[0] if single and len(items) == 1 else as_list(items)
    print_json(document) if output == "json" else print_yaml([document])


def title_of(item: Mapping[str, Any]) -> str:
    """`kind/name`."""
    return f"{str(item['kind']).lower()}/{item['metadata']['name']}"


def printable(text: str) -> str:
    """`text` on one line, without anything that a terminal would act on."""
    return "".join(character if character.isprintable() else " " for character in text)

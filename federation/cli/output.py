"""Prints tables, JSON, YAML and names."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

_GAP = "   "


def note(message: str) -> None:
    """Say something to the person, on stderr."""
    sys.stdout.flush()
    print(message, file=sys.stderr)


def in_colour(stream: TextIO) -> bool:
    """Whether a person reads `stream` and likes colours. Source: no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, header: bool = True) -> None:
    """Columns as wide as their widest cell, as kubectl prints them."""
    lines = [[printable(cell) for cell in row] for row in ([titles, *rows] if header else rows)]
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(len(titles))]
    for line in lines:
        print(_GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(document: object) -> None:
    """Indented JSON."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_yaml(documents: Sequence[Mapping[str, Any]]) -> None:
    """YAML, one document each."""
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump_all(documents, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    print(text, end="")


def as_list(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A Kubernetes `List` of them."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def printable(text: str) -> str:
    """`text` on one line, without anything that a terminal would act on."""
    return "".join(character if character.isprintable() else " " for character in text)

"""The controller's log: one line a record, as text for people or as JSON for programs.

A record may tell of an object (`extra={"about": ("Microservice", "shop", "cart")}`) and of a sub-cluster
(`extra={"subcluster": "gce"}`); the request that a thread is answering is added by itself. An exception is told with
its frames, and with its message only if it is one of ours: what a vendor's library or the interpreter puts into a
message may be anybody's secret.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, TextIO

from federation.errors import FederationError
from federation.model.meta import format_time

Format = Literal["text", "json"]
request: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered on this thread."""
_Failure = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up(level: str, form: Format | None, stream: TextIO | None = None) -> None:
    """Send the process's log to `stream` (None: stderr), in place of where it went before.

    Args: level, the least that is told (debug, info, warning, error); form, None: text on a terminal, else JSON."""
    handler = logging.StreamHandler(stream)
    chosen = form or ("text" if handler.stream.isatty() else "json")
    handler.setFormatter(JsonLines() if chosen == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`; `request`, `object`, `subcluster` and `error` where
    they apply."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": format_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context(record),
        }
        if record.exc_info:
            line["error"] = _told(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """The same as text, on several lines where there is an error to tell of."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, what it is about in brackets."""
        words = [f"{key} {_words(value)}" for key, value in _context(record).items()]
        about = f" [{', '.join(words)}]" if words else ""
        line = f"{self.formatTime(record)} {record.levelname} {record.name}: {record.getMessage()}{about}"
        return f"{line}\n{_told(record.exc_info)}" if record.exc_info else line


def _context(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = {}
    if request.get():
        found["request"] = request.get()
    about = getattr(record, "about", None)
    if isinstance(about, tuple) and len(about) == 3:
        found["object"] = dict(zip(("kind", "namespace", "name"), map(str, about), strict=True))
    subcluster = getattr(record, "subcluster", None)
    if subcluster:
        found["subcluster"] = str(subcluster)
    return found


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        place = "/".join(part for part in (value["namespace"], value["name"]) if part)
        return f"{value['kind']} {place}"
    return str(value)


def _told(failure: _Failure) -> str:
    """Type and frames of an error and its causes, the cause first, without source lines and foreign messages."""
    parts = []
    error = failure[1] if isinstance(failure, tuple) else sys.exc_info()[1]
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        message = f": {error}" if isinstance(error, FederationError) else ""
        parts.append("\n".join([*lines, f"{type(error).__name__}{message}"]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))

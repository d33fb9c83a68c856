"""Whether an audit log is as it was written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation.errors import FederationError, InvalidInput
from federation.server.audit import ORIGIN, digest_of, parts


class Broken(FederationError):
    """The chain is broken. The message names the first file and line that are not as they were written."""

    reason = "Broken"


@dataclass(frozen=True)
class Verdict:
    """What a log that is whole holds: lines from number `first` to `last` (0: none), and the hash of the last one.
    Keep `last` and `hash` elsewhere, to notice later that the end was cut off."""

    first: int
    last: int
    hash: str


def verify(path: Path, *, older: bool, known: str = "") -> Verdict:
    """Check the file, and with `older` the parts before it, too.

    Args: known, a hash that some line must have. A part that does not begin at line 1 is taken on trust as to what came
    before it. Raises: Broken, InvalidInput (no such file)."""
    first, last, digest = 0, 0, ORIGIN
    missing = known
    for part in parts(path) if older else [path]:
        for number, line in enumerate(_lines(part), start=1):
            where = f"{part}:{number}"
            record = _record(line, where)
            if not last:
                first = record["number"]
                digest = ORIGIN if first == 1 else str(record.get("before"))
            elif record["number"] != last + 1:
                raise Broken(f"{where}: line {last + 1} of the log should stand here, not {record['number']}")
            given = record.pop("hash")
            if digest_of(record, digest) != given or (number == 1 and record.get("before") != digest):
                raise Broken(f"{where}: it is not as it was written")
            last, digest = record["number"], given
            if digest == known:
                missing = ""
    if missing:
        raise Broken(f"{path}: no line has the hash {known[:80]}: what stood there was cut off, or written anew")
    return Verdict(first, last, digest)


def _lines(part: Path) -> list[bytes]:
    try:
        lines = part.read_bytes().split(b"\n")
    except OSError as error:
        raise InvalidInput(f"can't be read: {error.strerror}", file=str(part)) from error
    if lines.pop():
        raise Broken(f"{part}:{len(lines) + 1}: the line is not whole")
    return lines


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise Broken(f"{where}: it is not a line of an audit log") from error
    if not isinstance(record, dict) or not isinstance(record.get("number"), int) or "hash" not in record:
        raise Broken(f"{where}: it is not a line of an audit log")
    return record

"""Reading what the command line names: files, directories, standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from federation.errors import InvalidInput
from federation.intake.jsontext import read_json
from federation.intake.tree import MAX_FILE_BYTES, Document
from federation.intake.yamltext import read_yaml

STDIN = "-"
_STDIN_NAME = "<stdin>"
_SUFFIXES = (".yaml", ".yml", ".json")
_KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def find_files(paths: Iterable[str | Path]) -> tuple[list[str], list[InvalidInput]]:
    """The files that `paths` name, each once, in order: a directory stands for its *.yaml, *.yml and *.json by name.

    Directories below are not entered, as with kubectl. What can't be found comes back as an error each.
    """
    found: dict[str, str] = {}
    errors: list[InvalidInput] = []
    for path in paths:
        text = os.fspath(path)
        try:
            names = [text] if text == STDIN or not Path(text).is_dir() else _in_directory(Path(text))
        except (OSError, ValueError) as error:
            errors.append(_unreadable(text, error))
            continue
        if not names:
            errors.append(InvalidInput("the directory holds no *.yaml, *.yml or *.json file", file=text))
        for name in names:
            # The same file named twice, say by itself and by its directory, is meant once.
            found.setdefault(name if name == STDIN else os.path.realpath(name), name)
    return list(found.values()), errors


def read_documents(name: str, stdin: IO[bytes] | IO[str] | None) -> Iterator[Document]:
    """The documents of one file, or of standard input for `-`. Raises InvalidInput for what can't be read or parsed."""
    if name == STDIN:
        file = _STDIN_NAME
        data = (sys.stdin.buffer if stdin is None else stdin).read(MAX_FILE_BYTES + 1)
    else:
        file = name
        data = _content(name)
    text = _decoded(data, file)
    if name.endswith(".json"):
        yield from read_json(text, file)
    elif text.lstrip(" \t\r\n").startswith("{"):
        yield from _braced(text, file)
    else:
        yield from read_yaml(text, file)


def is_kustomization(name: str) -> bool:
    """Whether the file is kustomize's own, which is not an object to apply."""
    return Path(name).name in _KUSTOMIZATION


def _braced(text: str, file: str) -> Iterator[Document]:
    """JSON, or YAML in flow style: told apart by trying, JSON first for its escapes and long keys."""
    try:
        documents = list(read_json(text, file))
    except InvalidInput:
        documents = list(read_yaml(text, file))
    yield from documents


def _in_directory(directory: Path) -> list[str]:
    return sorted(os.fspath(one) for one in directory.iterdir() if one.name.endswith(_SUFFIXES) and not one.is_dir())


def _content(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise _too_large(name)
            return file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error


def _decoded(data: bytes | str, file: str) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise _too_large(file)
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"not UTF-8 text: byte 0x{data[error.start]:02x}", file=file, line=line) from error


def _too_large(file: str) -> InvalidInput:
    return InvalidInput(f"larger than {MAX_FILE_BYTES // 2**20} MiB; split it up", file=file)


def _unreadable(name: str, error: OSError | ValueError) -> InvalidInput:
    if isinstance(error, FileNotFoundError):
        target = os.readlink(name) if Path(name).is_symlink() else None
        message = f"a link to {target}, which does not exist" if target else "no such file or directory"
    elif isinstance(error, OSError):
        message = f"can't be read: {(error.strerror or 'input/output error').lower()}"
    else:
        message = "not a usable path"
    return InvalidInput(message, file=name)

"""The files of policy tests: where tests are found, and how far the files that they name may lead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from federation.app import schemas, whatif_planner
from federation.errors import InvalidInput, InvalidInputs
from federation.intake.loading import load
from federation.intake.sources import find_files
from federation.intake.tree import MAX_FILE_BYTES
from federation.whatif.expecting import TestResult, run_test
from federation.whatif.reading import BoundTest, read_test
from federation.whatif.state import state_of

if TYPE_CHECKING:
    from federation.intake.tree import Document

KIND = "PolicyTest"
_ASIDE = (KIND, "Scenario")


def find_tests(paths: Iterable[str]) -> list[str]:
    """The files that `paths` name, and in folders, those below included, each YAML file that holds a test, by name.

    Hidden folders are not entered, links that lead out of the folder not followed.
    Raises: InvalidInput where nothing is found."""
    found: dict[str, str] = {}
    for path in paths:
        if path == "-":
            raise InvalidInput("a test can't come from stdin: the files it names are looked for in its folder")
        names = list(_in_folder(Path(path))) if Path(path).is_dir() else [path]
        if not names:
            raise InvalidInput(f"no {KIND} in any *.yaml here or below; add -f FILE", file=path)
        for name in names:
            found.setdefault(os.path.realpath(name), name)
    return list(found.values())


def load_test(file: str, namespace: str, root: Path | None) -> list[TestResult]:
    """The outcomes of the tests in `file`, in its order. Args: namespace, of what names none; root, the folder that the
    files which tests name have to be in, their own if None. Raises: InvalidInputs, InvalidInput."""
    tests = _read(load([file], schemas(), namespace=namespace, aside=_ASIDE).aside, namespace)
    if not tests:
        raise InvalidInput(f"holds no {KIND}", file=file)
    return [_run(test, file, namespace, root) for test in tests]


def _run(test: BoundTest, file: str, namespace: str, root: Path | None) -> TestResult:
    named = _named(test, Path(file).parent, root)
    manifests = load([file, *named], schemas(), namespace=namespace, aside=_ASIDE)
    try:
        return run_test(test, state_of(manifests.resources, test.test.spec.at), whatif_planner())
    except InvalidInputs as error:
        raise InvalidInputs(tuple(_placed(one, test) for one in error.errors)) from error
    except InvalidInput as error:
        raise _placed(error, test) from error


def _placed(error: InvalidInput, test: BoundTest) -> InvalidInput:
    """The error, with the test's file where it names none."""
    if error.file is not None:
        return error
    return InvalidInput(error.message, file=test.spot.file, line=test.spot.line(), field=error.field)


def _read(documents: Iterable[Document], namespace: str) -> list[BoundTest]:
    errors: list[InvalidInput] = []
    ours = [document for document in documents if document.value.get("kind") == KIND]
    tests = [read_test(document, schemas(), namespace, errors) for document in ours]
    if errors:
        raise InvalidInputs(tuple(errors))
    return [test for test in tests if test is not None]


def _named(test: BoundTest, folder: Path, root: Path | None) -> list[str]:
    """The files that a test names, none outside of the root, links followed. Raises: InvalidInput."""
    top = Path(os.path.realpath(folder if root is None else root))
    found: list[str] = []
    for index, name in enumerate(test.test.spec.files):
        path = ("spec", "files", index)
        target = folder / name
        files = [] if Path(name).is_absolute() or not _is_in(target, top) else _files(test, target, path)
        if not files or not all(_is_in(Path(file), top) for file in files):
            hint = "; --root DIR allows more" if root is None else ""
            raise test.spot.error(f"{name!r} leads out of {folder if root is None else root}{hint}", path)
        found += files
    return found


def _files(test: BoundTest, target: Path, path: tuple[str | int, ...]) -> list[str]:
    files, problems = find_files([target])
    if problems:
        raise test.spot.error(f"{target}: {problems[0].message}", path)
    for file in files:
        if not Path(file).is_file():
            there = "not a regular file" if os.path.lexists(file) else "no such file or directory"
            raise test.spot.error(f"{target}: {there}", path)
    return files


def _is_in(path: Path, top: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(top)


def _in_folder(folder: Path) -> Iterator[str]:
    top = Path(os.path.realpath(folder))
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(here) / name
            if name.endswith((".yaml", ".yml")) and _is_in(path, top) and path.is_file() and _mentions(path):
                yield os.fspath(path)


def _mentions(path: Path) -> bool:
    """Whether the file may hold a test: others of the folder are none of our business, valid or not."""
    try:
        with path.open("rb") as file:
            return KIND.encode() in file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise InvalidInput(
            f"can't be read: {(error.strerror or 'input/output error').lower()}", file=str(path)
        ) from error

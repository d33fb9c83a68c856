"""Logs as they are followed: whole lines, none twice, none left out, also when files are turned over."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.contracts.driver import LogQuery
from federation.errors import NotFound
from federation.model.meta import Key
from providers.local.agent.inspection import PodFiles, read_logs
from providers.local.agent.processes import older_log, put_log_aside

KEY = Key("shop", "web")


def read(directory: Path, cursor: str | None = None, **query: object) -> tuple[list[str], str]:
    pod = PodFiles("pod-1", directory, ("main",), frozenset({"main"}))
    found = read_logs(KEY, [pod], LogQuery(cursor=cursor, **query))  # type: ignore[arg-type]
    return [line for log in found.logs for line in log.lines], found.cursor


def write(directory: Path, text: str) -> None:
    with (directory / "main.log").open("a") as file:
        file.write(text)


def test_followed_lines_come_once_each_through_turn_over_and_restart(tmp_path: Path) -> None:
    seen, cursor = read(tmp_path)
    assert seen == []
    expected = []
    for number in range(40):
        write(tmp_path, f"line {number}\nhalf of ")
        if number % 7 == 3:
            (tmp_path / "main.log").replace(older_log(tmp_path / "main.log"))
        expected.append(f"line {number}" if number == 0 else f"half of line {number}")
        if number % 3 == 0:
            more, cursor = read(tmp_path, cursor)
            seen += more
    assert "".join(seen) == "".join(expected[: len(seen)])
    write(tmp_path, "the last\n")
    put_log_aside(tmp_path / "main.log")
    write(tmp_path, "another run\n")
    more, cursor = read(tmp_path, cursor)
    assert seen + more == [*expected, "half of the last", "another run"]
    assert read(tmp_path, cursor)[0] == []


def test_only_whole_lines_of_what_runs_are_told(tmp_path: Path) -> None:
    write(tmp_path, "one\ntw")
    assert read(tmp_path)[0] == ["one"]
    ended = PodFiles("pod-1", tmp_path, ("main",), frozenset())
    assert read_logs(KEY, [ended], LogQuery()).logs[0].lines == ("one", "tw")


def test_the_run_before(tmp_path: Path) -> None:
    write(tmp_path, "first\n")
    with pytest.raises(NotFound, match="no earlier run"):
        read(tmp_path, previous=True)
    put_log_aside(tmp_path / "main.log")
    write(tmp_path, "second\n")
    assert read(tmp_path, previous=True)[0] == ["first"]
    assert read(tmp_path)[0] == ["second"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "[]", '{"pod-1/main": 3}', '{"pod-1/main": ["x", "y"]}', "{}"])
def test_a_cursor_from_elsewhere_tells_everything(tmp_path: Path, cursor: str) -> None:
    write(tmp_path, "one\n")
    assert read(tmp_path, cursor)[0] == ["one"]


def test_what_is_not_text_does_not_hurt(tmp_path: Path) -> None:
    (tmp_path / "main.log").write_bytes(b"\xff\xfe\n" + b"x" * 100_000 + b"\n")
    lines, _ = read(tmp_path)
    assert len(lines) == 2
    assert len(lines[1]) == 16 << 10

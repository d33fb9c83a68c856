"""Tables: they fit the terminal, stay in line while they grow, and never steer it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.cli.output import use_colour
from federation.cli.table import TableWriter, print_table

TITLES = ("NAME", "WHERE", "MESSAGE")
ROWS = st.lists(st.tuples(*(st.text(max_size=70) for _ in TITLES)), max_size=6)


@given(ROWS, st.integers(60, 200), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_lines_fit_and_hold_nothing_that_steers_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: list[tuple[str, str, str]],
    width: int,
    wrap: bool,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(TITLES, rows, wrap=wrap)
    lines = capsys.readouterr().out.split("\n")[:-1]
    # A word that has no break is not broken in a table that wraps.
    longest = max((len(word) for row in rows for cell in row for word in cell.split()), default=0)
    assert all(len(line) <= width or (wrap and longest > 20) for line in lines)
    assert all(line.isprintable() for line in lines)
    assert wrap or len(lines) == 1 + len(rows)


def test_rows_that_come_later_stay_in_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = TableWriter(("NAME", "STATUS"))
    table.write([("a-long-name", "Ready")])
    table.write([("b", "Failed")])
    table.write([("an-even-longer-name", "x")])
    table.write([("c", "y")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME          STATUS",
        "a-long-name   Ready",
        "b             Failed",
        "an-even-longer-name   x",
        "c                     y",
    ]


def test_long_cells_are_cut_or_go_on_below(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = ("cart-with-a-long-name", "onprem-frankfurt 1, ec2-frankfurt 2", "no more room in either of them")
    print_table(TITLES, [row])
    cut = capsys.readouterr().out
    assert "cart-with-a-long-name" in cut
    assert cut.count("…") == 2
    print_table(TITLES, [row], wrap=True)
    wrapped = capsys.readouterr().out
    assert "…" not in wrapped
    assert all(word in wrapped for cell in row for word in cell.split())


def test_words_that_tell_how_it_does_are_coloured_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    use_colour("always")
    try:
        print_table(("NAME", "STATUS", "READY"), [("Failed", "Failed", "0/2"), ("b", "Healthy, cordoned", "2/2")])
    finally:
        use_colour("auto")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Failed   \x1b[31mFailed\x1b[0m              \x1b[31m0/2\x1b[0m"
    assert lines[2].startswith("b        \x1b[32mHealthy, cordoned\x1b[0m")

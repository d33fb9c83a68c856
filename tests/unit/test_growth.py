"""The drawing of how time grows: every point in its place, and the slope fitted."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from growth import drawing, exponent

SVG = "{http://www.w3.org/2000/svg}"


def test_the_slope_is_the_power() -> None:
    assert exponent([(x, 3.0 * x**1.5) for x in (10.0, 20.0, 80.0)]) == pytest.approx(1.5)


def test_every_point_is_drawn_inside_and_larger_is_further_up_and_right() -> None:
    points = [(500.0, 0.7), (2000.0, 3.1), (20000.0, 61.0)]
    image = ElementTree.fromstring(drawing("Time", "services", "seconds", {"plan": points}))  # noqa: S314
    circles = [(float(each.get("cx", "")), float(each.get("cy", ""))) for each in image.iter(f"{SVG}circle")]
    assert len(circles) == len(points)
    assert sorted(circles) == circles
    assert sorted((y for _, y in circles), reverse=True) == [y for _, y in circles]
    assert all(70 <= x <= 620 and 40 <= y <= 385 for x, y in circles)
    words = [each.text for each in image.iter(f"{SVG}text")]
    assert {"Time", "services", "seconds", "plan", "slope 1", "500", "1,000", "0.5"} <= set(words)


def test_a_dashed_line_of_slope_1_runs_from_the_first_point() -> None:
    image = ElementTree.fromstring(drawing("t", "x", "y", {"a": [(10.0, 1.0), (100.0, 10.0)]}))  # noqa: S314
    dashed = next(each for each in image.iter(f"{SVG}line") if each.get("stroke-dasharray"))
    circles = [(each.get("cx"), each.get("cy")) for each in image.iter(f"{SVG}circle")]
    assert [(dashed.get("x1"), dashed.get("y1")), (dashed.get("x2"), dashed.get("y2"))] == circles


def test_a_single_size_is_drawn_too() -> None:
    assert "<circle" in drawing("t", "x", "y", {"a": [(100.0, 10.0)]})

"""Quantities, durations, money and shares: what is read, and what is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from federation.model.meta import Metadata
from federation.model.quantity import parse_duration_s, parse_quantity, parse_share, parse_usd


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", 0.5),
        ("2", 2.0),
        (2, 2.0),
        (0.25, 0.25),
        ("256Mi", 2.0**28),
        ("1e3", 1000.0),
        ("1.5Gi", 1.5 * 2**30),
        ("7k", 7e3),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: object, value: float) -> None:
    assert parse_quantity(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "12q", "-1", "1 Gi", "Gi", True, None, [], float("nan"), float("inf"), "1e999", "1\n2"]
)
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)


@given(st.integers(0, 10**9), st.sampled_from(["", "m", "k", "Ki", "Mi", "Gi"]))
def test_quantities_grow_with_their_number(number: int, suffix: str) -> None:
    assert parse_quantity(f"{number}{suffix}") <= parse_quantity(f"{number + 1}{suffix}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30.0), ("10m", 600.0), ("1h30m", 5400.0), ("2d", 172800.0), ("1m500ms", 60.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", 10, "ten minutes", "5m3h", "-1s", None, "1s\n2"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration_s(text)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_quantity, parse_duration_s, parse_usd, parse_share):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0


@pytest.mark.parametrize(("value", "share"), [("60%", 0.6), (0.6, 0.6), ("0%", 0.0), (1, 1.0)])
def test_shares(value: object, share: float) -> None:
    assert parse_share(value) == pytest.approx(share)


@pytest.mark.parametrize("value", ["101%", 1.5, -0.1, "60", True, "x"])
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="share"):
        parse_share(value)


@pytest.mark.parametrize("value", ["12 EUR", "-3", True, None, "12 usd", float("inf")])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_usd(value)


@pytest.mark.parametrize("name", ["", "Cart", "a_b", "-a", "a-", "a\n", "a" * 254, "a/b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Metadata(name=name)
    if name:
        with pytest.raises(ValidationError):
            Metadata(name="a", namespace=name)


@given(st.floats(-1e10, 253_402_300_799.0))
@example(5e-324)
@example(1_796_046_849.1234567)
def test_a_time_is_read_as_it_was_written(seconds: float) -> None:
    made = Metadata(name="a", deletion_timestamp=seconds)
    assert Metadata.model_validate_json(made.model_dump_json(by_alias=True)) == made
    assert made.deletion_timestamp is not None
    assert made.deletion_timestamp <= seconds
    assert made.deletion_timestamp == pytest.approx(seconds, abs=2e-6)

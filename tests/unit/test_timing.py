"""Windows of the week, and when something may move for cost alone."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from federation.model.policy import MigrationRules, Strategy
from federation.model.windows import parse_window
from federation.reconcile.timing import may_move_at, may_move_for_cost


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def rules(**given):
    return MigrationRules.model_validate(given)


MONDAY_NOON = at("2026-06-01T12:00")


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        ("Mon-Fri 20:00-23:00 Europe/Berlin", "2026-06-01T18:00", True),
        ("Mon-Fri 20:00-23:00 Europe/Berlin", "2026-06-01T17:59", False),
        ("Mon-Fri 20:00-23:00 Europe/Berlin", "2026-06-01T21:00", False),
        ("Mon-Fri 20:00-23:00 Europe/Berlin", "2026-01-05T18:30", False),
        ("Mon-Fri 20:00-23:00 Europe/Berlin", "2026-01-05T19:00", True),
        ("Mon-Fri 20:00-23:00 Europe/Berlin", "2026-06-06T18:00", False),
        ("Fri 22:00-04:00", "2026-06-05T23:00", True),
        ("Fri 22:00-04:00", "2026-06-06T03:59", True),
        ("Fri 22:00-04:00", "2026-06-06T04:00", False),
        ("Fri 22:00-04:00", "2026-06-05T03:00", False),
        ("Sat-Mon 00:00-24:00 UTC", "2026-06-01T23:59", True),
        ("Sat-Mon 00:00-24:00 UTC", "2026-06-02T00:00", False),
        ("Mon,Wed 10:00-11:00", "2026-06-03T10:30", True),
        ("10:00-11:00 America/New_York", "2026-06-07T14:30", True),
    ],
)
def test_windows_by_the_clock_of_their_zone(window, moment, is_open):
    assert parse_window(window).is_open(at(moment)) == is_open


def test_when_a_window_opens_next():
    window = parse_window("Mon-Fri 20:00-23:00 Europe/Berlin")
    assert window.opens_at(at("2026-06-05T18:30")) == at("2026-06-08T18:00")
    assert parse_window("Mon 10:00-11:00").opens_at(at("2026-06-01T10:00")) == at("2026-06-08T10:00")


@given(
    st.integers(2**29, 2**31),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sampled_from(["UTC", "Asia/Tokyo", "Asia/Kathmandu"]),
    st.sampled_from(["", "Mon ", "Sat-Tue ", "Wed,Sun "]),
)
@settings(max_examples=150, deadline=None)
def test_an_opening_is_open_and_the_first(now, start, end, zone, days):
    if start == end:
        return
    # Zones in which clocks did not change after 1986.
    window = parse_window(f"{days}{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02} {zone}")
    opens = window.opens_at(now)
    assert now < opens <= now + 8 * 86400
    assert window.is_open(opens)
    assert window.is_open(now) or not window.is_open(now + (opens - now) / 2)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"windows": ["nights"]}, "is no window"),
        ({"windows": ["Mo 20:00-23:00"]}, "is no day"),
        ({"windows": ["Mon-Xyz 20:00-23:00"]}, "is no day"),
        ({"windows": ["Mon 25:00-26:00"]}, "00:00 to 23:59"),
        ({"windows": ["Mon 20:60-21:00"]}, "00:00 to 23:59"),
        ({"windows": ["Mon 20:00-20:00"]}, "at no time"),
        ({"windows": ["Mon 20:00-21:00 Europe/Berlyn"]}, "no time zone"),
        ({"windows": ["Mon 20:00-21:00 ../etc/passwd"]}, "no window"),
        ({"windows": [7]}, "is no window"),
        ({"payback": "0s"}, "repay itself"),
        ({"payback": "soon"}, "not a duration"),
        ({"minSavings": "120%"}, "not a share"),
        ({"minSavings": "100%"}, "less than 1"),
        ({"cooldown": 5}, "not a duration"),
        ({"pay_back": "1h"}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense(given_, message):
    with pytest.raises(ValidationError) as caught:
        rules(**given_)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given_", "facts", "why"),
    [
        ({}, (None, 0.01, 0.2, 9.0), ""),
        ({}, (None, 0.0, 0.2, 0.0), "it saves nothing"),
        ({"minSavings": "10%"}, (None, 0.02, 0.2, 0.0), ""),
        (
            {"minSavings": "10%"},
            (None, 0.01, 0.2, 0.0),
            "it saves 0.01 of 0.2 USD per hour, 5.0%; minSavings is 10.0%",
        ),
        ({"payback": "72h"}, (None, 0.01, 0.2, 0.72), ""),
        (
            {"payback": "72h"},
            (None, 0.01, 0.2, 1.0),
            "the move costs 1 USD, repaid in 100 h; payback is 72h",
        ),
        ({"cooldown": "1h"}, (MONDAY_NOON - 3600, 0.01, 0.2, 0.0), ""),
        (
            {"cooldown": "1h"},
            (MONDAY_NOON - 3599, 0.01, 0.2, 0.0),
            "it moved less than its cooldown of 1h ago; wait until 2026-06-01T12:00:01Z",
        ),
        ({"windows": ["Tue 10:00-11:00", "Mon 12:00-13:00"]}, (None, 0.01, 0.2, 0.0), ""),
        (
            {"windows": ["Tue 10:00-11:00", "Mon 13:00-14:00"]},
            (None, 0.01, 0.2, 0.0),
            "outside the windows Tue 10:00-11:00, Mon 13:00-14:00; the next opens at 2026-06-01T13:00:00Z",
        ),
    ],
)
def test_moves_for_cost(given_, facts, why):
    last, saving, cost, move = facts
    assert may_move_for_cost(rules(**given_), MONDAY_NOON, last, saving, cost, move) == why


def test_the_earliest_time():
    both = rules(cooldown="2h", windows=["Mon 13:00-13:30", "Tue 08:00-09:00"])
    assert may_move_at(rules(), MONDAY_NOON, MONDAY_NOON) == MONDAY_NOON
    assert may_move_at(both, MONDAY_NOON, None) == at("2026-06-01T13:00")
    assert may_move_at(both, MONDAY_NOON, MONDAY_NOON) == at("2026-06-02T08:00")


def test_how_long_both_copies_run():
    strategy = Strategy.model_validate({"canary": {"steps": [50, 100], "interval": "15m", "drainTimeout": "30m"}})
    assert strategy.canary.overlap_s == 3600.0

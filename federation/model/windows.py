"""Windows of time that come back every week: `Mon-Fri 20:00-23:00 Europe/Berlin`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES = 24 * 60
_WINDOW = re.compile(r"(?:([A-Za-z,-]+) )?([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})(?: ([A-Za-z0-9_+/-]+))?")


@dataclass(frozen=True, slots=True)
class Window:
    """`days`: on which it opens, 0 is Monday; `start` and `end`: minutes of the day by the clocks of `zone`, the end
    not part of it. One that ends no later than it starts lasts into the next day."""

    days: frozenset[int]
    start: int
    end: int
    zone: tzinfo

    def is_open(self, now: float) -> bool:
        """Whether it is open at `now`, seconds since 1970."""
        local = datetime.fromtimestamp(now, self.zone)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)

    def opens_at(self, now: float) -> float:
        """When it opens next after `now`, seconds since 1970."""
        today = datetime.fromtimestamp(now, self.zone).date()
        return min(
            at
            for ahead in range(9)
            if (today + timedelta(days=ahead)).weekday() in self.days
            and (at := self._start_on(today + timedelta(days=ahead))) > now
        )

    def _start_on(self, day: date) -> float:
        hour, minute = divmod(self.start, 60)
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone).timestamp()


@lru_cache(maxsize=1024)
def parse_window(text: str) -> Window:
    """`Mon-Fri 20:00-23:00 Europe/Berlin`, `Sat,Sun 00:00-24:00`, `22:00-04:00`: without days on all of them, without a
    time zone in UTC. Raises: ValueError, with what would be right."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no window; write for instance 'Mon-Fri 20:00-23:00 Europe/Berlin'")
    days, *clock, zone = match.groups()
    hour, minute, last_hour, last_minute = (int(part) for part in clock)
    start, end = hour * 60 + minute, last_hour * 60 + last_minute
    if minute > 59 or last_minute > 59 or start >= DAY_MINUTES or end > DAY_MINUTES:
        raise ValueError(f"{text!r}: times go from 00:00 to 23:59, and a window ends at 24:00 at the latest")
    if start == end:
        raise ValueError(f"{text!r} is open at no time; for a whole day write 00:00-24:00")
    return Window(_days(days, text), start, end, _zone(zone, text))


def _days(days: str | None, text: str) -> frozenset[int]:
    if days is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in days.split(","):
        first, dash, last = part.partition("-")
        for name in (first, last) if dash else (first,):
            if name not in DAYS:
                raise ValueError(f"{text!r}: {name!r} is no day; write {', '.join(DAYS)}, such as Mon-Fri or Sat,Sun")
        at = DAYS.index(first)
        count = (DAYS.index(last) - at) % 7 + 1 if dash else 1
        found.update((at + ahead) % 7 for ahead in range(count))
    return frozenset(found)


def _zone(name: str | None, text: str) -> tzinfo:
    if name is None or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{text!r}: no time zone {name!r} is known; write one such as Europe/Berlin or UTC") from error


def _checked(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no window; write text such as 'Mon-Fri 20:00-23:00 Europe/Berlin'")
    parse_window(value)
    return value


WindowText = Annotated[str, BeforeValidator(_checked)]
"""Text of a window, checked; read it with `parse_window`."""

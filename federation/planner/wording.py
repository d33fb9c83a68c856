"""Amounts and lists as people read them. The same numbers always give the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor

GIB = 2.0**30
MIB = 2.0**20


def decimals(*amounts: float) -> int:
    """How many decimals show amounts of this size: three, and more for what would vanish."""
    largest = max((abs(amount) for amount in amounts), default=0.0)
    for places, least in ((3, 0.02), (5, 0.0002), (7, 0.000002)):
        if largest >= least:
            return places
    return 9 if largest else 3


def money(amount: float, places: int) -> str:
    """USD per hour, so many decimals, never a negative zero."""
    text = f"{amount:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def parts(terms: Mapping[str, float], places: int) -> list[tuple[str, float]]:
    """The terms rounded so that what is shown adds up to the rounded sum (largest remainders); zeros left out."""
    unit = 10.0**-places
    scaled = {name: amount / unit for name, amount in terms.items()}
    units = {name: floor(value) for name, value in scaled.items()}
    missing = round(sum(scaled.values())) - sum(units.values())
    by_remainder = sorted(scaled, key=lambda name: (units[name] - scaled[name], name))
    for name in by_remainder[:missing]:
        units[name] += 1
    return [(name, count * unit) for name, count in units.items() if count]


def equation(total: float, terms: Mapping[str, float], places: int) -> str:
    """`0.412 = 0.380 compute + 0.032 transfer`."""
    shown = parts(terms, places)
    if not shown:
        return money(total, places)
    if len(shown) == 1:
        return f"{money(total, places)} {shown[0][0]}"
    text = f"{money(total, places)} = "
    for index, (name, amount) in enumerate(shown):
        sign = (" - " if amount < 0 else " + ") if index else ("-" if amount < 0 else "")
        text += f"{sign}{money(abs(amount), places)} {name}"
    return text


def difference(delta: float, terms: Mapping[str, float], places: int) -> str:
    """`+0.108: +0.120 compute, -0.012 latency`."""
    shown = ", ".join(f"{_signed(amount, places)} {name}" for name, amount in parts(terms, places))
    return f"{_signed(delta, places)}: {shown}" if shown else _signed(delta, places)


def _signed(amount: float, places: int) -> str:
    text = money(amount, places)
    return text if text.startswith("-") else f"+{text}"


def nth(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ... 11th, ..."""
    last = 0 if 10 < number % 100 < 20 else number % 10
    return str(number) + {1: "st", 2: "nd", 3: "rd"}.get(last, "th")


def tally(shorts: Sequence[str]) -> str:
    """`3 outside [EU], 1 lacks pci-dss`: each text with how often it is there, the most frequent first."""
    counts: dict[str, int] = {}
    for short in shorts:
        counts[short] = counts.get(short, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {short if count == 1 else _plural(short)}" for short, count in ordered)


def _plural(short: str) -> str:
    """`lacks pci-dss` of several is `lack pci-dss`."""
    verb, space, rest = short.partition(" ")
    return {"lacks": "lack", "has": "have", "runs": "run", "needs": "need"}.get(verb, verb) + space + rest


def cores(amount: float) -> str:
    """Cores without needless digits."""
    return f"{round(max(amount, 0.0), 3):g}"


def memory(amount: float) -> str:
    """Bytes as GiB or MiB."""
    amount = max(amount, 0.0)
    return f"{amount / GIB:.3g} GiB" if amount >= GIB else f"{amount / MIB:.3g} MiB"

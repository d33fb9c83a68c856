"""Kubernetes quantities, durations, money and shares: text as people write it, numbers as Roam computes with it.

Each `parse_*` takes what YAML may hold (text or number), returns a float or int in the unit its name says and raises
ValueError with what would be right. Source: Kubernetes "Quantity" serialization format.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator

_SUFFIX = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}
_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE][+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i))?\Z")
_DURATION = re.compile(r"^(?:([0-9]+(?:\.[0-9]+)?)d)?(?:([0-9]+(?:\.[0-9]+)?)h)?(?:([0-9]+(?:\.[0-9]+)?)m(?!s))?"
                       r"(?:([0-9]+(?:\.[0-9]+)?)s)?(?:([0-9]+(?:\.[0-9]+)?)ms)?\Z")  # fmt: skip
_MONEY = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(?: USD)?\Z")
_SHARE = re.compile(r"^(-?[0-9]+(?:\.[0-9]+)?)%\Z")


LONGEST_S = 100 * 366 * 86400.0
"""The longest duration that anybody may mean."""
MOST_USD = 1e9
"""The largest amount: what is beyond is a slip, and sums of it are no numbers any more."""


@lru_cache(maxsize=4096)
def _quantity(text: str) -> float:
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a quantity; write a number with an optional suffix such as 500m, 2, 256Mi, 4Gi"
        )
    number, exponent, suffix = match.groups()
    return float(number + (exponent or "")) * _SUFFIX[suffix or ""]


def _float(value: float) -> float:
    """A number as a float; a whole number beyond all floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def parse_quantity(value: object) -> float:
    """A Kubernetes quantity (`500m`, `2`, `256Mi`) in its base unit: cores, bytes or pieces; finite and >= 0."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a quantity; write text such as '500m' or '256Mi'")
    result = _quantity(value.strip()) if isinstance(value, str) else _float(value)
    if not math.isfinite(result) or result < 0:
        raise ValueError(f"{value!r} is not a quantity; it must be finite and not negative")
    return result


def parse_duration_s(value: object) -> float:
    """A duration such as `250ms`, `30s`, `10m`, `1h30m`, `2d`, in seconds, >= 0."""
    return _duration_s(value.strip() if isinstance(value, str) else "", str(value))


@lru_cache(maxsize=1024)
def _duration_s(text: str, written: str) -> float:
    match = _DURATION.match(text)
    if not text or match is None:
        raise ValueError(f"{written!r} is not a duration; write for instance 250ms, 30s, 10m, 1h30m or 2d")
    scales = (86400.0, 3600.0, 60.0, 1.0, 0.001)
    result = sum(float(part) * scale for part, scale in zip(match.groups(), scales, strict=True) if part)
    if result > LONGEST_S:
        raise ValueError(f"{written[:40]!r} is too long; a duration is 100 years at most")
    return result


def parse_usd(value: object) -> float:
    """Money: a number, or text such as `12 USD`; in US dollars, >= 0 and no more than a billion. Other currencies are
    refused."""
    result = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        result = _float(value)
    elif isinstance(value, str) and (match := _MONEY.match(value.strip())) is not None:
        result = float(match.group(1))
    if not (math.isfinite(result) and result >= 0):
        why = " because it is negative" if _is_negative(value) else ""
        raise ValueError(f"{value!r} is not an amount{why}; write a number of US dollars such as 12 USD")
    if result > MOST_USD:
        raise ValueError(f"{value!r} is not an amount; it is more than a billion US dollars")
    return result


def _is_negative(value: object) -> bool:
    return value < 0 if isinstance(value, int | float) else isinstance(value, str) and value.strip().startswith("-")


def parse_share(value: object) -> float:
    """A share: a number from 0 to 1, or text such as `60%`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        share = _float(value)
    else:
        match = _SHARE.match(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r} is not a share; write for instance 60% or 0.6")
        share = float(match.group(1)) / 100.0
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{value!r} is not a share; it must lie between 0% and 100%")
    return share


def _checked_quantity(value: object) -> str:
    parse_quantity(value)
    return str(value)


def _checked_duration(value: object) -> str:
    parse_duration_s(value)
    return str(value)


Quantity = Annotated[str, BeforeValidator(_checked_quantity)]
"""Text of a quantity, checked; read it with `parse_quantity`."""
Duration = Annotated[str, BeforeValidator(_checked_duration)]
"""Text of a duration, checked; read it with `parse_duration_s`."""
Usd = Annotated[float, BeforeValidator(parse_usd)]
"""US dollars, >= 0."""
Share = Annotated[float, BeforeValidator(parse_share)]
"""A share between 0 and 1."""

"""A plan's moves as people read them: what is copied, how long it is down, what it costs once, when that is repaid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from federation.planner.wording import memory

if TYPE_CHECKING:
    from federation.cli.changes import Change
    from federation.model.placement import Target
    from federation.model.plan import MoveCost

HEADS = ("Move", "From", "To", "Data", "Down", "USD once", "Saves USD/h", "Repaid in")
TITLES = tuple(title.upper() for title in HEADS)


def move_rows(moves: Sequence[Change]) -> list[list[str]]:
    """A row for each move, under `TITLES`."""
    return [
        [str(change.key), _where(change.before), _where(change.after), *_figures(change.move)]
        for change in moves
        if change.move is not None
    ]


def unknown(moves: Sequence[Change]) -> list[str]:
    """A sentence on what is not known of the moves, and not in their figures; nothing where all is known."""
    counts: dict[str, int] = {}
    for change in moves:
        for what in change.move.unknown if change.move is not None else ():
            counts[what] = counts.get(what, 0) + 1
    if not counts:
        return []
    said = [f"{what} ({count} {'move' if count == 1 else 'moves'})" for what, count in sorted(counts.items())]
    return [f"Unknown of moves, and not counted: {'; '.join(said)}."]


def in_words(move: MoveCost) -> str:
    """`once 0.0021 USD; data: images; down 0 s; unknown: the size of its images`."""
    copied, down, once = _figures(move)[:3]
    said = f"once {once} USD; data: {copied}; down: {down}"
    return f"{said}; unknown: {', '.join(move.unknown)}" if move.unknown else said


def _figures(move: MoveCost) -> list[str]:
    saving, payback = move.saving_usd_per_hour, move.payback_hours
    return [
        _data(move),
        "unknown" if move.downtime_s is None else f"{move.downtime_s:g} s",
        f"{'' if move.transfer_usd is not None else '> '}{move.once_usd:.4f}",
        "has to go" if saving is None else f"{saving:.4f}",
        "-" if payback is None else _time(payback),
    ]


def _time(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.2g} min"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} d"


def _data(move: MoveCost) -> str:
    """`10 GiB, images`: what is copied or pulled, as far as its size is known."""
    volumes = "unknown" if move.volume_bytes is None else memory(move.volume_bytes) if move.volume_bytes else ""
    return ", ".join(part for part in (volumes, "images" if move.image_bytes is None else "") if part) or "none"


def _where(targets: Sequence[Target]) -> str:
    return ", ".join(f"{target.subcluster} {target.replicas}" for target in targets)

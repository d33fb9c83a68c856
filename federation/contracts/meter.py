"""What the engine tells of its own doings, for whoever counts. The engine itself keeps no numbers."""

from __future__ import annotations

from typing import Literal, Protocol

Step = Literal["watch", "decide", "reconcile", "deliver", "route"]
"""Parts of one turn of the engine: judging health, following decisions, deriving what is to be done and writing that
down, sending it to drivers, handing tables to gateways."""
Kind = Literal["full", "quick"]
"""A decision on everything, or on a few changed services."""
Outcome = Literal["made", "failed", "overtaken"]
"""Of a decision: `overtaken` by changed policies while it was made."""


class Meter(Protocol):
    """Told on the engine's thread; must be quick, must not raise, must not call back."""

    def step(self, step: Step, seconds: float) -> None:
        """One part of a turn took so long."""
        ...

    def phase(self, phase: str, outcome: str, seconds: float) -> None:
        """A migration was in a phase for so long, and went on to the phase `outcome`."""
        ...

    def decision(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """A decision took so long, from its request to its answer."""
        ...

    def plan(self, gap: float | None, unplaced: int) -> None:
        """What the newest decision on everything looks like: how far it may be from the optimum, None for unknown; and
        how many services have no place."""
        ...


class NoMeter:
    """Counts nothing."""

    def step(self, step: Step, seconds: float) -> None:
        """Nothing."""

    def phase(self, phase: str, outcome: str, seconds: float) -> None:
        """Nothing."""

    def decision(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """Nothing."""

    def plan(self, gap: float | None, unplaced: int) -> None:
        """Nothing."""

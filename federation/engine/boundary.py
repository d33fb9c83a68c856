"""The one place where retrying is decided: how long to leave a sub-cluster or gateway alone after a failure."""

from __future__ import annotations

from dataclasses import dataclass

import tenacity

from federation.errors import FederationError, RateLimited

_WAIT = tenacity.wait_exponential(multiplier=0.2, max=30.0)
_WAIT_FINAL = tenacity.wait_exponential(multiplier=5.0, max=300.0)


@dataclass(frozen=True, slots=True)
class Backoff:
    """After `attempts` failures in a row, nothing is tried before `not_before` (monotonic seconds)."""

    attempts: int = 0
    not_before: float = 0.0
    message: str = ""


def after_failure(previous: Backoff | None, error: BaseException, message: str, now: float, chance: float) -> Backoff:
    """The back-off after one more failure. `chance` in [0, 1) spreads retries by up to a quarter.

    Errors that may pass (`retryable`, and anything unforeseen) wait 0.2 s doubling to 30 s; a provider's own
    retry-after is kept; errors that need a person wait 5 s doubling to 300 s, since the person may have acted."""
    attempts = (previous.attempts if previous is not None else 0) + 1
    state = tenacity.RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.attempt_number = attempts
    passing = not isinstance(error, FederationError) or error.retryable
    wait_s = float((_WAIT if passing else _WAIT_FINAL)(state))
    if isinstance(error, RateLimited):
        wait_s = max(wait_s, error.retry_after_s)
    return Backoff(attempts, now + wait_s * (1.0 + chance / 4.0), message)

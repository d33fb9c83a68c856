"""The one exception tree of Roam.

Whether a failed call is worth another try is decided here, once, on the class (`retryable`).
Drivers translate vendor errors with `raise ... from`; no vendor type crosses a contract.
A refusal by policy is a value (a reason on a candidate), never an exception.
"""

from __future__ import annotations

from typing import ClassVar


class FederationError(Exception):
    """Anything Roam raises on purpose. `exit_code` is what the command line ends with."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    reason: ClassVar[str] = "Failed"


class InvalidInput(FederationError):
    """What a person or program handed in can't be used. The message names where and what would be right.

    Args: message; file and line (1-based) of the source, when there is one; field, a dotted path.
    """

    exit_code: ClassVar[int] = 64
    reason: ClassVar[str] = "Invalid"

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None, field: str | None = None):
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.field = field

    def __str__(self) -> str:
        place = self.file or ""
        if self.line is not None:
            place = f"{place}:{self.line}" if place else f"line {self.line}"
        parts = [part for part in (place, self.field, self.message) if part]
        return ": ".join(parts)


class InvalidInputs(InvalidInput):
    """Several `InvalidInput` found in one pass, so that a person can mend all of them at once."""

    def __init__(self, errors: tuple[InvalidInput, ...]):
        first = errors[0]
        super().__init__(first.message, file=first.file, line=first.line, field=first.field)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class StaleWrite(FederationError):
    """A compare-and-swap lost: the object changed since it was read. Read again, decide again."""

    reason: ClassVar[str] = "Conflict"


class AlreadyExists(FederationError):
    """An object of that kind, namespace and name is there already."""

    reason: ClassVar[str] = "AlreadyExists"


class Expired(FederationError):
    """A watch or a list page asks for a version that has been compacted away: list again (`410 Gone`)."""

    reason: ClassVar[str] = "Expired"


class Unplaceable(FederationError):
    """No sub-cluster can take something. `denied` tells whether policy (exit 4) or room (exit 3) is what lacks."""

    reason: ClassVar[str] = "Unplaceable"

    def __init__(self, message: str, *, denied: bool):
        super().__init__(message)
        self.denied = denied


class TimedOut(FederationError):
    """What was waited for did not happen within its deadline."""

    exit_code: ClassVar[int] = 5
    reason: ClassVar[str] = "TimedOut"


class StalePlan(FederationError):
    """What a plan was made from has changed since: make it again."""

    exit_code: ClassVar[int] = 7
    reason: ClassVar[str] = "StalePlan"


class ProviderError(FederationError):
    """A call to a provider, gateway or agent did not do what it was asked for."""

    reason: ClassVar[str] = "ProviderError"


class NotFound(ProviderError):
    """What was named does not exist."""

    reason: ClassVar[str] = "NotFound"


class Conflict(ProviderError):
    """Something that is not Roam's stands where Roam wants to write; a person has to decide."""

    reason: ClassVar[str] = "Conflict"


class NoCapacity(ProviderError):
    """No room there now; try the next offer."""

    reason: ClassVar[str] = "NoCapacity"


class RateLimited(ProviderError):
    """Too many calls; try again after `retry_after_s` seconds."""

    retryable: ClassVar[bool] = True
    reason: ClassVar[str] = "RateLimited"

    def __init__(self, message: str, *, retry_after_s: float = 1.0):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(ProviderError):
    """No answer, or an answer that says 'later'; whether the call took effect is unknown."""

    retryable: ClassVar[bool] = True
    reason: ClassVar[str] = "Unavailable"


class NoRoom(Unavailable):
    """The disk is full: nothing was written. Goes on by itself once there is room."""

    reason: ClassVar[str] = "InsufficientStorage"


class Denied(ProviderError):
    """Not allowed: credentials or permissions; trying again does not help."""

    reason: ClassVar[str] = "Denied"

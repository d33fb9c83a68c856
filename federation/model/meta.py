"""What every resource has: names, labels, selectors, conditions, versions."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StrictBool,
    StrictInt,
    model_validator,
)
from pydantic.alias_generators import to_camel

API_VERSION = "roam.federation/v1alpha1"
FLEET = ""
"""The namespace of a fleet-scoped object: none."""

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_LABEL_NAME = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_PREFIX = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")

Int = StrictInt
Bool = StrictBool
Natural = Annotated[StrictInt, Field(ge=0, le=1_000_000)]
"""A whole number >= 0, with a bound no real fleet reaches."""
PortNumber = Annotated[StrictInt, Field(ge=1, le=65535)]
Json = JsonValue

_FIRST_TIME, _LAST_TIME = -1e10, 253_402_300_799.0
"""Times that RFC 3339 can write, in seconds since 1970: somewhere in the 17th century, and the last second of 9999."""


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise ValueError(
            f"{value!r} is not a name: use at most 253 lower-case letters, digits, '-' and '.', "
            "beginning and ending with a letter or digit"
        )
    return value


def _namespace(value: str) -> str:
    if value and not _LABEL.match(value):
        raise ValueError(
            f"{value!r} is not a namespace: use at most 63 lower-case letters, digits and '-', "
            "beginning and ending with a letter or digit"
        )
    return value


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if (slash and not _PREFIX.match(prefix)) or not _LABEL_NAME.match(name):
        raise ValueError(f"{value!r} is not a label key: use [prefix/]name with a name of at most 63 characters")
    return value


def _label_value(value: str) -> str:
    if value and not _LABEL_NAME.match(value):
        raise ValueError(f"{value!r} is not a label value: at most 63 letters, digits, '-', '_' and '.'")
    return value


def _timestamp(value: object) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
        else:
            seconds = datetime.fromisoformat(value if isinstance(value, str) else "").timestamp()
    except (ValueError, OverflowError):
        seconds = math.nan
    if not _FIRST_TIME <= seconds <= _LAST_TIME:
        raise ValueError(f"{str(value)[:40]!r} is not a time; write RFC 3339 such as 2026-01-31T12:00:00Z")
    # As it is written, so that what is read again is the same; and never later than it was.
    kept = round(seconds, 6)
    return kept if kept <= seconds else round(kept - 1e-6, 6)


def format_time(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _version(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (value == "" or (value.isascii() and value.isdigit() and len(value) < 19)):
        return int(value or 0)
    raise ValueError(f"{value!r} is not a resource version")


Timestamp = Annotated[float, BeforeValidator(_timestamp), PlainSerializer(format_time, str, when_used="json")]
"""Seconds since 1970, UTC; RFC 3339 on the wire."""
Version = Annotated[int, BeforeValidator(_version), PlainSerializer(str, str, when_used="json")]
"""A resource version: grows with every write to the store; text on the wire, as in Kubernetes."""
Name = Annotated[str, AfterValidator(_name)]
Namespace = Annotated[str, AfterValidator(_namespace)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
Labels = dict[LabelKey, LabelValue]


class Key(NamedTuple):
    """Which object of a kind: namespace (`FLEET` for fleet-scoped kinds) and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Value(BaseModel):
    """Base of all model values: immutable, strict, camelCase outside and snake_case inside."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Requirement(Value):
    """One `matchExpressions` entry."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[LabelValue, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Requirement:
        if self.operator in ("In", "NotIn") and not self.values:
            raise ValueError(f"operator {self.operator} compares with values; give at least one")
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise ValueError(f"operator {self.operator} looks at no values; leave them out, or write In")
        return self

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether `labels` meet this requirement; as in Kubernetes, NotIn holds for an absent key."""
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        found = labels.get(self.key) in self.values
        return found if self.operator == "In" else not found


class Selector(Value):
    """A Kubernetes label selector; an empty one matches everything."""

    match_labels: Labels = {}
    match_expressions: tuple[Requirement, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether `labels` meet every part of the selector."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class Metadata(Value):
    """Kubernetes object metadata, as far as Roam uses it."""

    name: Name
    namespace: Namespace = FLEET
    labels: Labels = {}
    annotations: dict[str, str] = {}
    uid: str = ""
    resource_version: Version = 0
    generation: int = 0
    creation_timestamp: Timestamp = 0.0
    deletion_timestamp: Timestamp | None = None


class Condition(Value):
    """One observed aspect of an object; `last_transition_time` is when `status` last changed."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: Timestamp = 0.0


def with_condition(conditions: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """`conditions` with `new` in place of the one of its type, sorted by type; the transition time is kept when the
    status did not change, and the same tuple is returned when nothing changed (so a caller can skip the write)."""
    old = next((condition for condition in conditions if condition.type == new.type), None)
    if old is not None and old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
        if new == old:
            return conditions
    others = [condition for condition in conditions if condition.type != new.type]
    return tuple(sorted([*others, new], key=lambda condition: condition.type))


class Resource(Value):
    """Base of all stored kinds. `plural` is the path segment; `namespaced` tells the scope."""

    kind_name: ClassVar[str]
    plural: ClassVar[str]
    namespaced: ClassVar[bool] = True
    short_names: ClassVar[tuple[str, ...]] = ()

    api_version: Literal["roam.federation/v1alpha1"] = "roam.federation/v1alpha1"
    metadata: Metadata

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.metadata.namespace, self.metadata.name)

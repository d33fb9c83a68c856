"""Objects as the store keeps them: checked on the way in, exact on the way out, parsed once.

A document is the whole object as JSON text, defaults included, so that what was stored keeps its meaning when a later
release has other defaults. Times are numbers here, not RFC 3339 text: text would cut them to microseconds.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakValueDictionary

from pydantic import JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from federation.contracts.store import Delete, Replace, Write
from federation.errors import FederationError, InvalidInput
from federation.model.kinds import BY_KIND
from federation.model.meta import Key, Resource
from federation.store.sealing import Keyring

Document = dict[str, JsonValue]

LARGEST_DOCUMENT_CHARS = 16 * 2**20
"""No object's text is longer: a guard against mistakes, ten times what etcd takes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write whose object is known to be storable. `resource` and `document` are None for a Delete;
    `expected_version` is None where any version will do."""

    write: Write
    kind: type[Resource]
    key: Key
    expected_version: int | None
    resource: Resource | None = None
    document: Document | None = None


def prepare(write: Write) -> Prepared:
    """`write` with its object checked: it must be of a known kind and read back from its own text as a valid object.

    Raises: InvalidInput. The values kept are those read back: callers may do as they like with the object they gave."""
    if isinstance(write, Delete):
        return Prepared(write, known(write.kind), Key(*write.key), write.resource_version)
    kind = known(type(write.resource))
    resource = _read_back(kind, write.resource)
    expected = resource.metadata.resource_version if isinstance(write, Replace) else None
    return Prepared(write, kind, resource.key, expected, resource, dump(resource))


def known(kind: type[Resource]) -> type[Resource]:
    """`kind`, if it is one of the kinds that can be stored. Raises: InvalidInput."""
    name = getattr(kind, "kind_name", kind.__name__)
    if BY_KIND.get(name) is not kind:
        raise InvalidInput(f"{name} is not a kind the store knows; known are {', '.join(sorted(BY_KIND))}")
    return kind


def dump(resource: Resource) -> Document:
    """The object as JSON-like data (tuples stand for arrays), names as outside, defaults included."""
    return resource.model_dump(by_alias=True, warnings=False)


def text_of(document: Document) -> str:
    """`document` as JSON text. Raises: ValueError (something in it is not JSON)."""
    text = to_json(document).decode()
    if "NaN" in text or "Infinity" in text:
        json.dumps(document, allow_nan=False)
    return text


def canonical(value: object) -> str:
    """Text that is equal exactly for equal JSON, whatever the order of object members."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def parse(kind: str, text: str, where: str) -> Resource:
    """The object from its text. Raises: FederationError when this release can't read it; `where` names the object."""
    if kind not in BY_KIND:
        raise FederationError(
            f"the store's {where} is of a kind this release does not know; was it written by another?"
        )
    try:
        return BY_KIND[kind].model_validate_json(text)
    except ValidationError as error:
        raise FederationError(
            f"the store's {where} can't be read by this release: {_first(error)}; "
            "was it written by another release, or is the file damaged?"
        ) from error


def _read_back(kind: type[Resource], resource: Resource) -> Resource:
    where = f"{kind.kind_name} {resource.metadata.name!r}"
    try:
        text = text_of(dump(resource))
        if len(text) > LARGEST_DOCUMENT_CHARS:
            raise InvalidInput(f"{where} is {len(text)} characters long as JSON; at most {LARGEST_DOCUMENT_CHARS} fit")
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(f"{where} is not valid: {_first(error)}") from error
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{where} can't be written as JSON: {error}") from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"][:8])
    return f"{place}: {first['msg']}" if place else first["msg"]


class Parsed:
    """Objects parsed already, by version: those that somebody else holds anyway (the engine holds all that are
    current), and of the others the most recently used. Safe to use from several threads.

    A version belongs to one object in one state for ever, so nothing here ever goes stale.
    Args: keys, for those that are encrypted; most, number of objects; most_chars, length of their texts in all (an
    object takes about twelve times the memory of its text)."""

    def __init__(self, keys: Keyring | None = None, *, most: int = 2_000, most_chars: int = 2 * 2**20):
        self.keys = keys
        self._most = most
        self._most_chars = most_chars
        self._chars = 0
        self._found: OrderedDict[int, tuple[Resource, int]] = OrderedDict()
        self._alive: WeakValueDictionary[int, Resource] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, versions: list[int]) -> dict[int, Resource]:
        """Those of `versions` that are known."""
        found: dict[int, Resource] = {}
        with self._lock:
            for version in versions:
                entry = self._found.get(version)
                if entry is not None:
                    self._found.move_to_end(version)
                    found[version] = entry[0]
                elif (alive := self._alive.get(version)) is not None:
                    found[version] = alive
        return found

    def put(self, version: int, resource: Resource, chars: int) -> None:
        """Remember a committed object and the length of its text."""
        with self._lock:
            if version in self._found:
                return
            self._alive[version] = resource
            self._found[version] = (resource, chars)
            self._chars += chars
            while self._found and (len(self._found) > self._most or self._chars > self._most_chars):
                _, (_, length) = self._found.popitem(last=False)
                self._chars -= length

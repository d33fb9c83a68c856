"""Lists: which objects a question means, in SQL, and the token that continues a page."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, exists, or_, select, tuple_

from federation.errors import InvalidInput
from federation.model.meta import Requirement, Selector
from federation.store.schema import LABELS, REVISIONS

_MOST_SELECTOR_TERMS = 200
_MOST_SELECTOR_VALUES = 10_000
_SIGNATURE_BYTES = 16


class Cursor(NamedTuple):
    """How far a list has come: all up to this object has been given, as of `version`."""

    version: int
    namespace: str
    name: str


def live(kind: str) -> Select[tuple[int, str, str]]:
    """Version, namespace and name of the live objects of a kind, ordered by namespace and name."""
    return _ordered(kind).where(REVISIONS.c.superseded.is_(None))


def as_of(kind: str, cursor: Cursor) -> Select[tuple[int, str, str]]:
    """The same as of `cursor`'s version, from after its object on."""
    superseded = REVISIONS.c.superseded
    return _ordered(kind).where(
        REVISIONS.c.version <= cursor.version,
        or_(superseded.is_(None), superseded > cursor.version),
        tuple_(REVISIONS.c.namespace, REVISIONS.c.name) > tuple_(cursor.namespace, cursor.name),
    )


def _ordered(kind: str) -> Select[tuple[int, str, str]]:
    columns = REVISIONS.c
    return (
        select(columns.version, columns.namespace, columns.name)
        .where(columns.kind == kind)
        .order_by(columns.namespace, columns.name)
    )


def matching(selector: Selector) -> tuple[ColumnElement[bool], ...]:
    """`Selector.matches` in SQL, for the labels of `REVISIONS`: all of these must hold.

    Raises: InvalidInput for a selector beyond what a database takes (200 terms, 10,000 values)."""
    values = sum(len(requirement.values) for requirement in selector.match_expressions)
    terms = len(selector.match_labels) + len(selector.match_expressions)
    if terms > _MOST_SELECTOR_TERMS or values > _MOST_SELECTOR_VALUES:
        raise InvalidInput(
            f"a selector of {terms} terms and {values} values is too large; at most {_MOST_SELECTOR_TERMS} terms and "
            f"{_MOST_SELECTOR_VALUES} values",
            field="selector",
        )
    wanted = [_labelled(key, (value,)) for key, value in selector.match_labels.items()]
    return (*wanted, *(_meets(requirement) for requirement in selector.match_expressions))


def _meets(requirement: Requirement) -> ColumnElement[bool]:
    if requirement.operator == "Exists":
        return _labelled(requirement.key, None)
    if requirement.operator == "DoesNotExist":
        return ~_labelled(requirement.key, None)
    found = _labelled(requirement.key, requirement.values)
    return found if requirement.operator == "In" else ~found


def _labelled(key: str, values: tuple[str, ...] | None) -> ColumnElement[bool]:
    row = exists().where(LABELS.c.version == REVISIONS.c.version, LABELS.c.label == key)
    return row if values is None else row.where(LABELS.c.value.in_(values))


class Tokens:
    """Continue tokens of one store: text that says nothing to others and that nobody can make up or bend.

    Args: secret, the store's own."""

    def __init__(self, secret: bytes):
        self._secret = secret

    def write(self, cursor: Cursor, question: str) -> str:
        """The token for `cursor`, good only for the same `question` (kind, namespace and selector as text)."""
        payload = json.dumps(cursor, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(payload, question) + payload).decode().rstrip("=")

    def read(self, token: str, question: str) -> Cursor:
        """The cursor in `token`. Raises: InvalidInput when it is not one given out for `question`."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
            if signature == self._sign(payload, question):
                cursor = Cursor(*json.loads(payload))
                # Base64 has several spellings of the same bytes; only ours is ours.
                if self.write(cursor, question) == token:
                    return cursor
        except (ValueError, TypeError):
            pass
        raise InvalidInput(
            "is not a continue token of this list; pass the one of the page before, with the same kind, namespace and "
            "selector, or list again from the start",
            field="continue",
        )

    def _sign(self, payload: bytes, question: str) -> bytes:
        digest = hashlib.blake2b(payload, key=self._secret, digest_size=_SIGNATURE_BYTES)
        digest.update(b"\0" + question.encode())
        return digest.digest()


def question(kind: str, namespace: str | None, selector: Selector | None) -> str:
    """What a list asks for, as text; equal questions have equal text."""
    return json.dumps([kind, namespace, None if selector is None else selector.model_dump_json()])

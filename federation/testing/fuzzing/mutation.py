"""Spoils documents and texts at random. Pure, given the random numbers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

WEIRD: Final[Sequence[Any]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 10**25, 10**400, 0.5, -0.0, 1e308, -1e308, 5e-324,
    "", " ", "\n", "\x00", "a" * 64, "a" * 254, "a" * 5000, "A", "-", ".", "..", "/", "a/b", "a b", "ä", "\u202e",
    "\ud800",
    "\U0001f600", "\ufeff", "０", "1e3", "0x10", "NaN", "Infinity", "null", "true", "1Gi", "-1Gi", "1e400", "9" * 400,
    "30s", "-30s", "1h1h", "100%", "101%", "-1%", "1 EUR", "1 USD", "$(A)", "${A}", "{{a}}", "%s%n", "<redacted>",
    "../../etc/passwd", "http://[::1", "2026-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:60Z",
    "2026-01-01T00:00:00+99:99", "default", "shop", "cart", "onprem", "roam.federation/v1alpha1", "Secret", "List",
    [], {}, [[]], [{}], {"": ""}, [None], {"a": {"b": {"c": {}}}}, ["a"] * 200,
)  # fmt: skip
NAMES: Final = (
    "kind", "apiVersion", "metadata", "name", "namespace", "labels", "annotations", "resourceVersion", "uid",
    "generation",
    "generateName", "creationTimestamp", "deletionTimestamp", "finalizers", "ownerReferences", "spec", "status",
    "items",
    "template", "containers", "objects", "replicas", "selector", "data", "stringData", "", "__proto__", "__class__",
    "$ref",
    "matchExpressions", "operator", "values", "ports", "env", "resources", "compliance", "cost", "spread", "locality",
)  # fmt: skip
_BYTES: Final = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\ud800", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0",
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"null", b"[" * 50, b'{"a":' * 50, b"1" * 500, b"/*", b"'",
    b"\r\n",
    b"&a", b"*a", b"<<: *a", b"!!python/object:os.system", b"!!binary", b"---\n", b"...\n", b"- ", b"? ", b"|\n",
    b">\n",
    b"%YAML 9.9\n", b"\t", b"#", b"@", b"`", b"0o17", b"0b1", b"1_000", b"1:30:00", b"2026-13-45", b"~", b"yes",
)  # fmt: skip


def spoiled(document: Any, random: Random) -> Any:
    """A copy of `document` with one to four changes anywhere in it."""
    result = [copy.deepcopy(document)]
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        holder, key = random.choice(_places(result))
        random.choice(_CHANGES)(holder, key, random)
        if not result:
            return weird(random)
    return result[0]


def spoiled_text(text: bytes, random: Random) -> bytes:
    """A copy of `text` with a few bytes removed, put in or repeated."""
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(text) + 1)
        until = min(len(text), at + random.choice((0, 1, 1, 4, 40)))
        choice = random.random()
        if choice < 0.5:
            text = text[:at] + random.choice(_BYTES) + text[until:]
        elif choice < 0.75:
            text = text[:at] + text[until:]
        elif choice < 0.9:
            text = text[:until] + text[at:]
        else:
            text = text[:at] + random.randbytes(3) + text[until:]
    return text


def as_json(document: Any, random: Random) -> bytes:
    """`document` as JSON text; now and then as text that is not quite JSON."""
    text = json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    return spoiled_text(text, random) if random.random() < 0.1 else text


def weird(random: Random, depth: int = 0) -> Any:
    """Any data at all."""
    choice = random.random()
    if depth > 4 or choice < 0.6:
        return copy.deepcopy(random.choice(WEIRD))
    if choice < 0.65:
        return _nested(random.choice((5, 50, 79, 80, 81, 200)))
    if choice < 0.8:
        return [weird(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(NAMES): weird(random, depth + 1) for _ in range(random.randrange(5))}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree of data: the object or list that holds it, and the key or index there."""
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        holder = left.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                left.append(holder[key])
    return found


def _replace(holder: Any, key: Any, random: Random) -> None:
    holder[key] = weird(random)


def _remove(holder: Any, key: Any, _random: Random) -> None:
    del holder[key]


def _insert(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, dict):
        holder[random.choice(NAMES)] = weird(random)
    else:
        holder.insert(key, weird(random))


def _rename(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, dict):
        name = random.choice((random.choice(NAMES), f"{key}x", key.upper(), key[:-1]))
        holder[name] = holder.pop(key)
    else:
        holder.append(copy.deepcopy(holder[key]))


def _transplant(holder: Any, key: Any, random: Random) -> None:
    """Something from elsewhere in the same document."""
    other, where = random.choice(_places(holder if isinstance(holder, dict | list) else [holder]))
    holder[key] = copy.deepcopy(other[where])


_CHANGES: Final[tuple[Callable[[Any, Any, Random], None], ...]] = (
    _replace, _replace, _replace, _remove, _insert, _rename, _transplant,
)  # fmt: skip

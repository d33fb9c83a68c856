"""Which objects are meant: `ms`, `ms,placements -l app=cart`, `ms cart db`, `ms/cart placement/cart`, `all`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.kinds import ALL, Kind, find_kind
from federation.errors import InvalidInput, NotFound

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Objects of a kind: those of these names, or, without names, all that a selector and a namespace leave."""

    kind: Kind
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The objects of one `Wanted`. `missing`: an error for each name that is not there. `version`: of the list, or the
    newest of the objects; a watch can go on from there."""

    kind: Kind
    items: tuple[Object, ...]
    missing: tuple[NotFound, ...] = ()
    version: str = ""


def parse_words(words: Sequence[str]) -> list[Wanted]:
    """What `KIND[,KIND] [NAME...]` or `KIND/NAME...` names; `all` is what a namespace's services consist of.

    Raises: InvalidInput."""
    if any("/" in word for word in words):
        wanted: dict[Kind, dict[str, None]] = {}
        for word in words:
            kind, slash, name = word.partition("/")
            if not slash or not name:
                raise InvalidInput(f"{word!r}: write KIND/NAME for each, or KIND NAME NAME")
            wanted.setdefault(find_kind(kind), {})[name] = None
        return [Wanted(kind, tuple(names)) for kind, names in wanted.items()]
    parts = [part for part in words[0].split(",") if part] if words else []
    kinds = [kind for part in parts for kind in (ALL if part.lower() == "all" else (find_kind(part),))]
    if not kinds:
        raise InvalidInput("name a kind, such as microservices")
    names = tuple(dict.fromkeys(words[1:]))
    return [Wanted(kind, names) for kind in dict.fromkeys(kinds)]


def check_selection(wanted: Iterable[Wanted], selector: str, *, all_namespaces: bool) -> None:
    """Raises: InvalidInput for names together with what selects objects in another way."""
    if any(one.names for one in wanted) and (selector or all_namespaces):
        raise InvalidInput("names go with neither --selector nor --all-namespaces")


def select(client: Client, wanted: Wanted, namespace: str | None, selector: str = "") -> Found:
    """Read them. Args: namespace, None for all (and for a fleet-scoped kind). Raises: as Client; never NotFound."""
    kind = wanted.kind
    space = namespace if kind.namespaced else None
    if not wanted.names:
        items, version = client.items(kind.plural, space, selector)
        return Found(kind, tuple(items), (), version)
    found: list[Object] = []
    missing: list[NotFound] = []
    for name in wanted.names:
        try:
            found.append(read(client, kind, space, name))
        except NotFound as error:
            missing.append(error)
    version = max((str(item["metadata"]["resourceVersion"]) for item in found), key=int, default="")
    return Found(kind, tuple(found), tuple(missing), version)


def read(client: Client, kind: Kind, namespace: str | None, name: str) -> Object:
    """One object. Raises: NotFound with the nearest name, or the namespaces that have one of this name."""
    space = namespace if kind.namespaced else None
    if not name or "/" in name:
        raise InvalidInput(f"{name!r} is not a name")
    try:
        return client.get(path_of(kind.plural, space, name))
    except NotFound as error:
        raise NotFound(_missing(client, kind, space, name)) from error


def fail_missing(found: Iterable[Found]) -> None:
    """Raises: NotFound with a line for each object that is not there."""
    lines = [str(error) for one in found for error in one.missing]
    if lines:
        raise NotFound("\n".join(lines))


def _missing(client: Client, kind: Kind, namespace: str | None, name: str) -> str:
    from federation.model.nearest import suggestion

    where = f"{namespace}/{name}" if namespace else name
    text = f"{kind.singular} {where} does not exist"
    places = [
        (item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in client.items(kind.plural)[0]
    ]
    elsewhere = sorted(space for space, other in places if other == name)
    if elsewhere:
        return f"{text}; there is one in {', '.join(elsewhere)} (choose with -n)"
    near = [other for space, other in places if space == (namespace or "")]
    return f"{text}; {suggestion(name, near)}" if near else text

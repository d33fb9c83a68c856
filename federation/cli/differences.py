"""Objects as they are on the server, against what they would be after applying new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from federation.cli.apply import document_of
from federation.cli.client import Client, path_of
from federation.cli.kinds import find_kind
from federation.cli.output import to_yaml
from federation.errors import NotFound
from federation.model.meta import Resource

Object = Mapping[str, Any]
Identity = tuple[str, str, str]
"""Kind, namespace, name."""
_METADATA = ("name", "namespace", "labels", "annotations")


@dataclass(frozen=True)
class Difference:
    """What would happen to one object: `result` is created or configured; `lines` a unified diff of its YAML;
    `secrets` the names of the Secrets it carries whose values change."""

    kind: str
    namespace: str
    name: str
    result: str
    lines: tuple[str, ...]
    secrets: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON-like data."""
        return {
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "result": self.result,
            "secrets": list(self.secrets),
            "diff": "\n".join(self.lines),
        }


def differences(client: Client, resources: Sequence[Resource], context: int = 3) -> list[Difference]:
    """The objects that applying `resources` would create or change, in their order.

    Args: context, unchanged lines shown around each change. Writes nothing. Raises: as Client."""
    documents = [document_of(each) for each in resources]
    answers = client.apply(documents, dry_run=True)
    found = []
    for document, answer in zip(documents, answers, strict=True):
        if answer["result"] == "unchanged":
            continue
        live = _live(client, answer)
        secrets = () if live is None else _changed_secrets(client, document, live)
        lines = _lines(live, answer["object"], answer, context, secrets)
        found.append(
            Difference(answer["kind"], answer["namespace"], answer["name"], answer["result"], tuple(lines), secrets)
        )
    return found


def _live(client: Client, answer: Object) -> Object | None:
    try:
        return client.get(path_of(find_kind(answer["kind"]).plural, answer["namespace"] or None, answer["name"]))
    except NotFound:
        return None


def _lines(live: Object | None, new: Object, answer: Object, context: int, secrets: Sequence[str]) -> Iterable[str]:
    title = "/".join(part for part in (answer["kind"], answer["namespace"], answer["name"]) if part)
    before = "" if live is None else _text(live)
    after = _text(new)
    names = ("/dev/null" if live is None else f"{title} (on the server)", f"{title} (in the files)")
    lines = [
        line.rstrip("\n") for line in unified_diff(before.splitlines(), after.splitlines(), *names, "", "", context, "")
    ]
    if not lines:
        lines = [f"--- {names[0]}", f"+++ {names[1]}"]
    return [*lines, *(f"~ the values of Secret {name} change (not shown)" for name in secrets)]


def _text(item: Object) -> str:
    """Fields in the order of their names: another order is no difference."""
    return to_yaml([_in_order(_shown(item))])


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(each) for key, each in sorted(value.items())}
    return [_in_order(each) for each in value] if isinstance(value, list) else value


def _shown(item: Object) -> dict[str, Any]:
    """What a person writes of an object: no status, no versions, no times; nothing that is not set."""
    metadata = {name: item["metadata"][name] for name in _METADATA if item["metadata"].get(name)}
    spec = {name: value for name, value in (item.get("spec") or {}).items() if value is not None}
    return {"kind": item["kind"], "metadata": metadata, "spec": spec}


def _changed_secrets(client: Client, new: Object, live: Object) -> tuple[str, ...]:
    """The Secrets with new values. The server never shows values, but it tells whether the object as it is, with
    nothing but one Secret's values taken from the files, would be another one."""
    there = {_secret(one): one for one in _objects(live) if _secret(one)}
    changed = []
    for one in _objects(new):
        name = _secret(one)
        if name not in there:
            continue
        known = there[name]
        values = {field: one[field] for field in ("data", "stringData") if field in one}
        mixed = {**{key: value for key, value in known.items() if key not in ("data", "stringData")}, **values}
        objects = [mixed if _secret(each) == name else each for each in _objects(live)]
        candidate = {**_shown(live), "apiVersion": live["apiVersion"], "spec": {**live["spec"], "objects": objects}}
        if client.apply([candidate], dry_run=True)[0]["result"] != "unchanged":
            changed.append(name)
    return tuple(changed)


def _objects(item: Object) -> list[Object]:
    return list((item.get("spec") or {}).get("objects") or ())


def _secret(item: Object) -> str:
    """The name of a Secret, "" for any other object."""
    return str((item.get("metadata") or {}).get("name") or "") if item.get("kind") == "Secret" else ""

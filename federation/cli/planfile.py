"""A plan as a file: with the objects it brings, and what it was made from, so that it is carried out as it was made."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation.errors import InvalidInput, StalePlan
from federation.model.meta import Key, Resource
from federation.model.migration import Migration
from federation.model.placement import Placement
from federation.model.redact import redact
from federation.model.subcluster import SubCluster

Object = Mapping[str, Any]
_NAMED = 10


@dataclass(frozen=True)
class Shift:
    """So many replicas of a service from one place to another."""

    key: Key
    source: str
    target: str
    replicas: int


@dataclass(frozen=True)
class PlanFile:
    """What a plan file says. `objects`: what the plan's files held, without Secrets' values; `state`: what else it was
    made from; `changes`: as `federation.cli.changes.Change.document`."""

    objects: tuple[Object, ...]
    state: Mapping[str, str]
    changes: tuple[Object, ...]

    def shifts(self) -> dict[Key, list[Shift]]:
        """The moves it means, in the order in which they have to be made, by service. What a service gains or loses in
        all is no move: the controller sees to it once the service is applied."""
        found = {}
        for change in self.changes:
            key = Key(change["namespace"], change["service"])
            before = {one["subcluster"]: one["replicas"] for one in change["from"]}
            after = {one["subcluster"]: one["replicas"] for one in change["to"]}
            if shifts := _shifts(key, before, after):
                found[key] = shifts
        return found


def write_plan(
    path: Path, document: Mapping[str, Any], stored: Sequence[Resource] | None, new: Iterable[Resource]
) -> None:
    """Write `document`, and, when it was made against a server's objects, those and the new ones, as PlanFile says.

    Raises: InvalidInput when it can't be written there."""
    whole = dict(document)
    if stored is not None:
        whole["state"] = fingerprint(stored)
        whole["objects"] = [as_document(each) for each in new]
    text = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InvalidInput(f"the plan can't be written there: {error.strerror}", file=str(path)) from error


def read_plan(path: Path) -> PlanFile:
    """Raises: InvalidInput when it is no plan, or one that was made from files alone."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"is not JSON: {error}"
        raise InvalidInput(f"the plan can't be read: {why}", file=str(path)) from error
    if not isinstance(found, dict) or not isinstance(found.get("changes"), list):
        raise InvalidInput(
            "is not a plan; roam plan --out FILE writes one (objects are applied with -f)", file=str(path)
        )
    if not isinstance(found.get("state"), dict) or not isinstance(found.get("objects"), list):
        raise InvalidInput(
            "was made from files alone; to be carried out, a plan has to be made against the server", file=str(path)
        )
    return PlanFile(tuple(found["objects"]), found["state"], tuple(found["changes"]))


def check_fresh(plan: PlanFile, stored: Iterable[Resource]) -> None:
    """Raises: StalePlan with what changed since the plan was made."""
    now = fingerprint(stored)
    lines = [f"{name} is gone" for name in plan.state if name not in now]
    lines += [f"{name} is new" for name in now if name not in plan.state]
    lines += [f"{name} has changed" for name, mark in now.items() if plan.state.get(name, mark) != mark]
    if lines:
        more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
        raise StalePlan("\n".join(["the plan is stale; make it again: since then", *lines[:_NAMED], *more]))


def fingerprint(resources: Iterable[Resource]) -> dict[str, str]:
    """By `Kind namespace/name`: a mark that is another when the object means something else to a plan. What ended, and
    what was only observed anew, makes no difference."""
    marks = {
        f"{each.kind_name} {each.key}": hashlib.sha256(json.dumps(_meaning(each), sort_keys=True).encode()).hexdigest()[
            :16
        ]
        for each in resources
        if not isinstance(each, Migration) or each.open
    }
    return dict(sorted(marks.items()))


def _meaning(each: Resource) -> list[object]:
    metadata = each.metadata
    found: list[object] = [metadata.uid, metadata.generation, metadata.labels, metadata.deletion_timestamp is not None]
    if isinstance(each, SubCluster):
        offers = [offer.model_dump(mode="json", exclude={"as_of"}) for offer in each.status.offers]
        found += [each.status.health == "Lost", offers, each.status.runs_images]
    if isinstance(each, Placement):
        found.append(each.spec.model_dump(mode="json"))
    return found


def as_document(resource: Resource) -> dict[str, Any]:
    """As it is applied, without Secrets' values."""
    document = resource.model_dump(mode="json", by_alias=True)
    document.pop("status", None)
    return redact(document)


def _shifts(key: Key, before: Mapping[str, int], after: Mapping[str, int]) -> list[Shift]:
    losing = {name: count - after.get(name, 0) for name, count in sorted(before.items()) if count > after.get(name, 0)}
    gaining = {
        name: count - before.get(name, 0) for name, count in sorted(after.items()) if count > before.get(name, 0)
    }
    found = []
    while losing and gaining:
        source, target = next(iter(losing)), next(iter(gaining))
        replicas = min(losing[source], gaining[target])
        found.append(Shift(key, source, target, replicas))
        for counts, name in ((losing, source), (gaining, target)):
            counts[name] -= replicas
            if not counts[name]:
                del counts[name]
    return found

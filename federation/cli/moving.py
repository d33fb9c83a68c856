"""Migrations as the verbs handle them: which one is meant, how far it is, and waiting for its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from federation.cli.client import Client, path_of
from federation.cli.waiting import wait_until
from federation.errors import FederationError, InvalidInput, NotFound, TimedOut

Object = Mapping[str, Any]
Place = tuple[str, str]
"""A namespace and a name."""
ENDED = ("Succeeded", "RolledBack", "Failed")
_BAR = 10
_SAID = {"Succeeded": "has succeeded", "RolledBack": "was rolled back", "Failed": "has failed"}


def is_open(migration: Object) -> bool:
    """Whether it still has something to do."""
    return migration["status"]["phase"] not in ENDED


def bar(percent: int) -> str:
    """`[#####.....]  50%`."""
    full = round(max(0, min(percent, 100)) * _BAR / 100)
    return f"[{'#' * full}{'.' * (_BAR - full)}] {percent:3}%"


def phase(migration: Object) -> str:
    """Where it is, and whether it stands still there by somebody's will."""
    status, spec = migration["status"], migration["spec"]
    if not is_open(migration):
        return str(status["phase"])
    if spec.get("rollback"):
        return "RollingBack"
    return f"{status['phase']}, paused" if spec.get("paused") else str(status["phase"])


def place_of(migration: Object) -> Place:
    """Its namespace and name."""
    return migration["metadata"]["namespace"], migration["metadata"]["name"]


def service_of(migration: Object) -> str:
    """`namespace/name` of what it moves."""
    return f"{migration['metadata']['namespace']}/{migration['spec']['service']}"


def message_of(migration: Object) -> str:
    """What it says of itself beyond its weight, which the bar shows."""
    status = migration["status"]
    return "" if status["message"].startswith(f"{status['weight']} % of the traffic") else str(status["message"])


def progress_of(migration: Object) -> str:
    """One line: how far it is."""
    spec, status = migration["spec"], migration["status"]
    parts = [
        bar(status["weight"]),
        f"{phase(migration)}: {service_of(migration)} from {spec['source']} to {spec['target']}",
        message_of(migration),
    ]
    return "  ".join(part for part in parts if part)


def find_move(client: Client, text: str, namespace: str) -> Object:
    """The migration of that name, or of the service of that name: the open one, else the newest.

    Raises: NotFound, and InvalidInput for a service that was never moved."""
    from federation.cli.parsing import split_name

    space, name = split_name(text, namespace)
    items = client.items("migrations", space)[0]
    found = [one for one in items if name in (one["metadata"]["name"], one["spec"]["service"])]
    if found:
        return max(found, key=lambda one: (is_open(one), str(one["metadata"].get("creationTimestamp")), place_of(one)))
    try:
        client.get(path_of("microservices", space, name))
    except NotFound as error:
        from federation.model.nearest import suggestion

        known = sorted({one["spec"]["service"] for one in items} | {one["metadata"]["name"] for one in items})
        hint = suggestion(name, known) if known else f"nothing was ever moved in namespace {space}"
        raise NotFound(f"no migration and no service is called {space}/{name}; {hint}") from error
    raise InvalidInput(f"{space}/{name} is not being moved, and never was")


def refuse_ended(migration: Object, doing: str) -> None:
    """Raises: InvalidInput with the state it is in, and how to move the service anyhow, when it has ended."""
    if is_open(migration):
        return
    spec, status = migration["spec"], migration["status"]
    name, said = migration["metadata"]["name"], _SAID[status["phase"]]
    why = f" ({status['message']})" if status["message"] and status["phase"] != "Succeeded" else ""
    text = f"the migration {name} of {service_of(migration)} {said}{why}: there is nothing to {doing}"
    if status["phase"] == "Succeeded":
        text += f"; to move it back: roam migrate {service_of(migration)} --to {spec['source']}"
    raise InvalidInput(text)


def follow(client: Client, wanted: Sequence[Place], timeout_s: float) -> list[Object]:
    """Wait until all of these have ended, with their progress on stderr; they, in order.

    Raises: TimedOut (they go on), NotFound (one was deleted), Unavailable."""

    def look() -> tuple[list[Object] | None, str]:
        found = _read(client, wanted)
        ended = all(not is_open(one) for one in found)
        return (found if ended else None), "\n".join(progress_of(one) for one in found)

    ended, text = wait_until(look, timeout_s)
    if ended is None:
        names = ", ".join(name for _, name in wanted)
        have = "the migration {} has" if len(wanted) == 1 else "the migrations {} have"
        go = "goes" if len(wanted) == 1 else "go"
        raise TimedOut(f"{have.format(names)} not ended after {timeout_s:g} s and {go} on:\n{text}")
    return ended


def outcome(migrations: Sequence[Object]) -> None:
    """Say what became of them. Raises: FederationError with all that did not succeed."""
    failed = []
    for one in migrations:
        spec, status = one["spec"], one["status"]
        if status["phase"] == "Succeeded":
            print(f"{service_of(one)} moved from {spec['source']} to {spec['target']}", flush=True)
        else:
            verb = "was rolled back" if status["phase"] == "RolledBack" else "failed"
            why = status["message"] or "no reason given"
            failed.append(f"the migration {one['metadata']['name']} of {service_of(one)} {verb}: {why}")
    if failed:
        raise FederationError("\n".join(failed))


def _read(client: Client, wanted: Sequence[Place]) -> list[Object]:
    if len(wanted) == 1:
        namespace, name = wanted[0]
        return [client.get(path_of("migrations", namespace, name))]
    found = {
        place_of(one): one
        for namespace in dict.fromkeys(space for space, _ in wanted)
        for one in client.items("migrations", namespace)[0]
    }
    missing = [f"{namespace}/{name}" for namespace, name in wanted if (namespace, name) not in found]
    if missing:
        raise NotFound(f"{', '.join(missing)}: deleted meanwhile")
    return [found[place] for place in wanted]

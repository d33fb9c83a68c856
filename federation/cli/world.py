"""What `apply`, `plan` and `why` look at: files, and the server's objects with the files laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from federation.cli.client import Client
from federation.cli.output import note
from federation.errors import FederationError, NotFound
from federation.model.kinds import BY_KIND
from federation.model.meta import Key, Resource

if TYPE_CHECKING:
    from federation.intake.loading import Manifests

PLANNED_KINDS = (
    "SubCluster",
    "Microservice",
    "ClusterPlacementPolicy",
    "PlacementPolicy",
    "Placement",
    "Migration",
)
"""What a plan is made from."""


def read_files(files: Sequence[str], namespace: str, *, notes: bool = False) -> Manifests:
    """The files' objects, checked. Warnings about them go to stderr, and with `notes` what is good to know too.

    Raises: InvalidInputs with file, line and field of everything that is wrong."""
    found = load_files(files, namespace)
    tell(found, notes=notes)
    return found


def load_files(files: Sequence[str], namespace: str, aside: Sequence[str] = ()) -> Manifests:
    """As `read_files`, without a word about them. Args: aside, kinds that are left to the caller."""
    from federation.app import schemas
    from federation.intake.loading import load

    return load(list(files), schemas(), namespace=namespace, aside=aside)


def tell(manifests: Manifests, *, notes: bool = False) -> None:
    """What is to be said of files, on stderr: warnings, and with `notes` what is good to know too."""
    for notice in manifests.notices:
        if notice.warning or notes:
            note(f"roam: {'warning' if notice.warning else 'note'}: {notice}")


def beside_server(client: Client, manifests: Manifests) -> Manifests:
    """The files' objects as changes to what the server has (see `Manifests.beside`): what they leave out stays."""
    if not manifests.has_kubernetes_objects:
        return manifests
    from federation.model.microservice import Microservice

    spaces = manifests.namespaces
    stored = [parse(Microservice, item) for space in spaces for item in client.items(Microservice.plural, space)[0]]
    return manifests.beside([one for one in stored if isinstance(one, Microservice)])


def fetch(client: Client) -> tuple[Resource, ...]:
    """Everything on the server that a plan is made from."""
    found: list[Resource] = []
    for name in PLANNED_KINDS:
        kind = BY_KIND[name]
        found += [parse(kind, item) for item in client.items(kind.plural)[0]]
    return tuple(found)


def parse(kind: type[Resource], document: Any) -> Resource:
    """An object as the server gave it. Raises: FederationError when this release does not understand it."""
    from pydantic import ValidationError

    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise FederationError(
            f"the server's {kind.kind_name} {document['metadata']['name']} is not understood here: {field}: "
            f"{first['msg']}; are server and command of the same release?"
        ) from error


def overlay(stored: Iterable[Resource], new: Iterable[Resource]) -> tuple[Resource, ...]:
    """`stored` as it would be after `new` was applied: specs from the new ones, statuses as they are."""
    result = {(each.kind_name, each.key): each for each in stored}
    for each in new:
        identity = (each.kind_name, each.key)
        old = result.get(identity)
        if old is not None and "status" in type(each).model_fields:
            each = each.model_copy(update={"status": old.status})  # type: ignore[attr-defined]
        result[identity] = each
    return tuple(result.values())


def find_service(resources: Iterable[Resource], key: Key) -> Resource:
    """The microservice of that key. Raises: NotFound with the nearest name, or the namespace it is in."""
    services = {each.key: each for each in resources if each.kind_name == "Microservice"}
    if key not in services:
        raise unknown_service(key, services)
    return services[key]


def unknown_service(key: Key, known: Iterable[Key]) -> NotFound:
    """The error for a service that is not there."""
    from federation.model.nearest import suggestion

    keys = sorted(known)
    text = f"microservice {key} does not exist"
    elsewhere = [other.namespace for other in keys if other.name == key.name]
    if elsewhere:
        return NotFound(f"{text}; there is one in {', '.join(elsewhere)} (choose with -n)")
    near = [other.name for other in keys if other.namespace == key.namespace]
    return NotFound(f"{text}; {suggestion(key.name, near)}" if near else text)

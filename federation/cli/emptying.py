"""A sub-cluster that is being emptied: who is left, how far each move is, and what can't leave."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from federation.cli.client import Client, path_of
from federation.cli.columns import where
from federation.cli.moving import Place, bar, is_open, message_of, phase
from federation.cli.waiting import wait_until
from federation.errors import NotFound, TimedOut, Unplaceable

if TYPE_CHECKING:
    from federation.model.meta import Resource

Object = Mapping[str, Any]
_PATIENCE_S = 5.0
"""How long nothing may move before it is asked whether anything can."""
_ONE_BY_ONE = 30
"""Up to so many services are asked for one by one, not with all others."""


def find_subclusters(client: Client, names: Iterable[str]) -> list[Object]:
    """The sub-clusters of those names, each once. Raises: NotFound with the nearest name."""
    found: list[Object] = []
    for name in dict.fromkeys(names):
        try:
            found.append(client.get(path_of("subclusters", None, name)))
        except NotFound as error:
            from federation.model.nearest import suggestion

            known = [item["metadata"]["name"] for item in client.items("subclusters")[0]]
            raise NotFound(f"subcluster {name} does not exist; {suggestion(name, known)}") from error
    return found


def still_there(placements: Iterable[Object], names: Sequence[str]) -> dict[Place, Object]:
    """The placements with replicas, committed or observed, in one of those sub-clusters."""
    return {
        _place(item): item
        for item in placements
        if any(one["subcluster"] in names and one["replicas"] for one in item["spec"]["targets"])
        or any(one["subcluster"] in names and one["replicas"] for one in item["status"]["running"])
    }


def follow_emptying(client: Client, names: Sequence[str], timeout_s: float, *, removal: bool = False) -> None:
    """Wait until nothing is left in these sub-clusters, or, with `removal`, until they are gone themselves.

    Raises: Unplaceable when all that is left can't leave, TimedOut (it goes on), Unavailable."""
    emptying = _Emptying(client, tuple(names), removal)
    done, _ = wait_until(emptying.look, timeout_s)
    if done is None:
        raise TimedOut("\n".join([f"not empty after {timeout_s:g} s, and it goes on:", *emptying.lines()]))
    if emptying.stuck:
        denied = "denied" in {lacks for lacks, _ in emptying.stuck.values()}
        lines = [f"{space}/{name} can't leave: {why}" for (space, name), (_, why) in sorted(emptying.stuck.items())]
        raise Unplaceable("\n".join(lines), denied=denied)


@dataclass
class _Emptying:
    client: Client
    names: tuple[str, ...]
    removal: bool
    left: dict[Place, Object] | None = None
    moves: dict[Place, Object] = field(default_factory=dict)
    gone: dict[Place, Object] = field(default_factory=dict)
    stuck: dict[Place, tuple[str, str]] = field(default_factory=dict)
    asked_at: float = field(default_factory=time.monotonic)

    def look(self) -> tuple[bool | None, str]:
        """True when it is over: empty, or nothing can move any more."""
        self._read()
        if self._over():
            return True, self._text()
        moving = any(is_open(self.moves[place]) for place in self.left or () if place in self.moves)
        if moving or not self.left:
            self.stuck, self.asked_at = {}, time.monotonic()
        elif time.monotonic() - self.asked_at > _PATIENCE_S:
            self.asked_at = time.monotonic()
            self.stuck = _stuck(self.client, self.names, self.left)
        return (True if self.left and self.stuck.keys() >= self.left.keys() else None), self._text()

    def lines(self) -> list[str]:
        """One line for each service that is left or has left."""
        lines = [f"{space}/{name}  {self._state((space, name))}" for space, name in sorted(self.left or {})]
        lines += [
            f"{space}/{name}  {bar(100)}  left: now in {where(item['spec']['targets'])}"
            for (space, name), item in sorted(self.gone.items())
        ]
        return lines

    def _text(self) -> str:
        head = f"{', '.join(self.names)}: {len(self.left or {})} left, {len(self.gone)} moved away"
        return "\n".join([head, *self.lines()])

    def _read(self) -> None:
        before = self.left
        if before is None or len(before) > _ONE_BY_ONE:
            found = still_there(self.client.items("placements")[0], self.names)
        else:
            found = still_there(self._placements(before), self.names) or still_there(
                self.client.items("placements")[0], self.names
            )
        self.gone |= {_place(item): item for item in self._placements(set(before or ()) - set(found))}
        self.gone = {place: item for place, item in self.gone.items() if place not in found}
        self.left = found
        self.moves = {}
        if found:
            for item in self.client.items("migrations")[0]:
                place = (item["metadata"]["namespace"], item["spec"]["service"])
                # What somebody tried by hand, and where to, says nothing of how it leaves.
                counts = is_open(item) or item["spec"].get("reason") != "Manual"
                if counts and place in found and item["spec"]["source"] in self.names:
                    self.moves[place] = max(item, self.moves.get(place, item), key=_newest)

    def _placements(self, places: Iterable[Place]) -> list[Object]:
        found: list[Object] = []
        for namespace, name in places:
            try:
                found.append(self.client.get(path_of("placements", namespace, name)))
            except NotFound:
                continue  # deleted meanwhile
        return found

    def _over(self) -> bool:
        if self.left or not self.removal:
            return not self.left
        for name in self.names:
            try:
                self.client.get(path_of("subclusters", None, name))
            except NotFound:
                continue
            return False
        return True

    def _state(self, place: Place) -> str:
        item = (self.left or {})[place]
        move = self.moves.get(place)
        if move is not None and is_open(move):
            message = f": {message_of(move)}" if message_of(move) else ""
            return f"{bar(move['status']['weight'])}  {phase(move)} to {move['spec']['target']}{message}"
        if place in self.stuck:
            return f"{bar(0)}  can't leave: {self.stuck[place][1]}"
        if not any(one["subcluster"] in self.names and one["replicas"] for one in item["spec"]["targets"]):
            return f"{bar(100)}  its last copies stop"
        if move is not None and move["status"]["phase"] != "Succeeded":
            return f"{bar(0)}  waits; the last try {phase(move)}: {move['status']['message'] or 'no reason given'}"
        return f"{bar(0)}  waits for its turn"


def _place(item: Object) -> Place:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _newest(migration: Object) -> tuple[bool, str, str]:
    metadata = migration["metadata"]
    return is_open(migration), str(metadata.get("creationTimestamp")), metadata["name"]


def _stuck(client: Client, names: Sequence[str], left: Iterable[Place]) -> dict[Place, tuple[str, str]]:
    """Those of `left` that can't leave: what lacks (denied or full), and why."""
    from federation.cli.foresight import foresee
    from federation.cli.world import fetch

    resources = fetch(client)
    found = foresee([_open(each, names) for each in resources], resources, time.time())
    here = set(left)
    return {
        (one.key.namespace, one.key.name): (one.lacks, one.why)
        for one in found.departures
        if one.lacks and (one.key.namespace, one.key.name) in here
    }


def _open(resource: Resource, names: Sequence[str]) -> Resource:
    """The sub-cluster as if nobody emptied it."""
    from federation.model.subcluster import SubCluster

    if not isinstance(resource, SubCluster) or resource.metadata.name not in names:
        return resource
    metadata = resource.metadata.model_copy(update={"deletion_timestamp": None})
    return resource.model_copy(
        update={"metadata": metadata, "spec": resource.spec.model_copy(update={"drain": None, "unschedulable": False})}
    )

"""Sub-clusters for the API under fuzz: their pods say and use what a program may."""

from __future__ import annotations

from federation.contracts.driver import Capabilities, LogQuery, Logs, Observation, PodLog, PodUsage, Workload
from federation.errors import NotFound
from federation.model.meta import Key
from federation.model.offers import Offer
from federation.model.subcluster import SubCluster

_LINES = ("one", "", "\x1b[31mred\x1b[0m", '{"level": "info"}', "\x00\ufffd\u2028", "x" * 5000)


class Talkative:
    """A `SubClusterDriver` of which only logs and usage are asked."""

    def __init__(self, subcluster: SubCluster) -> None:
        self._name = subcluster.metadata.name

    def capabilities(self) -> Capabilities:
        """Everything that can be asked."""
        return Capabilities(runs_images=True, logs=True, usage=True)

    def logs(self, key: Key, query: LogQuery, *, deadline_s: float) -> Logs:  # noqa: ARG002
        """What its one pod wrote."""
        if query.pod not in ("", "a") or query.container not in ("", "main") or query.previous:
            raise NotFound(f"{key} has no such pod, container or run in {self._name}")
        lines = _LINES if query.tail_lines is None else _LINES[len(_LINES) - min(query.tail_lines, len(_LINES)) :]
        return Logs((PodLog("a", "main", () if query.cursor else lines),), "{}")

    def usage(self, *, deadline_s: float) -> tuple[PodUsage, ...]:  # noqa: ARG002
        """Of pods in two namespaces."""
        return tuple(PodUsage(Key(space, "cart"), "a", 0.1, 1e6) for space in ("shop", "other"))

    def offers(self, *, deadline_s: float) -> tuple[Offer, ...]:  # noqa: ARG002
        """Nothing is on offer."""
        return ()

    def observe(self, cursor: str | None, *, wait_s: float, deadline_s: float) -> Observation:  # noqa: ARG002
        """Nothing runs."""
        return Observation("", cursor is None, (), ())

    def apply(self, workload: Workload, *, deadline_s: float) -> None:
        """Nothing is started."""

    def delete(self, key: Key, *, deadline_s: float) -> None:
        """Nothing is stopped."""

    def close(self) -> None:
        """Nothing is held."""

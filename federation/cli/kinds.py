"""The kinds as `roam` names them: the model's table, written down, as a client must not wait for the model's import."""

from __future__ import annotations

from dataclasses import dataclass

from federation.errors import InvalidInput


@dataclass(frozen=True)
class Kind:
    """A kind's names. `short` are further names people may type."""

    name: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True

    @property
    def singular(self) -> str:
        """In messages and `-o name`."""
        return self.name.lower()


KINDS = (
    Kind("ClusterPlacementPolicy", "clusterplacementpolicies", ("cpp", "clusterplacementpolicy"), namespaced=False),
    Kind("Event", "events", ("ev", "event")),
    Kind("Gateway", "gateways", ("gw", "gateway"), namespaced=False),
    Kind("Microservice", "microservices", ("ms", "svc", "microservice")),
    Kind("Migration", "migrations", ("mig", "migration")),
    Kind("Placement", "placements", ("pl", "placement")),
    Kind("PlacementPolicy", "placementpolicies", ("pp", "policy", "policies", "placementpolicy")),
    Kind("Revision", "revisions", ("rev", "revision")),
    Kind("SubCluster", "subclusters", ("sub", "subs", "subcluster"), namespaced=False),
)
ALL = tuple(kind for kind in KINDS if kind.name in ("Microservice", "Placement", "Migration", "PlacementPolicy"))
"""What `all` means: the objects of a namespace, except its events."""
_BY_NAME = {name: kind for kind in KINDS for name in (kind.plural, kind.singular, *kind.short)}


def find_kind(text: str) -> Kind:
    """The kind of that plural, singular or short name. Raises: InvalidInput with the nearest one."""
    kind = _BY_NAME.get(text.lower())
    if kind is None:
        from federation.model.nearest import nearest

        close = nearest(text, _BY_NAME)
        known = ", ".join(f"{one.plural} ({one.short[0]})" for one in KINDS)
        raise InvalidInput(
            f"no kind is called {text!r}; " + (f"did you mean {close[0]}?" if close else f"known: {known}")
        )
    return kind

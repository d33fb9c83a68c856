"""A store as a plain dictionary, and a machine that compares any store with it."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import JsonValue

from federation.contracts.store import Create, Delete, Replace, Store, Write
from federation.errors import AlreadyExists, FederationError, NotFound, StaleWrite
from federation.model.meta import Key, Metadata, Requirement, Resource, Selector
from federation.model.microservice import Microservice, MicroserviceSpec

NOW = 1_700_000_000.5

_KEYS = st.sampled_from(["a", "b", "example.com/c"])
_VALUES = st.sampled_from(["", "1", "2", "x.y"])
LABELS = st.dictionaries(_KEYS, _VALUES, max_size=3)
"""Labels few enough that selectors often match."""
SELECTORS = st.builds(
    Selector,
    match_labels=st.dictionaries(_KEYS, _VALUES, max_size=2),
    match_expressions=st.lists(
        st.builds(
            Requirement,
            key=_KEYS,
            operator=st.sampled_from(["In", "NotIn"]),
            values=st.lists(_VALUES, min_size=1, max_size=3).map(tuple),
        )
        | st.builds(Requirement, key=_KEYS, operator=st.sampled_from(["Exists", "DoesNotExist"])),
        max_size=2,
    ).map(tuple),
)
"""Selectors over the same labels, all operators."""
_OBJECT_KEYS = st.builds(Key, st.sampled_from(["n", "n-1"]), st.sampled_from(["a", "b", "c.d", "e"]))


def microservice(
    name: str,
    *,
    namespace: str = "shop",
    labels: dict[str, str] | None = None,
    replicas: int = 1,
    template: dict[str, JsonValue] | None = None,
) -> Microservice:
    """A small microservice as a user would write it."""
    metadata = Metadata(name=name, namespace=namespace, labels=labels or {})
    return Microservice(metadata=metadata, spec=MicroserviceSpec(replicas=replicas, template=template or {}))


class _Open(NamedTuple):
    """A list of which some pages have been read: how it goes on, and what its remaining pages must hold."""

    selector: Selector
    more: str
    rest: list[Microservice]


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to a dictionary. Begins by deleting what an earlier run left behind."""

    def __init__(self, store: Store):
        super().__init__()
        self.store = store
        self.objects: dict[Key, Microservice] = {}
        self.watched: dict[Key, Microservice] = {}
        self.open: _Open | None = None
        self.since = 0

    @initialize()
    def empty(self) -> None:
        """Empty the store and begin to watch."""
        left = self.store.list(Microservice).items
        self.store.write([Delete(Microservice, found.key) for found in left], now=NOW)
        self.since = self.store.version()

    @rule(key=_OBJECT_KEYS, labels=LABELS, replicas=st.integers(1, 3))
    def create(self, key: Key, labels: dict[str, str], replicas: int) -> None:
        """Create an object that may be there."""
        self._write([Create(microservice(key.name, namespace=key.namespace, labels=labels, replicas=replicas))])

    @rule(key=_OBJECT_KEYS, labels=LABELS, replicas=st.integers(1, 3), stale=st.booleans())
    def replace(self, key: Key, labels: dict[str, str], replicas: int, stale: bool) -> None:
        """Replace an object that may not be there, perhaps by itself, perhaps at a wrong version."""
        self._write([self._replacement(key, labels, replicas, stale)])

    @rule(key=_OBJECT_KEYS, at=st.sampled_from(["any", "right", "wrong"]))
    def delete(self, key: Key, at: str) -> None:
        """Delete an object that may not be there."""
        found = self.objects.get(key)
        version = None if at == "any" else (found.metadata.resource_version if found else 1) + (at == "wrong")
        self._write([Delete(Microservice, key, version)])

    @rule(data=st.data(), size=st.integers(2, 5))
    def batch(self, data: st.DataObject, size: int) -> None:
        """Several writes at once, of which the last may fail."""
        writes: list[Write] = []
        for _ in range(size):
            key = data.draw(_OBJECT_KEYS)
            if key not in self.objects or data.draw(st.booleans()):
                writes.append(Create(microservice(key.name, namespace=key.namespace)))
            else:
                writes.append(self._replacement(key, data.draw(LABELS), 2, stale=False))
        self._write(writes)

    @rule(selector=SELECTORS, namespace=st.sampled_from([None, "n", "n-1", "none"]))
    def whole_list(self, selector: Selector, namespace: str | None) -> None:
        """List by selector and namespace."""
        expected = [
            found for found in self._selected(selector) if namespace is None or found.metadata.namespace == namespace
        ]
        assert [*self.store.list(Microservice, selector=selector, namespace=namespace).items] == expected

    @rule(selector=SELECTORS, limit=st.integers(1, 3))
    def first_page(self, selector: Selector, limit: int) -> None:
        """Begin to read a list in pages, to be read on after other writes."""
        expected = self._selected(selector)
        page = self.store.list(Microservice, selector=selector, limit=limit)
        assert [*page.items] == expected[:limit]
        assert (page.more is not None) == (len(expected) > limit)
        self.open = _Open(selector, page.more, expected[limit:]) if page.more else None

    @precondition(lambda self: self.open is not None)
    @rule(limit=st.integers(1, 3))
    def next_page(self, limit: int) -> None:
        """The next page shows the objects as they were at the first."""
        assert self.open is not None
        selector, more, rest = self.open
        page = self.store.list(Microservice, selector=selector, limit=limit, more=more)
        assert [*page.items] == rest[:limit]
        assert (page.more is not None) == (len(rest) > limit)
        self.open = _Open(selector, page.more, rest[limit:]) if page.more else None

    @rule()
    def watch(self) -> None:
        """Catch up: what was watched is what is there."""
        changes, complete = self.store.changes(self.since)
        assert complete == self.store.version()
        for change in changes:
            assert isinstance(change.resource, Microservice)
            assert self.since < change.version <= complete
            self.since = change.version
            if change.type == "Deleted":
                assert self.watched.pop(change.resource.key) == change.resource
            else:
                assert (change.type == "Added") == (change.resource.key not in self.watched)
                self.watched[change.resource.key] = change.resource
        self.since = complete
        assert self.watched == self.objects

    @invariant()
    def same_objects(self) -> None:
        """The store holds what the dictionary holds."""
        assert {found.key: found for found in self.store.list(Microservice).items} == self.objects

    def teardown(self) -> None:
        """Catch up a last time."""
        self.watch()

    def _selected(self, selector: Selector) -> list[Microservice]:
        return [
            self.objects[key] for key in sorted(self.objects) if selector.matches(self.objects[key].metadata.labels)
        ]

    def _replacement(self, key: Key, labels: dict[str, str], replicas: int, stale: bool) -> Replace:
        found = self.objects.get(key)
        made = microservice(key.name, namespace=key.namespace, labels=labels, replicas=replicas)
        version = found.metadata.resource_version if found and not stale else 0
        return Replace(
            made.model_copy(update={"metadata": made.metadata.model_copy(update={"resource_version": version})})
        )

    def _write(self, writes: list[Write]) -> None:
        """The dictionary first: what it refuses, the store must refuse in the same way."""
        before = self.store.version()
        objects = dict(self.objects)
        refusals = (_apply(objects, write, before + number + 1) for number, write in enumerate(writes))
        refusal = next((refused for refused in refusals if refused), None)
        raised: type[FederationError] | None = None
        results: tuple[Resource, ...] = ()
        try:
            results = self.store.write(writes, now=NOW)
        except (AlreadyExists, NotFound, StaleWrite) as error:
            raised = type(error)
        assert raised is refusal
        if refusal:
            assert self.store.version() == before
            return
        assert len(results) == len(writes)
        for write, result in zip(writes, results, strict=True):
            assert isinstance(result, Microservice)
            if not isinstance(write, Delete):
                assert result.metadata.labels == write.resource.metadata.labels
                self.objects[result.key] = result
            else:
                assert self.objects.pop(result.key) == result
        assert {key: found.spec for key, found in self.objects.items()} == {
            key: found.spec for key, found in objects.items()
        }


def _apply(objects: dict[Key, Microservice], write: Write, version: int) -> type[FederationError] | None:
    """Carry `write` out on `objects`, under `version`; returns how it is refused."""
    if isinstance(write, Delete):
        key, wanted = write.key, write.resource_version
    else:
        key, wanted = write.resource.key, write.resource.metadata.resource_version
    found = objects.get(key)
    if isinstance(write, Create):
        if found is not None:
            return AlreadyExists
    elif found is None:
        return NotFound
    elif wanted is not None and wanted != found.metadata.resource_version:
        return StaleWrite
    if isinstance(write, Delete):
        del objects[key]
        return None
    new = write.resource
    assert isinstance(new, Microservice)
    if found is None or (found.spec, found.metadata.labels) != (new.spec, new.metadata.labels):
        objects[key] = new.model_copy(
            update={"metadata": new.metadata.model_copy(update={"resource_version": version})}
        )
    return None

"""What is too much for the store, and what it takes on the way in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from federation.contracts.store import Create, Delete, Replace
from federation.errors import Expired, InvalidInput, StaleWrite
from federation.model.meta import Key, Requirement, Resource, Selector
from federation.model.microservice import Microservice
from federation.store.documents import Parsed
from federation.store.sql import SqlStore, open_store
from federation.testing.store_model import microservice

NOW = 1_700_000_000.0


class Stranger(Resource):
    """A kind that this release does not know."""

    kind_name = "Stranger"
    plural = "strangers"


@pytest.fixture
def store() -> Iterator[SqlStore]:
    with closing(open_store(None)) as store:
        yield store


def test_only_known_kinds(store: SqlStore) -> None:
    stranger = Stranger(metadata=microservice("x").metadata)
    with pytest.raises(InvalidInput, match="Stranger is not a kind the store knows; known are ClusterPlacementPolicy"):
        store.write([Create(stranger)], now=NOW)
    with pytest.raises(InvalidInput):
        store.write([Delete(Stranger, Key("", "x"))], now=NOW)
    with pytest.raises(InvalidInput):
        store.get(Stranger, Key("", "x"))
    with pytest.raises(InvalidInput):
        store.list(Stranger)
    with pytest.raises(InvalidInput):
        store.changes(0, kinds=[Stranger])


def test_an_object_too_large(store: SqlStore) -> None:
    with pytest.raises(InvalidInput, match="characters long"):
        store.write([Create(microservice("large", template={"a": "x" * 2**24}))], now=NOW)
    store.write([Create(microservice("fits", template={"a": "x" * 2**20}))], now=NOW)


def test_an_object_nested_too_deep_is_refused_not_stored(store: SqlStore) -> None:
    template: dict[str, object] = {}
    for _ in range(400):
        template = {"a": template}
    spec = microservice("x").spec.model_copy(update={"template": template})
    with pytest.raises(InvalidInput, match="'deep'"):
        store.write([Create(microservice("deep").model_copy(update={"spec": spec}))], now=NOW)
    assert store.list(Microservice).items == ()


@pytest.mark.parametrize("now", [float("nan"), float("inf")])
def test_a_time_that_is_none(store: SqlStore, now: float) -> None:
    with pytest.raises(InvalidInput, match="seconds since 1970"):
        store.write([Create(microservice("x"))], now=now)


def test_a_selector_too_large(store: SqlStore) -> None:
    store.write([Create(microservice("x", labels={"k150": "v"}))], now=NOW)
    most = Selector(match_expressions=tuple(Requirement(key=f"k{n}", operator="DoesNotExist") for n in range(200)))
    assert store.list(Microservice, selector=most).items == ()
    many = Requirement(key="k150", operator="In", values=("v", *(f"v{n}" for n in range(9_999))))
    assert len(store.list(Microservice, selector=Selector(match_expressions=(many,))).items) == 1
    for selector in (
        Selector(match_labels={f"k{n}": "" for n in range(201)}),
        Selector(match_expressions=(many, Requirement(key="k", operator="In", values=("v",)))),
    ):
        with pytest.raises(InvalidInput, match="too large"):
            store.list(Microservice, selector=selector)


def test_a_large_batch_over_several_namespaces(store: SqlStore) -> None:
    namespaces = ["", "0", "ns", "ns-0", "n" * 63]
    writes = [Create(microservice(f"s{n}", namespace=namespaces[n % 5])) for n in range(2_500)]
    made = store.write(writes, now=NOW)
    assert len(store.list(Microservice).items) == 2_500
    assert [found.key for found in store.list(Microservice, namespace="ns", limit=3).items] == sorted(
        resource.key for resource in made if resource.key.namespace == "ns"
    )[:3]
    assert store.write([Replace(resource) for resource in made], now=NOW) == made
    store.write([Delete(Microservice, resource.key) for resource in made], now=NOW)
    assert store.list(Microservice).items == ()


def test_the_least_used_parsed_objects_are_forgotten() -> None:
    parsed = Parsed(most=3, most_chars=100)
    for version in (1, 2, 3):
        parsed.put(version, microservice("x"), 10)
    assert set(parsed.get([1, 9])) == {1}
    parsed.put(4, microservice("x"), 10)
    assert set(parsed.get([1, 2, 3, 4])) == {1, 3, 4}
    held = microservice("x")
    parsed.put(5, held, 85)
    assert set(parsed.get([1, 3, 4, 5])) == {4, 5}
    parsed.put(6, microservice("x"), 1000)
    assert set(parsed.get([1, 3, 4, 5, 6])) == {5}, "what somebody holds anyway is found as long as they do"
    del held
    assert parsed.get([5]) == {}


def test_numbers_and_text_beyond_a_database(store: SqlStore) -> None:
    (stored,) = store.write([Create(microservice("x"))], now=NOW)
    assert store.list(Microservice, limit=2**80).items == (stored,)
    for ask in (
        lambda: store.get(Microservice, Key("shop", "\ud800")),
        lambda: store.list(Microservice, namespace="\udfff"),
    ):
        with pytest.raises(InvalidInput, match="surrogate"):
            ask()
    with pytest.raises(StaleWrite):
        store.write([Delete(Microservice, stored.key, 2**80)], now=NOW)
    with pytest.raises(Expired):
        store.changes(2**80)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.changes, 1, wait_s=float("inf"))
        store.write([Delete(Microservice, stored.key)], now=NOW)
        assert len(waiting.result(30)[0]) == 1

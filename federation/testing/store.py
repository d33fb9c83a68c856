"""What every store must do, as tests: subclass `StoreSuite` and give it the fixture `store`.

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self, tmp_path):
            with contextlib.closing(my_store(tmp_path)) as store:
                yield store

The fixture gives an empty store. Needs pytest and hypothesis (the extra `dev`).
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from pydantic import JsonValue

from federation.contracts.store import Create, Delete, Replace, Store
from federation.errors import AlreadyExists, Expired, FederationError, InvalidInput, NotFound, StaleWrite
from federation.model.event import Event, Regarding
from federation.model.meta import Key, Metadata, Requirement, Resource, Selector
from federation.model.microservice import Microservice, MicroserviceSpec, MicroserviceStatus
from federation.model.placement import Placement
from federation.model.policy import ClusterPlacementPolicy
from federation.model.subcluster import SubCluster, SubClusterSpec
from federation.testing.store_model import LABELS, SELECTORS, StoreMachine, microservice

NOW = 1_700_000_000.123456789
"""Finer than a microsecond on purpose: times must come back exactly."""
LONG_S = 30.0
"""A deadline that is reached only when something is broken."""

_JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_QUICK = settings(max_examples=40, deadline=None)


def with_replicas(service: Microservice, replicas: int) -> Microservice:
    """`service` asking for that many replicas."""
    return service.model_copy(update={"spec": service.spec.model_copy(update={"replicas": replicas})})


def create(store: Store, *resources: Resource, now: float = NOW) -> tuple[Resource, ...]:
    """Create `resources` in one batch."""
    return store.write([Create(resource) for resource in resources], now=now)


def replace(store: Store, service: Microservice, now: float = NOW) -> Microservice:
    """Replace one microservice."""
    (stored,) = store.write([Replace(service)], now=now)
    assert isinstance(stored, Microservice)
    return stored


def replayed(store: Store) -> dict[tuple[type[Resource], Key], Resource]:
    """The objects as somebody knows them who has only watched, from the beginning."""
    objects: dict[tuple[type[Resource], Key], Resource] = {}
    changes, _ = store.changes(0)
    for change in changes:
        id = (type(change.resource), change.resource.key)
        assert (change.type == "Added") == (id not in objects)
        if change.type == "Deleted":
            assert objects.pop(id) == change.resource
        else:
            assert change.resource.metadata.resource_version == change.version
            objects[id] = change.resource
    return objects


class _Writing:
    """Creating, replacing, deleting, and what the store fills in."""

    def test_create_fills_in_what_is_the_stores(self, store: Store) -> None:
        asked = microservice("cart", labels={"tier": "web"})
        pretended = asked.metadata.model_copy(update={"uid": "mine", "generation": 7, "creation_timestamp": 1.0})
        (stored,) = create(store, asked.model_copy(update={"metadata": pretended}))
        assert isinstance(stored, Microservice)
        metadata = stored.metadata
        assert metadata.uid not in ("", "mine")
        assert (metadata.generation, metadata.creation_timestamp) == (1, NOW)
        assert metadata.resource_version == store.version() > 0
        assert (stored.spec, metadata.labels) == (asked.spec, asked.metadata.labels)
        assert store.get(Microservice, Key("shop", "cart")) == stored

    def test_create_refuses_what_is_there(self, store: Store) -> None:
        create(store, microservice("cart"))
        before = store.version()
        with pytest.raises(AlreadyExists, match="Microservice shop/cart"):
            create(store, microservice("cart", replicas=3))
        assert store.version() == before
        assert store.get(Microservice, Key("shop", "cart")).spec.replicas == 1

    def test_same_name_elsewhere_is_another_object(self, store: Store) -> None:
        create(store, microservice("cart"), microservice("cart", namespace="other"))
        create(store, Placement(metadata=Metadata(name="cart", namespace="shop")))
        create(store, SubCluster(metadata=Metadata(name="cart"), spec=SubClusterSpec(provider="local")))
        found = (*store.list(Microservice).items, *store.list(Placement).items, *store.list(SubCluster).items)
        assert len({resource.metadata.uid for resource in found}) == 4

    def test_get_of_what_is_not_there(self, store: Store) -> None:
        with pytest.raises(NotFound, match="Microservice shop/cart"):
            store.get(Microservice, Key("shop", "cart"))

    def test_replace_compares_and_swaps(self, store: Store) -> None:
        create(store, microservice("cart"))
        read = store.get(Microservice, Key("shop", "cart"))
        newer = replace(store, with_replicas(read, 2))
        assert newer.metadata.resource_version > read.metadata.resource_version
        assert newer.metadata.uid == read.metadata.uid
        with pytest.raises(StaleWrite) as caught:
            replace(store, with_replicas(read, 3))
        assert str(read.metadata.resource_version) in str(caught.value)
        assert str(newer.metadata.resource_version) in str(caught.value)
        assert store.get(Microservice, Key("shop", "cart")) == newer

    def test_replace_is_never_blind(self, store: Store) -> None:
        create(store, microservice("cart"))
        with pytest.raises(StaleWrite):
            replace(store, microservice("cart", replicas=2))
        with pytest.raises(NotFound):
            replace(store, microservice("cost"))

    def test_replace_keeps_what_is_the_stores(self, store: Store) -> None:
        (stored,) = create(store, microservice("cart"))
        bent = stored.metadata.model_copy(update={"uid": "mine", "generation": 99, "creation_timestamp": 5.0})
        assert isinstance(stored, Microservice)
        result = replace(store, with_replicas(stored.model_copy(update={"metadata": bent}), 4), now=NOW + 60)
        assert result.metadata.uid == stored.metadata.uid
        assert result.metadata.creation_timestamp == NOW
        assert result.metadata.generation == 2

    def test_generation_counts_changes_of_spec(self, store: Store) -> None:
        (stored,) = create(store, microservice("cart"))
        assert isinstance(stored, Microservice)
        seen = replace(store, stored.model_copy(update={"status": MicroserviceStatus(observed_generation=1)}))
        assert seen.metadata.generation == 1
        labelled = seen.metadata.model_copy(update={"labels": {"a": "b"}})
        seen = replace(store, seen.model_copy(update={"metadata": labelled}))
        assert seen.metadata.generation == 1
        assert replace(store, with_replicas(seen, 5)).metadata.generation == 2

    def test_generation_of_a_kind_without_spec_counts_every_change(self, store: Store) -> None:
        event = Event(
            metadata=Metadata(name="e", namespace="shop"), reason="Moved", regarding=Regarding(kind="X", name="x")
        )
        (stored,) = create(store, event)
        (again,) = store.write([Replace(stored.model_copy(update={"count": 2}))], now=NOW)
        assert (stored.metadata.generation, again.metadata.generation) == (1, 2)

    def test_replace_that_changes_nothing_is_no_write(self, store: Store) -> None:
        (stored,) = create(store, microservice("cart", template={"a": 1, "b": {"c": 1, "d": 2}}))
        before = store.version()
        assert store.write([Replace(stored)], now=NOW + 1) == (stored,)
        assert isinstance(stored, Microservice)
        turned = stored.spec.model_copy(update={"template": {"b": {"d": 2, "c": 1}, "a": 1}})
        store.write([Replace(stored.model_copy(update={"spec": turned}))], now=NOW + 1)
        assert store.version() == before
        assert len(store.changes(0)[0]) == 1

    @pytest.mark.parametrize("other", [True, 1.0, "1"])
    def test_what_looks_equal_in_python_may_be_a_change(self, store: Store, other: JsonValue) -> None:
        (stored,) = create(store, microservice("cart", template={"a": 1}))
        assert isinstance(stored, Microservice)
        spec = stored.spec.model_copy(update={"template": {"a": other}})
        result = replace(store, stored.model_copy(update={"spec": spec}))
        assert result.metadata.generation == 2
        assert type(result.spec.template["a"]) is type(other)

    def test_delete(self, store: Store) -> None:
        (stored,) = create(store, microservice("cart"))
        key, version = stored.key, stored.metadata.resource_version
        for wrong in (0, version + 1):
            with pytest.raises(StaleWrite):
                store.write([Delete(Microservice, key, wrong)], now=NOW)
        assert store.write([Delete(Microservice, key, version)], now=NOW) == (stored,)
        assert store.version() > version
        with pytest.raises(NotFound):
            store.get(Microservice, key)
        with pytest.raises(NotFound):
            store.write([Delete(Microservice, key)], now=NOW)
        (again,) = create(store, microservice("cart"))
        assert again.metadata.uid != stored.metadata.uid
        assert store.write([Delete(Microservice, key)], now=NOW) == (again,)

    def test_batch_is_all_or_nothing(self, store: Store) -> None:
        (stored,) = create(store, microservice("a"))
        before = store.version()
        assert isinstance(stored, Microservice)
        failing = (Create(microservice("a")), Replace(microservice("c")), Delete(Microservice, Key("shop", "zz")))
        for last in failing:
            with pytest.raises(FederationError):
                store.write([Create(microservice("b")), Replace(with_replicas(stored, 9)), last], now=NOW)
        assert store.version() == before
        assert store.list(Microservice).items == (stored,)
        assert [change.type for change in store.changes(0)[0]] == ["Added"]

    def test_batch_happens_in_order(self, store: Store) -> None:
        assert store.write([], now=NOW) == ()
        key = Key("shop", "cart")
        first, deleted, second = store.write(
            [Create(microservice("cart")), Delete(Microservice, key), Create(microservice("cart", replicas=2))], now=NOW
        )
        assert deleted == first
        assert second.metadata.resource_version > first.metadata.resource_version
        assert store.get(Microservice, key) == second
        assert [change.type for change in store.changes(0)[0]] == ["Added", "Deleted", "Added"]
        assert replayed(store) == {(Microservice, key): second}

    def test_what_is_no_json_is_refused(self, store: Store) -> None:
        for value in (float("nan"), float("inf"), "\ud800"):
            with pytest.raises(InvalidInput):
                create(store, microservice("good"), microservice("bad", template={"a": value}))
        with pytest.raises(InvalidInput):
            create(store, microservice("bad").model_copy(update={"spec": {"replicas": -1}}))
        assert store.version() == 0
        assert store.list(Microservice).items == ()

    def test_round_trip_is_exact(self, store: Store) -> None:
        """Every field comes back as it was, those included that pass through and that only a policy engine knows."""

        @_QUICK
        @given(template=st.dictionaries(st.text(max_size=10), _JSON, max_size=4), at=st.floats(0, 4e9))
        def check(template: dict[str, JsonValue], at: float) -> None:
            service = microservice("cart", template=template)
            status = MicroserviceStatus(gateway_ports={"80": 20000})
            spec = MicroserviceSpec(template=template, objects=({"kind": "ConfigMap", "data": template},))
            policy = ClusterPlacementPolicy.model_validate(
                {"metadata": {"name": "p"}, "spec": {"selector": {}, "compliance": {"residency": {"allow": ["EU"]}}}}
            )
            asked = service.model_copy(update={"spec": spec, "status": status})
            stored, kept = create(store, asked, policy, now=at)
            try:
                for found in (stored, store.get(Microservice, stored.key), store.list(Microservice).items[0]):
                    assert isinstance(found, Microservice)
                    assert repr(found.spec) == repr(spec)
                    assert found.status == status
                    assert found.metadata.creation_timestamp == at
                assert store.get(ClusterPlacementPolicy, kept.key).spec == policy.spec
            finally:
                store.write([Delete(Microservice, stored.key), Delete(ClusterPlacementPolicy, kept.key)], now=NOW)

        check()


class _Listing:
    """Lists by namespace and selector, and pages."""

    def test_list_is_ordered_by_namespace_and_name(self, store: Store) -> None:
        names = [("b", "x"), ("a", "y"), ("a-1", "x"), ("a", "x-1"), ("a", "x.1"), ("a", "x"), ("a1", "x")]
        create(store, *(microservice(name, namespace=namespace) for namespace, name in names))
        page = store.list(Microservice)
        assert [tuple(found.key) for found in page.items] == sorted(names)
        assert (page.version, page.more) == (store.version(), None)
        assert [found.key.name for found in store.list(Microservice, namespace="a").items] == ["x", "x-1", "x.1", "y"]
        assert store.list(Microservice, namespace="none").items == ()
        assert store.list(Placement).items == ()

    def test_empty_namespace_means_the_fleet(self, store: Store) -> None:
        fleet = Event(metadata=Metadata(name="e"), reason="Lost", regarding=Regarding(kind="SubCluster", name="x"))
        there = fleet.model_copy(update={"metadata": Metadata(name="e", namespace="shop")})
        create(store, fleet, there)
        assert [found.key for found in store.list(Event, namespace="").items] == [Key("", "e")]
        assert len(store.list(Event).items) == 2

    def test_selectors_mean_what_the_model_says(self, store: Store) -> None:
        @_QUICK
        @given(labels=st.lists(LABELS, max_size=8), selector=SELECTORS)
        def check(labels: list[dict[str, str]], selector: Selector) -> None:
            made = create(store, *(microservice(f"s{number}", labels=some) for number, some in enumerate(labels)))
            try:
                expected = [resource for resource in made if selector.matches(resource.metadata.labels)]
                assert list(store.list(Microservice, selector=selector).items) == expected
            finally:
                store.write([Delete(Microservice, resource.key) for resource in made], now=NOW)

        check()

    def test_selectors_see_the_labels_of_now(self, store: Store) -> None:
        (stored,) = create(store, microservice("cart", labels={"tier": "web", "a": "1"}))
        metadata = stored.metadata.model_copy(update={"labels": {"tier": "data"}})
        (stored,) = store.write([Replace(stored.model_copy(update={"metadata": metadata}))], now=NOW)

        def selected(*requirements: Requirement) -> int:
            return len(store.list(Microservice, selector=Selector(match_expressions=requirements)).items)

        assert selected(Requirement(key="tier", operator="In", values=("web",))) == 0
        assert selected(Requirement(key="tier", operator="In", values=("data", "web"))) == 1
        assert selected(Requirement(key="a", operator="Exists")) == 0
        assert selected(Requirement(key="a", operator="NotIn", values=("1",))) == 1

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    def test_pages_are_as_of_one_version(self, store: Store, limit: int) -> None:
        labels = {"tier": "web"}
        create(store, *(microservice(f"s{number}", labels=labels) for number in range(7)))
        create(store, microservice("other"))
        selector = Selector(match_labels=labels)
        before = store.list(Microservice, selector=selector)
        page = store.list(Microservice, selector=selector, limit=limit)
        found = list(page.items)
        round = 0
        while page.more:
            assert len(page.items) == limit
            self._disturb(store, round)
            round += 1
            page = store.list(Microservice, selector=selector, limit=limit, more=page.more)
            assert page.version == before.version
            found.extend(page.items)
        assert found == list(before.items)

    @staticmethod
    def _disturb(store: Store, round: int) -> None:
        """Change, relabel, delete, delete and make again, and add objects before and behind a reader."""
        for number, service in enumerate(store.list(Microservice).items):
            act = (number + round) % 5
            if act == 0:
                replace(store, with_replicas(service, service.spec.replicas + 1))
            elif act == 1:
                metadata = service.metadata.model_copy(update={"labels": {}})
                replace(store, service.model_copy(update={"metadata": metadata}))
            elif act in (2, 3):
                store.write([Delete(Microservice, service.key)], now=NOW)
                if act == 3:
                    create(store, microservice(service.key.name, labels={"tier": "web"}))
        create(store, *(microservice(f"s{number}-{round}", labels={"tier": "web"}) for number in range(7)))

    def test_a_token_is_good_for_its_own_list_only(self, store: Store) -> None:
        create(store, *(microservice(f"s{number}") for number in range(4)))
        more = store.list(Microservice, limit=2).more
        assert more is not None
        assert len(store.list(Microservice, more=more).items) == 2
        bent = [more[:place] + ("A" if more[place] != "A" else "B") + more[place + 1 :] for place in range(len(more))]
        for token in (*bent, "", "x", "é", more + "=", more[:-1], f"{more}A", f" {more}"):
            with pytest.raises(InvalidInput):
                store.list(Microservice, more=token)
        with pytest.raises(InvalidInput):
            store.list(Placement, more=more)
        with pytest.raises(InvalidInput):
            store.list(Microservice, namespace="shop", more=more)
        with pytest.raises(InvalidInput):
            store.list(Microservice, selector=Selector(match_labels={"a": "b"}), more=more)

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_page_has_at_least_one_object(self, store: Store, limit: int) -> None:
        with pytest.raises(InvalidInput):
            store.list(Microservice, limit=limit)


class _Watching:
    """Changes: complete, in order, and soon."""

    def test_changes_tell_everything_in_order(self, store: Store) -> None:
        assert store.changes(0) == ((), 0)
        (first,) = create(store, microservice("cart"))
        assert isinstance(first, Microservice)
        second = replace(store, with_replicas(first, 2))
        store.write([Delete(Microservice, first.key)], now=NOW)
        (again,) = create(store, microservice("cart", replicas=3))
        changes, complete = store.changes(0)
        assert [change.type for change in changes] == ["Added", "Modified", "Deleted", "Added"]
        assert [change.resource for change in changes] == [first, second, second, again]
        versions = [change.version for change in changes]
        assert versions == sorted(set(versions))
        assert complete == versions[-1] == store.version()
        for place, version in enumerate(versions):
            assert store.changes(version) == (changes[place + 1 :], complete)

    def test_changes_of_some_kinds(self, store: Store) -> None:
        create(store, microservice("cart"), Placement(metadata=Metadata(name="cart", namespace="shop")))
        assert [type(change.resource) for change in store.changes(0, kinds=[Placement])[0]] == [Placement]
        assert len(store.changes(0, kinds=[Placement, Microservice])[0]) == 2
        assert store.changes(0, kinds=[SubCluster], wait_s=0.01) == ((), store.version())

    def test_versions_that_never_were(self, store: Store) -> None:
        with pytest.raises(Expired):
            store.changes(store.version() + 1)
        with pytest.raises(InvalidInput):
            store.changes(-1)

    def test_a_change_wakes_those_who_wait(self, store: Store) -> None:
        with ThreadPoolExecutor(2) as pool:
            any_kind = pool.submit(store.changes, 0, wait_s=LONG_S)
            services = pool.submit(store.changes, 0, kinds=[Microservice], wait_s=LONG_S)
            create(store, Placement(metadata=Metadata(name="cart", namespace="shop")))
            assert len(any_kind.result(LONG_S / 2)[0]) == 1
            (stored,) = create(store, microservice("cart"))
            changes, complete = services.result(LONG_S / 2)
        assert [change.resource for change in changes] == [stored]
        assert complete == stored.metadata.resource_version

    def test_watching_never_misses_a_change(self, store: Store) -> None:
        """Three threads write while one follows."""
        done = threading.Event()
        seen: list[int] = []

        def follow() -> None:
            since = 0
            while True:
                last = done.is_set()
                changes, complete = store.changes(since, wait_s=0.05)
                seen.extend(change.version for change in changes)
                assert all(since < change.version <= complete for change in changes)
                since = complete
                if last:
                    return

        def write(who: int) -> list[int]:
            return [
                resource.metadata.resource_version
                for number in range(15)
                for resource in create(store, microservice(f"a{who}-{number}"), microservice(f"b{who}-{number}"))
            ]

        with ThreadPoolExecutor(4) as pool:
            follower = pool.submit(follow)
            written = [version for versions in pool.map(write, range(3)) for version in versions]
            done.set()
            follower.result(LONG_S)
        assert len(set(written)) == len(written) == 90
        assert seen == sorted(written)


class _Together:
    """Many threads at once."""

    def test_no_update_is_lost(self, store: Store) -> None:
        create(store, microservice("counter", replicas=0))

        def count(_: int) -> None:
            while True:
                read = store.get(Microservice, Key("shop", "counter"))
                try:
                    replace(store, with_replicas(read, read.spec.replicas + 1))
                except StaleWrite:
                    continue
                return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(count, range(40)))
        result = store.get(Microservice, Key("shop", "counter"))
        assert (result.spec.replicas, result.metadata.generation) == (40, 41)

    def test_one_of_many_creates_wins(self, store: Store) -> None:
        def attempt(replicas: int) -> int | None:
            try:
                create(store, microservice("cart", replicas=replicas), microservice(f"mine-{replicas}"))
            except AlreadyExists:
                return None
            return replicas

        with ThreadPoolExecutor(8) as pool:
            winners = [result for result in pool.map(attempt, range(1, 25)) if result is not None]
        assert len(winners) == 1
        assert store.get(Microservice, Key("shop", "cart")).spec.replicas == winners[0]
        assert [found.key.name for found in store.list(Microservice).items] == ["cart", f"mine-{winners[0]}"]

    def test_nobody_sees_half_a_batch(self, store: Store) -> None:
        create(store, microservice("a"), microservice("b"))
        done = threading.Event()

        def read() -> int:
            reads = 0
            while not done.is_set():
                one, other = store.list(Microservice).items
                assert one.spec == other.spec
                reads += 1
            return reads

        with ThreadPoolExecutor(2) as pool:
            reader = pool.submit(read)
            for replicas in range(2, 40):
                pair = store.list(Microservice).items
                store.write([Replace(with_replicas(service, replicas)) for service in pair], now=NOW)
            done.set()
            assert reader.result(LONG_S) > 0

    def test_behaves_like_a_dictionary(self, store: Store) -> None:
        """Any sequence of operations gives what a plain dictionary gives, and watching tells the same story."""

        class Machine(StoreMachine):
            def __init__(self) -> None:
                super().__init__(store)

        run_state_machine_as_test(Machine, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))


class StoreSuite(_Writing, _Listing, _Watching, _Together):
    """All of it. Override the fixture `store` with one that gives an empty store."""

    @pytest.fixture
    def store(self) -> Store:
        """The store under test, empty."""
        raise NotImplementedError("override the fixture `store`")

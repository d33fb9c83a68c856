"""Several writers share commits; several processes share a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from federation.contracts.store import Create, Replace
from federation.errors import AlreadyExists
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.store.sql import open_store
from federation.testing.store_model import microservice

NOW = 1_700_000_000.0
WRITERS = 50


@contextmanager
def _slow_first_commit(entered: threading.Semaphore) -> Iterator[list[int]]:
    """Holds the first commit back until all writers have come; counts commits."""
    commits = [0]

    def commit(connection: Connection) -> None:
        commits[0] += 1
        if commits[0] == 1:
            for _ in range(WRITERS):
                assert entered.acquire(timeout=30)

    event.listen(Engine, "commit", commit)
    try:
        yield commits
    finally:
        event.remove(Engine, "commit", commit)


def test_writers_that_wait_share_one_commit(tmp_path: Path) -> None:
    entered = threading.Semaphore(0)

    def write(number: int) -> str:
        entered.release()
        try:
            # Every fifth batch has a second object that is there already: it fails alone.
            names = [f"s{number}", *(["taken"] if number % 5 == 0 else [])]
            store.write([Create(microservice(name)) for name in names], now=NOW)
        except AlreadyExists:
            return "refused"
        return "stored"

    with closing(open_store(tmp_path / "store.db")) as store:
        store.write([Create(microservice("taken"))], now=NOW)
        with _slow_first_commit(entered) as commits, ThreadPoolExecutor(WRITERS) as pool:
            results = list(pool.map(write, range(WRITERS)))
        found = {service.key.name for service in store.list(Microservice).items}
        versions = [change.version for change in store.changes(0)[0]]
    assert results.count("refused") == WRITERS // 5
    assert found == {"taken"} | {f"s{number}" for number in range(WRITERS) if number % 5}
    assert versions == list(range(1, len(found) + 1))
    # Some may still have been on their way into the queue; reading takes commits as well.
    assert commits[0] < WRITERS // 2


def test_another_process_changes_are_seen(tmp_path: Path) -> None:
    """Two stores on one file know of each other no more than two processes do."""
    path = tmp_path / "store.db"
    with closing(open_store(path)) as mine, closing(open_store(path)) as theirs, ThreadPoolExecutor(1) as pool:
        (first,) = theirs.write([Create(microservice("cart"))], now=NOW)
        assert mine.get(Microservice, first.key) == first
        assert isinstance(first, Microservice)
        waiting = pool.submit(mine.changes, 1, wait_s=60)
        spec = first.spec.model_copy(update={"replicas": 2})
        (second,) = theirs.write([Replace(first.model_copy(update={"spec": spec}))], now=NOW)
        started_s = time.monotonic()
        changes, complete = waiting.result(30)
        assert time.monotonic() - started_s < 5
        assert ([change.resource for change in changes], complete) == ([second], 2)
        assert mine.get(Microservice, first.key) == second
        assert mine.list(Microservice).items == (second,)


def test_two_processes_write_in_turns(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(open_store(path)) as one, closing(open_store(path)) as other:
        stores = (one, other)

        def write(number: int) -> int:
            (stored,) = stores[number % 2].write([Create(microservice(f"s{number}"))], now=NOW)
            return stored.metadata.resource_version

        with ThreadPoolExecutor(4) as pool:
            versions = list(pool.map(write, range(60)))
        assert sorted(versions) == list(range(1, 61))
        assert one.list(Microservice) == other.list(Microservice)
        assert one.changes(0) == other.changes(0)
        assert one.get(Microservice, Key("shop", "s7")) == other.get(Microservice, Key("shop", "s7"))

"""How quick the store is: prints one JSON object per measurement.

Usage: python tests/benchmarks/bench_store.py [DIRECTORY]  (default: a temporary one; the disk is part of the result)"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from federation.contracts.store import Create, Replace
from federation.model.meta import Key, Metadata, Selector
from federation.model.microservice import Microservice, MicroserviceSpec
from federation.store.sql import SqlStore, open_store

NOW = 1_700_000_000.0
OBJECTS = 10_000


def service(number: int) -> Microservice:
    """About a kilobyte of a microservice."""
    environment = [{"name": f"VARIABLE_{index}", "value": "v" * 10} for index in range(10)]
    container = {
        "name": "server",
        "image": "registry.example/shop/server:1.0",
        "env": environment,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return Microservice(
        metadata=Metadata(
            name=f"s{number:05d}", namespace=f"n{number % 20}", labels={"app": f"a{number % 100}", "tier": "web"}
        ),
        spec=MicroserviceSpec.model_validate({"template": {"spec": {"containers": [container]}}}),
    )


def measure(what: str, act: Callable[[], object], count: int = 1) -> None:
    """Run `act`, which does `count` things, and print how long it took."""
    started_s = time.perf_counter()
    act()
    took_s = time.perf_counter() - started_s
    print(json.dumps({"what": what, "count": count, "ms": round(took_s * 1e3, 2), "per_s": round(count / took_s, 1)}))


def sync(directory: Path, times: int = 200) -> None:
    """What the disk asks for one durable write, without a database."""
    handle = os.open(directory / "raw", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(times):
            os.write(handle, b"x" * 4096)
            os.fdatasync(handle)
    finally:
        os.close(handle)


def create(store: SqlStore, first: int, count: int, size: int) -> None:
    """Create objects in batches of `size`."""
    for start in range(first, first + count, size):
        store.write([Create(service(number)) for number in range(start, start + size)], now=NOW)


def replace(store: SqlStore, times: int) -> None:
    """Change one object again and again."""
    found = store.get(Microservice, Key("n0", "s00000"))
    for _ in range(times):
        spec = found.spec.model_copy(update={"replicas": found.spec.replicas + 1})
        store.write([Replace(found.model_copy(update={"spec": spec}))], now=NOW)
        found = store.get(Microservice, found.key)


def pages(store: SqlStore, limit: int) -> None:
    """The whole list, page by page."""
    page = store.list(Microservice, limit=limit)
    while page.more:
        page = store.list(Microservice, limit=limit, more=page.more)


def writers(store: SqlStore, threads: int, each: int) -> None:
    """Many threads create single objects."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda who: create(store, 50_000 + who * each, each, 1), range(threads)))


def wake(store: SqlStore, times: int) -> None:
    """How long after a write returned somebody who waits has its change."""
    returned_s: list[float] = []
    got_s: list[float] = []
    turn = threading.Semaphore(1)
    first = store.version()

    def follow() -> None:
        since = first
        while len(got_s) < times:
            changes, since = store.changes(since, wait_s=10.0)
            if changes:
                got_s.append(time.perf_counter())
                turn.release()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(follow)
        for number in range(times):
            turn.acquire(timeout=10.0)
            store.write([Create(service(90_000 + number))], now=NOW)
            returned_s.append(time.perf_counter())
    late_ms = sorted((got - returned) * 1e3 for got, returned in zip(got_s, returned_s, strict=True))
    result = {"median_ms": round(late_ms[times // 2], 2), "max_ms": round(late_ms[-1], 2)}
    print(json.dumps({"what": "change seen after write returned", "count": times, **result}))


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        path = Path(name) / "store.db"
        measure("4 KiB appended and synced, no database", lambda: sync(Path(name)), 200)
        with closing(open_store(path)) as store:
            measure("create, batches of 100", lambda: create(store, 0, 2_000, 100), 2_000)
            measure("create, one by one", lambda: create(store, 2_000, 500, 1), 500)
            create(store, 2_500, OBJECTS - 2_500, 500)
            measure("create, 50 threads one by one", lambda: writers(store, 50, 20), 1_000)
            measure("replace, one by one", lambda: replace(store, 300), 300)
            measure("get", lambda: [store.get(Microservice, Key("n0", "s00000")) for _ in range(500)], 500)
            measure("list, parsed before", lambda: store.list(Microservice), OBJECTS + 1_000)
            few = Selector(match_labels={"app": "a5"})
            measure("list by selector, 1 in 100", lambda: store.list(Microservice, selector=few), OBJECTS // 100)
            measure("list in pages of 500", lambda: pages(store, 500), OBJECTS + 1_000)
            measure("changes, from the first", lambda: store.changes(0), store.version())
            wake(store, 100)
        with closing(open_store(path)) as store:
            measure("list, just opened", lambda: store.list(Microservice), OBJECTS + 1_100)


if __name__ == "__main__":
    main()

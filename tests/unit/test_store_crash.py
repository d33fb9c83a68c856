"""No acknowledged write is lost, and nothing half-written is seen, wherever the process is killed (I7)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from federation.model.meta import Resource, Selector
from federation.model.microservice import Microservice
from federation.store.sql import SqlStore, open_store

ROUNDS = 12
WRITER = Path(__file__).with_name("store_writer.py")


def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    chance = random.Random(7)
    arguments = [sys.executable, str(WRITER), str(path), str(ROUNDS)]
    acknowledged = {"a": 0, "b": 0}
    versions: list[int] = []
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for number in range(ROUNDS):
            print("go", file=writer.stdin, flush=True)
            # In two rounds it is killed while it opens the store.
            after = 0 if number in (0, 5) else chance.randrange(1, 25)
            for who, value, version in _round(writer.stdout, after):
                assert value == acknowledged[who] + 1
                acknowledged[who] = value
                versions.append(version)
            with closing(open_store(path)) as store:
                _check(store, acknowledged, versions)
        assert writer.wait(30) == 0
    assert min(acknowledged.values()) > 0
    assert len(versions) > ROUNDS


def _round(lines: IO[str], after: int) -> Iterator[tuple[str, int, int]]:
    """What a writer had acknowledged when it was killed; it is killed once it has acknowledged `after` writes."""
    word, pid = lines.readline().split()
    assert word == "pid"
    count = 0
    if after == 0:
        os.kill(int(pid), signal.SIGKILL)
    while (line := lines.readline()) != "end\n":
        _, who, value, version = line.split()
        yield who, int(value), int(version)
        count += 1
        if count == after:
            os.kill(int(pid), signal.SIGKILL)


def _check(store: SqlStore, acknowledged: dict[str, int], versions: list[int]) -> None:
    services = {service.key.name: service for service in store.list(Microservice).items}
    expected: set[str] = set()
    for who, value in acknowledged.items():
        counter = services.get(who)
        found = counter.spec.replicas if counter else 0
        # A write under way when it was killed may have happened, but wholly.
        assert found in (value, value + 1)
        if counter:
            # From here on it counts as acknowledged: it was seen.
            acknowledged[who] = found
            expected |= {who, f"{who}-{found}"}
            last = services[f"{who}-{found}"]
            assert last.spec.replicas == found
            assert last.spec.template == {"padding": "x" * 3000}
            assert store.list(Microservice, selector=Selector(match_labels={"who": who})).items == (last,)
    assert set(services) == expected
    changes, complete = store.changes(0)
    told = [change.version for change in changes]
    assert told == list(range(1, complete + 1))
    assert set(versions) <= set(told)
    replayed: dict[str, Resource] = {}
    for change in changes:
        if change.type == "Deleted":
            del replayed[change.resource.key.name]
        else:
            replayed[change.resource.key.name] = change.resource
    assert replayed == services

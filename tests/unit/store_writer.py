"""A program that writes to a store until it is killed, and says on stdout what the store has acknowledged.

Usage: store_writer.py FILE ROUNDS. In each round, begun by a line on stdin, a child of it writes, with two threads that
each go up by one: a batch replaces the thread's counter, creates an object with the counter's value in its name and
deletes the one before. Lines: `pid N` at the start of a round, `ack WHO VALUE VERSION` after a write has returned, and
`end` at its death."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from federation.contracts.store import Create, Delete, Replace, Write
from federation.errors import NotFound
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.store.sql import SqlStore, open_store
from federation.testing.store_model import microservice

PADDING = "x" * 3000


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _count(store: SqlStore, who: str) -> None:
    while True:
        try:
            counter = store.get(Microservice, Key("shop", who))
        except NotFound:
            value = 1
            writes: list[Write] = [Create(microservice(who, replicas=value))]
        else:
            value = counter.spec.replicas + 1
            spec = counter.spec.model_copy(update={"replicas": value})
            writes = [
                Replace(counter.model_copy(update={"spec": spec})),
                Delete(Microservice, Key("shop", f"{who}-{value - 1}")),
            ]
        made = microservice(f"{who}-{value}", replicas=value, labels={"who": who}, template={"padding": PADDING})
        results = store.write([*writes, Create(made)], now=float(value))
        _say(f"ack {who} {value} {results[-1].metadata.resource_version}")


def _write(path: Path) -> None:
    store = open_store(path)
    threads = [threading.Thread(target=_count, args=(store, who)) for who in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    path, rounds = Path(sys.argv[1]), int(sys.argv[2])
    for _ in range(rounds):
        sys.stdin.readline()
        pid = os.fork()
        if pid == 0:
            _write(path)
            os._exit(0)
        _say(f"pid {pid}")
        os.waitpid(pid, 0)
        _say("end")


if __name__ == "__main__":
    main()

"""Runs many random requests and manifests, and reports what must never happen: a 5xx, an exception, a hang."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Final

import yaml

from federation.app import schemas
from federation.errors import InvalidInput
from federation.intake.loading import load
from federation.intake.resources import validate
from federation.intake.schemas import Schemas
from federation.model.kinds import KINDS
from federation.server import history
from federation.server.app import Api, Options, make_wsgi
from federation.server.audit import AuditLog
from federation.server.backup import backup_extras
from federation.server.metrics import Metrics
from federation.server.page.extras import page_extras
from federation.server.pods import pod_extras
from federation.server.requests import Limits
from federation.server.tokens import TokenFile
from federation.store.sql import open_store
from federation.testing.fuzzing.calling import Call, Reply, call
from federation.testing.fuzzing.documents import ROAM
from federation.testing.fuzzing.places import Talkative
from federation.testing.fuzzing.requests import BASE, TOKENS, VERSION, any_manifest, any_request

PER_BATCH: Final = 2_000
"""After so many cases a new server begins, so that a failure can be played again from the beginning of its batch."""
_NOW: Final = 1_770_000_000.0
_LONGEST_S: Final = 5
_MOST_FAILURES: Final = 20
_MANIFESTS: Final = 0.3
_MEMORY: Final = "/dev/shm"  # noqa: S108 - a folder of its own is made there
"""Where files cost no disk's time."""
_VERSION: Final = VERSION.encode()
_LIMITS: Final = Limits(requests_per_s=1e9, requests_burst=10**9)


class TooSlow(Exception):
    """A case took longer than it may."""


@dataclass(frozen=True)
class Failure:
    """One case that went wrong: which, how, and what was sent."""

    batch: int
    index: int
    what: str
    sent: str


@dataclass
class Report:
    """What happened in a campaign: how often which answer came, and what went wrong."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def run(count: int, seed: int, *, first_batch: int = 0, progress: Callable[[Report], None] | None = None) -> Report:
    """Run `count` cases; the same ones for the same seed and first batch. Stops early at 20 failures.

    Only for a process's main thread: what hangs is ended by an alarm."""
    report = Report()
    batch = first_batch
    while report.cases < count and len(report.failures) < _MOST_FAILURES:
        _run_batch(report, seed, batch, min(PER_BATCH, count - report.cases))
        batch += 1
        if progress is not None:
            progress(report)
    return report


def _run_batch(report: Report, seed: int, batch: int, count: int) -> None:
    random = Random(f"{seed} {batch}")  # noqa: S311 - not for secrets
    with _api() as api:
        for index in range(count):
            case: Call | bytes = any_manifest(random) if random.random() < _MANIFESTS else any_request(random)
            try:
                with _within(_LONGEST_S):
                    outcome = _take_in(case) if isinstance(case, bytes) else _ask(api, case)
            except Exception:  # the whole point
                outcome = "FAILED"
                what = "".join(traceback.format_exc()[-3000:])
                report.failures.append(Failure(batch, index, what, repr(case)))
            report.outcomes[outcome] += 1
            report.cases += 1
        _check_all(api, report, batch, count)


@contextmanager
def _api() -> Iterator[Api]:
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as name:
        folder = Path(name)
        hashes = [
            {"name": f"fuzz-{role}", "sha256": hashlib.sha256(token.encode()).hexdigest(), "role": role}
            | ({} if role in ("operate", "admin") else {"namespaces": ["shop"]})
            for role, token in TOKENS.items()
        ]
        tokens = folder / "tokens.yaml"
        tokens.touch(mode=0o600)
        tokens.write_text(yaml.safe_dump({"tokens": hashes}))
        path = folder / "store.db"
        store = open_store(path)
        try:
            api = make_wsgi(
                store,
                token="the-servers-own-token",  # noqa: S106 - a server of its own, for no one
                validate=partial(validate, schemas=_schemas()),
                clock=_now,
                version="0.0.0",
                options=Options(
                    limits=_LIMITS,
                    tokens=TokenFile(tokens, _now),
                    audit=AuditLog(folder / "audit.log", rotate_bytes=200_000),
                    extras=(
                        *page_extras(store, _now),
                        *history.extras(store, _now),
                        *backup_extras(path, _now),
                        *pod_extras(store, Talkative),
                        Metrics().page(),
                    ),
                ),
            )
            for document in ROAM:
                _ask(api, Call("POST", f"{BASE}/apply", _ADMIN, json.dumps([document]).encode()))
            yield api
        finally:
            store.close()


def _now() -> float:
    return _NOW


_ADMIN: Final = {"Authorization": f"Bearer {TOKENS['admin']}", "Content-Type": "application/json"}


@cache
def _schemas() -> Schemas:
    return schemas()


def _ask(api: Api, request: Call) -> str:
    """Raises: AssertionError, or whatever came through."""
    if _VERSION in request.body:
        path = request.target.partition("?")[0]
        found = call(api, Call("GET", path, _ADMIN))
        version = found.json["metadata"]["resourceVersion"] if found.code == 200 and "metadata" in found.json else "1"
        request = replace(request, body=request.body.replace(_VERSION, str(version).encode()))
    with _overhearing() as said:
        # What goes on for ever is looked at up to its head only.
        reply = call(api, request, most_pieces=0 if "/feed" in request.target else 1)
    if reply.code >= 500:
        raise AssertionError("\n".join([str(reply), *said]))
    _check(request, reply)
    return f"{request.method if request.method.isalpha() else '?'} {reply.code}"


def _check(request: Call, reply: Reply) -> None:
    assert 200 <= reply.code < 500, reply
    assert b"Traceback" not in reply.body, reply
    for name, value in reply.headers.items():
        assert name.isascii(), reply
        assert "\r" not in value, reply
        assert "\n" not in value, reply
    if reply.code >= 400 and request.method != "HEAD":
        status = reply.json
        assert (status["kind"], status["code"]) == ("Status", reply.code), reply
        assert status["reason"], reply
        assert status["message"], reply
    elif reply.headers["Content-Type"] == "application/json" and reply.body:
        for line in reply.body.splitlines():
            json.loads(line)


def _take_in(text: bytes) -> str:
    """Raises: whatever the intake lets through besides what it promises."""
    try:
        found = load(["-"], _schemas(), stdin=io.BytesIO(text))
    except InvalidInput as error:
        if not str(error).strip():
            raise AssertionError("refused without a word") from error
        return "manifest refused"
    for resource in found.resources:
        # What is accepted can be stored and read again.
        again = type(resource).model_validate_json(resource.model_dump_json(by_alias=True))
        assert again == resource
    return "manifest read"


def _check_all(api: Api, report: Report, batch: int, index: int) -> None:
    """Whatever was stored can be listed."""
    for kind in KINDS:
        request = Call("GET", f"{BASE}/{kind.plural}", _ADMIN)
        try:
            reply = call(api, request)
            _check(request, reply)
            assert reply.code == 200, reply
        except Exception:  # the whole point
            report.failures.append(Failure(batch, index, traceback.format_exc()[-3000:], repr(request)))


@contextmanager
def _overhearing() -> Iterator[list[str]]:
    """What the server logs of a request that failed: with where it failed."""
    said: list[str] = []

    class _Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(logging.Formatter().format(record))

    logger, ear = logging.getLogger("federation.server.answers"), _Ear()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(ear)
    try:
        yield said
    finally:
        logger.removeHandler(ear)
        logger.propagate = before


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def ring(_signal: int, _frame: object) -> None:
        raise TooSlow(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

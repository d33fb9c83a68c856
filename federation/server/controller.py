"""`roam serve`: the store, the engine and the HTTP API in one process, started and stopped together."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from federation import __version__
from federation.app import contradictions, engine_plugins, open_driver, schemas
from federation.engine.core import Engine
from federation.engine.runtime import ThreadRuntime
from federation.engine.steady import SteadyClock
from federation.errors import FederationError
from federation.intake.resources import validate
from federation.server import history
from federation.server.app import Options, make_wsgi
from federation.server.audit import AuditLog
from federation.server.auth import token_from
from federation.server.backup import backup_extras
from federation.server.extras import Extra
from federation.server.liveness import engine_checks
from federation.server.memory import be_thrifty, collecting_once, giving_back
from federation.server.metering import MeteredApi, metered_plugins, metered_store
from federation.server.metrics import Metrics
from federation.server.page.extras import page_extras
from federation.server.pods import pod_extras
from federation.server.serve import ApiServer, parse_listen
from federation.server.tls import Tls
from federation.server.tokens import TokenFile
from federation.store.hold import hold
from federation.store.keyfile import KEY_FILE, keys_for
from federation.store.sql import open_store

_LOG = logging.getLogger(__name__)
_CLOSE_S = 5.0
_SWITCH_S = 0.0005
"""How long a thread that computes (a decision) keeps those waiting that answer requests and deliver."""
_TAKE_OVER_S = 15.0
"""How long to wait for a controller that is just ending."""


@dataclass(frozen=True)
class ServeOptions:
    """`listen` as `host:port`; `token_file` holds an admin's token, `tokens` others' hashes; `ready` is called with the
    API's address once it answers; `tls`: the files of certificate and key; `secrets_key`: the file of the keys that
    encrypt secrets in the store, made if it is not there (None: `secrets.key` beside the store)."""

    store: Path
    token_file: Path
    tokens: Path
    audit: Path
    listen: str
    ready: Callable[[str], None]
    tls: tuple[Path, Path] | None = None
    secrets_key: Path | None = None


def serve(options: ServeOptions) -> None:
    """Run until SIGTERM or SIGINT. What runs in the sub-clusters goes on; a later `serve` on the same store takes over.

    Raises: FederationError when the store, its keys, the token or the address can't be had, when another controller has
    the store and does not end soon, or when the engine ends by itself."""
    with hold(options.store, wait_s=_TAKE_OVER_S), collecting_once():
        _serve(options)


def _serve(options: ServeOptions) -> None:
    tls = None if options.tls is None else Tls(*options.tls)
    address = parse_listen(options.listen, tls=tls is not None)
    token = token_from(options.token_file)
    key_file = options.secrets_key or options.store.with_name(KEY_FILE)
    sys.setswitchinterval(_SWITCH_S)
    be_thrifty()
    metrics = Metrics()
    file = open_store(options.store, keys=keys_for(options.store, key_file, os.environ))
    store = metered_store(file, metrics)
    clock = SteadyClock(file.written_at())
    runtime = ThreadRuntime(clock)
    stopping = threading.Event()
    failed: list[BaseException] = []
    plugins = engine_plugins()
    plugins = replace(plugins, judgement=giving_back(plugins.judgement))
    engine = Engine(store, runtime, metered_plugins(plugins, metrics), metrics)

    def drive() -> None:
        try:
            engine.run(stopping.is_set)
        except BaseException as error:  # the process must not go on half alive
            _LOG.exception("the engine ended")
            failed.append(error)
            stopping.set()

    def stop(_signal: int, _frame: object) -> None:
        stopping.set()
        runtime.wake()

    extras: tuple[Extra, ...] = (
        *page_extras(store, clock),
        *backup_extras(options.store, clock),
        *history.extras(store, clock),
        *pod_extras(store, open_driver),
        metrics.page(),
    )
    """What other modules of this room add to the API: one line each."""
    api = make_wsgi(
        store,
        token=token,
        validate=partial(validate, schemas=schemas()),
        clock=clock,
        version=__version__,
        options=Options(
            tokens=TokenFile(options.tokens, time.time),
            audit=AuditLog(options.audit),
            extras=extras,
            checks=engine_checks(engine),
            contradictions=contradictions,
        ),
    )
    metrics.scrape(engine.census, lambda: api.watchers)
    server = ApiServer(MeteredApi(api, metrics), address, tls)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server.start()
        thread = threading.Thread(target=drive, name="engine")
        thread.start()
        options.ready(server.url)
        while not stopping.wait(3600.0):
            pass
        server.stop()
        thread.join(_CLOSE_S)
    finally:
        runtime.close(_CLOSE_S)
        store.close()
    if failed:
        raise FederationError(f"the engine ended: {type(failed[0]).__name__}; the log says more") from failed[0]

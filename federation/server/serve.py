"""Runs the API on threads: on a loopback address, or with TLS on any."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from federation.errors import FederationError, InvalidInput
from federation.server.connections import Server, Watchdog
from federation.server.requests import Limits
from federation.server.tls import Tls

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_IDLE_S = 30.0
_LEAST_THREADS = 16
_KEPT_CONNECTIONS = 256
_SHUTDOWN_S = 5
_START_S = 10.0
_TICK_S = 0.1
"""How often idle connections are looked through, and how soon a stop is noticed."""


@dataclass(frozen=True)
class Address:
    """Where to listen: an IP address and a port, 0 for any free one; whether with TLS."""

    host: str
    port: int
    tls: bool = False

    @property
    def url(self) -> str:
        """As clients on this machine write it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http{'s' if self.tls else ''}://{f'[{host}]' if ':' in host else host}:{self.port}"


def parse_listen(text: str, *, tls: bool = False) -> Address:
    """`127.0.0.1:7441`, `localhost:7441`, `[::1]:7441` or `:7441`; with TLS also addresses that others reach.

    Raises: InvalidInput, also for an address that other machines can reach, without TLS."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise InvalidInput(f"{text!r} is not an address; write for instance 127.0.0.1:7441", field="--listen")
    host = host.removeprefix("[").removesuffix("]")
    if host in ("", "localhost"):
        host = "127.0.0.1"
    try:
        found = ipaddress.ip_address(host)
    except ValueError as error:
        raise InvalidInput(
            f"{host!r} is not an IP address; write for instance 127.0.0.1:7441", field="--listen"
        ) from error
    if not (found.is_loopback or tls):
        raise InvalidInput(
            f"{host} can be reached from other machines, and without TLS tokens would travel in the clear: "
            "give --tls-cert and --tls-key, or listen on 127.0.0.1 and reach it through a tunnel, such as ssh -L",
            field="--listen",
        )
    return Address(str(found), int(port), tls)


class App(Protocol):
    """A WSGI application that can be told to end what lasts: an `Api`, or one with something around it."""

    @property
    def limits(self) -> Limits:
        """What clients may ask for."""
        ...

    def stop(self) -> None:
        """End what lasts."""
        ...

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer one request."""
        ...


class ApiServer:
    """An `Api` behind a socket. `start` returns once it answers; `stop` ends what is open. Both may be called once."""

    def __init__(self, api: App, address: Address, tls: Tls | None = None):
        self._api = api
        self._patience = Watchdog()
        limits = api.limits
        self._server = Server(
            (address.host, address.port),
            api,
            numthreads=limits.watchers + max(limits.requests_at_once, _LEAST_THREADS),
            server_name="roam",
            request_queue_size=128,
            timeout=_IDLE_S,
            shutdown_timeout=_SHUTDOWN_S,
        )
        self._server.max_request_header_size = limits.header_bytes
        self._server.max_request_body_size = limits.body_bytes
        self._server.keep_alive_conn_limit = _KEPT_CONNECTIONS
        self._server.expiration_interval = _TICK_S
        self._server.patience = self._patience
        self._server.receive_s = limits.receive_s
        self._server.ssl_adapter = tls
        self._wanted = address
        self._thread = threading.Thread(target=self._serve, name="api", daemon=True)

    @property
    def url(self) -> str:
        """Where it answers, after `start`."""
        host, port = self._server.bind_addr[:2]
        return Address(host, port, self._wanted.tls).url

    def start(self) -> None:
        """Listen and answer. Raises: FederationError when the address can't be had."""
        try:
            self._server.prepare()
        except OSError as error:
            raise FederationError(
                f"can't listen on {self._wanted.url}: {error}; is another roam serve running? "
                "Choose another port with --listen"
            ) from error
        self._patience.start()
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; open watches end, requests under way get a few seconds."""
        self._api.stop()
        self._server.stop()
        self._thread.join(_START_S)
        self._patience.stop()

    def _serve(self) -> None:
        with suppress(KeyboardInterrupt):
            self._server.serve()

"""Connections as cheroot makes them, with what it lacks: time limits over all, and no thread for who says nothing."""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cheroot import wsgi
from cheroot.server import HTTPConnection, HTTPRequest

from federation.server.answers import status
from federation.server.tls import handshake, is_gone

_LOG = logging.getLogger(__name__)
_MOST_CONNECTIONS = 400
_MOST_LEFT_BYTES = 64 * 1024
_HEAD_S = 10.0


class Watchdog:
    """Ends connections that take too long over something: shuts the socket down, so its thread gets free.

    A socket's own time-out bounds single reads and writes only; a client that sends one byte every few seconds could
    keep a thread for ever."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, socket.socket]] = []
        self._open: set[int] = set()
        self._numbers = itertools.count()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="api-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is still within its time is let be."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    @contextmanager
    def within(self, connection: socket.socket, seconds: float) -> Iterator[None]:
        """While the block lasts: shut `connection` down when that takes longer than `seconds`."""
        number = next(self._numbers)
        with self._changed:
            self._open.add(number)
            heapq.heappush(self._due, (time.monotonic() + seconds, number, connection))
            if self._due[0][1] == number:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._open.discard(number)

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                while self._due and self._due[0][1] not in self._open:
                    heapq.heappop(self._due)
                left_s = self._due[0][0] - time.monotonic() if self._due else None
                if left_s is not None and left_s <= 0:
                    _, number, connection = heapq.heappop(self._due)
                    self._open.discard(number)
                    with suppress(OSError):
                        # The socket itself: TLS would want to say goodbye, and may not get to.
                        socket.socket.shutdown(connection, socket.SHUT_RDWR)
                else:
                    self._changed.wait(left_s)


class _Request(HTTPRequest):
    """Bounds the time a request's head may take, and refuses what is not HTTP with a `Status`, not plain text."""

    def parse_request(self) -> None:
        # Nobody is known yet: strangers get less patience than a body.
        with self.server.patience.within(self.conn.socket, min(self.server.receive_s, _HEAD_S)):
            super().parse_request()

    def send_headers(self) -> None:
        """Before an answer, what is left of a body is read, so that the connection can be used again; within limits,
        though, and only where its end is known for sure."""
        if self.chunked_read:
            self.close_connection |= not self.rfile.closed
        elif getattr(self.rfile, "remaining", 0) > _MOST_LEFT_BYTES:
            self.close_connection = True
        with self.server.patience.within(self.conn.socket, self.server.receive_s):
            super().send_headers()

    def simple_response(self, line: str, msg: str = "") -> None:
        code, _, phrase = str(line).partition(" ")
        body = json.dumps(status(int(code), phrase.replace(" ", ""), msg or phrase)).encode()
        self.close_connection = True
        head = (
            f"{self.server.protocol} {line}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with suppress(OSError):
            self.conn.wfile.write(head.encode("latin-1") + body)


class _Connection(HTTPConnection):
    """A connection that takes a thread only once its first request (and before it the handshake of TLS) arrives."""

    RequestHandlerClass = _Request

    def __init__(self, server: Server, connection: socket.socket, *args: Any):
        super().__init__(server, connection, *args)
        self._is_new = True
        self._greets = isinstance(connection, ssl.SSLSocket)
        self._ends_at = time.monotonic() + server.receive_s
        self._closed = False
        server.count(1)

    def advance(self) -> bool | None:
        """Whether there is a request to be read: True, False (not yet) or None (there never will be)."""
        if self._greets:
            done = handshake(self.socket)
            if not done:
                return False if done is False and time.monotonic() < self._ends_at else None
            self._greets = self._is_new = False
            self.socket.settimeout(self.server.timeout)
            return bool(self.socket.pending())
        was_new, self._is_new = self._is_new, False
        return not was_new

    def close(self) -> None:
        super().close()
        closed, self._closed = self._closed, True
        if not closed:
            self.server.count(-1)


class _Gateway(wsgi.Gateway_10):
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        """The WSGI environment, with what `server.requests` needs to know of the connection."""
        connection = self.req.conn.socket
        patience = self.req.server.patience
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        environ["roam.patience"] = lambda seconds: patience.within(connection, seconds)
        environ["roam.is_gone"] = lambda: _is_gone(connection)
        return environ

    def start_response(self, line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """As WSGI says; an answer that closes the connection does so, whatever of the body is still to come."""
        if ("Connection", "close") in headers:
            self.req.close_connection = True
        return super().start_response(line, headers, exc_info)


class Server(wsgi.Server):
    """cheroot's server of WSGI applications, on these connections. `receive_s`: within what a request has to arrive."""

    ConnectionClass = _Connection
    patience: Watchdog
    receive_s: float

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.gateway = _Gateway
        self._counting = threading.Lock()
        self._open = 0

    def count(self, change: int) -> None:
        """So many connections more or fewer are open."""
        with self._counting:
            self._open += change

    def process_conn(self, conn: _Connection) -> None:
        """A new connection, or one that something has come on."""
        ready = conn.advance() if self._open <= _MOST_CONNECTIONS else None
        if ready:
            super().process_conn(conn)
        elif ready is None:
            conn.close()
        else:
            super().put_conn(conn)

    def put_conn(self, conn: _Connection) -> None:
        """A connection between two requests. What TLS has read already shows on no socket."""
        if isinstance(conn.socket, ssl.SSLSocket) and conn.socket.pending():
            self.process_conn(conn)
        else:
            super().put_conn(conn)

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """As cheroot, but a socket that can't be bound is not left open."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """What cheroot has to say goes to the log, as all else does."""
        _LOG.log(level, "%s", msg, exc_info=traceback)


def _is_gone(connection: socket.socket) -> bool:
    """Whether the peer has closed its side. A pipelined request is no sign of that (but with TLS)."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and is_gone(connection)
    except (OSError, ValueError):
        return True

"""A lean HTTP/1.1 client on asyncio: kept and fresh connections, one hard deadline for each request, never a retry."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

KEPT_CONNECTIONS = 8
IDLE_CONNECTIONS_LIMIT = 64


class Answer(NamedTuple):
    """A whole answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Broken(NamedTuple):
    """Why there is no answer: connect, closed, timeout or body (not understood), and more about it."""

    kind: str
    detail: str


Done = Callable[[Answer | Broken], None]


class Exchange:
    """One request under way; `done` is called exactly once."""

    def __init__(self, message: bytes, done: Done) -> None:
        self.message, self._done = message, done
        self.connection: Connection | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.ended = False

    def end(self, outcome: Answer | Broken) -> None:
        """Report the outcome; later calls are ignored."""
        if self.ended:
            return
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()
        self._done(outcome)


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time. A kept one goes back to its client after a whole answer."""

    def __init__(self, client: Client, keep: bool) -> None:
        self.client, self.keep = client, keep
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.buffer = bytearray()
        self.head: tuple[int, dict[str, str]] | None = None
        self.needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol."""
        self.transport = cast(asyncio.Transport, transport)

    @property
    def open(self) -> bool:
        """Whether neither side is known to have closed it."""
        return self.transport is not None and not self.transport.is_closing()

    def send(self, exchange: Exchange) -> None:
        """Send the exchange's message and wait for its answer."""
        self.exchange, exchange.connection = exchange, self
        if self.transport is not None and self.open:
            self.transport.write(exchange.message)
        else:
            self._fail(Broken("closed", "closed before the request was sent"))

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's protocol."""
        self.buffer += data
        if self.exchange is None:
            self.abort()  # bytes that nobody asked for: what follows could be taken for another request's answer
            return
        if self.head is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            try:
                self.head, self.needed = parse_head(bytes(self.buffer[:end]))
            except ValueError as error:
                self._fail(Broken("body", f"not understood: {error}"))
                return
            del self.buffer[: end + 4]
        if len(self.buffer) >= self.needed:
            self._complete()

    def _complete(self) -> None:
        assert self.head is not None and self.exchange is not None  # noqa: S101, PT018 - the caller made sure
        (status, headers), body = self.head, bytes(self.buffer[: self.needed])
        del self.buffer[: self.needed]
        exchange, self.exchange, self.head = self.exchange, None, None
        if self.buffer or not self.keep or headers.get("connection", "").lower() == "close":
            self.abort()
        else:
            self.client.put_back(self)
        exchange.end(Answer(status, headers, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol."""
        self.client.forget(self)
        self._fail(Broken("closed", str(exc) if exc else "closed before the whole answer had come"))

    def _fail(self, why: Broken) -> None:
        exchange, self.exchange = self.exchange, None
        self.abort()
        if exchange is not None:
            exchange.end(why)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class Client:
    """Sends requests to one address. Kept connections take turns, so all of them stay in use; none is waited for."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.opened = 0
        self._idle: deque[Connection] = deque()
        self._kept = 0
        self._opening: set[asyncio.Task[None]] = set()

    def request(self, message: bytes, fresh: bool, timeout_s: float, done: Done) -> None:
        """Send `message` over a kept connection, or a fresh one that is closed afterwards, and call `done` once.

        Without an idle kept connection, or with too few of them, another one is opened and kept."""
        exchange = Exchange(message, done)
        loop = asyncio.get_running_loop()
        exchange.timer = loop.call_later(max(0.0, timeout_s), self._expire, exchange)
        while not fresh and self._idle and self._kept >= KEPT_CONNECTIONS:
            connection = self._idle.popleft()
            if connection.open:
                connection.send(exchange)
                return
        if not fresh:
            self._kept += 1
        task = loop.create_task(self._open(exchange, keep=not fresh))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, exchange: Exchange, keep: bool) -> None:
        connection = Connection(self, keep)
        self.opened += 1
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, self.host, self.port)
        except OSError as error:
            self.forget(connection)
            exchange.end(Broken("connect", error.strerror or str(error)))
            return
        if exchange.ended:  # too late: the request has timed out meanwhile
            connection.abort()
        else:
            connection.send(exchange)

    def _expire(self, exchange: Exchange) -> None:
        if exchange.connection is not None:
            exchange.connection.exchange = None
            exchange.connection.abort()
        exchange.end(Broken("timeout", "no whole answer in time"))

    def put_back(self, connection: Connection) -> None:
        """Take back a kept connection whose answer was whole."""
        if len(self._idle) < IDLE_CONNECTIONS_LIMIT:
            self._idle.append(connection)
        else:
            connection.abort()

    def forget(self, connection: Connection) -> None:
        """Count out a connection that is closed; harmless when repeated."""
        if connection.keep:
            connection.keep = False
            self._kept -= 1
            if connection in self._idle:
                self._idle.remove(connection)

    def close(self) -> None:
        """Close what is idle and give up what is being opened."""
        for task in self._opening:
            task.cancel()
        for connection in tuple(self._idle):
            connection.abort()


def parse_head(head: bytes) -> tuple[tuple[int, dict[str, str]], int]:
    """Return ((status, headers), length of the body) of an HTTP/1.1 answer's head.

    Raises: ValueError, when it is none or does not say the body's length."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"{first[:40]!r} does not begin an HTTP/1.1 answer")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if "content-length" not in headers:
        raise ValueError("there is no Content-Length")
    return (int(rest[:3]), headers), int(headers["content-length"])

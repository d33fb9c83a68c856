"""Open-loop load in a process of its own: `python routing_load.py PLAN.json`, ended by closing its standard input.

The plan is `{"seed": int, "targets": [{"protocol", "rate_per_s", "addresses": [[host, port], ...]}]}`. Requests start
when they are due, whatever became of those before; latency counts from when a request was due. Nothing is retried.
Connections are kept, and every fifth request (TCP: every message after some time) opens a new one. Prints one JSON
line per request: protocol, due (seconds, CLOCK_MONOTONIC), latency_s, error ("" when the answer was right).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

ANSWER_LIMIT_S = 10.0
TCP_CONNECTION_AGE_S = 1.5
NEW_CONNECTION_SHARE = 0.2


class Failed(Exception):
    """A request without its right answer."""


def check(answer: bytes, asked: bytes) -> None:
    name, _, echoed = answer.partition(b" ")
    if echoed != asked or not name:
        raise Failed(f"wrong answer {answer[:80]!r}")


@dataclass
class Http1:
    """HTTP/1.1 clients of one gateway: idle connections are used again, a busy one never is."""

    host: str
    port: int
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def call(self, asked: str, rng: random.Random) -> None:
        reader, writer = await self.connect(fresh=rng.random() < NEW_CONNECTION_SHARE)
        kept = False
        try:
            if rng.random() < 0.5:
                writer.write(f"GET {asked} HTTP/1.1\r\nhost: service\r\n\r\n".encode())
            else:
                writer.write(f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {len(asked)}\r\n\r\n{asked}".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            if " 200 " not in head.split("\r\n")[0]:
                raise Failed(f"{head.splitlines()[0]} {body[:80]!r}")
            check(body, asked.encode())
            kept = fields.get("connection") != "close"
        finally:
            if kept:
                self.idle.append((reader, writer))
            else:
                writer.close()

    async def connect(self, *, fresh: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.idle and not fresh:
            reader, writer = self.idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.host, self.port)


class Http2Connection(asyncio.Protocol):
    """One HTTP/2 connection with any number of calls on it."""

    def __init__(self) -> None:
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.calls: dict[int, asyncio.Future[bytes]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connection.initiate_connection()
        self.flush()

    async def call(self, asked: bytes) -> bytes:
        stream = self.connection.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":authority", "service"), (":path", "/shop.Cart/Get")]
        self.connection.send_headers(stream, [*headers, ("content-type", "application/grpc"), ("te", "trailers")])
        self.connection.send_data(stream, asked, end_stream=True)
        future = self.calls[stream] = asyncio.get_running_loop().create_future()
        self.bodies[stream] = bytearray()
        self.flush()
        return await future

    def data_received(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.verify(event.stream_id, ":status", "200", event.headers)
                if event.stream_ended is not None:  # What a proxy answers to a gRPC call of its own accord.
                    self.verify(event.stream_id, "grpc-status", "0", event.headers)
            elif isinstance(event, h2.events.TrailersReceived):
                self.verify(event.stream_id, "grpc-status", "0", event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.settle(event.stream_id, None)
            elif isinstance(event, h2.events.StreamReset):
                self.settle(event.stream_id, Failed(f"reset {event.error_code!r}"))
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.usable = False
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        for stream in list(self.calls):
            self.settle(stream, Failed(f"connection lost: {exc!r}"))

    def verify(self, stream: int, name: str, wanted: str, headers: list[tuple[str, str]]) -> None:
        if dict(headers).get(name) != wanted:
            self.settle(stream, Failed(f"{dict(headers)}"))

    def settle(self, stream: int, error: Failed | None) -> None:
        future, body = self.calls.pop(stream, None), self.bodies.get(stream, bytearray())
        if future is not None and not future.done():
            future.set_exception(error) if error else future.set_result(bytes(body))

    def flush(self) -> None:
        self.transport.write(self.connection.data_to_send())


@dataclass
class Http2:
    """HTTP/2 clients of one gateway: one kept connection, and now and then one for a single call."""

    host: str
    port: int
    kept: Http2Connection | None = None

    async def call(self, asked: str, rng: random.Random) -> None:
        fresh = rng.random() < NEW_CONNECTION_SHARE
        connection = self.kept
        if fresh or connection is None or not connection.usable:
            _, connection = await asyncio.get_running_loop().create_connection(Http2Connection, self.host, self.port)
            if not fresh:
                self.kept = connection
        try:
            check(await connection.call(asked.encode()), asked.encode())
        finally:
            if fresh:
                connection.transport.close()


@dataclass
class Tcp:
    """TCP clients of one gateway: one message at a time per connection, and no connection for ever."""

    host: str
    port: int
    idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def call(self, asked: str, rng: random.Random) -> None:
        del rng
        born, reader, writer = await self.connect()
        kept = False
        try:
            writer.write(asked.encode() + b"\n")
            answer = await reader.readuntil(b"\n")
            check(answer[:-1], asked.encode())
            kept = True
        finally:
            if kept:
                self.idle.append((born, reader, writer))
            else:
                writer.close()

    async def connect(self) -> tuple[float, asyncio.StreamReader, asyncio.StreamWriter]:
        found = None
        for born, reader, writer in self.idle:
            if found is None and not reader.at_eof() and time.monotonic() - born < TCP_CONNECTION_AGE_S:
                found = born, reader, writer
            elif reader.at_eof() or time.monotonic() - born >= TCP_CONNECTION_AGE_S:
                writer.close()
        self.idle = [each for each in self.idle if each != found and not each[2].is_closing()]
        return found or (time.monotonic(), *await asyncio.open_connection(self.host, self.port))


KINDS = {"http": Http1, "http2": Http2, "tcp": Tcp}


async def measure(client: Http1 | Http2 | Tcp, protocol: str, asked: str, due: float, rng: random.Random) -> None:
    error = ""
    try:
        await asyncio.wait_for(client.call(asked, rng), ANSWER_LIMIT_S)
    except (OSError, Failed, asyncio.IncompleteReadError, TimeoutError) as failure:
        error = f"{failure!r}"
    line = {"protocol": protocol, "due": due, "latency_s": time.monotonic() - due, "error": error}
    print(json.dumps(line))


async def generate(target: dict[str, object], rng: random.Random, end: asyncio.Event) -> None:
    protocol, rate = str(target["protocol"]), float(str(target["rate_per_s"]))
    clients = [KINDS[protocol](host, port) for host, port in target["addresses"]]  # type: ignore[attr-defined]
    running: set[asyncio.Task[None]] = set()
    due = time.monotonic()
    number = 0
    while not end.is_set():
        due += rng.expovariate(rate)
        number += 1
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        asked = f"/{protocol}/{number}/{'x' * rng.randrange(300)}"
        task = asyncio.create_task(measure(clients[number % len(clients)], protocol, asked, due, rng))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def main() -> None:
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    rng = random.Random(plan["seed"])
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), end.set)
    await asyncio.gather(*(generate(target, rng, end) for target in plan["targets"]))


if __name__ == "__main__":
    asyncio.run(main())

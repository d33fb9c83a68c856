"""One backend in a process of its own: `python routing_backends.py PROTOCOL ADDRESS NAME [DELAY_S]`.

It binds a free port of ADDRESS and prints it. Every answer names the backend and repeats what was asked, so that a
client can tell a true answer from a mixed-up one. Keep-alive connections stay open until the client closes them.
"""

from __future__ import annotations

import asyncio
import http.server
import socketserver
import sys
import time

import h2.config
import h2.connection
import h2.events

GRPC_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
GRPC_TRAILERS = [("grpc-status", "0")]


def serve_http(address: str, name: str, delay_s: float) -> None:
    """HTTP/1.1 by the standard library, one thread per connection."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.answer(self.path.encode())

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["content-length"])))

        def answer(self, asked: bytes) -> None:
            time.sleep(delay_s)
            body = name.encode() + b" " + asked
            head = f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

        def log_message(self, format: str, *args: object) -> None:
            """No log: the test reads what clients saw."""

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        request_queue_size = 512

    with Server((address, 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


class GrpcLike(asyncio.Protocol):
    """Unary calls over HTTP/2 as gRPC makes them: headers, one message, trailers."""

    def __init__(self, name: str, delay_s: float) -> None:
        self.name = name
        self.delay_s = delay_s
        self.asked: dict[int, bytearray] = {}
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connection.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.asked[event.stream_id] = bytearray()
            elif isinstance(event, h2.events.DataReceived):
                self.asked[event.stream_id] += event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                asyncio.get_running_loop().call_later(self.delay_s, self.answer, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.asked.pop(event.stream_id, None)
        self.flush()

    def answer(self, stream: int) -> None:
        asked = self.asked.pop(stream, None)
        if asked is None or self.transport.is_closing():
            return
        self.connection.send_headers(stream, GRPC_HEADERS)
        self.connection.send_data(stream, self.name.encode() + b" " + bytes(asked))
        self.connection.send_headers(stream, GRPC_TRAILERS, end_stream=True)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.connection.data_to_send())


class Echo(asyncio.Protocol):
    """Lines come back with the backend's name in front, for as long as the connection lasts."""

    def __init__(self, name: str, delay_s: float) -> None:
        self.name = name
        self.delay_s = delay_s
        self.partial = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            answer = self.name.encode() + b" " + line + b"\n"
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.write, answer)


async def serve_async(address: str, name: str, delay_s: float, kind: type[GrpcLike] | type[Echo]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: kind(name, delay_s), address, 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    protocol, address, name, *rest = sys.argv[1:]
    delay_s = float(rest[0]) if rest else 0.005
    if protocol == "http":
        serve_http(address, name, delay_s)
    else:
        asyncio.run(serve_async(address, name, delay_s, GrpcLike if protocol == "http2" else Echo))


if __name__ == "__main__":
    main()

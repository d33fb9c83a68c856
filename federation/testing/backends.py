"""Backends on loopback for suites that send real traffic: threads of the test's own process, standard library only."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from federation.contracts.gateway import RouteEndpoint


@dataclass
class TestBackend:
    """One listening backend. `open_gate`: answers wait while it is clear. `asked`: requests or messages so far."""

    __test__ = False

    name: str
    address: str
    port: int
    open_gate: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    connections: list[socket.socket] = field(default_factory=list)

    def endpoint(self, weight: int = 1, priority: int = 0) -> RouteEndpoint:
        """This backend as part of a route."""
        return RouteEndpoint(self.address, self.port, f"sub-{self.name}", weight, priority)

    def reset_connections(self) -> None:
        """End every connection at once, as a killed process does."""
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def http_backend(address: str, name: str) -> Iterator[TestBackend]:
    """An HTTP/1.1 backend with kept connections; its answers are its name."""
    backend = TestBackend(name, address, 0)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            backend.connections.append(self.connection)

        def do_GET(self) -> None:
            backend.asked += 1
            backend.open_gate.wait(30)
            body = name.encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002
            return

    with _serving(backend, Handler):
        yield backend


@contextmanager
def echo_backend(address: str, name: str) -> Iterator[TestBackend]:
    """A TCP backend that answers every line with its name, for as long as the connection lasts."""
    backend = TestBackend(name, address, 0)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            backend.connections.append(self.connection)
            while self.rfile.readline():
                backend.asked += 1
                backend.open_gate.wait(30)
                self.wfile.write(name.encode() + b"\n")

    with _serving(backend, Handler):
        yield backend


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was cut is what some tests are about."""


@contextmanager
def _serving(backend: TestBackend, handler: type[socketserver.BaseRequestHandler]) -> Iterator[None]:
    backend.open_gate.set()
    with _Server((backend.address, 0), handler) as server:
        backend.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            backend.open_gate.set()
            server.shutdown()
            thread.join()

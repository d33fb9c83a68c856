"""Asking a pod how it is: HTTP, TCP, gRPC health and programs. One connection per question, no thread, no retry."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from providers.local.agent import grpc_health
from providers.local.agent.paths import Paths
from providers.local.agent.processes import CannotStart, Command, Process, Processes
from providers.local.agent.template import Action, Exec, Grpc, HttpGet, Template

CHUNK_BYTES: Final = 16 * 1024
HEAD_LIMIT_BYTES: Final = 64 * 1024
# As much of a body is read as a kubelet reads, and the end of it is not waited for long.
BODY_LIMIT_BYTES: Final = 10 * 1024
REST_S: Final = 0.25
_STATUS: Final = re.compile(rb"^HTTP/1\.[01] ([0-9]{3})")


@dataclass(frozen=True)
class Answer:
    """The result of one question; `message` says what was wrong."""

    success: bool
    message: str = ""


@dataclass(frozen=True)
class Subject:
    """The container that is asked: where it is, how to run a program beside it, and where its volumes are."""

    address: str
    template: Template
    command: Command
    processes: Processes
    paths: Paths = field(default_factory=Paths)


class _Wire:
    """One connection. Plain sockets of the loop: for a question a second per pod, streams cost too much."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, host: str, port: int) -> AsyncIterator[_Wire]:
        """Connect. Raises: OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
            await asyncio.get_running_loop().sock_connect(connection, (host, port))
            yield cls(connection)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await self._loop.sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        """What comes next, empty at the end."""
        return await self._loop.sock_recv(self._socket, CHUNK_BYTES)


async def ask(action: Action, subject: Subject, timeout_s: float) -> Answer:
    """One question. Never raises for what the pod does; at most `timeout_s` seconds."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(action, subject)
    except TimeoutError:
        return Answer(False, f"no answer within {timeout_s:g} s")
    except ssl.SSLError as error:
        return Answer(False, f"TLS: {error.reason}")
    except OSError as error:
        return Answer(False, (error.strerror or str(error)).lower())


async def _ask(action: Action, subject: Subject) -> Answer:
    if action.http_get:
        return await _http(action.http_get, subject)
    if action.grpc:
        return await _grpc(action.grpc, subject)
    if action.tcp_socket:
        async with _Wire.to(action.tcp_socket.host or subject.address, _port(subject, action.tcp_socket.port)):
            return Answer(True)
    if action.exec:
        return await _exec(action.exec, subject)
    if action.sleep:
        await asyncio.sleep(action.sleep.seconds)
    return Answer(True)


def _port(subject: Subject, port: int | str) -> int:
    # A name without a port was refused when the template was checked.
    return subject.template.port(port) or 0


async def _http(get: HttpGet, subject: Subject) -> Answer:
    host, port = get.host or subject.address, _port(subject, get.port)
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/roam", "Accept": "*/*", "Connection": "close"}
    headers |= {header.name: header.value for header in get.http_headers}
    lines = [f"GET {get.path if get.path.startswith('/') else '/' + get.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")
    if get.scheme == "HTTPS":
        return await _https(host, port, request)
    async with _Wire.to(host, port) as wire:
        await wire.send(request)
        head = await wire.receive()
        while b"\n" not in head and 0 < len(head) < HEAD_LIMIT_BYTES:
            more = await wire.receive()
            if not more:
                break
            head += more
        answer = _judge(head)
        # Hanging up in the middle of an answer would fill the pod's log with complaints.
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(REST_S):
                left = BODY_LIMIT_BYTES
                while left > 0 and (more := await wire.receive()):
                    left -= len(more)
    return answer


async def _https(host: str, port: int, request: bytes) -> Answer:
    """As a kubelet: the pod's certificate is not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(request)
        return _judge(await reader.readline())
    finally:
        writer.transport.abort()


def _judge(head: bytes) -> Answer:
    if not head:
        return Answer(False, "the connection was closed without an answer")
    match = _STATUS.match(head)
    if match is None:
        return Answer(False, "the answer is not HTTP/1")
    status = int(match.group(1))
    return Answer(200 <= status < 400, f"HTTP status {status}")


async def _grpc(grpc: Grpc, subject: Subject) -> Answer:
    port = _port(subject, grpc.port)
    async with _Wire.to(subject.address, port) as wire:
        await wire.send(grpc_health.request(f"{subject.address}:{port}", grpc.service))
        unread = b""
        while more := await wire.receive():
            reply = grpc_health.read(unread + more)
            unread = (unread + more)[reply.consumed :]
            if reply.acknowledge:
                await wire.send(grpc_health.SETTINGS_ACKNOWLEDGED)
            if reply.status is not None:
                return Answer(reply.status == grpc_health.SERVING, f"gRPC health status {reply.status}")
            if len(unread) > HEAD_LIMIT_BYTES:
                break
    return Answer(False, "the answer is not gRPC")


async def _exec(program: Exec, subject: Subject) -> Answer:
    arguments = [subject.paths.real(text) for text in program.command]
    command = Command(arguments, subject.command.environment, subject.command.directory)
    process: Process | None = None
    try:
        process = await subject.processes.start(command)
        code = await process.wait()
    except CannotStart as error:
        return Answer(False, str(error))
    finally:
        if process is not None and not process.exit.done():
            process.signal(9, everything=True)
    return Answer(code == 0, f"exit code {code}")

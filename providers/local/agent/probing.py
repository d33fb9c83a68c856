"""Asking a pod how it is: HTTP, TCP, gRPC health and programs. One connection per question, no thread, no retry."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from providers.local.agent import grpc_health
from providers.local.agent.processes import CannotStart, Command, Process, Processes
from providers.local.agent.template import Action, Exec, HttpGet, Template

HEAD_LIMIT_BYTES: Final = 64 * 1024
_STATUS: Final = re.compile(rb"^HTTP/1\.[01] ([0-9]{3})")


@dataclass(frozen=True)
class Answer:
    """The result of one question; `message` says what was wrong."""

    success: bool
    message: str = ""


@dataclass(frozen=True)
class Subject:
    """The container that is asked: where it is, and how to run a program beside it."""

    address: str
    template: Template
    command: Command
    processes: Processes


class _Exchange(asyncio.Protocol):
    """Sends a request and hands what comes back to `judge` until it answers."""

    def __init__(self, request: bytes, judge: Callable[[_Exchange], Answer | None]) -> None:
        self.received = bytearray()
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._request = request
        self._judge = judge

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        answer = self._judge(self)
        if answer is None and len(self.received) > HEAD_LIMIT_BYTES:
            answer = Answer(False, "the answer is not understood")
        if answer is not None and not self.answer.done():
            self.answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.answer.done():
            self.answer.set_result(Answer(False, "the connection was closed without an answer"))


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
        port = _port(subject, action.grpc.port)
        return await _exchange(
            subject.address, port, grpc_health.request(f"{subject.address}:{port}", action.grpc.service), _judge_grpc
        )
    if action.tcp_socket:
        host = action.tcp_socket.host or subject.address
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, host, _port(subject, action.tcp_socket.port)
        )
        transport.abort()
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
    context = None
    if get.scheme == "HTTPS":
        # As a kubelet: the pod's certificate is not verified.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await _exchange(host, port, request, _judge_http, context)


async def _exchange(
    host: str,
    port: int,
    request: bytes,
    judge: Callable[[_Exchange], Answer | None],
    context: ssl.SSLContext | None = None,
) -> Answer:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_connection(lambda: _Exchange(request, judge), host, port, ssl=context)
    try:
        return await exchange.answer
    finally:
        transport.abort()


def _judge_http(exchange: _Exchange) -> Answer | None:
    if b"\n" not in exchange.received:
        return None
    match = _STATUS.match(exchange.received)
    if match is None:
        return Answer(False, "the answer is not HTTP/1")
    status = int(match.group(1))
    return Answer(200 <= status < 400, f"HTTP status {status}")


def _judge_grpc(exchange: _Exchange) -> Answer | None:
    reply = grpc_health.read(bytes(exchange.received))
    if reply.acknowledge and exchange.transport is not None:
        exchange.transport.write(grpc_health.SETTINGS_ACKNOWLEDGED)
        exchange.received[: reply.consumed] = b""
    if reply.status is None:
        return None
    return Answer(reply.status == grpc_health.SERVING, f"gRPC health status {reply.status}")


async def _exec(program: Exec, subject: Subject) -> Answer:
    command = Command(program.command, subject.command.environment, subject.command.directory)
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

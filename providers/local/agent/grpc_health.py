"""The gRPC health question in plain bytes: one unary call over HTTP/2, as much of the protocol as that takes. Pure.

Source: RFC 9113 (frames), RFC 7541 section 6.2.2 (literal headers, no table, no Huffman), grpc.health.v1 Check."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

SERVING: Final = 1
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x7
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_HEAD: Final = 9


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


SETTINGS_ACKNOWLEDGED: Final = _frame(_SETTINGS, _ACK, 0)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _text(value: str) -> bytes:
    data = value.encode()
    # HPACK integers with a 7-bit prefix.
    length = bytes([len(data)]) if len(data) < 0x7F else b"\x7f" + _varint(len(data) - 0x7F)
    return length + data


def request(authority: str, service: str) -> bytes:
    """All bytes of `Check(service)` to `host:port`."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": authority,
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers.items())
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    body = b"\x00" + struct.pack("!I", len(message)) + message
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(_SETTINGS, 0, 0)
        + _frame(_HEADERS, _END_HEADERS, 1, block)
        + _frame(_DATA, _END_STREAM, 1, body)
    )


@dataclass(frozen=True)
class Reply:
    """What was understood so far: the health status once known (0 unless the pod said otherwise), whether settings
    have to be acknowledged, and how many bytes need not be read again."""

    status: int | None
    acknowledge: bool
    consumed: int


def read(data: bytes) -> Reply:
    """Read the frames in `data`; what is incomplete is left."""
    position, acknowledge = 0, False
    while len(data) - position >= _HEAD:
        length = int.from_bytes(data[position : position + 3], "big")
        kind, flags = data[position + 3], data[position + 4]
        end = position + _HEAD + length
        if len(data) < end:
            break
        payload = data[position + _HEAD : end]
        if kind == _SETTINGS and not flags & _ACK:
            acknowledge = True
        elif kind == _DATA and len(payload) >= 5:
            return Reply(_status(payload[5:]), acknowledge, end)
        elif kind in (_RST_STREAM, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
            return Reply(0, acknowledge, end)
        position = end
    return Reply(None, acknowledge, position)


def _status(message: bytes) -> int:
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0

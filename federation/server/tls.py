"""TLS for the API's socket: certificates, and handshakes that hold nobody up."""

from __future__ import annotations

import errno
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cheroot.ssl.builtin import BuiltinSSLAdapter

from federation.errors import InvalidInput

_PLAIN = b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"this port speaks HTTPS only",'
_PLAIN += b'"reason":"BadRequest","code":400}'
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "
    + str(len(_PLAIN)).encode()
    + b"\r\n\r\n"
    + _PLAIN
)


class _Socket(ssl.SSLSocket):
    """To the server above, a peer that breaks TLS off is one that breaks the connection off."""

    def recv_into(self, *args: Any, **options: Any) -> int:
        with _as_reset():
            return super().recv_into(*args, **options)

    def send(self, *args: Any, **options: Any) -> int:
        with _as_reset():
            return super().send(*args, **options)


@contextmanager
def _as_reset() -> Iterator[None]:
    try:
        yield
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise
    except ssl.SSLError as error:
        raise ConnectionResetError(errno.ECONNRESET, str(error)) from error


class Tls(BuiltinSSLAdapter):
    """TLS 1.2 or newer with this certificate (PEM, with its chain) and key (PEM, without a password).

    Raises: InvalidInput, when they can't be used; the message says which and why."""

    def __init__(self, certificate: Path, key: Path):
        for path, field in ((certificate, "--tls-cert"), (key, "--tls-key")):
            try:
                mode = path.stat().st_mode
                path.open("rb").close()
            except OSError as error:
                raise InvalidInput(f"can't be read: {error.strerror}", file=str(path), field=field) from error
            if path == key and mode & 0o007:
                shown = stat.S_IMODE(mode)
                message = f"everybody can read or write the key (mode {shown:04o}); run: chmod 600 {path}"
                raise InvalidInput(message, file=str(path), field=field)
        try:
            # A key with a password must not stop and ask for it: there may be nobody to answer.
            super().__init__(str(certificate), str(key), private_key_password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            why = getattr(error, "reason", None) or str(error)
            raise InvalidInput(
                f"certificate and key can't be used together ({why}): write both as PEM, the key without a password",
                file=str(certificate),
                field="--tls-cert",
            ) from error
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.sslsocket_class = _Socket

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        """The socket with TLS on it, before its handshake (see `handshake`)."""
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}


def handshake(connection: ssl.SSLSocket) -> bool | None:
    """Go on with a handshake as far as what has come allows, without waiting. True: done; False: the peer has to send
    more; None: it failed, close the connection."""
    connection.settimeout(0.0)
    try:
        connection.do_handshake()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    except (OSError, ValueError) as error:
        if getattr(error, "reason", "") == "HTTP_REQUEST":
            _answer_plainly(connection)
        return None
    return True


def is_gone(connection: socket.socket) -> bool:
    """Whether the peer of a connection that carries an answer has closed its side. Whatever it sends on a connection
    with TLS meanwhile is taken for that: TLS can't be looked into without taking it out."""
    if not isinstance(connection, ssl.SSLSocket):
        return connection.recv(1, socket.MSG_PEEK) == b""
    before = connection.gettimeout()
    connection.settimeout(0.0)
    try:
        connection.recv(1)
    except ssl.SSLWantReadError:
        # Something of TLS itself, such as new keys.
        return False
    finally:
        connection.settimeout(before)
    return True


def _answer_plainly(connection: ssl.SSLSocket) -> None:
    try:
        socket.socket.send(connection, _PLAIN_ANSWER)
    except OSError:
        return

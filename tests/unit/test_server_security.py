"""Who may ask, from where, and how much."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import BASE, SHOP, TOKEN, Served, a_microservice, serving

from federation.errors import FederationError, InvalidInput, NotFound
from federation.server.auth import is_authorised, read_token, token_from
from federation.server.requests import Limits
from federation.server.serve import Address, parse_listen


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, Limits(body_bytes=100_000, header_bytes=8_000, receive_s=1.0)) as served:
        yield served


def _raw(api: Served, sent: bytes) -> bytes:
    with socket.create_connection(api.address, timeout=15) as connection:
        connection.sendall(sent)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


@pytest.mark.parametrize("path", ["/", "/apis", BASE, f"{SHOP}/microservices", "/version", "/nope"])
def test_nothing_but_health_without_the_token(api: Served, path: str) -> None:
    for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x", "ü"):
        reply = api.call("GET", path, token=token.encode().decode("latin-1") if token else token)
        assert (reply.code, reply.body["reason"]) == (401, "Unauthorized")
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    for health in ("/healthz", "/livez", "/readyz"):
        assert api.call("GET", health, token=None).text == "ok"


def test_an_authorisation_is_of_the_bearer_kind() -> None:
    assert is_authorised(f"Bearer {TOKEN}", TOKEN)
    assert is_authorised(f"bearer  {TOKEN}", TOKEN)
    for header in (None, "", TOKEN, f"Basic {TOKEN}", f"Bearer{TOKEN}", "Bearer"):
        assert not is_authorised(header, TOKEN)


def test_the_token_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "home" / "token"
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(token_from(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert len(found[0]) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match="chmod 600"):
        token_from(path)


@pytest.mark.parametrize("content", ["", "short", "with some spaces in it", "\x00" * 30, "ü" * 30])
def test_a_file_without_a_usable_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(InvalidInput):
        read_token(path)
    with pytest.raises(InvalidInput):
        token_from(tmp_path)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7441", Address("127.0.0.1", 7441)),
        ("localhost:0", Address("127.0.0.1", 0)),
        ("127.3.2.1:80", Address("127.3.2.1", 80)),
        ("[::1]:80", Address("::1", 80)),
        (":80", Address("127.0.0.1", 80)),
    ],
)
def test_loopback_addresses(text: str, address: Address) -> None:
    assert parse_listen(text) == address
    assert address.url.startswith("http://")


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::]:80", "192.168.1.2:80", "8.8.8.8:80"])
def test_addresses_that_others_reach_need_tls(text: str) -> None:
    with pytest.raises(InvalidInput, match="TLS"):
        parse_listen(text)


@pytest.mark.parametrize("text", ["", "127.0.0.1", "80", "example.org:80", "127.0.0.1:99999", "127.0.0.1:x", ":²"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"127\.0\.0\.1:7441"):
        parse_listen(text)


def test_a_taken_port_is_said_to_be_taken(api: Served, tmp_path: Path) -> None:
    from federation.server.app import make_wsgi
    from federation.server.serve import ApiServer

    def validate(_: object) -> None:
        raise NotFound("unused")

    wsgi = make_wsgi(api.store, token=TOKEN, validate=validate, clock=lambda: 0.0, version="")
    with pytest.raises(FederationError, match="another roam serve"):
        ApiServer(wsgi, Address(*api.address)).start()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 400),
        (b"", 400),
        (b"\xff\xfe", 400),
        (b'{"a": 1, "a": 2}', 400),
        (b'{"a": NaN}', 400),
        (b'{"a": 1e999}', 422),
        (b"[" * 200 + b"]" * 200, 400),
        (b"[" * 40_000, 400),
        (b'{"a":' * 20_000, 400),
        (b"1" * 5_000, 400),
        (b'{"metadata": {"name": "\\ud800"}}', 422),
        (b'"' + b"x" * 100_001 + b'"', 413),
    ],
)
def test_bodies_that_are_no_json_or_too_much(api: Served, body: bytes, code: int) -> None:
    reply = api.call("POST", f"{SHOP}/microservices", raw=body)
    assert (reply.code, reply.body["kind"]) == (code, "Status")
    assert "Traceback" not in reply.text
    assert api.store.version() == 0


def test_other_media_types_are_not_read(api: Served) -> None:
    for media_type in ("text/yaml", "application/x-www-form-urlencoded", ""):
        reply = api.call("POST", f"{SHOP}/microservices", a_microservice("cart"), media_type=media_type)
        assert reply.code in (201, 415)
        assert (reply.code == 201) is (media_type == "")
    assert api.patch(f"{SHOP}/microservices/cart", 3).code == 400
    plain = api.call("PATCH", f"{SHOP}/microservices/cart", {})
    assert plain.code == 415


AUTH = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
POST = f"POST {SHOP}/microservices HTTP/1.1\r\n".encode() + AUTH


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9_000 + b"\r\n\r\n", 413),
        (b"GET /" + b"y" * 9_000 + b" HTTP/1.1\r\n\r\n", 414),
        (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
        (POST + b"Content-Length: -5\r\n\r\n{}", 400),
        (POST + b"Content-Length: 5x\r\n\r\n{}", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n", 422),
    ],
)
def test_requests_that_are_not_http_get_a_status(api: Served, sent: bytes, code: int) -> None:
    reply = _raw(api, sent)
    assert reply.split(b" ", 2)[1] == str(code).encode(), reply
    assert b'"Status"' in reply


def test_a_client_that_drips_is_cut_off(api: Served) -> None:
    """Bytes that come one by one hold a thread no longer than the limit, be it in the head or in the body."""
    stranger = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    for head in (b"GET /healthz HTTP/1.1\r\nX-Slow: ", POST + b"Content-Length: 1000\r\n\r\n", stranger):
        with socket.create_connection(api.address, timeout=10) as connection:
            connection.sendall(head)
            connection.settimeout(0.1)
            gone = False
            for _ in range(100):
                try:
                    connection.sendall(b" ")
                    gone = connection.recv(4096) == b""
                except TimeoutError:
                    continue
                except OSError:
                    gone = True
                if gone:
                    break
            assert gone
    assert api.call("GET", "/healthz").code == 200


def test_what_is_left_of_a_body_is_not_taken_for_a_request(api: Served) -> None:
    hidden = b"GET /version HTTP/1.1\r\n" + AUTH + b"\r\n"
    chunk = f"{len(hidden):x}\r\n".encode() + hidden + b"\r\n0\r\n\r\n"
    for body in (
        b"Transfer-Encoding: chunked\r\n\r\n" + chunk,
        f"Content-Length: {len(hidden)}\r\n\r\n".encode() + hidden,
        b"Content-Length: 90000\r\n\r\n" + hidden + b"x" * (90_000 - len(hidden)),
    ):
        reply = _raw(api, b"POST /nope HTTP/1.1\r\nHost: x\r\n" + body + b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b" 401 " in reply
        assert b"gitVersion" not in reply


def test_no_file_is_left_readable(api: Served, tmp_path: Path) -> None:
    api.call("POST", f"{SHOP}/microservices", a_microservice("cart"))
    for entry in tmp_path.iterdir():
        assert not stat.S_IMODE(os.stat(entry).st_mode) & 0o077, entry

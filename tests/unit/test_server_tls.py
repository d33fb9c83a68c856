"""HTTPS: what it accepts, what it refuses, and that no client's handshake holds up another's."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import BASE, SHOP, TLS, TOKEN, Served, a_microservice, certificate, serving

from federation.cli.client import Client
from federation.errors import Denied, InvalidInput
from federation.server.requests import Limits
from federation.server.serve import parse_listen
from federation.server.tls import Tls


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, Limits(watchers=3, send_s=1.0, receive_s=2.0), tls=True) as served:
        yield served


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=TLS / "ca.pem")


def _eventually(check: Callable[[], bool], seconds: float = 15.0) -> None:
    ends_at = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < ends_at, "it did not happen"
        threading.Event().wait(0.02)


def test_the_client_speaks_https_with_those_it_can_trust(api: Served) -> None:
    with Client(api.url, TOKEN, str(TLS / "ca.pem")) as client:
        client.apply([a_microservice("cart", replicas=2)])
        assert client.get(f"{SHOP}/microservices/cart")["spec"]["replicas"] == 2
        follows = client.watch("microservices", None, "", "1")
        client.patch(f"{SHOP}/microservices/cart", {"spec": {"replicas": 3}})
        assert next(follows)["object"]["spec"]["replicas"] == 3
    with Client(api.url, TOKEN, str(TLS / "server.pem")) as client:
        assert client.get("/version")["version"] == "test"
    with Client(api.url, TOKEN) as client, pytest.raises(Denied, match="--ca-file"):
        client.get("/version")
    with pytest.raises(InvalidInput, match="no certificates"):
        Client(api.url, TOKEN, str(TLS / "README.md"))


def test_old_versions_of_tls_are_refused(api: Served) -> None:
    old = _trusting()
    with pytest.warns(DeprecationWarning, match="TLS"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError), socket.create_connection(api.address, timeout=10) as plain:  # noqa: PT011, SIM117
        with old.wrap_socket(plain, server_hostname="127.0.0.1"):
            pass
    assert api.call("GET", "/healthz").text == "ok"


def test_plain_http_is_told_so(api: Served) -> None:
    with socket.create_connection(api.address, timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTPS only" in plain.recv(4096)


def test_handshakes_that_stall_hold_up_nobody(api: Served) -> None:
    """More of them than the server has threads: half say nothing, half begin and stop in the middle."""
    hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    begun = _trusting().wrap_bio(*hello, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        begun.do_handshake()
    first = hello[1].read()
    stalled = [socket.create_connection(api.address, timeout=10) for _ in range(120)]
    try:
        for client in stalled[::2]:
            client.sendall(first[:100])
        began_at = time.monotonic()
        for _ in range(20):
            assert api.call("GET", "/healthz").code == 200
        assert time.monotonic() - began_at < 2.0
        # One that goes on dripping is cut off.
        dripping = stalled[0]
        dripping.settimeout(0.1)

        def is_cut_off() -> bool:
            try:
                dripping.sendall(first[100:101])
                return dripping.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        _eventually(is_cut_off)
    finally:
        for client in stalled:
            client.close()


def test_watchers_that_do_not_read_hurt_nobody(api: Served) -> None:
    large = "x" * 200_000
    stalled = []
    for _ in range(3):
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(api.address)
        client = _trusting().wrap_socket(plain, server_hostname="127.0.0.1")
        client.sendall(
            f"GET {BASE}/microservices?watch=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        stalled.append(client)
    for number in range(60):
        document = a_microservice(f"s{number}")
        document["metadata"]["annotations"] = {"filler": large}
        assert api.call("POST", f"{SHOP}/microservices", document).code == 201
    _eventually(lambda: api.call("GET", f"{BASE}/placements?watch=1&timeoutSeconds=1").code == 200, 20)
    for client in stalled:
        client.close()


def test_watchers_that_hang_up_give_their_place_back(api: Served) -> None:
    path = f"{BASE}/microservices?watch=1"
    with contextlib.ExitStack() as open_now:
        for _ in range(3):
            open_now.enter_context(api.watch(path))
        assert api.call("GET", path + "&timeoutSeconds=1").code == 429
    _eventually(lambda: api.call("GET", path + "&timeoutSeconds=1").code == 200)


def test_requests_follow_each_other_on_one_connection(api: Served) -> None:
    """Also when they arrive together: what TLS has taken in already shows on no socket."""
    request = f"GET {BASE}/microservices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    plain = socket.create_connection(api.address, timeout=10)
    with _trusting().wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(request * 40)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 40:
            part = client.recv(65536)
            assert part
            received += part


def test_certificates_that_can_not_be_used_are_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with pytest.raises(InvalidInput, match="No such file"):
        Tls(tmp_path / "none", key)
    with pytest.raises(InvalidInput, match="together"):
        Tls(TLS / "ca.pem", key)
    other = tmp_path / "other"
    other.touch(mode=0o600)
    with pytest.raises(InvalidInput, match="PEM"):
        Tls(cert, other)
    key.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        Tls(cert, key)
    with pytest.raises(InvalidInput, match="--tls-cert"):
        parse_listen("0.0.0.0:7441")
    assert parse_listen("0.0.0.0:7441", tls=True).url == "https://127.0.0.1:7441"
    assert parse_listen("[::]:7441", tls=True).url == "https://[::1]:7441"

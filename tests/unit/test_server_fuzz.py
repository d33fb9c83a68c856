"""Whatever is sent, the answer is no 5xx, comes soon, and shows nothing of the inside. `make fuzz` does more of it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from random import Random

import pytest
from serving import BASE, SHOP, TOKEN, Served, a_microservice, serving

from federation.server.requests import Limits
from federation.testing.fuzz import main
from federation.testing.fuzzing.campaign import run
from federation.testing.fuzzing.mutation import spoiled_text


def test_random_requests_and_manifests() -> None:
    report = run(4_000, seed=0)
    assert report.failures == []
    # It would show nothing if all of it were refused.
    for outcome in ("POST 201", "PUT 200", "PATCH 200", "DELETE 200", "GET 200", "manifest read"):
        assert report.outcomes[outcome] > 2, report.outcomes
    assert report.outcomes["POST 403"] > 3


def test_the_same_seed_is_the_same_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    first = run(300, seed=3)
    assert first.outcomes == run(300, seed=3).outcomes
    assert first.outcomes != run(300, seed=4).outcomes
    assert main(["--count", "50", "--seed", "3"]) == 0
    assert "50 cases" in capsys.readouterr().out


def test_a_failure_is_reported_with_how_to_play_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("federation.server.objects.Objects.list", broken)
    assert main(["--count", "400"]) == 1
    printed = capsys.readouterr().out
    assert "--seed 0 --batch 0 --count 2000" in printed
    assert "AssertionError" in printed


def _requests() -> tuple[bytes, ...]:
    head = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    body = json.dumps(a_microservice("cart"))
    chunked = "".join(f"{len(part):x}\r\n{part}\r\n" for part in (body[:50], body[50:], ""))
    return tuple(
        text.encode()
        for text in (
            f"GET {BASE}/microservices?limit=2 HTTP/1.1\r\n{head}\r\n",
            f"POST {SHOP}/microservices HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}",
            f"POST {SHOP}/microservices HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n{chunked}",
            f"DELETE {SHOP}/microservices/cart HTTP/1.0\r\n{head}Connection: close\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n" * 2,
        )
    )


@pytest.mark.parametrize(("tls", "count"), [(False, 200), (True, 40)])
def test_malformed_http_over_a_real_socket(
    tmp_path: Path, tls: bool, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(int(tls))
    with serving(tmp_path, Limits(receive_s=0.3), tls=tls) as api:
        for _ in range(count):
            _send_spoiled(api, random)
        assert api.call("GET", "/healthz").text == "ok"
        assert api.call("GET", f"{BASE}/microservices").code == 200
    assert "Traceback" not in caplog.text


def _send_spoiled(api: Served, random: Random) -> None:
    text = spoiled_text(random.choice(_requests()), random)
    connection = api.connect()
    connection.connect()
    assert connection.sock is not None
    received = b""
    try:
        connection.sock.settimeout(10)
        connection.sock.sendall(text)
        if not api.url.startswith("https"):
            connection.sock.shutdown(socket.SHUT_WR)
        # An answer, or the end of the connection, within what is left of the time for a request to arrive.
        while b"\r\n\r\n" not in received and (part := connection.sock.recv(65536)):
            received += part
    except ConnectionError:
        return
    finally:
        connection.close()
    for line in received.split(b"\r\n"):
        if line.startswith(b"HTTP/"):
            code = int(line.split(b" ")[1])
            # 501 and 505 are the client's fault, too: a transfer coding or a version that there is not.
            assert code < 500 or code in (501, 505), (text, received)
    assert b"Traceback" not in received

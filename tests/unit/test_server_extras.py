"""Paths and subresources that other modules add."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from serving import BASE, SHOP, Served, serving

from federation.server.access import Caller
from federation.server.answers import Answer
from federation.server.extras import Extras, Lines, Page, Subresource
from federation.server.requests import Limits, Request
from federation.server.routes import Route


def _page(request: Request, caller: Caller) -> Answer:
    return Answer(200, f"{request.path} for {caller.name or 'nobody'}".encode(), media_type="text/html")


def _candidates(route: Route, request: Request, caller: Caller) -> Answer:
    return Answer(200, {"of": str(route.key), "method": request.method, "by": caller.role})


def _count(route: Route, request: Request, caller: Caller) -> Lines:
    def pieces() -> Generator[bytes | None]:
        for number in range(3):
            yield None
            yield f"{number}\n".encode()

    return Lines(pieces(), "text/plain")


def _broken(request: Request, caller: Caller) -> Answer:
    raise ZeroDivisionError("the inside")


ADDED = (
    Page("/", _page, role=None),
    Page("/ui/", _page, role=None),
    Page("/metrics", _page),
    Page("/broken", _broken, methods=("GET", "POST")),
    Subresource("microservices", "candidates", _candidates, methods=("GET", "POST")),
    Subresource("microservices", "log", _count),
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, Limits(watchers=1), extras=ADDED) as served:
        yield served


def test_open_pages_need_no_token_and_others_do(api: Served) -> None:
    for path in ("/", "/ui", "/ui/", "/ui/a/b.js"):
        reply = api.call("GET", path, token=None)
        assert (reply.code, reply.text, reply.headers["Content-Type"]) == (200, f"{path} for nobody", "text/html")
    assert api.call("POST", "/ui/", token=None).code == 405
    assert api.call("GET", "/metrics", token=None).code == 401
    assert api.call("GET", "/metrics").text == "/metrics for admin"
    assert api.call("GET", "/metrics/more").code == 404
    assert api.call("GET", "/other", token=None).code == 401


def test_subresources_are_below_objects_of_their_kind_only(api: Served) -> None:
    path = f"{SHOP}/microservices/cart/candidates"
    assert api.call("POST", path).body == {"of": "shop/cart", "method": "POST", "by": "admin"}
    assert api.call("PUT", path).headers["Allow"] == "GET, POST"
    assert api.call("GET", f"{SHOP}/placements/cart/candidates").code == 404
    assert api.call("GET", path, token=None).code == 401
    names = [each["name"] for each in api.call("GET", BASE).body["resources"]]
    assert "microservices/candidates" in names


def test_a_stream_ends_and_gives_its_place_back(api: Served) -> None:
    for _ in range(3):
        reply = api.call("GET", f"{SHOP}/microservices/cart/log")
        assert (reply.text, reply.headers["Content-Type"]) == ("0\n1\n2\n", "text/plain")


def test_what_breaks_inside_stays_there(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    reply = api.call("GET", "/broken")
    assert (reply.code, "the inside" in reply.text) == (500, False)
    assert "ZeroDivisionError" in caplog.text


def test_nothing_is_added_twice() -> None:
    for extra in (ADDED[0], ADDED[4]):
        with pytest.raises(ValueError, match="twice"):
            Extras((extra, extra))
    with pytest.raises(ValueError, match="pods"):
        Extras((Subresource("pods", "log", _count),))

"""The controller's log: what a line tells, and what it never does."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from federation.errors import Unavailable
from federation.server import logs

SECRET = "hunter2-and-a-half"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def vendor() -> None:
    raise ValueError(f"the vendor's library says {SECRET}")


def fail() -> None:
    try:
        vendor()
    except ValueError as error:
        raise Unavailable("gce does not answer") from error


def told(form: logs.Format | None, level: str = "info") -> str:
    stream = io.StringIO()
    logs.set_up(level, form, stream)
    log = logging.getLogger("roam.test")
    log.debug("not told")
    token = logs.request.set("r-1")
    try:
        log.info("moved to %s", "gce", extra={"about": ("Microservice", "shop", "cart"), "subcluster": "gce"})
        try:
            fail()
        except Unavailable:
            log.exception("no answer")
    finally:
        logs.request.reset(token)
    log.warning("two\nlines")
    return stream.getvalue()


def test_json_tells_request_object_and_sub_cluster() -> None:
    first, second, third = (json.loads(line) for line in told(None).splitlines())
    assert first["level"] == "info"
    assert first["logger"] == "roam.test"
    assert first["message"] == "moved to gce"
    assert first["request"] == "r-1"
    assert first["object"] == {"kind": "Microservice", "namespace": "shop", "name": "cart"}
    assert first["subcluster"] == "gce"
    assert first["time"].endswith("Z")
    assert "Unavailable: gce does not answer" in second["error"]
    assert "test_server_logs.py" in second["error"]
    assert third["message"] == "two\nlines"
    assert "request" not in third


@pytest.mark.parametrize("form", ["json", "text"])
def test_messages_of_foreign_errors_are_not_told(form: logs.Format) -> None:
    text = told(form)
    assert SECRET not in text
    assert "ValueError" in text
    assert "not told" not in text


def test_text_tells_what_it_is_about() -> None:
    assert "moved to gce [request r-1, object Microservice shop/cart, subcluster gce]" in told("text")

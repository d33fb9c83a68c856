"""The load generator: its figures, what it asks, what it takes for a failure, and that its loop is open."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.sandbox.load import LoadProcess, Record, read_records, summarise
from federation.sandbox.load.client import Answer
from federation.sandbox.load.generator import Generator, LoadOptions, arrivals_s, judge
from federation.sandbox.load.records import Totals, percentile, to_line
from federation.sandbox.load.shoppers import Shoppers, Visit

# --- figures


def test_summarises_the_requests_that_were_due_in_the_window() -> None:
    records = [
        Record(99.9, 5000, "home"),
        Record(100.0, 10, "home"),
        Record(100.5, 20, "cart"),
        Record(101.0, 2000, "home", "timeout", "no whole answer in time"),
        Record(101.5, 1, "home", "connect", "refused"),
        Record(102.0, 1, "home", "connect", "refused"),
    ]
    assert summarise(records, 100.0, 102.0) == {
        "requests": 4,
        "failed": 2,
        "p50_ms": 10,
        "p99_ms": 20,
        "last_failure_s": 3.0,  # when the timeout was over, not when its request was due
        "failures": {"connect": 1, "timeout": 1},
    }


def test_an_empty_window_has_no_percentiles() -> None:
    summary = summarise([], 0, 1)
    assert (summary["requests"], summary["p50_ms"], summary["p99_ms"], summary["last_failure_s"]) == (
        0,
        None,
        None,
        None,
    )


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found is not None
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_records_survive_the_file_and_a_line_under_way_is_left_out(tmp_path: Path) -> None:
    records = [Record(1.5, 2.25, "home"), Record(2.5, 3.125, "cart", "status", "503 catalogue: unreachable")]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(map(to_line, records)) + '[3.5,1.0,"ho')
    assert read_records(path) == records


# --- schedule


@pytest.mark.parametrize("kind", ["poisson", "fixed"])
def test_requests_are_due_at_the_rate_and_repeatably(kind: str) -> None:
    first = list(itertools.islice(arrivals_s(150, kind, 1), 15_000))
    assert first == list(itertools.islice(arrivals_s(150, kind, 1), 15_000))
    assert first == sorted(first)
    assert first[-1] == pytest.approx(100, rel=0.05)


# --- what an answer must be


class TrueShop:
    """Answers visits as the shop would."""

    def __init__(self) -> None:
        self.carts: dict[str, dict[str, Any]] = {}

    def answer(self, visit: Visit, nonce: str) -> dict[str, Any]:
        path, _, query = visit.path.partition("?")
        rate, code = 936_500, query.partition("=")[2]
        price = {"eur_cents": 1999, "cents": 1872}
        user = path.rpartition("/")[2]
        page: dict[str, Any] = {"nonce": nonce, "currency": code, "rate_ppm": rate, "user": user}
        if visit.page == "home":
            return page | {"products": [{"id": f"p{n}", **price} for n in range(5)], "count": 5, "ad": "tea"}
        if visit.page == "product":
            return page | {"product": {"id": user, **price}, "recommended": ["a", "b", "c"]}
        cart = self.carts.setdefault(user, {})
        if visit.page == "add":
            asked = json.loads(visit.body)
            cart[asked.pop("line")] = asked
            return page | {"line": json.loads(visit.body)["line"], "count": len(cart)}
        if visit.page == "checkout":
            total = {"goods_eur_cents": 1500, "shipping_eur_cents": 499, "cents": 1872}
            return page | total | {"lines": self.carts.pop(user)}
        return page | {"lines": dict(cart)}


def whole(page: dict[str, Any], status: int = 200) -> Answer:
    body = json.dumps(page).encode()
    return Answer(status, {"x-body-sum": f"{zlib.crc32(body):08x}"}, body)


def failure_of(visit: Visit, answer: Answer, nonce: str = "n") -> tuple[str, str]:
    return judge(answer, nonce, visit) or ("", "")


def test_a_true_shop_never_fails() -> None:
    shop, shoppers = TrueShop(), Shoppers(3, "u")
    pages = set()
    for number in range(3000):
        visit = shoppers.next()
        pages.add(visit.page)
        assert failure_of(visit, whole(shop.answer(visit, f"n{number}")), f"n{number}") == ("", "")
    for customer in shoppers.unread():
        visit = shoppers.read_cart(customer)
        assert failure_of(visit, whole(shop.answer(visit, "n"))) == ("", "")
    assert pages == {"home", "product", "cart", "add", "checkout"}
    assert shoppers.writes > 300
    assert (shoppers.unread(), shoppers.lost_writes, shoppers.unverified_writes) == ([], 0, 0)


def test_a_lost_write_is_found_once() -> None:
    shop, shoppers = TrueShop(), Shoppers(3, "u")
    while shoppers.writes < 20:
        visit = shoppers.next()
        assert failure_of(visit, whole(shop.answer(visit, "n"))) == ("", "")
    owner = next(customer for customer in shoppers.unread())
    shop.carts[owner.name].popitem()
    assert failure_of(visit := shoppers.read_cart(owner), whole(shop.answer(visit, "n")))[0] == "lost-write"
    assert failure_of(visit := shoppers.read_cart(owner), whole(shop.answer(visit, "n"))) == ("", "")
    assert shoppers.lost_writes == 1


def test_a_line_nobody_sent_is_a_wrong_body() -> None:
    shop, shoppers = TrueShop(), Shoppers(3, "u")
    while not shoppers.writes:
        visit = shoppers.next()
        assert failure_of(visit, whole(shop.answer(visit, "n"))) == ("", "")
    owner = shoppers.unread()[0]
    shop.carts[owner.name]["x"] = {"product": "p1", "quantity": 9}
    assert failure_of(visit := shoppers.read_cart(owner), whole(shop.answer(visit, "n")))[0] == "body"


def spoil_sum(answer: Answer) -> Answer:
    return answer._replace(body=answer.body[:-1])


def spoil_price(answer: Answer) -> Answer:
    page = json.loads(answer.body)
    page["products"][2]["cents"] += 1
    return whole(page)


def spoil_fields(answer: Answer) -> Answer:
    return whole({"nonce": "n"})


def spoil_nonce(answer: Answer) -> Answer:
    return whole(json.loads(answer.body) | {"nonce": "another"})


def refuse(answer: Answer) -> Answer:
    return whole({"service": "catalogue", "error": "no answer in time"}, 503)


@pytest.mark.parametrize(
    ("spoil", "kind", "told"),
    [
        (spoil_sum, "body", "checksum"),
        (spoil_price, "body", "are 1872"),
        (spoil_fields, "body", "products"),
        (spoil_nonce, "body", "another request"),
        (refuse, "status", "503 catalogue: no answer in time"),
    ],
)
def test_a_spoilt_answer_is_a_failure(spoil: Callable[[Answer], Answer], kind: str, told: str) -> None:
    visit = Shoppers(3, "u").next()
    found, detail = failure_of(visit, spoil(whole(TrueShop().answer(visit, "n"))))
    assert found == kind
    assert told in detail


# --- the loop, against servers that misbehave


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
    await reader.read()


def generate(serve: Serve, log: io.StringIO, **options: Any) -> Totals:
    async def run() -> Totals:
        async def close_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the generator closed an idle connection
            finally:
                writer.close()

        server = await asyncio.start_server(close_after, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await Generator(LoadOptions(url, **options), io.StringIO(), log).run()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("serve", "kind"), [(hang, "timeout"), (hang_up, "closed"), (cut_short, "closed"), (babble, "body")]
)
def test_the_loop_is_open_and_tells_failures_apart(serve: Serve, kind: str) -> None:
    log = io.StringIO()
    totals = generate(serve, log, rate_per_s=100, arrivals="fixed", seconds=0.6, timeout_s=0.3)
    assert totals["failures"] == {kind: totals["sent"]}
    assert 55 <= totals["sent"] <= 60  # not one less for those that hang
    records = [Record(*json.loads(line)) for line in log.getvalue().splitlines()]
    assert len(records) == totals["sent"]
    dues = sorted(record.due_s for record in records)
    assert all(0.009 < later - earlier < 0.011 for earlier, later in itertools.pairwise(dues))


def test_a_latency_counts_from_when_the_request_was_due() -> None:
    """A shop that answers nobody for half a second has made everyone wait who came meanwhile."""
    gate = asyncio.Event()

    async def stall_then_serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            nonce = head.partition("X-Nonce: ")[2].partition("\r\n")[0]
            asyncio.get_running_loop().call_later(0.5, gate.set)
            await gate.wait()
            target = head.split(" ")[1]
            answer = whole(TrueShop().answer(Visit("home", "GET", target, lambda _: None), nonce))
            first = (
                f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer.body)}\r\nX-Body-Sum: {answer.headers['x-body-sum']}"
            )
            writer.write(first.encode() + b"\r\n\r\n" + answer.body)

    log = io.StringIO()
    generate(stall_then_serve, log, rate_per_s=50, arrivals="fixed", seconds=0.4)
    latencies = [Record(*json.loads(line)).latency_ms for line in log.getvalue().splitlines()]
    assert len(latencies) >= 19
    assert 400 < latencies[0] < 900
    assert latencies[0] - latencies[15] == pytest.approx(300, abs=60)  # 15 requests later, 20 ms apart


def test_nobody_listening_is_a_failure_to_connect() -> None:
    async def run() -> Totals:
        options = LoadOptions("http://127.0.0.1:1", rate_per_s=100, seconds=0.2)
        return await Generator(options, io.StringIO(), None).run()

    totals = asyncio.run(run())
    assert totals["failures"] == {"connect": totals["sent"]}


# --- the process


def test_the_process_reports_and_ends_with_totals(tmp_path: Path) -> None:
    load = LoadProcess("http://127.0.0.1:1", 50, report_every_s=0.1, records_file=tmp_path / "records.jsonl")
    load.start()
    figures = load.poll(wait_s=10)
    records = load.stop()
    assert figures is not None
    assert (figures["ok"], figures["p99_ms"]) == (0, None)
    assert 0 < figures["failed"] <= figures["sent"]
    assert load.totals is not None
    assert load.totals["sent"] == len(records) == len(read_records(tmp_path / "records.jsonl"))


@pytest.mark.parametrize("arguments", [["--url", "https://x/"], ["--url", "http://x", "--rate", "0"], []])
def test_wrong_usage_ends_with_64(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "federation.sandbox.load", *arguments], capture_output=True, text=True
    )
    assert ended.returncode == 64
    assert ended.stderr

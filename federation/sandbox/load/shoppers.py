"""What the shop's customers do, and what each answer must contain. No I/O: requests out, answers in.

A cart line has a name of its own; every line whose write was acknowledged must be in each later reading of that cart,
and in the order made from it. So a write that was acknowledged and lost, a stale reading and an answer meant for
somebody else are all found.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from federation.sandbox.load.client import Answer

WEIGHTS = {"home": 35, "product": 35, "cart": 14, "add": 12, "checkout": 4}
CURRENCIES = ("EUR", "CHF", "GBP", "USD", "SEK")
CUSTOMERS_AT_ONCE = 12
LINES_PER_CART = 8

Page = dict[str, Any]


class Wrong(Exception):
    """An answer that is not what it must be. `kind` as in `Record.failure`."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


class Visit(NamedTuple):
    """A request to make, and what to do with its end: `check` (raises Wrong) a whole answer, `end` in any case.

    `end` is told whether the answer was there and right."""

    page: str
    method: str
    path: str
    check: Callable[[Page], None]
    end: Callable[[bool], None] = lambda _: None
    body: bytes = b""


@dataclass
class Customer:
    """One cart, from the first line to the order. Lines: what was sent, acknowledged, and not read back yet."""

    name: str
    sent: dict[str, Page] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    under_way: int = 0
    leaving: bool = False


class Shoppers:
    """Draws visits from `seed`; `run` makes the customers' names differ from those of earlier runs on the same shop."""

    def __init__(self, seed: int, run: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a repeatable choice, not a secret
        self._run = run
        self._products: list[str] = []
        self._customers: list[Customer] = []
        self._named = 0
        self.writes = self.lost_writes = self.unverified_writes = 0

    def next(self) -> Visit:
        """Return the next visit, by the weights."""
        page = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if not self._products or page == "home":
            return self._home()
        if page == "product":
            return self._product(self._random.choice(self._products))
        customer = self._customer()
        if page == "cart" and customer.sent:
            return self.read_cart(customer)
        if page == "checkout" and len(customer.acknowledged) > 1 and not customer.under_way:
            return self._checkout(customer)
        return self._add(customer)

    def unread(self) -> list[Customer]:
        """Return the customers with acknowledged lines that have not been read back yet."""
        return [customer for customer in self._customers if customer.unread]

    def _customer(self) -> Customer:
        staying = [customer for customer in self._customers if not customer.leaving]
        if len(staying) < CUSTOMERS_AT_ONCE:
            self._named += 1
            self._customers.append(Customer(f"{self._run}-{self._named}"))
            return self._customers[-1]
        return self._random.choice(staying)

    def _home(self) -> Visit:
        code = self._random.choice(CURRENCIES)

        def check(page: Page) -> None:
            products = page["products"]
            expect(page["count"] == len(products) > 0, "the number of products is wrong")
            expect(bool(page["ad"]), "the advertisement is missing")
            check_prices(page, code, products)
            self._products = [product["id"] for product in products]

        return Visit("home", "GET", f"/?currency={code}", check)

    def _product(self, product: str) -> Visit:
        code = self._random.choice(CURRENCIES)

        def check(page: Page) -> None:
            expect(page["product"]["id"] == product, f"asked for {product}, got {page['product']['id']}")
            others = page["recommended"]
            expect(len(set(others)) == 3 and product not in others, "the recommendations are wrong")
            check_prices(page, code, [page["product"]])

        return Visit("product", "GET", f"/product/{product}?currency={code}", check)

    def read_cart(self, customer: Customer) -> Visit:
        """Return the visit that reads a cart and looks for all lines acknowledged before it."""
        required = set(customer.acknowledged)
        customer.under_way += 1

        def check(page: Page) -> None:
            expect(page["user"] == customer.name, f"asked for {customer.name}'s cart, got {page['user']}'s")
            if not customer.leaving:
                self._check_lines(customer, required, page["lines"])

        def end(_: bool) -> None:
            customer.under_way -= 1

        return Visit("cart", "GET", f"/cart/{customer.name}", check, end)

    def _add(self, customer: Customer) -> Visit:
        if len(customer.sent) >= LINES_PER_CART and not customer.under_way:
            return self._checkout(customer) if customer.acknowledged else self.read_cart(customer)
        line = f"l{len(customer.sent)}"
        content = {"product": self._random.choice(self._products), "quantity": self._random.randint(1, 3)}
        customer.sent[line] = content
        customer.under_way += 1

        def check(page: Page) -> None:
            expect((page["user"], page["line"]) == (customer.name, line), "another line was acknowledged")

        def end(right: bool) -> None:
            customer.under_way -= 1
            if right:
                self.writes += 1
                customer.acknowledged.add(line)
                customer.unread.add(line)

        body = json.dumps({"line": line, **content}).encode()
        return Visit("add", "POST", f"/cart/{customer.name}", check, end, body)

    def _checkout(self, customer: Customer) -> Visit:
        code = self._random.choice(CURRENCIES)
        required = set(customer.acknowledged)
        customer.under_way += 1
        customer.leaving = True

        def check(page: Page) -> None:
            expect(page["user"] == customer.name, f"ordered for {customer.name}, got {page['user']}'s order")
            self._check_lines(customer, required, page["lines"])
            total = page["goods_eur_cents"] + page["shipping_eur_cents"]
            check_prices(page, code, [{"eur_cents": total, "cents": page["cents"]}])

        def end(_: bool) -> None:
            # After a failed order nobody knows whether the cart was emptied: its lines can't be looked for any more.
            self.unverified_writes += len(customer.unread)
            self._customers.remove(customer)

        return Visit("checkout", "POST", f"/checkout/{customer.name}?currency={code}", check, end)

    def _check_lines(self, customer: Customer, required: set[str], lines: dict[str, Page]) -> None:
        for line, content in lines.items():
            expect(customer.sent.get(line) == content, f"{customer.name} never put {line} {content} into the cart")
        customer.unread -= lines.keys()
        missing = (required & customer.acknowledged) - lines.keys()
        if missing:
            self.lost_writes += len(missing)
            customer.acknowledged -= missing  # each loss is told once
            customer.unread -= missing
            raise Wrong("lost-write", f"{customer.name} lost {' '.join(sorted(missing))}")


def expect(condition: bool, otherwise: str) -> None:
    """Raise Wrong, kind body, unless `condition` holds."""
    if not condition:
        raise Wrong("body", otherwise)


def check_prices(page: Page, code: str, amounts: list[Page]) -> None:
    """Raise Wrong unless the page is in currency `code` and each amount is its price in euros at the page's rate."""
    expect(page["currency"] == code, f"asked for {code}, got {page['currency']}")
    rate = page["rate_ppm"]
    for amount in amounts:
        cents = (amount["eur_cents"] * rate + 500_000) // 1_000_000
        expect(amount["cents"] == cents, f"{amount['eur_cents']} euro cents are {cents} {code}, not {amount['cents']}")


def verify(answer: Answer, nonce: str, visit: Visit) -> None:
    """Raise Wrong unless the answer is whole, meant for `nonce`, and what the visit expects."""
    if answer.status != 200:
        raise Wrong("status", f"{answer.status} {explain(answer.body)}".strip())
    expect(answer.headers.get("x-body-sum") == f"{zlib.crc32(answer.body):08x}", "the body's checksum is wrong")
    try:
        page = json.loads(answer.body)
        expect(page["nonce"] == nonce, "the answer belongs to another request")
        visit.check(page)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Wrong("body", f"{visit.page}: {error!r}") from error


def explain(body: bytes) -> str:
    """Return what an error answer says of itself: the service that failed and why, or its first bytes."""
    try:
        told = json.loads(body)
        return f"{told['service']}: {told['error']}"
    except (ValueError, KeyError, TypeError):
        return body[:80].decode("latin-1")

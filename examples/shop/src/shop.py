"""A small shop: ten services that call each other, one role of this file each (`python3 shop.py ROLE`).

    frontend -> catalogue, ads, currency, recommendation, cart, checkout
    recommendation -> catalogue        cart -> cart-db (line protocol, the one with state)
    checkout -> cart, catalogue, shipping, currency, payment

A role binds POD_IP:PORT and finds the services it calls in <NAME>_ADDR (`host:port`). Each answer is JSON; it echoes
the request's X-Nonce, carries a checksum of its body in X-Body-Sum, and names the pods that worked on it, so a client
can tell truncated, mixed-up and lost answers. Nothing here retries, but for `Peer.send` and `Peer.command`.
A thread serves each connection: with blocking sockets that is the least processor time per request.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable

CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 1.5
PATIENCE_S = 5.0  # there is one store: while it is replaced its clients ask again for so long ...
ASK_AGAIN_S = 0.03  # ... with such pauses
IDLE_LIMIT_S = 30.0  # a pooled connection older than this is not trusted any more
DRAIN_QUIET_S = 0.1  # after SIGTERM: exit when nothing was under way for so long ...
DRAIN_LIMIT_S = 4.0  # ... or, when requests never cease, accept no more after this
MESSAGE_LIMIT_BYTES = 256 * 1024
REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}

NAMES = [
    f"{make} {thing}" for make in ("Alpine", "Harbour", "Linden") for thing in ("kettle", "lamp", "rucksack", "tent")
]
PRODUCTS = {
    f"p{number:02d}": {"id": f"p{number:02d}", "name": name, "eur_cents": 995 + 137 * number * number}
    for number, name in enumerate(NAMES, 1)
}
RATES_PPM = {"EUR": 1_000_000, "CHF": 936_500, "GBP": 842_300, "USD": 1_082_400, "SEK": 11_125_000}
ADS = ("Tea at altitude", "Light for late readers", "Carry less, see more", "Everything boils down to kettles")

encode = json.JSONEncoder(separators=(",", ":")).encode
Json = dict  # a JSON object


class Failure(Exception):
    """Becomes an error answer; `service` names the one that failed when it was not this one."""

    def __init__(self, status: int, message: str, service: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.service = status, message, service


# --- the wire: what servers and clients share


class Wire:
    """A connected socket with a read buffer."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.sock, self.buffer = sock, b""
        self.heard, self.idle_since = False, 0.0  # since the last request: has a byte come? since when is it unused?

    def fill(self) -> bool:
        """Read what has come; False when the peer has closed."""
        data = self.sock.recv(65536)
        self.buffer += data
        self.heard = self.heard or bool(data)
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Return what stands before `mark`, and drop both. Raises ConnectionError when the peer closes first."""
        while (end := self.buffer.find(mark)) < 0:
            if len(self.buffer) > MESSAGE_LIMIT_BYTES:
                raise ConnectionError("a head longer than the limit")
            if not self.fill():
                raise ConnectionError("closed by the peer")
        found, self.buffer = self.buffer[:end], self.buffer[end + len(mark) :]
        return found

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes. Raises ConnectionError when the peer closes first."""
        if count > MESSAGE_LIMIT_BYTES:
            raise ConnectionError("a body longer than the limit")
        while len(self.buffer) < count:
            if not self.fill():
                raise ConnectionError("closed by the peer in the middle of a body")
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def http_head(self) -> tuple[str, dict[str, str]]:
        """Read the first line and the headers (names in lower case) of an HTTP message."""
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return first, headers


class Request:
    """What a service answers, and its way to call its peers for it; `pods` collects who worked on the answer."""

    def __init__(self, method: str, target: str, nonce: str, body: bytes, peers: dict[str, Peer]) -> None:
        path, _, query = target.partition("?")
        self.method, self.nonce, self.body, self.peers = method, nonce, body, peers
        self.path = [part for part in path.split("/") if part]
        self.query = dict(part.partition("=")[::2] for part in query.split("&")) if query else {}
        self.pods: dict[str, str] = {}

    def json(self) -> Json:
        """Return the body as an object. Raises Failure 400 when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Failure(400, "the body must be a JSON object")
        return value

    def get(self, service: str, path: str) -> Json:
        return self.peers[service].call(self, "GET", path)

    def post(self, service: str, path: str, body: Json) -> Json:
        return self.peers[service].call(self, "POST", path, body)


# --- serving


class Server:
    """Accepts on `address` and gives each connection a thread that calls `serve_one(wire)` until it returns False."""

    def __init__(self, address: tuple[str, int], serve_one: Callable[[Wire, Server], bool]) -> None:
        self.listener = socket.create_server(address, backlog=256)
        self.serve_one = serve_one
        self.draining = False
        self.lock = threading.Lock()
        self.under_way, self.last_end = 0, 0.0

    def start(self) -> None:
        threading.stack_size(256 * 1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                if self.draining:
                    return
                time.sleep(0.05)  # out of file descriptors: others must end first
                continue
            threading.Thread(target=self._converse, args=(sock,), daemon=True).start()

    def _converse(self, sock: socket.socket) -> None:
        try:
            with sock:
                wire, keep = Wire(sock), True
                while keep and (wire.buffer or wire.fill()):
                    with self.lock:  # from its first byte on a request is under way
                        self.under_way += 1
                    try:
                        keep = self.serve_one(wire, self)
                    finally:
                        with self.lock:
                            self.under_way -= 1
                            self.last_end = time.monotonic()
        except OSError:
            pass  # the client has gone: nobody is left to be told

    def drain(self) -> None:
        """Answer what is under way and what still arrives, closing each connection after its answer; then return.

        New connections are accepted until nothing has been under way for a moment: whoever sends traffic here learns
        of the end a little later than this process, and must not be turned away meanwhile."""
        self.draining = True
        started = time.monotonic()
        while time.monotonic() - started < DRAIN_LIMIT_S:
            with self.lock:
                quiet_since = max(self.last_end, started)
                if not self.under_way and time.monotonic() - quiet_since >= DRAIN_QUIET_S:
                    break
            time.sleep(0.01)
        self.listener.shutdown(socket.SHUT_RDWR)  # close() alone would leave the blocked accept() listening
        while self.under_way and time.monotonic() - started < 2 * DRAIN_LIMIT_S:
            time.sleep(0.01)


class HttpService:
    """A service behind HTTP/1.1 with kept connections; its JSON answers say which pods worked on them."""

    def __init__(self, service: Callable[[Request], Json | None], pod: str, peers: dict[str, Peer]) -> None:
        self.service, self.role, self.pod, self.peers = service, service.__name__, pod, peers

    def serve_one(self, wire: Wire, server: Server) -> bool:
        first, headers = wire.http_head()
        method, target, version = (*first.split(" "), "", "", "")[:3]
        length = headers.get("content-length", "0")
        valid = version.startswith("HTTP/1.") and length.isdecimal() and "transfer-encoding" not in headers
        body = wire.exactly(int(length)) if valid and length != "0" else b""
        request = Request(method, target, headers.get("x-nonce", ""), body, self.peers)
        status, data = self._answer(request, server.draining) if valid else (400, {"error": "not understood"})
        content = encode({"nonce": request.nonce, **data, "pods": {self.role: self.pod, **request.pods}}).encode()
        keep = valid and not server.draining and headers.get("connection", "").lower() != "close"
        head = (
            f"HTTP/1.1 {status} {REASONS.get(status, 'Refused')}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nX-Body-Sum: {zlib.crc32(content):08x}\r\n"
            f"X-Served-By: {self.pod}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
        )
        wire.sock.sendall(head.encode("latin-1") + content)  # one write, one packet
        return keep

    def _answer(self, request: Request, draining: bool) -> tuple[int, Json]:
        if request.path == ["live"]:
            return 200, {}
        if request.path == ["ready"]:
            return (503, {"error": "draining"}) if draining else (200, {})
        try:
            data = self.service(request)
        except Failure as failure:
            return failure.status, {"error": failure.message, "service": failure.service or self.role}
        except Exception as error:  # a defect of this service: told to the caller, who would otherwise wait
            print(f"{self.role}: {request.method} {request.path}: {error!r}", file=sys.stderr, flush=True)
            return 500, {"error": repr(error), "service": self.role}
        return (404, {"error": "there is no such page", "service": self.role}) if data is None else (200, data)


# --- calling


class Peer:
    """Another service, at the address in <NAME>_ADDR, over pooled connections."""

    def __init__(self, name: str) -> None:
        variable = name.upper().replace("-", "_") + "_ADDR"
        self.name, self.address = name, os.environ.get(variable, "")
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit():
            sys.exit(f"{variable} must say where {name} is, as host:port; it is {self.address!r}")
        self.target = (host.strip("[]"), int(port))
        self.limit_s = ANSWER_TIMEOUT_S + (PATIENCE_S if name in ("cart", "checkout") else 0.0)
        self.idle: deque[Wire] = deque()

    def call(self, request: Request, method: str, path: str, body: Json | None = None) -> Json:
        """Call `path` on behalf of `request` and return the answer's object.

        Raises Failure: 503 when the service can't be reached or says so, 502 when its answer is broken or not for this
        request, and its own status below 500 (the caller was wrong). It names the service that failed first."""
        payload = encode(body).encode() if body is not None else b""
        length = f"Content-Length: {len(payload)}\r\n" if method != "GET" else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.address}\r\nX-Nonce: {request.nonce}\r\n{length}\r\n"
        first, headers, content = self.send(head.encode("latin-1") + payload, method == "GET", self._http_answer)
        status = first.split(" ")[1:2]
        try:
            data = json.loads(content)
        except ValueError:
            data = None
        if status != ["200"]:
            known = data if isinstance(data, dict) else {}
            code = int(status[0]) if status and status[0].isdigit() else 502
            message = known.get("error", content[:80].decode("latin-1"))
            raise Failure(code if code < 500 or code == 503 else 502, message, known.get("service", self.name))
        if not isinstance(data, dict) or headers.get("x-body-sum") != f"{zlib.crc32(content):08x}":
            raise Failure(502, "the answer is damaged", self.name)
        if data.get("nonce") != request.nonce:
            raise Failure(502, "the answer belongs to another request", self.name)
        request.pods.update(data["pods"])
        return data

    def command(self, line: str) -> Json | list | int:
        """Send one line of the store's protocol and return the value it answers. Raises Failure as `call` does.

        There is one writer, and its successor starts when it is gone: in between the line is sent again and again.
        That is safe, as a line says what shall be and not what to add to it: done twice it leaves what once leaves."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self.send(line.encode() + b"\n", True, lambda wire: (wire.until(b"\n"), True))
                break
            except Failure:
                if time.monotonic() > deadline:
                    raise
                time.sleep(ASK_AGAIN_S)
        verdict, _, value = answer.decode().partition(" ")
        if verdict != "OK":
            raise Failure(502, value or "the answer is damaged", self.name)
        return json.loads(value)

    def send(self, message: bytes, idempotent: bool, receive: Callable) -> object:
        """Send `message`, return what `receive(wire)` read, and keep the connection if it says so.

        A kept connection may have been closed by the peer while nobody looked. If that shows before any byte of the
        answer, an idempotent read is sent once more over a fresh connection; nothing else is ever sent twice."""
        wire = self._kept()
        may_reopen = idempotent and wire is not None
        try:
            try:
                wire = wire or self._connect()
                answer, keep = self._exchange(wire, message, receive)
            except ConnectionError:
                if not may_reopen or wire.heard:
                    raise
                wire.sock.close()
                wire = self._connect()
                answer, keep = self._exchange(wire, message, receive)
        except OSError as error:
            if wire is not None:
                wire.sock.close()
            late = isinstance(error, (BlockingIOError, TimeoutError))  # how a blocking socket reports SO_RCVTIMEO
            raise Failure(503, "no answer in time" if late else f"no answer: {error}", self.name) from error
        if keep:
            wire.idle_since = time.monotonic()
            self.idle.append(wire)
        else:
            wire.sock.close()
        return answer

    @staticmethod
    def _exchange(wire: Wire, message: bytes, receive: Callable) -> tuple[object, bool]:
        wire.heard = False
        wire.sock.sendall(message)
        return receive(wire)

    def _kept(self) -> Wire | None:
        while True:
            try:
                wire = self.idle.pop()
            except IndexError:
                return None
            try:  # nothing may have come on an idle connection, neither bytes nor the end
                wire.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.monotonic() - wire.idle_since < IDLE_LIMIT_S:
                    return wire
            except OSError:
                pass
            wire.sock.close()

    def _connect(self) -> Wire:
        sock = socket.create_connection(self.target, CONNECT_TIMEOUT_S)
        sock.settimeout(None)  # the kernel's own limit below spares a poll() before each recv()
        limit = struct.pack("ll", int(self.limit_s), int(self.limit_s % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        return Wire(sock)

    @staticmethod
    def _http_answer(wire: Wire) -> tuple[tuple[str, dict[str, str], bytes], bool]:
        first, headers = wire.http_head()
        length = headers.get("content-length", "")
        if not length.isdecimal():
            raise ConnectionError("it does not say its length")
        content = wire.exactly(int(length))
        return (first, headers, content), headers.get("connection", "").lower() != "close"


# --- the services: each answers a request, or returns None for what it doesn't know


def catalogue(request: Request) -> Json | None:
    match (request.method, *request.path):
        case "GET", "products":
            return {"products": list(PRODUCTS.values()), "count": len(PRODUCTS)}
        case "GET", "products", product if product in PRODUCTS:
            return {"product": PRODUCTS[product]}


def currency(request: Request) -> Json | None:
    match (request.method, *request.path):
        case "GET", "convert", code, amounts if code in RATES_PPM and amounts.replace(",", "0").isdecimal():
            rate = RATES_PPM[code]
            cents = [(int(amount or 0) * rate + 500_000) // 1_000_000 for amount in amounts.split(",")]
            return {"currency": code, "rate_ppm": rate, "cents": cents}


def ads(request: Request) -> Json | None:
    match (request.method, *request.path):
        case "GET", "ad":
            return {"ad": ADS[zlib.crc32(request.nonce.encode()) % len(ADS)]}


def shipping(request: Request) -> Json | None:
    match (request.method, *request.path):
        case "GET", "quote", pieces if pieces.isdecimal():
            return {"eur_cents": 490 + 85 * int(pieces)}


def payment(request: Request) -> Json | None:
    match (request.method, *request.path):
        case "POST", "charge":
            order, cents, code = (request.json().get(name) for name in ("order", "cents", "currency"))
            if not isinstance(cents, int) or cents <= 0:
                raise Failure(400, "cents must be a number above 0")
            return {"charged_cents": cents, "receipt": f"{zlib.crc32(f'{order} {cents} {code}'.encode()):08x}"}


def recommendation(request: Request) -> Json | None:
    match (request.method, *request.path):
        case "GET", "with", product:
            others = request.get("catalogue", "/products")["products"]
            ranked = sorted((zlib.crc32((product + other["id"]).encode()), other["id"]) for other in others)
            return {"recommended": [other for _, other in ranked if other != product][:3]}


def cart(request: Request) -> Json | None:
    """A cart maps the client's name of a line to its product and quantity; writing a line twice leaves one."""
    store = request.peers["cart-db"]
    match (request.method, *request.path):
        case "GET", "carts", user:
            return {"user": user, "lines": store.command(f"GET {user}")}
        case "POST", "carts", user:
            line, product, quantity = (request.json().get(name) for name in ("line", "product", "quantity"))
            if not isinstance(line, str) or not isinstance(product, str) or quantity not in range(1, 100):
                raise Failure(400, "a cart line has line and product (texts) and quantity (1 to 99)")
            count = store.command(f"ADD {user} {encode({line: {'product': product, 'quantity': quantity}})}")
            return {"user": user, "line": line, "count": count}
        case "POST", "carts", user, "remove":
            return {"user": user, "count": store.command(f"DROP {user} {encode(list(request.json()['lines']))}")}


def checkout(request: Request) -> Json | None:
    match (request.method, *request.path):
        case "POST", "orders", user:
            code = request.query.get("currency", "EUR")
            lines = request.get("cart", f"/carts/{user}")["lines"]
            if not lines:
                raise Failure(409, "the cart is empty")
            prices = {item["id"]: item["eur_cents"] for item in request.get("catalogue", "/products")["products"]}
            pieces = sum(line["quantity"] for line in lines.values())
            goods = sum(line["quantity"] * prices.get(line["product"], 0) for line in lines.values())
            quote = request.get("shipping", f"/quote/{pieces}")["eur_cents"]
            price = request.get("currency", f"/convert/{code}/{goods + quote}")
            number = f"{zlib.crc32(encode(lines).encode(), zlib.crc32(user.encode())):08x}"
            charge = {"order": number, "cents": price["cents"][0], "currency": code}
            receipt = request.post("payment", "/charge", charge)["receipt"]
            request.post("cart", f"/carts/{user}/remove", {"lines": list(lines)})
            sums = {"goods_eur_cents": goods, "shipping_eur_cents": quote, "rate_ppm": price["rate_ppm"]}
            return {**charge, **sums, "lines": lines, "receipt": receipt}


def frontend(request: Request) -> Json | None:
    code = request.query.get("currency", "EUR")
    match (request.method, *request.path):
        case ("GET",):
            products = request.get("catalogue", "/products")["products"]
            page = {"page": "home", "products": products, "count": len(products), **request.get("ads", "/ad")}
            return {**page, **priced(request, products, code)}
        case "GET", "product", product:
            shown = request.get("catalogue", f"/products/{product}")["product"]
            others = request.get("recommendation", f"/with/{product}")["recommended"]
            return {"page": "product", "product": shown, "recommended": others, **priced(request, [shown], code)}
        case "GET", "cart", user:
            lines = request.get("cart", f"/carts/{user}")["lines"]
            return {"page": "cart", "user": user, "lines": lines, "count": len(lines)}
        case "POST", "cart", user:
            return {**request.post("cart", f"/carts/{user}", request.json()), "page": "added"}
        case "POST", "checkout", user:
            return {**request.post("checkout", f"/orders/{user}?currency={code}", {}), "page": "order", "user": user}


def priced(request: Request, products: list[Json], code: str) -> Json:
    """Write each product's price in `code` into it, and return what the page says about the currency."""
    amounts = ",".join(str(product["eur_cents"]) for product in products)
    price = request.get("currency", f"/convert/{code}/{amounts}")
    for product, cents in zip(products, price["cents"], strict=True):
        product["cents"] = cents
    return {"currency": code, "rate_ppm": price["rate_ppm"]}


class CartStore:
    """The carts, in memory and, given a directory, in a file of all writes that is replayed at the start.

    One line in, one line out: `GET user`, `ADD user {line: {...}}`, `DROP user [line, ...]` -> `OK value` | `ERR why`.
    A write is answered after write(2) has taken it: it outlives this process, though not the machine's power."""

    def __init__(self, directory: str) -> None:
        self.carts: dict[str, Json] = {}
        self.lock = threading.Lock()
        self.log = None
        if os.path.isdir(directory):
            self.log = open(os.path.join(directory, "carts.log"), "a+b", buffering=0)  # noqa: SIM115 - kept open
            self._replay()
        elif directory:
            print(f"cart-db: {directory} is not there, carts live in memory only", file=sys.stderr, flush=True)

    def _replay(self) -> None:
        self.log.seek(0)
        content = self.log.read()
        whole = content.rfind(b"\n") + 1  # a crash in the middle of a write leaves a part nobody was told of
        self.log.truncate(whole)
        for line in content[:whole].decode().splitlines():
            self._change(*line.split(" ", 2))

    def _change(self, verb: str, user: str, text: str) -> int:
        value, lines = json.loads(text), self.carts.setdefault(user, {})
        if verb == "ADD":
            lines.update(value)
        else:
            for name in value:
                lines.pop(name, None)
        if not lines:
            del self.carts[user]
        return len(lines)

    def execute(self, line: bytes) -> str:
        verb, user, text = (*line.decode().split(" ", 2), "", "")[:3]
        with self.lock:
            if verb == "GET" and user:
                return f"OK {encode(self.carts.get(user, {}))}"
            kind = {"ADD": dict, "DROP": list}.get(verb)
            if not kind or not isinstance(json.loads(text), kind):
                return "ERR it is GET user, ADD user {...} or DROP user [...]"
            if self.log:
                self.log.write(line + b"\n")
            return f"OK {self._change(verb, user, text)}"

    def serve_one(self, wire: Wire, server: Server) -> bool:
        try:
            answer = self.execute(wire.until(b"\n"))
        except ValueError as error:
            answer = f"ERR {error}".replace("\n", " ")
        wire.sock.sendall(answer.encode() + b"\n")
        return not server.draining


CALLS = {
    frontend: ("catalogue", "ads", "currency", "recommendation", "cart", "checkout"),
    recommendation: ("catalogue",),
    checkout: ("cart", "catalogue", "shipping", "currency", "payment"),
    cart: ("cart-db",),
    **dict.fromkeys((catalogue, currency, ads, shipping, payment), ()),
}
ROLES = {service.__name__: service for service in CALLS}


def main() -> None:
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before any thread: all inherit it, `sigwait` below gets them
    role = sys.argv[1] if len(sys.argv) == 2 else ""
    address = (os.environ.get("POD_IP", "127.0.0.1"), int(os.environ.get("PORT", "8080")))
    pod = os.environ.get("POD_NAME") or f"{role}-{address[0]}"
    if role == "cart-db":
        server = Server(address, CartStore(os.environ.get("DATA_DIR", "")).serve_one)
    elif role in ROLES:
        service = ROLES[role]
        server = Server(address, HttpService(service, pod, {name: Peer(name) for name in CALLS[service]}).serve_one)
    else:
        sys.exit(f"usage: shop.py ROLE, one of: cart-db {' '.join(sorted(ROLES))}")
    server.start()
    print(f"{pod}: {role} listens on {address[0]} port {address[1]}", file=sys.stderr, flush=True)
    signal.sigwait(signals)
    server.drain()


main()

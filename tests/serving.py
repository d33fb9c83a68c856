"""A real API server on a loopback port over a real store, for tests."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from federation.app import contradictions, schemas
from federation.intake.resources import validate
from federation.server.app import Options, make_wsgi
from federation.server.audit import AuditLog
from federation.server.extras import Extra
from federation.server.requests import Limits
from federation.server.serve import ApiServer, parse_listen
from federation.server.tls import Tls
from federation.server.tokens import TokenFile
from federation.store.sql import SqlStore, open_store

TOKEN = "a-token-for-tests-only"
NOW = 1_770_000_000.0
BASE = "/apis/roam.federation/v1alpha1"
SHOP = f"{BASE}/namespaces/shop"
TLS = Path(__file__).parent / "tls"
SECRET = "c3VwZXItc2VjcmV0"


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    code: int
    text: str
    headers: Mapping[str, str]

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Served:
    """The store, and the server on it."""

    store: SqlStore
    url: str

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.partition("//")[2].rpartition(":")
        return host, int(port)

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own, with TLS if the server speaks it."""
        if self.url.startswith("http:"):
            return http.client.HTTPConnection(*self.address, timeout=20)
        trusting = ssl.create_default_context(cafile=TLS / "ca.pem")
        return http.client.HTTPSConnection(*self.address, timeout=20, context=trusting)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = TOKEN,
        media_type: str = "application/json",
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = raw if raw is not None or body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = media_type
        connection = self.connect()
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read().decode(), dict(answer.headers))
        finally:
            connection.close()

    def patch(self, path: str, body: object) -> Reply:
        return self.call("PATCH", path, body, media_type="application/merge-patch+json")

    @contextmanager
    def watch(self, path: str) -> Iterator[Iterator[Any]]:
        """The events of a watch, as they come."""
        connection = self.connect()
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        try:
            yield (json.loads(line) for line in iter(answer.readline, b""))
        finally:
            connection.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """The files of a certificate for this machine and of its key, which nobody else may read."""
    key = folder / "server-key.pem"
    key.touch(mode=0o600)
    key.write_bytes((TLS / "server-key.pem").read_bytes())
    return TLS / "server.pem", key


@contextmanager
def serving(
    folder: Path,
    limits: Limits | None = None,
    *,
    extras: Sequence[Extra] | Callable[[SqlStore], Sequence[Extra]] = (),
    tokens: Path | None = None,
    audit: Path | None = None,
    tls: bool = False,
) -> Iterator[Served]:
    """A server until the end of the block."""
    store = open_store(folder / "store.db")
    api = make_wsgi(
        store,
        token=TOKEN,
        validate=partial(validate, schemas=schemas()),
        clock=lambda: NOW,
        version="test",
        options=Options(
            limits=limits or Limits(),
            tokens=None if tokens is None else TokenFile(tokens, lambda: NOW),
            audit=None if audit is None else AuditLog(audit),
            extras=extras(store) if callable(extras) else extras,
            contradictions=contradictions,
        ),
    )
    server = ApiServer(api, parse_listen("127.0.0.1:0", tls=tls), Tls(*certificate(folder)) if tls else None)
    server.start()
    try:
        yield Served(store, server.url)
    finally:
        server.stop()
        store.close()


def a_microservice(name: str, **spec: object) -> dict[str, Any]:
    """A valid document; `spec` adds to it or replaces."""
    template = {"spec": {"containers": [{"name": "main", "image": "registry.example/cart:1", "command": ["cart"]}]}}
    return {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "Microservice",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"template": template, **spec},
    }


def a_secret(value: str = SECRET) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"password": value}}


def a_subcluster(name: str, **spec: object) -> dict[str, Any]:
    plain = {
        "provider": "local",
        "connection": {"images": True},
        "location": {"country": "DE", "latitude": 50.1, "longitude": 8.7, "operator": "Acme", "operatorCountry": "DE"},
        "capacity": {"cpu": "8", "memory": "16Gi"},
        "pricing": {"cpuHour": 0.02, "memoryGiBHour": 0.003},
    }
    return {
        "apiVersion": "roam.federation/v1alpha1",
        "kind": "SubCluster",
        "metadata": {"name": name},
        "spec": {**plain, **spec},
    }

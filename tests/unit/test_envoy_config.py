"""What Envoy is told, without an Envoy."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from federation.contracts.gateway import Gateway, Route, RouteEndpoint
from federation.errors import InvalidInput, Unavailable
from federation.traffic.envoy import config, process
from federation.traffic.envoy.plugin import GATEWAY, EnvoyConnection
from federation.traffic.envoy.pools import assign_pools
from federation.traffic.envoy.table import decode_table, encode_table

GOLDEN = Path(__file__).parent.parent / "golden" / "envoy"
DIRECTORY = Path("/var/lib/roam/gateways/edge")
ONE = RouteEndpoint("10.0.0.1", 8080, "onprem", 900)
TWO = RouteEndpoint("10.0.0.2", 8080, "ec2-frankfurt", 100)
GONE = RouteEndpoint("10.0.0.3", 8080, "onprem", 0)
FAR = RouteEndpoint("10.9.0.1", 8080, "gce-tokyo", 1, priority=5)
CART = Route("shop", "cart", 80, "http", 15001, (ONE, TWO, GONE, FAR))
MAIL = Route("shop", "mail", 50051, "http2", 15002, (RouteEndpoint("10.0.0.4", 50051, "onprem", 1),))
REDIS = Route("shop", "cart-db", 6379, "tcp", 15003, ())
TABLE = (CART, MAIL, REDIS)


def parsed(document: config.Document) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(document.content)
    assert content["version_info"] == document.version
    return content


def write(directory: Path, routes: tuple[Route, ...]) -> Gateway:
    connection = EnvoyConnection(directory=str(directory), admin=str(directory / "admin.sock"))
    gateway = GATEWAY.open("edge", "10.0.0.9", connection)
    gateway.apply(routes, deadline_s=1.0)
    return gateway


def files_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in directory.iterdir()}


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: socket options have other numbers elsewhere")
def test_rendered_files_are_as_reviewed() -> None:
    """`ROAM_GOLDEN=write` replaces the reviewed files; look at the difference before committing it."""
    pools = assign_pools(TABLE, {})
    documents = {
        "lds.json": parsed(config.listeners(TABLE, pools, "10.0.0.9")),
        "cds.json": parsed(config.clusters(sorted(set(pools.values())), DIRECTORY)),
        "pool-http-0.json": parsed(config.endpoints("http-0", [CART])),
        "pool-tcp-0.json": parsed(config.endpoints("tcp-0", [REDIS])),
        "bootstrap.json": process.bootstrap("edge", DIRECTORY, str(DIRECTORY / "admin.sock")),
    }
    for name, document in documents.items():
        rendered = json.dumps(document, indent=1, sort_keys=True) + "\n"
        if os.environ.get("ROAM_GOLDEN") == "write":
            GOLDEN.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name).write_text(rendered)
        assert rendered == (GOLDEN / name).read_text(), f"{name} differs from tests/golden/envoy/{name}"


def test_a_draining_endpoint_stays_in_the_file_without_a_weight() -> None:
    resource = parsed(config.endpoints("http-0", [CART]))["resources"][0]
    near, far = resource["endpoints"]
    statuses = [(e.get("health_status"), e.get("load_balancing_weight")) for e in near["lb_endpoints"]]
    assert statuses == [(None, 900), (None, 100), ("DRAINING", None)]
    assert (near["priority"], far["priority"]) == (0, 1)


def test_every_change_of_a_route_changes_the_version() -> None:
    versions = {
        config.endpoints("http-0", [route]).version
        for route in (
            CART,
            Route("shop", "cart", 80, "http", 15001, (ONE, TWO, GONE)),
            Route("shop", "cart", 80, "http", 15009, (ONE, TWO, GONE)),
            Route("shop", "cart", 80, "http", 15001, ()),
            Route("shop", "cart", 81, "http", 15001, ()),
        )
    }
    assert len(versions) == 5
    assert config.endpoints("http-0", [CART]).version == config.endpoints("http-0", [CART]).version


def test_one_weight_is_one_file(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    before = files_of(tmp_path)
    heavier = RouteEndpoint(ONE.address, ONE.port, ONE.subcluster, 5)
    write(tmp_path, (Route("shop", "cart", 80, "http", 15001, (heavier, TWO, GONE, FAR)), MAIL, REDIS))
    after = files_of(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"pool-http-0.json", "routes.json"}


def test_an_equal_table_writes_nothing_whatever_its_order_or_process(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    before = files_of(tmp_path)
    write(tmp_path, TABLE[::-1])
    assert files_of(tmp_path) == before


def test_what_is_no_longer_needed_goes(tmp_path: Path) -> None:
    gateway = write(tmp_path, TABLE)
    gateway.apply((CART,), deadline_s=1.0)
    assert set(files_of(tmp_path)) == {"cds.json", "lds.json", "pool-http-0.json", "routes.json"}
    gateway.apply((), deadline_s=1.0)
    assert set(files_of(tmp_path)) == {"cds.json", "lds.json", "routes.json"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]x", b'[{"pool": 1}]', b'{"a": 1}', b"[1]"])
def test_a_broken_record_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "routes.json").write_bytes(content)
    write(tmp_path, TABLE)
    record = decode_table((tmp_path / "routes.json").read_bytes())
    assert {route for _, route in record.values()} == set(TABLE)


def test_a_record_reads_back() -> None:
    table = {route.key: (f"{route.protocol}-0", route) for route in TABLE}
    assert decode_table(encode_table(table)) == table


def test_a_directory_of_no_use_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="edge"):
        write(tmp_path / "file", TABLE)


def test_preparing_keeps_the_tables_of_before(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    before = files_of(tmp_path)
    process.prepare("edge", tmp_path, "127.0.0.1:9901")
    after = files_of(tmp_path)
    assert after.pop("bootstrap.json")
    assert after == before


@pytest.mark.parametrize("admin", ["relative.sock", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "/" + "long" * 40])
def test_an_admin_address_of_no_use_is_refused(admin: str) -> None:
    with pytest.raises(InvalidInput):
        process.bootstrap("edge", DIRECTORY, admin)


@pytest.mark.parametrize(
    "connection",
    [
        {"directory": "relative", "admin": "/run/admin.sock"},
        {"directory": "/run/edge", "admin": "192.0.2.1:9901"},
        {"directory": "/run/edge", "admin": "localhost:9901"},
        {"directory": "/run/edge", "admin": "9901"},
        {"directory": "/run/edge"},
        {"directory": "/run/edge", "admin": "/run/admin.sock", "adress": "x"},
    ],
)
def test_a_connection_is_checked_strictly(connection: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        EnvoyConnection.model_validate(connection)


def test_a_gateway_listens_on_an_address() -> None:
    connection = EnvoyConnection(directory="/run/edge", admin="127.0.0.1:9901")
    with pytest.raises(InvalidInput, match="example"):
        GATEWAY.open("edge", "edge.example", connection)


def test_a_missing_envoy_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(InvalidInput, match=r"pip install 'roam-federation\[sandbox\]'"):
        process.command(DIRECTORY)

"""What Roam reads of a pod template, and the addresses it rewrites."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from federation.errors import InvalidInput
from federation.intake.calls import calls_in
from federation.model.microservice import Port
from federation.model.podtemplate import (
    ASSUMED_CPU_CORES,
    ASSUMED_MEMORY_BYTES,
    assumes_requests,
    has_command,
    named_ports,
    requests,
    rewrite,
    rewrite_objects,
    target_port,
)

MIB = 2.0**20
ADDRESSES = {
    ("cart", 7070): "127.41.0.2:20013",
    ("cart", 80): "127.41.0.2:20014",
    ("db", 5432): "127.41.0.2:20015",
    ("pay/api", 80): "127.41.0.2:20016",
    ("mysql", 3306): "127.41.0.2:20017",
}
SERVICES = {"shop/cart": (7070, 80), "shop/db": (5432,), "pay/api": (80,), "shop/mysql": (3306,)}


def template(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    named = [{"name": f"c{number}", **container} for number, container in enumerate(containers)]
    return {"spec": {"containers": named, **({"initContainers": list(init)} if init else {}), **spec}}


def asks(cpu: str | None = None, memory: str | None = None, kind: str = "requests") -> dict[str, Any]:
    amounts = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"resources": {kind: amounts}}


def with_env(**variables: str) -> dict[str, Any]:
    return template({"env": [{"name": name, "value": value} for name, value in variables.items()]})


def rewritten(**variables: str) -> dict[str, str]:
    found = rewrite(with_env(**variables), ADDRESSES, "shop")
    return {variable["name"]: variable["value"] for variable in found["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize(
    ("pod", "cpu", "memory"),
    [
        (template(asks("100m", "64Mi"), asks("1", "1Gi")), 1.1, 1088 * MIB),
        (template(asks("250m", "64Mi", kind="limits")), 0.25, 64 * MIB),
        (template({}), ASSUMED_CPU_CORES, ASSUMED_MEMORY_BYTES),
        (template(asks("1", "64Mi"), init=(asks("3", "1Mi"), asks("2", "2Mi"))), 3.0, 64 * MIB),
        (template(asks("1", "64Mi"), init=({**asks("1", "8Mi"), "restartPolicy": "Always"},)), 2.0, 72 * MIB),
        (
            template(asks("1", "1Mi"), init=({**asks("1", "8Mi"), "restartPolicy": "Always"}, asks("4", "4Mi"))),
            5.0,
            12 * MIB,
        ),
        (
            template(asks("1", "1Mi"), init=(asks("4", "4Mi"), {**asks("1", "8Mi"), "restartPolicy": "Always"})),
            4.0,
            9 * MIB,
        ),
        (template(asks("1", "1Mi"), overhead={"cpu": "250m", "memory": "1Mi"}), 1.25, 2 * MIB),
    ],
)
def test_requests_of_one_replica(pod: dict[str, Any], cpu: float, memory: float) -> None:
    assert requests(pod) == (pytest.approx(cpu), pytest.approx(memory))


def test_assumed_requests_are_told() -> None:
    assert assumes_requests(template(asks("1")))
    assert not assumes_requests(template(asks("1", "1Mi")))


def test_a_wrong_quantity_names_its_field() -> None:
    with pytest.raises(InvalidInput, match=r"c0\.resources\.requests\.cpu: '12q' is not a quantity"):
        requests(template(asks("12q")))


def test_has_command() -> None:
    command = {"command": ["run"]}
    assert has_command(template(command, init=(command,)))
    assert not has_command(template(command, {"image": "x", "args": ["a"]}))
    assert not has_command(template(command, init=({"image": "x"},)))
    assert not has_command({"spec": {}})


def test_ports_by_name() -> None:
    pod = template({"ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9}]})
    assert named_ports(pod) == {"http": 8080}
    assert target_port(pod, Port(port=80, target_port="http")) == 8080
    assert target_port(pod, Port(port=80, target_port=81)) == 81
    assert target_port(pod, Port(port=80)) == 80
    with pytest.raises(InvalidInput, match="no container port is named 'web'; named ones: http"):
        target_port(pod, Port(port=80, target_port="web"))


@pytest.mark.parametrize(
    ("variable", "value", "after"),
    [
        ("A", "cart:7070", "127.41.0.2:20013"),
        ("A", "http://cart:7070/x", "http://127.41.0.2:20013/x"),
        ("A", "http://cart/x", "http://127.41.0.2:20014/x"),
        ("A", "http://cart.", "http://127.41.0.2:20014"),
        ("A", "cart.shop.svc.cluster.local:7070", "127.41.0.2:20013"),
        ("A", "cart.shop.svc", "127.41.0.2:20013"),
        ("A", "cart:7070,db:5432", "127.41.0.2:20013,127.41.0.2:20015"),
        ("A", "jdbc:postgresql://db:5432/x", "jdbc:postgresql://127.41.0.2:20015/x"),
        ("A", "postgres://u:p%40@db/x", "postgres://u:p%40@127.41.0.2:20015/x"),
        ("A", "u:p@tcp(mysql:3306)/x", "u:p@tcp(127.41.0.2:20017)/x"),
        ("A", "mysql-0.mysql:3306", "127.41.0.2:20017"),
        ("A", "mongodb://u:p@cart:80,db:5432/x", "mongodb://u:p@127.41.0.2:20014,127.41.0.2:20015/x"),
        ("A", "-Da=http://cart -Db=db:5432", "-Da=http://127.41.0.2:20014 -Db=127.41.0.2:20015"),
        (
            "A",
            '{"url": "http://cart:80", "db": "db:5432"}',
            '{"url": "http://127.41.0.2:20014", "db": "127.41.0.2:20015"}',
        ),
        ("A", "http://api.pay/", "http://127.41.0.2:20016/"),
        ("A_HOST", "api.pay", "127.41.0.2:20016"),
        ("A_ADDR", "cart", "127.41.0.2:20013"),
        ("pgHost", "db", "127.41.0.2:20015"),
        ("A_SERVERS", "cart, db", "127.41.0.2:20013, 127.41.0.2:20015"),
    ],
)
def test_addresses_are_rewritten_and_are_calls(variable: str, value: str, after: str) -> None:
    assert rewritten(**{variable: value}) == {variable: after}
    assert calls_in(with_env(**{variable: value}), "shop", SERVICES)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("A", "cart"),
        ("CART_NAME", "cart"),
        ("OTEL_SERVICE_NAME", "cart"),
        ("A", "api"),
        ("A_HOST", "api"),
        ("A", "cart:9999"),
        ("A", "cart:70701"),
        ("A", "mycart:7070 cart-x:80 x.cart:80 cart_x:80"),
        ("A", "registry/cart:7070"),
        ("A", "the cart is full"),
        ("A_URL", "http://example.com/cart"),
        ("A_URL", "http://cart.example.com:80/"),
        ("A", "http://cartoon/ http://cart_2/"),
        ("A", "Cart:7070"),
        ("A", ""),
        ("A_HOST", "shop-cart"),
    ],
)
def test_what_is_no_address_is_left_alone(variable: str, value: str) -> None:
    assert rewritten(**{variable: value}) == {variable: value}
    assert calls_in(with_env(**{variable: value}), "shop", SERVICES) == ()


def test_host_and_port_in_two_variables() -> None:
    assert rewritten(DB_HOST="db", DB_PORT="5432", URL="pg://$(DB_HOST):$(DB_PORT)/") == {
        "DB_HOST": "127.41.0.2",
        "DB_PORT": "20015",
        "URL": "pg://127.41.0.2:20015/",
    }
    assert rewritten(DB_HOST="db", DB_PORT="1")["DB_HOST"] == "db"


def test_references_to_other_variables() -> None:
    assert rewritten(H="cart", URL="http://$(H):7070/$(X)$$(H)")["URL"] == "http://127.41.0.2:20013/$(X)$$(H)"
    assert rewritten(URL="http://cart:$(X)/")["URL"] == "http://cart:$(X)/"


def test_calls_merge_and_take_the_port_that_is_known() -> None:
    pod = with_env(A="cart:7070", B="http://cart:7070/", C_ADDR="cart", D_HOST="db", E_ADDR="cart:9", F="http://cart/")
    assert calls_in(pod, "shop", SERVICES) == (("shop/cart", 7070), ("shop/db", 5432), ("shop/cart", 80))
    assert calls_in(with_env(C_ADDR="cart", E_ADDR="cart:9"), "shop", SERVICES) == (("shop/cart", None),)


def test_calls_come_from_configmaps_and_init_containers() -> None:
    pod = template(
        {
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}],
            "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "db"}}}],
        },
        init=({"name": "i", "env": [{"name": "Y", "value": "mysql:3306"}]},),
    )
    config = {"c": {"CART_URL": "cart", "db": "db:5432", "motd": "see cart"}}
    assert calls_in(pod, "shop", SERVICES, config) == (("shop/mysql", 3306), ("shop/cart", None), ("shop/db", 5432))


def test_only_environment_changes_and_arguments_stay_as_they_are() -> None:
    pod = template(
        {"env": [{"name": "A", "value": "cart:7070"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
        {"args": ["--cart=cart:7070"], "env": None},
        volumes=[{"name": "v"}],
    )
    before = copy.deepcopy(pod)
    after = rewrite(pod, ADDRESSES, "shop")
    assert pod == before
    before["spec"]["containers"][0]["env"][0]["value"] = "127.41.0.2:20013"
    assert after == before


def test_configmaps_used_as_environment_are_rewritten_entry_by_entry() -> None:
    pod = template({"envFrom": [{"configMapRef": {"name": "c"}}]})
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"A": "cart:7070", "FILE": "server cart:7070;\nserver db:5432;", "B_HOST": "db", "B_PORT": "5432"},
    }
    other = {"kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"A": "cart:7070"}}
    before = copy.deepcopy([config, other])
    first, second = rewrite_objects([config, other], pod, ADDRESSES, "shop")
    assert [config, other] == before
    assert second == other
    assert first["data"] == {**config["data"], "A": "127.41.0.2:20013", "B_HOST": "127.41.0.2", "B_PORT": "20015"}  # type: ignore[dict-item]

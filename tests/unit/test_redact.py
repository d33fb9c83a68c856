"""Secrets' values never leave, and come back where an object is written back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from federation.model.redact import HIDDEN, holds_secrets, is_redacted, is_secret_place, redact, restore


def _secret(name: str, **fields: object) -> dict[str, object]:
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, **fields}


def _carrying(*objects: object) -> dict[str, object]:
    return {"kind": "Microservice", "metadata": {"name": "cart"}, "spec": {"objects": list(objects)}}


VALUES = st.dictionaries(st.text(min_size=1, max_size=5), st.text("ABCD1234", min_size=8, max_size=12), max_size=4)


@given(data=VALUES, strings=VALUES)
def test_no_value_of_a_secret_is_left(data: dict[str, str], strings: dict[str, str]) -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": data})}
    secret = _secret("db", data=data, stringData=strings)
    secret["metadata"] = {"name": "db", "annotations": annotations}
    document = _carrying(secret, {"kind": "ConfigMap", "data": {"mode": "plain"}})
    before = json.dumps(document)
    for hidden in (redact(document), redact(secret), redact({"kind": "List", "items": [secret, document]})):
        text = json.dumps(hidden)
        assert not any(value in text for value in (*data.values(), *strings.values()))
    assert json.dumps(document) == before
    assert redact(redact(document)) == redact(document)
    assert redact(document)["spec"]["objects"][1]["data"] == {"mode": "plain"}


@given(data=VALUES)
def test_what_was_read_can_be_written_back(data: dict[str, str]) -> None:
    stored = _carrying(_secret("db", data=data), _secret("other", data={"a": "other"}))
    assert restore(redact(stored), stored) == (stored, ())


def test_a_changed_value_stays_and_an_unknown_placeholder_is_told() -> None:
    stored = _carrying(_secret("db", data={"password": "b2xk"}))
    sent = _carrying(_secret("db", data={"password": "bmV3", "user": HIDDEN}))
    assert is_redacted(sent)
    restored, missing = restore(sent, stored)
    assert missing == ("db.data.user",)
    assert restored["spec"]["objects"][0]["data"]["password"] == "bmV3"


def test_odd_shapes_are_left_alone() -> None:
    for odd in ({}, {"spec": None}, {"spec": {"objects": "x"}}, {"kind": "Secret", "data": None}, {"items": 3}):
        assert redact(odd) == odd
    assert redact({"kind": "Secret", "data": ["x"]})["data"] == HIDDEN


def _place(**spec: object) -> dict[str, object]:
    return {"kind": "SubCluster", "metadata": {"name": "east"}, "spec": spec}


def test_what_a_connection_holds_is_hidden_by_its_name_and_comes_back() -> None:
    stored = _place(
        credentials={"file": "/etc/token", "token": "inline"},
        connection={
            "url": "https://x",
            "auth": [{"apiKey": "k1", "keyFile": "/etc/key", "tokens": 3}],
            "password": "p",
        },
    )
    hidden = redact(stored)
    assert hidden["spec"] == {
        "credentials": {"file": "/etc/token", "token": HIDDEN},
        "connection": {
            "url": "https://x",
            "auth": [{"apiKey": HIDDEN, "keyFile": "/etc/key", "tokens": 3}],
            "password": HIDDEN,
        },
    }
    assert (holds_secrets(stored), is_redacted(stored), is_redacted(hidden)) == (True, False, True)
    assert restore(hidden, stored) == (stored, ())
    assert restore(hidden, _place(connection={"auth": [{"apiKey": "k1"}]}))[1] == (
        "spec.credentials.token",
        "spec.connection.password",
    )


def test_references_are_no_secrets() -> None:
    place = _place(credentials={"profile": "prod"}, connection={"agent": "http://127.0.0.1:1", "tokenFile": "/t"})
    assert (redact(place), holds_secrets(place), is_redacted(place)) == (place, False, False)


def test_kubectls_record_of_what_carried_a_secret_is_hidden() -> None:
    document = _carrying(_secret("db", data={"a": "b2xk"}))
    document["metadata"] = {
        "name": "cart",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(document), "team": "shop"},
    }
    assert "b2xk" not in json.dumps(redact(document))
    assert restore(redact(document), document) == (document, ())
    assert restore(redact(document), _carrying(_secret("db", data={"a": "b2xk"})))[0]["metadata"] == {
        "name": "cart",
        "annotations": {"team": "shop"},
    }


def test_where_no_message_may_quote() -> None:
    assert is_secret_place("Secret", ("stringData", "password"))
    assert not is_secret_place("Secret", ("metadata", "name"))
    assert is_secret_place("SubCluster", ("spec", "connection", "token"))
    assert not is_secret_place("Deployment", ("spec", "replicas"))

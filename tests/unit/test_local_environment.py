"""Containers get the environment that a kubelet would give them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.local.agent.environment import (
    ConfigError,
    Configuration,
    Identity,
    arguments_of,
    expand,
    variables_of,
)
from providers.local.agent.template import Container, Template

IDENTITY = Identity(
    name="cart-1", namespace="shop", uid="u-1", address="127.41.1.1", host_address="127.41.0.1", node="onprem",
    allocatable={"cpu": 4.0, "memory": 8 * 2.0**30},
)  # fmt: skip
CONFIG_MAP = {"kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"mode": "fast", "bad=name": "x"}}
SECRET = {
    "kind": "Secret",
    "metadata": {"name": "secret"},
    "data": {"password": base64.b64encode(b"s3cret").decode()},
    "stringData": {"plain": "text"},
}


def variables(container: dict[str, Any], **template: Any) -> dict[str, str]:
    whole = Template.model_validate(
        {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "c", **container}], **template}}
    )
    return variables_of(whole.spec.containers[0], whole, IDENTITY, Configuration((CONFIG_MAP, SECRET)))


def reference(kind: str, **value: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: value}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # From the table of Kubernetes' own test, third_party/forked/golang/expansion/expand_test.go.
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("___$(VAR_C)", "___C"),
        ("$(VAR_A)-$(VAR_A)", "A-A"),
        ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
        ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
        ("f000-$$VAR_A", "f000-$VAR_A"),
        ("foo\\$(VAR_C)bar", "foo\\Cbar"),
        ("foo$$$(VAR_C)bar", "foo$Cbar"),
        ("$(VAR_A", "$(VAR_A"),
        ("$VAR_A)", "$VAR_A)"),
        ("${VAR_A}", "${VAR_A}"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$((VAR_A))", "$((VAR_A))"),
        ("$$$$$$(foo)$(VAR_A)", "$$$(foo)A"),
        ("$?_boo_$!", "$?_boo_$!"),
        ("", ""),
        ("$", "$"),
    ],
)
def test_expansion_follows_kubernetes(text: str, expected: str) -> None:
    assert expand(text, {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C"}) == expected


@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"A": "x", "": "y"}) == text


@given(st.text(alphabet=st.characters(exclude_characters="$")), st.text())
def test_values_are_not_expanded_again(text: str, value: str) -> None:
    assert expand(f"{text}$(V){text}", {"V": value}) == text + value + text


@given(st.text(), st.dictionaries(st.text(max_size=3), st.text(max_size=3)))
def test_expansion_never_fails(text: str, known: dict[str, str]) -> None:
    expand(text, known)


def test_later_variables_see_earlier_ones() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)"}, {"name": "C", "value": "3"}]
    assert variables({"env": env}) == {"A": "1", "B": "1$(C)", "C": "3"}


def test_env_goes_over_env_from() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "config"}}, {"prefix": "S_", "secretRef": {"name": "secret"}}],
        "env": [{"name": "mode", "value": "not $(mode)"}],
    }
    assert variables(container) == {"mode": "not fast", "S_password": "s3cret", "S_plain": "text"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "cart-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "cart"),
        ("metadata.labels['none']", ""),
        ("status.podIP", "127.41.1.1"),
        ("status.podIPs", "127.41.1.1"),
        ("status.hostIP", "127.41.0.1"),
        ("spec.nodeName", "onprem"),
        ("spec.serviceAccountName", "robot"),
    ],
)
def test_downward_fields(path: str, expected: str) -> None:
    assert variables({"env": [reference("fieldRef", fieldPath=path)]}, serviceAccountName="robot") == {"X": expected}


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("requests.cpu", None, "1"),
        ("requests.cpu", "1m", "250"),
        ("limits.memory", "1Mi", "64"),
        ("limits.cpu", None, "4"),
        ("requests.memory", "1Mi", "64"),
    ],
)
def test_resource_fields(resource: str, divisor: str | None, expected: str) -> None:
    container = {
        "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}},
        "env": [reference("resourceFieldRef", resource=resource, divisor=divisor)],
    }
    assert variables(container) == {"X": expected}


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (reference("configMapKeyRef", name="none", key="k"), 'ConfigMap "none" not found'),
        (reference("configMapKeyRef", name="config", key="k"), 'key "k" not found in ConfigMap "config"'),
        (reference("secretKeyRef", name="secret", key="k"), 'key "k" not found in Secret "secret"'),
        (reference("fieldRef", fieldPath="status.phase"), 'fieldPath "status.phase"'),
        ({"name": "X", "value": "a\0b"}, "the value of X"),
    ],
)
def test_what_is_missing_is_named(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        variables({"env": [entry]})
    assert named in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_missing_is_fine_when_optional() -> None:
    env = [reference("secretKeyRef", name="none", key="k", optional=True)]
    bundles = [{"configMapRef": {"name": "none", "optional": True}}]
    assert variables({"env": env, "envFrom": bundles}) == {}


def test_broken_base64_is_said_without_the_value() -> None:
    broken = Configuration(({"kind": "Secret", "metadata": {"name": "b"}, "data": {"k": "!!hush!!"}},))
    with pytest.raises(ConfigError, match='Secret "b" is not base64') as caught:
        broken.find("Secret", "b")
    assert "hush" not in str(caught.value)


def test_arguments_see_the_variables_only() -> None:
    container = Container.model_validate({"name": "c", "command": ["sh", "-c"], "args": ["echo $(A) $(PATH)"]})
    assert arguments_of(container, {"A": "1"}) == ["sh", "-c", "echo 1 $(PATH)"]


def test_configuration_does_not_show() -> None:
    assert "s3cret" not in repr(Configuration((SECRET,)))
    assert SECRET["data"]["password"] not in repr(Configuration((SECRET,)))  # type: ignore[index]

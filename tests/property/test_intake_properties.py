"""Intake takes anything: manifests or InvalidInput, nothing else. Rewriting touches addresses and nothing else."""

from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from federation.errors import InvalidInput
from federation.intake.loading import Manifests, load
from federation.intake.resources import validate
from federation.intake.schemas import Schemas
from federation.intake.yamltext import read_yaml
from federation.model.addresses import mentions, replace
from federation.model.kinds import BY_KIND
from federation.model.podtemplate import rewrite

NAMES = ["cart", "db", "frontend-external", "a"]
DIRECTORY = {f"shop/{name}": (80, 7070) for name in NAMES} | {"pay/api": (443,)}
ADDRESSES = {(service, port): f"127.41.0.2:{20000 + port}" for service, ports in DIRECTORY.items() for port in ports}
PIECES = [
    *NAMES,
    "api",
    "pay",
    "shop",
    "svc",
    "cluster.local",
    "http://",
    "jdbc:x://",
    ":",
    "80",
    "7070",
    "443",
    ".",
    ",",
    "/",
    "@",
]
PIECES += [" ", "$(A)", "$$", "-", "_", "=", "'", "u:p@", "-0", "x", "\n", "é", "?", "#", "(", ")", "[", "]"]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
VARIABLES = st.sampled_from(["A", "CART_ADDR", "DB_HOST", "DB_PORT", "X_URL", "NAME"])
ENVIRONMENTS = st.dictionaries(VARIABLES, TEXTS, max_size=4)

KEYS = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "spec",
    "labels",
    "template",
    "containers",
    "selector",
    "matchLabels",
]
KEYS += [
    "replicas",
    "ports",
    "port",
    "env",
    "value",
    "items",
    "data",
    "provider",
    "region",
    "capacity",
    "cpu",
    "rules",
    "subjects",
]
KEYS += [
    "initContainers",
    "volumes",
    "http",
    "paths",
    "jobTemplate",
    "envFrom",
    "targetPort",
    "minAvailable",
    "scaleTargetRef",
]
WORDS = [
    "v1",
    "apps/v1",
    "batch/v1",
    "policy/v1",
    "autoscaling/v2",
    "networking.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
    "x",
    "80",
]
WORDS += [
    "roam.federation/v1alpha1",
    "Deployment",
    "StatefulSet",
    "Service",
    "ConfigMap",
    "CronJob",
    "Pod",
    "Ingress",
    "List",
]
WORDS += ["PodDisruptionBudget", "HorizontalPodAutoscaler", "RoleBinding", "NetworkPolicy", "50%", *BY_KIND]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 70000),
    st.sampled_from(WORDS),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)),
    max_leaves=20,
)
OBJECTS = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from(WORDS),
        "kind": st.sampled_from(WORDS),
        "metadata": st.fixed_dictionaries({"name": st.sampled_from(WORDS)}),
    },
    optional={"spec": VALUES, "data": VALUES, "subjects": VALUES, "roleRef": VALUES, "items": VALUES, "status": VALUES},
)
TOKENS = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "!!",
    "!x ",
    "|",
    ">",
    "'",
    '"',
    "#",
    "---\n",
    "...\n",
    "? ",
    "<<",
    "\t",
    "%",
]


def taken(text: str | bytes) -> Manifests | None:
    try:
        return load(["-"], Schemas(), stdin=io.StringIO(text) if isinstance(text, str) else io.BytesIO(text))
    except InvalidInput:
        return None


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(TOKENS), max_size=30).map("".join)))
@example("{")
@example("\ud800")
@example('{"a": "\\ud800"}')
def test_any_text_is_manifests_or_invalid_input(text: str) -> None:
    taken(text)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_manifests_or_invalid_input(data: bytes) -> None:
    taken(data)


@settings(deadline=None)
@given(st.lists(OBJECTS, max_size=4))
def test_any_objects_are_manifests_or_invalid_input_in_yaml_as_in_json(objects: list[dict[str, Any]]) -> None:
    as_yaml = taken(yaml.safe_dump_all(objects, sort_keys=False))
    as_json = taken("\n".join(json.dumps(item) for item in objects))
    assert (as_yaml is None) == (as_json is None)
    if as_yaml is not None and as_json is not None:
        assert as_yaml.resources == as_json.resources
        assert as_yaml.unattached == as_json.unattached


@settings(deadline=None)
@given(VALUES.filter(lambda value: isinstance(value, dict)))
def test_validate_takes_any_json(value: Any) -> None:
    with suppress(InvalidInput):
        validate(value, Schemas())


# YAML breaks lines at these, too, and folds them.
JSON_TEXTS = st.text(st.characters(exclude_characters="\x85\u2028\u2029"), max_size=5)
PLAIN = st.one_of(JSON_TEXTS, st.integers(-(2**63), 2**63), st.booleans())


@settings(deadline=None)
@given(
    st.recursive(
        PLAIN,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(JSON_TEXTS, inner, max_size=3)),
        max_leaves=10,
    )
)
def test_json_read_as_yaml_is_the_same(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    try:
        document = next(read_yaml(text, "x"))
    except InvalidInput:
        # Some control characters may stand in JSON, escaped or not, but not in YAML; no NUL in either.
        assert "\\u0000" in text or not text.isprintable()
    else:
        assert document.value == value


@settings(deadline=None)
@given(VARIABLES, TEXTS)
def test_mentions_lie_in_order_and_name_known_services(variable: str, value: str) -> None:
    found = mentions(variable, value, DIRECTORY, "shop")
    assert all(one.service in DIRECTORY for one in found)
    ends = [0, *(position for one in found for position in (one.start, one.end)), len(value)]
    assert ends == sorted(ends)


@settings(deadline=None)
@given(VARIABLES.filter(lambda name: name != "DB_PORT"), TEXTS.filter(lambda text: "$(" not in text))
def test_rewriting_changes_addresses_only(variable: str, value: str) -> None:
    after = replace({variable: value}, DIRECTORY, "shop", lambda service, port: f"<{service} {port}>")[variable]
    kept, at = "", 0
    for one in mentions(variable, value, DIRECTORY, "shop"):
        kept += value[at : one.start] if one.listed else value[at : one.end]
        at = one.end
    assert re.sub("<[a-z-]+/[a-z-]+ [0-9]+>", "", after) == kept + value[at:]


@settings(deadline=None)
@given(st.dictionaries(VARIABLES, st.text(alphabet="xyz 0123:/.,@-_", max_size=30), max_size=4))
def test_rewriting_without_names_changes_nothing(environment: dict[str, str]) -> None:
    template = {
        "spec": {"containers": [{"name": "c", "env": [{"name": k, "value": v} for k, v in environment.items()]}]}
    }
    addresses = {("cart", 80): "127.0.0.1:1"}
    once = rewrite(template, addresses, "shop")
    assert once == template
    assert rewrite(once, addresses, "shop") == once


@settings(deadline=None)
@given(ENVIRONMENTS)
def test_rewriting_twice_is_rewriting_once(environment: dict[str, str]) -> None:
    def address(service: str, port: int) -> str:
        return ADDRESSES[service, port]

    once = replace(environment, DIRECTORY, "shop", address)
    if not any("$" in value for value in environment.values()):
        assert replace(once, DIRECTORY, "shop", address) == once

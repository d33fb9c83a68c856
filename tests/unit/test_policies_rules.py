"""Rules in CEL: what they deny, what they warn of, what they say of it, and what is no rule."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from planning import BELGIUM, FLEET, FRANKFURT, RULES, ZURICH, policy, request, service, subcluster, where
from pydantic import ValidationError

from federation.errors import InvalidInput
from federation.planner.decide import Judgement
from policies.rules.bounds import NODES
from policies.rules.columns import FAILED, FALSE, TRUE, Columns
from policies.rules.expression import LONGEST, expression
from policies.rules.syntax import DEEPEST, read
from policies.rules.variables import FACTS

GOLD = "subcluster.labels.tier == 'gold' || service.replicas < 3"
NOWHERE = subcluster("nowhere", "kubernetes", price=None)


def labelled(each, **labels):
    return each.model_copy(update={"metadata": each.metadata.model_copy(update={"labels": labels})})


TIERS = (labelled(ZURICH, tier="gold"), labelled(BELGIUM, tier="silver"), FRANKFURT)


def rule(text, message="a rule", enforcement=None):
    return {"expression": text, "message": message, **({"enforcement": enforcement} if enforcement else {})}


def judged(text, fleet=FLEET, enforcement=None, **more):
    """Sub-cluster to what is said of it by one rule about one service; the columns agree with the reasons."""
    view = request([service("web", **more)], [policy("p", rules=[rule(text, enforcement=enforcement)])], fleet).view
    opinion = RULES.opine(view)
    found = {}
    for column, each in enumerate(view.subclusters):
        reasons = RULES.explain(view, 0, column)
        mask = opinion.warned if enforcement == "warn" else opinion.denied
        assert bool(reasons) == (mask is not None and bool(mask[0, column]))
        assert all(reason.warning == (enforcement == "warn") for reason in reasons)
        if reasons:
            found[each.metadata.name] = reasons[0].message
    return found


BROKEN = "rule 'a rule' does not hold"
FAILS = "rule 'a rule' could not be evaluated"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", {}),
        ("subcluster.name != 'gce-belgium'", {"gce-belgium": f"{BROKEN}: subcluster.name is gce-belgium"}),
        ("subcluster.country in ['DE', 'BE', 'US']", {"onprem-zurich": f"{BROKEN}: subcluster.country is CH"}),
        ("subcluster.operatorCountry == 'US'", {"onprem-zurich": f"{BROKEN}: subcluster.operatorCountry is CH"}),
        ("subcluster.continent == 'EU'", {"azure-virginia": f"{BROKEN}: subcluster.continent is NA"}),
        ("subcluster.cloud != 'aws'", {"ec2-frankfurt": f"{BROKEN}: subcluster.cloud is aws"}),
        (
            "subcluster.region in ['eastus']",
            {
                "ec2-frankfurt": f"{BROKEN}: subcluster.region is eu-central-1",
                "gce-belgium": f"{BROKEN}: subcluster.region is europe-west1",
                "onprem-zurich": f"{FAILS}: subcluster.region is unknown",
            },
        ),
        ("subcluster.operator != 'Google'", {"gce-belgium": f"{BROKEN}: subcluster.operator is Google"}),
        ("subcluster.cpuHour < 0.034", {"ec2-frankfurt": f"{BROKEN}: subcluster.cpuHour is 0.034"}),
        ("'iso27001' in subcluster.attestations || subcluster.provider == 'ec2' || service.name == 'web'", {}),
        ("fleet.size == 4 && 'BE' in fleet.countries && fleet.clouds.exists(c, c == subcluster.cloud)", {}),
        ("service.cpuCores == 0.5 && service.memoryGiB == 0.5 && !service.stateful", {}),
        ("service.images == ['example'] && service.ports == [] && service.calls == []", {}),
        ("service.namespace == 'shop' && service.workload == 'Deployment'", {}),
        ("now == timestamp('1970-01-01T00:00:00Z')", {}),
        ("subcluster.taints.all(t, t.effect != 'NoExecute')", {}),
        ("has(subcluster.region)", {"onprem-zurich": f"{BROKEN}: has(subcluster.region) is false"}),
        ("!has( subcluster . region ) || subcluster.region.startsWith('e')", {}),
        ("!has(subcluster.labels.tier) && !('tier' in subcluster.labels)", {}),
    ],
)
def test_what_it_reads(text, expected):
    assert judged(text) == expected


def test_a_fleet_of_nothing():
    view = request(
        [service("web")], [policy("p", rules=[rule(GOLD), rule("service.name == subcluster.name")])], []
    ).view
    denied = RULES.opine(view).denied
    assert denied is not None
    assert denied.shape == (1, 0)
    assert RULES.opine(request([], [policy("p", rules=[rule(GOLD)])], FLEET).view).denied is not None


def test_the_rule_of_the_documentation():
    assert judged(GOLD, TIERS, replicas=2) == {}
    assert judged(GOLD, TIERS, replicas=3) == {
        "ec2-frankfurt": f"{FAILS}: no such key: tier",
        "gce-belgium": f"{BROKEN}: service.replicas is 3, subcluster.labels.tier is silver",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("subcluster.labels.tier == 'gold'", "no such key: tier"),
        ("subcluster.labels['tier'] == 'gold'", "no such key: tier"),
        ("!(subcluster.labels.tier == 'gold')", "no such key: tier"),
        ("subcluster.country != 'US'", "subcluster.country is unknown"),
        ("subcluster.cpuHour < 1.0", "subcluster.cpuHour is unknown"),
        ("1 / (service.replicas - 1) == 1", "divide by zero"),
        ("service.replicas + 9223372036854775807 > 0", "integer overflow"),
        ("int(service.name) > 1", "cannot convert string to int"),
        ("subcluster.country == 'DE' && subcluster.labels.tier == 'gold'", "subcluster.country is unknown"),
    ],
)
def test_what_fails_denies_and_says_how(text, why):
    said = judged(text, [NOWHERE])["nowhere"]
    assert said.startswith(f"{FAILS}: ")
    assert why in said


@pytest.mark.parametrize(
    ("text", "denies"),
    [
        ("subcluster.labels.tier == 'gold' || true", False),
        ("true || subcluster.labels.tier == 'gold'", False),
        ("subcluster.labels.tier == 'gold' && false", True),
        ("!(subcluster.labels.tier == 'gold' && false)", False),
        ("has(subcluster.country) && subcluster.country == 'DE' || service.replicas == 1", False),
    ],
)
def test_a_failure_counts_only_where_the_other_side_does_not_decide(text, denies):
    found = judged(text, [NOWHERE])
    assert bool(found) == denies
    assert not any("evaluated" in said for said in found.values())


def test_a_loop_that_takes_too_long_is_stopped_and_denies():
    text = f"fleet.names.all(n, {[f'x{i}' for i in range(120)]}.all(x, x != n))".replace('"', "'")
    fleet = [subcluster(f"s{index:03}", "ec2", "eu-central-1") for index in range(100)]
    assert judged(text, fleet)["s000"] == f"{FAILS}: its loops take more than 10,000 steps"


def test_a_warning_denies_nothing_and_is_told():
    rules = [rule("subcluster.country == 'BE'", "Belgium is nicest", "warn")]
    asked = request([service("web", replicas=2)], [policy("nice", namespace="shop", rules=rules)], [ZURICH, BELGIUM])
    opinion = RULES.opine(asked.view)
    assert opinion.denied is not None
    assert not opinion.denied.any()
    judgement = Judgement(asked)
    assert where(judgement.plan, "web") == {"onprem-zurich": 2}
    text = "rule 'Belgium is nicest' does not hold: subcluster.country is CH (PlacementPolicy shop/nice)"
    assert judgement.plan.placements[0].reasons[-1] == f"warning: {text}"
    assert judgement.forbidden(asked.view.services[0].key, "onprem-zurich") == ""
    assert judgement.violation(asked.view.services[0].key, "onprem-zurich") is None
    told = {each.subcluster: each.reasons for each in judgement.candidates(asked.view.services[0].key).candidates}
    assert f"warning: {text}" in told["onprem-zurich"]
    assert not any("warning" in reason for reason in told["gce-belgium"])


def test_a_warning_about_a_part_of_a_spread_service_says_where():
    rules = [rule("subcluster.cloud == 'gcp'", "Google only", "warn")]
    policies = [policy("p", rules=rules), policy("q", spread={"topology": "provider", "minDomains": 2})]
    plan = Judgement(request([service("web", replicas=2)], policies, [ZURICH, BELGIUM])).plan
    text = "in onprem-zurich: warning: rule 'Google only' does not hold: subcluster.cloud is onprem"
    assert plan.placements[0].reasons[-1].startswith(text)


def test_what_runs_and_breaks_a_rule_may_not_stay():
    asked = request([service("web")], [policy("p", rules=[rule("subcluster.country != 'CH'")])], [ZURICH, BELGIUM])
    violation = Judgement(asked).violation(asked.view.services[0].key, "onprem-zurich")
    assert violation is not None
    assert (violation.cause, violation.grace_s, violation.stop) == ("Policy", None, False)
    assert violation.message == f"{BROKEN}: subcluster.country is CH (ClusterPlacementPolicy p)"


def test_rules_add_up_and_a_namespace_relaxes_none_of_the_fleet():
    fleet_wide = policy("fleet", rules=[rule("subcluster.country != 'US'", "not in the US")])
    own = policy("own", namespace="shop", precedence=99, rules=[rule("true", "not in the US"), rule(GOLD, "gold")])
    asked = request([service("web", replicas=5), service("api", 1, namespace="other")], [own, fleet_wide])
    denied = RULES.opine(asked.view).denied
    assert denied is not None
    # Keys in order: other/api, shop/web; sub-clusters: azure-virginia, ec2-frankfurt, gce-belgium, onprem-zurich.
    assert denied.tolist() == [[True, False, False, False], [True, True, True, True]]
    assert [(each.code, each.origin) for each in RULES.explain(asked.view, 1, 0)] == [
        ("RuleBroken", "ClusterPlacementPolicy fleet"),
        ("RuleFailed", "PlacementPolicy shop/own"),
    ]
    assert RULES.conflicts(asked.view.sections["rules"][1]) == ()


def test_the_tally_counts_by_rule():
    rules = [rule("subcluster.country == 'FR'", "France"), rule("subcluster.labels.tier == 'x'", "tier x")]
    plan = Judgement(request([service("web")], [policy("p", rules=rules)])).plan
    (planned,) = plan.placements
    assert planned.verdict == "denied"
    assert planned.reasons == ("0/4 sub-clusters: 4 against rule 'France', 4 not judged by rule 'tier x'",)


def test_each_part_is_evaluated_once_for_all_that_are_alike(monkeypatch):
    from policies.rules.library import Program

    count = 0
    evaluate = Program.evaluate

    def counting(self, values):
        nonlocal count
        count += 1
        return evaluate(self, values)

    services = [service(f"app-{index:03}", index % 4, labels={"n": str(index)}) for index in range(200)]
    fleet = [labelled(subcluster(f"s{i:02}", "ec2", "eu-central-1"), tier="ab"[i % 2], n=str(i)) for i in range(20)]
    view = request(
        services, [policy("p", rules=[rule(GOLD), rule("service.labels.n != subcluster.labels.tier")])], fleet
    )
    monkeypatch.setattr(Program, "evaluate", counting)
    RULES.opine(view.view)
    assert count == (2 + 4) + 200 * 2


def test_parts_that_differ_in_nothing_have_one_row():
    view = request([service("a"), service("b")], [], FLEET).view
    columns = Columns(view)
    assert columns.verdicts(expression("1 < 2"), [0, 1]).tolist() == [[TRUE]]
    assert columns.verdicts(expression("service.name == 'a'"), [0, 1]).tolist() == [[TRUE], [FALSE]]
    found = columns.verdicts(expression("subcluster.region == 'eastus'"), [1])
    assert found.tolist() == [[TRUE, FALSE, FALSE, FAILED]]
    assert np.array_equal(columns.verdicts(expression("!(subcluster.region == 'eastus')"), [1]), -found)


REFUSED = [
    ("", "ends too early"),
    ("service.replicas <", "column 19 of the expression: the expression ends too early"),
    ("service.replicas = 3", "column 18 of the expression: syntax error"),
    ("service.replicas + 1", "gives int, not true or false"),
    ("dyn(true)", "gives dyn, not true or false"),
    ("service.replicas < 3.0", "column 18 of the expression: `<` does not go with (int, double)"),
    ("subcluster.labels.tier == 3", "`==` does not go with (string, int)"),
    ("service.replica < 3", "column 9 of the expression: unknown field `service.replica`; did you mean `replicas`?"),
    ("true &&\n  has(subcluster.contry)", "line 2, column 7 of the expression: unknown field `subcluster.contry`; did"),
    ("has(subcluster.\nregion) &&\n subcluster.region == 3", "line 3, column 20 of the expression: `==` does not"),
    ("services.replicas < 3", "unknown name `services`; did you mean `service`?"),
    ("replicas < 3", "unknown name `replicas`; did you mean `service.replicas`?"),
    ("weather == 'fine'", "unknown name `weather`; known: fleet, now, service, subcluster"),
    ("service.name.startWith('a')", "unknown name `startWith`; did you mean `startsWith`?"),
    ("size(service.name, 2) > 3", "`size` does not take these arguments"),
    ("service['name'] == 'x'", "`service` is no value itself; read one of its fields: name, namespace, labels"),
    ("['a'].exists(service, service == 'a')", "call the loop's variable something else"),
    ("google.protobuf.Int64Value{value: 3} == 3", "can't be made here"),
    ("service.name.matches('(')", "column 21 of the expression: invalid regular expression: missing )"),
    ("service.name.matches(service.namespace)", "has to be a text that is written out"),
    (f"service.name.matches('{'a' * 101}')", "of 101 characters; write at most 100"),
    ("1 / 0 == 1", "always fails: divide by zero"),
    ("duration('soon') < duration('1h')", "always fails"),
    ("fleet.names.all(a, fleet.names.all(b, a != b))", "column 35 of the expression: a loop inside another"),
    ("[1].all(a, [2].all(b, fleet.names.all(c, c != 'x')))", "more than 2 loops inside one another"),
    ("fleet.names.map(a, a).map(b, b) == []", "a loop over what another loop gives"),
    ("fleet.names.map(a, a + a) == []", "puts texts or lists together inside a loop"),
    ("(service.name + subcluster.name).matches('^a')", "let each comparison read one of them"),
    ("fleet.names.exists(n, n == service.name || n == subcluster.name)", "a loop over the fleet may take too long"),
    ("(" * 100 + "true" + ")" * 100, "nested too deep"),
    ("[1].all(a, " * 25 + "true" + ")" * 25, "more than 2 loops inside one another"),
    ("[" * 100 + "]" * 100 + " == []", "nested too deep"),
    ("1" + " + 1" * 100 + " > 1", "nested too deep"),
    ("[" + "1," * 600 + "1] == []", f"more than {NODES}; split it"),
    ("true || " * 500 + "true", f"has 4004 characters, more than {LONGEST}"),
    ("'\ud800' == 'a'", "is not text"),
    ("'a\x00' == 3", "the expression"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_rule_is_refused_at_once(text, message):
    begun = time.perf_counter()
    with pytest.raises(ValidationError) as caught:
        RULES.schema.model_validate([rule(text)])
    assert message in caught.value.errors()[0]["msg"]
    assert caught.value.errors()[0]["loc"] == (0, "expression")
    assert time.perf_counter() - begun < 5


def test_a_tree_that_is_deeper_than_any_of_the_library_is_refused():
    def field(number, value):
        return bytes([number << 3 | 2, len(value) & 127 | 128, len(value) >> 7]) + value

    node = field(4, b"")
    for _ in range(DEEPEST):
        node = field(5, field(1, node))
    with pytest.raises(InvalidInput, match="nested more than 100 levels deep"):
        read(field(2, field(4, node)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "at least 1 item"),
        ([{"expression": "true"}], "Field required"),
        ([{"message": "x"}], "Field required"),
        ([rule("true", "")], "one line of text"),
        ([rule("true", "a\nb")], "one line of text"),
        ([rule("true", "a", "shrug")], "'deny' or 'warn'"),
        ([{**rule("true"), "when": "always"}], "Extra inputs"),
        ([rule("true")] * 101, "at most 100 items"),
        ({"expression": "true"}, "valid tuple"),
    ],
)
def test_what_is_no_section(value, message):
    with pytest.raises(ValidationError) as caught:
        RULES.schema.model_validate(value)
    assert message in str(caught.value)


def test_two_loops_are_allowed_where_one_is_over_what_is_written_out():
    assert judged("service.images.all(i, ['ex', 'registry.example/'].exists(p, i.startsWith(p)))") == {}
    assert judged("['ex', 'registry.example/'].exists(p, service.images.all(i, i.startsWith(p)))") == {}


def test_texts_that_look_like_has_are_texts():
    assert judged("service.name != \"has(service.name)\" && service.name != 'has(service.name)'") == {}
    assert judged("'has(service.name)'.size() == 17 && r'\\has(service.name)'.size() == 18 // has(service.name)") == {}


def test_every_variable_has_the_shape_that_is_declared():
    literals = {
        "bool": "false",
        "int": "-1",
        "double": "-1.5",
        "string": "'-'",
        "timestamp": "timestamp('2000-01-01T00:00:00Z')",
        "list(int)": "[-1]",
        "list(string)": "['-']",
        "map": "{'-': '-'}",
        "list(map)": "[{'-': '-'}]",
    }
    for name, fact in FACTS.items():
        assert judged(f"{name} != {literals[fact.kind]} || service.name == 'web'", [BELGIUM]) == {}
        assert judged(f"{name} == {name}", [BELGIUM], labels={"a": "b"}) == {}


def test_the_library_is_imported_with_the_first_expression_only():
    code = (
        "import sys, federation.app as app\n"
        "schemas = app.schemas()\n"
        "assert 'rules' in schemas.sections\n"
        "assert not [name for name in sys.modules if name.startswith('cel')]\n"
        "schemas.sections['rules'].model_validate([{'expression': 'true', 'message': 'x'}])\n"
        "assert 'cel_expr_python.cel' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

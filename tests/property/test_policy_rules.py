"""Rules, whatever is in them: no exception out of the engine, no order that matters, no failure that permits."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import RULES, policy, request, service, subcluster
from pydantic import ValidationError

from policies.rules.columns import FAILED, FALSE, TRUE, Columns
from policies.rules.expression import LONGEST, expression

WORDS = (
    *("service", "subcluster", "fleet", "now", "name", "labels", "tier", "replicas", "country", "images", "names"),
    *("has", "all", "exists", "map", "filter", "size", "matches", "startsWith", "dyn", "type", "duration", "timestamp"),
    *(
        "true",
        "false",
        "null",
        "0",
        "1",
        "2.5",
        "9223372036854775807",
        "'a'",
        '"b"',
        "''",
        "r'\\'",
        "//",
        "\n",
        "in",
        "x",
    ),
    *("==", "!=", "<", ">=", "&&", "||", "!", "+", "-", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]", "{", "}"),
    *("service.replicas", "subcluster.labels.tier", "subcluster.country", "service.name", "has(subcluster.country)"),
    *("fleet.names.all(x,", "service.images", "subcluster.taints.exists(x,"),
)
TIERS = st.sampled_from(["gold", "silver", None])
COMPARISONS = st.sampled_from(
    [
        "subcluster.labels.tier == 'gold'",
        "'tier' in subcluster.labels",
        "has(service.labels.tier)",
        "service.labels.tier == subcluster.labels.tier",
        "service.replicas < 3",
        "10 / service.replicas > 2",
        "service.replicas + 9223372036854775805 > 0",
        "subcluster.country == 'DE'",
        "has(subcluster.country)",
        "subcluster.country in fleet.countries",
        "service.name < subcluster.name",
        "fleet.names.exists(n, n.endsWith(service.name))",
        "service.labels['tier'].startsWith('g')",
        "int(service.name) > 1",
        "fleet.size == 3",
        "true",
    ]
)
EXPRESSIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)


@st.composite
def fleets(draw):
    """Sub-clusters of which some facts are unknown."""
    countries = draw(st.lists(st.sampled_from(["DE", "FR", None]), min_size=1, max_size=5))
    found = []
    for index, country in enumerate(countries):
        tier = draw(TIERS)
        one = subcluster(f"s{index}", "kubernetes", location={"country": country})
        labels = {"n": str(index), **({} if tier is None else {"tier": tier})}
        found.append(one.model_copy(update={"metadata": one.metadata.model_copy(update={"labels": labels})}))
    return tuple(found)


@st.composite
def applications(draw):
    """Services under names of any order."""
    names = draw(st.lists(st.sampled_from("012abcd"), min_size=1, max_size=6, unique=True))
    return tuple(
        service(name, draw(st.integers(0, 4)), labels={} if (tier := draw(TIERS)) is None else {"tier": tier})
        for name in names
    )


def _view(services, fleet, *texts):
    rules = [{"expression": text, "message": f"rule {index}"} for index, text in enumerate(texts)]
    return request(services, [policy("p", rules=rules)], fleet).view


def _refusal(text):
    """What is said of a text that is no rule; None of one that is."""
    try:
        RULES.schema.model_validate([{"expression": text, "message": "x"}])
    except ValidationError as refused:
        return refused.errors()[0]["msg"]
    return None


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_rule_or_refused_with_a_message(text):
    said = _refusal(text)
    if said is not None:
        assert "the expression" in said
        assert len(said) < 600
        return
    view = _view([service("a", 3)], [subcluster("s", "kubernetes")], text)
    denied = RULES.opine(view).denied
    assert denied is not None
    assert denied.tolist() == [[bool(RULES.explain(view, 0, 0))]]


@settings(deadline=None)
@given(st.text("([{!-'\"a.<", min_size=1).map(lambda some: (some * LONGEST)[:LONGEST]))
def test_long_texts_are_no_trouble(text):
    said = _refusal(text)
    assert said is None or "the expression" in said


@settings(deadline=None)
@given(EXPRESSIONS, applications(), fleets())
def test_columns_say_what_the_library_says_of_each_pair(text, services, fleet):
    """The whole expression, evaluated as it stands by the library, against its parts joined in columns."""
    from policies.rules.library import compiled
    from policies.rules.variables import VARIABLES

    view = _view(services, fleet, text)
    whole = compiled(text.replace("has(subcluster.country)", "has_subcluster_country"))
    term, columns = expression(text), Columns(view)
    found = np.broadcast_to(columns.verdicts(term, range(len(services))), (len(services), len(fleet)))
    for s in range(len(services)):
        for c in range(len(fleet)):
            facts = {
                name: fact.read(view, {"service": s, "subcluster": c}.get(fact.subject, 0))
                for name, fact in VARIABLES.items()
            }
            result = whole.evaluate({name: value for name, value in facts.items() if value is not None})
            assert found[s, c] == (FAILED if isinstance(result, str) else TRUE if result else FALSE)
            verdict = columns.verdict(term, s, c)
            assert isinstance(verdict, str) == isinstance(result, str)
            assert isinstance(verdict, str) or verdict == result


@settings(deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), applications(), fleets(), st.randoms(use_true_random=False))
def test_order_does_not_matter(texts, services, fleet, random):
    """Other names, and so another order, of sub-clusters and services of the same kind: the same answer for each."""
    view = _view(services, fleet, *texts)
    first = RULES.opine(view).denied
    assert first is not None
    rows, columns = list(range(len(services))), list(range(len(fleet)))
    random.shuffle(rows)
    random.shuffle(columns)
    changed = {
        "services": tuple(view.services[row] for row in rows),
        "subclusters": tuple(view.subclusters[column] for column in columns),
        "places": tuple(view.places[column] for column in columns),
        "sections": {name: tuple(each[row] for row in rows) for name, each in view.sections.items()},
        "cpu_cores": view.cpu_cores[rows],
        "memory_bytes": view.memory_bytes[rows],
        "cpu_hour_usd": view.cpu_hour_usd[columns],
        "memory_gib_hour_usd": view.memory_gib_hour_usd[columns],
    }
    second = RULES.opine(type(view)(**{**vars(view), **changed})).denied
    assert second is not None
    assert np.array_equal(second, first[np.ix_(rows, columns)])


@settings(deadline=None)
@given(EXPRESSIONS, applications(), fleets(), st.booleans())
def test_what_fails_is_denied_and_said(text, services, fleet, warn):
    rules = [{"expression": text, "message": "m", "enforcement": "warn" if warn else "deny"}]
    view = request(services, [policy("p", rules=rules)], fleet).view
    opinion = RULES.opine(view)
    mask = opinion.warned if warn else opinion.denied
    columns = Columns(view)
    for s in range(len(services)):
        for c in range(len(fleet)):
            verdict = columns.verdict(expression(text), s, c)
            reasons = RULES.explain(view, s, c)
            assert (mask is not None and bool(mask[s, c])) == (verdict is not True) == bool(reasons)
            for reason in reasons:
                assert reason.warning == warn
                assert reason.code == ("RuleFailed" if isinstance(verdict, str) else "RuleBroken")
                assert reason.message.startswith("rule 'm' ")
    if warn:
        assert opinion.denied is not None
        assert not opinion.denied.any()


@settings(deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), EXPRESSIONS, applications(), fleets())
def test_one_more_rule_permits_nothing_more(texts, another, services, fleet):
    before = RULES.opine(_view(services, fleet, *texts)).denied
    after = RULES.opine(_view(services, fleet, *texts, another)).denied
    assert before is not None
    assert after is not None
    assert (after >= before).all()

"""What `roam why-not` says comes true: its changes, made as a program would make them, make the place the choice, and
nothing less does."""

from __future__ import annotations

import copy
import re

from hypothesis import event, given, note, settings
from hypothesis import strategies as st
from planning import placement
from serving import a_subcluster
from whatif import GB, US, policy, service

from federation.app import plan_resources, schemas
from federation.cli.attempts import answer
from federation.errors import InvalidInputs
from federation.intake.resources import validate
from federation.model.meta import Key
from federation.model.quantity import parse_duration_s, parse_quantity
from federation.planner.levers import MARGIN

NAMES = ("a", "b", "c", "d")
FR = {"country": "FR", "latitude": 48.9, "longitude": 2.4, "operator": "Acme", "operatorCountry": "FR"}
LESS = 0.999
"""So much of a stated amount is not enough."""
POLICIES = (
    policy("ground", compliance={"residency": {"allow": ["EU"]}}, selector={"matchLabels": {"app": "s0"}}),
    policy("attested", compliance={"attestations": ["iso27001"], "operators": {"deny": ["US"]}}),
    policy("spend", cost={"maxHourly": "0.07 USD"}, selector={"matchLabels": {"app": "s0"}}),
    policy("users", locality={"users": [{"country": "DE"}], "latencyWorth": 0.0005, "maxLatency": "60ms"}),
    policy("two", spread={"topology": "subcluster", "minDomains": 2}, selector={"matchLabels": {"app": "s1"}}),
    policy("order", prefer=[{"matchLabels": {"tier": "gold"}}]),
    policy("rule", rules=[{"expression": "subcluster.country != 'GB'", "message": "not there", "enforcement": "deny"}]),
    policy("apart", locality={"apart": ["s1"]}, selector={"matchLabels": {"app": "s0"}}),
)


@st.composite
def fleets(draw):
    documents = []
    for name in NAMES[: draw(st.integers(2, 4))]:
        core = draw(st.sampled_from([0.01, 0.02, 0.03, 0.05]))
        spec = {
            "location": draw(st.sampled_from([US, GB, FR])),
            "pricing": {"cpuHour": core, "memoryGiBHour": core / 8},
            "capacity": {
                "cpu": draw(st.sampled_from(["1", "3", "8"])),
                "memory": draw(st.sampled_from(["3Gi", "16Gi"])),
            },
        }
        if draw(st.integers(0, 4)) == 0:
            spec["unschedulable"] = True
        if draw(st.integers(0, 4)) == 0:
            spec["taints"] = [{"key": "k", "effect": draw(st.sampled_from(["NoSchedule", "PreferNoSchedule"]))}]
        if draw(st.integers(0, 3)) == 0:
            spec["budget"] = {"hourly": draw(st.sampled_from(["0.01 USD", "0.05 USD"]))}
        if draw(st.booleans()):
            spec["attestations"] = ["iso27001"]
        document = a_subcluster(name, **spec)
        document["metadata"]["labels"] = {"tier": "gold"} if draw(st.booleans()) else {}
        documents.append(document)
    return documents


@st.composite
def worlds(draw):
    documents = draw(fleets())
    for index in range(draw(st.integers(1, 4))):
        calls = [{"service": f"s{draw(st.integers(0, 3))}", "gibPerHour": draw(st.sampled_from([0.1, 2.0]))}]
        if draw(st.booleans()):
            calls[0]["maxLatency"] = draw(st.sampled_from(["1ms", "30ms"]))
        cpu = draw(st.sampled_from(["500m", "1", "2"]))
        documents.append(service(f"s{index}", cpu=cpu, replicas=draw(st.integers(1, 3)), calls=calls))
    documents += [POLICIES[index] for index in sorted(draw(st.sets(st.integers(0, len(POLICIES) - 1), max_size=3)))]
    return documents, draw(st.booleans())


def resources(documents, running=()):
    found = schemas()
    return (*(validate(copy.deepcopy(each), found, namespace="shop") for each in documents), *running)


def committed(documents):
    """The plan of these documents, as it would run; a pin on none."""
    plan = plan_resources(resources(documents), 0.0).plan
    return [placement(each.service, **{t.subcluster: t.replicas for t in each.targets})
            for each in plan.placements if each.targets]  # fmt: skip


def changed(documents, edit, part=1.0):
    """The documents with the edit made, or with only that part of its amount."""
    documents = copy.deepcopy(documents)

    def find(kind, name):
        return next(each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name)

    kind = edit["kind"]
    spec = find("SubCluster", edit["subcluster"])["spec"] if "subcluster" in edit else None
    if kind == "uncordon":
        del spec["unschedulable"]
    elif kind == "untaint":
        spec["taints"] = [each for each in spec["taints"] if each["effect"] != edit["taint"]["effect"]]
    elif kind == "attest":
        spec["attestations"] = [*spec.get("attestations", ()), *edit["attestations"]]
    elif kind == "price":
        for field, then in (("cpuHour", edit["cpu_hour_usd"]), ("memoryGiBHour", edit["memory_gib_hour_usd"])):
            # Of two that cost the same the first by name is taken: that far an amount goes beyond the point.
            beyond = 0.0 if part == 1.0 else 3 * MARGIN
            spec["pricing"][field] += (then - spec["pricing"][field]) * part + beyond * spec["pricing"][field]
    elif kind == "capacity":
        cpu = parse_quantity(spec["capacity"]["cpu"]) + edit["more_cpu_cores"] * part
        memory = parse_quantity(spec["capacity"]["memory"]) + edit["more_memory_bytes"] * part
        spec["capacity"] = {"cpu": f"{cpu:.9f}", "memory": str(int(memory))}
    elif kind == "budget":
        spec["budget"]["hourly"] = edit["hourly_usd"] * part
    elif kind == "max-hourly":
        find(edit["object"], edit["name"])["spec"]["cost"]["maxHourly"] = edit["max_hourly_usd"] * part
    elif kind == "latency":
        index = int(re.search(r"\d+", edit["field"])[0])
        seconds = parse_duration_s(edit["max_latency"]) * part
        find(edit["object"], edit["name"])["spec"]["calls"][index]["maxLatency"] = f"{seconds * 1000:.6f}ms"
    else:
        assert kind == "drop"
        drop(find(edit["object"], edit["name"])["spec"], edit["field"].removeprefix("spec."))
    return [each for each in documents if "Policy" not in each["kind"] or each["spec"].keys() - {"selector"}]


def drop(spec, field):
    """Take the field away, and what says nothing without it."""
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"\w+", field)]
    above = [spec]
    for step in steps[:-1]:
        above.append(above[-1][step])
    for holder, step in zip(reversed(above), reversed(steps), strict=True):
        del holder[step]
        if holder:
            break


AMOUNTS = {"price", "capacity", "budget", "max-hourly", "latency"}


def verdict(documents, running, key, subcluster, plan):
    """What the place is for the service, all others held where the plan has them."""
    others = {Key(each.namespace, each.service): each.targets for each in plan.placements}
    gone = {name.name for name, targets in others.items() if not targets and name != key}
    left = [each for each in documents if each["kind"] != "Microservice" or each["metadata"]["name"] not in gone]
    held = {name: targets for name, targets in others.items() if targets and name != key}
    try:
        found = plan_resources(resources(left, running), 0.0, held=held).candidates(key)
    except InvalidInputs:
        return "contradictory"
    return next(each.verdict for each in found.candidates if each.subcluster == subcluster)


@given(worlds(), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=120, deadline=None)
def test_the_least_change_makes_it_the_choice_and_nothing_less_does(world, which, where):
    documents, runs = world
    running = committed(documents) if runs else []
    fleet = [each["metadata"]["name"] for each in documents if each["kind"] == "SubCluster"]
    services = [each["metadata"]["name"] for each in documents if each["kind"] == "Microservice"]
    key, subcluster = Key("shop", services[which % len(services)]), fleet[where % len(fleet)]
    everything = resources(documents, running)
    plan = plan_resources(everything, 0.0).plan
    found = answer(everything, key, subcluster, 0.0).document()
    edits = [each["edit"] for each in found["flip"]]
    event(f"{found['verdict']}: {'+'.join(sorted(edit['kind'] for edit in edits)) or 'nothing'}")
    if found["verdict"] == "chosen":
        assert not edits
        return
    for each in found["alone"]:
        then = verdict(changed(documents, each["edit"]), running, key, subcluster, plan)
        assert then == each["verdict"]
    if not edits:
        event(f"nothing: {[re.sub(r'[0-9.]+', 'N', each) for each in found['reasons']]}")
        return
    note(f"{key} in {subcluster}: {edits}")

    def tried(parts):
        new = documents
        for edit, part in zip(edits, parts, strict=True):
            new = changed(new, edit, part) if part else new
        return verdict(new, running, key, subcluster, plan)

    assert tried([1.0] * len(edits)) == "chosen"
    for index, edit in enumerate(edits):
        part = LESS if edit["kind"] in AMOUNTS else 0.0
        assert tried([part if at == index else 1.0 for at in range(len(edits))]) != "chosen", edit

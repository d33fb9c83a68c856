"""What a move costs once, what of that is unknown, and that nothing moves for less."""

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning import placement, planned, policy, request, service, subcluster, where

from federation.model.meta import Key
from federation.model.microservice import MicroserviceSpec
from federation.model.plan import MOVING
from federation.model.volumes import Volumes, volumes
from federation.planner.decide import Judgement, decide

DB, WEB = Key("shop", "db"), Key("shop", "web")
GIB = 2.0**30
HERE = subcluster("here", "ec2", "eu-central-1", price=(0.05, 0.0))
CHEAP = subcluster("cheap", "gce", "europe-west1", price=(0.03, 0.0))


def claim(name, size="10Gi"):
    spec = {"resources": {"requests": {"storage": size}}} if size else {}
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def with_volumes(one, *claims, templates=(), stateful=True):
    template = dict(one.spec.template)
    named = [{"name": each["metadata"]["name"], "persistentVolumeClaim": {"claimName": each["metadata"]["name"]}}
             for each in claims]  # fmt: skip
    template["spec"] = {**template["spec"], "volumes": named}
    objects = (*claims, {"kind": "StatefulSet", "spec": {"volumeClaimTemplates": list(templates)}})
    spec = one.spec.model_copy(update={"template": template, "objects": objects, "stateful": stateful})
    return one.model_copy(update={"spec": spec})


def moved(services, policies=(), *, fleet=(HERE, CHEAP), name="web", images=None, **placed):
    running = {Key("shop", name): placement(name, **(placed or {"here": 1}))}
    asked = request(services, policies, fleet, placements=running, images=images)
    return Judgement(asked, decide(asked))


def test_what_the_manifests_say_of_volumes():
    spec = with_volumes(service("db", 3), claim("a"), claim("b", None), templates=[claim("data", "2Gi")]).spec
    assert volumes(spec) == Volumes(2 * GIB, 10 * GIB, ("b",))
    assert volumes(spec).of(3) == 16 * GIB
    assert volumes(service("web").spec) == Volumes()
    missing = {"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "elsewhere"}}]}}
    assert volumes(MicroserviceSpec(template=missing)) == Volumes(unsized=("elsewhere",))


@given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["kind", "spec", "metadata", "volumeClaimTemplates", "volumes", "name"]), x)))  # fmt: skip
def test_manifests_that_make_no_sense_have_no_volumes(value):
    objects = ({"kind": "StatefulSet", "spec": value}, {"kind": "PersistentVolumeClaim", "metadata": value})
    spec = MicroserviceSpec.model_construct(template={"spec": value}, objects=objects)
    assert volumes(spec).each_bytes == 0.0


def test_a_stateless_service_pays_for_both_copies_and_is_never_down():
    judgement = moved([service("web", cpu="1")])
    found = judgement.move(WEB)
    assert where(judgement.plan, "web") == {"cheap": 1}
    assert (found.volume_bytes, found.transfer_usd, found.downtime_s) == (0, 0.0, 0.0)
    # 4 steps of 30 s and 30 s of draining, at what a core costs there.
    assert found.overlap_usd == pytest.approx(150 / 3600 * 0.03, abs=1e-9)
    assert found.saving_usd_per_hour == pytest.approx(0.02)
    assert found.payback_hours == pytest.approx(found.overlap_usd / 0.02, abs=1e-6)
    assert (found.image_bytes, found.unknown) == (None, ("the size of its images",))
    plan = planned(judgement.plan, "web")
    assert plan.terms[MOVING] == pytest.approx(found.once_usd / 72, abs=1e-9)
    assert plan.running_usd_per_hour == pytest.approx(0.03)
    assert judgement.saving(WEB) == pytest.approx((0.02, 0.05, found.overlap_usd), abs=1e-9)


def test_where_no_images_run_none_is_pulled():
    assert moved([service("web", cpu="1")], images={"cheap": False}).move(WEB).image_bytes == 0


def test_data_leaves_at_the_senders_price_and_the_pause_is_unknown():
    one = with_volumes(service("web", cpu="4"), claim("data"))
    found = moved([one]).move(WEB)
    assert found.volume_bytes == 10 * GIB
    assert found.transfer_usd == pytest.approx(10 * 0.09)  # EC2 to the internet
    assert (found.overlap_usd, found.downtime_s) == (0.0, None)
    assert any(each.startswith("how long it is down") for each in found.unknown)
    found = moved([with_volumes(service("web", cpu="4"), claim("data", None))]).move(WEB)
    assert (found.volume_bytes, found.transfer_usd) == (None, None)
    assert "the size of data" in found.unknown


def test_nothing_moves_for_less_than_its_move_costs():
    # 40 GiB cost 3.60 USD: 0.05 USD per hour within 72 hours, 0.005 within 720; cheap saves 0.02.
    one = with_volumes(service("web", cpu="1"), claim("data", "40Gi"))
    patient = policy("patient", migration={"payback": "720h"})
    assert where(moved([one]).plan, "web") == {"here": 1}
    assert where(moved([one], [patient]).plan, "web") == {"cheap": 1}
    told = next(each for each in moved([one]).candidates(WEB).candidates if each.subcluster == "cheap")
    assert told.terms == pytest.approx({"compute": 0.03, MOVING: 0.05})
    assert (
        "+0.05000 moving" in told.reasons[0]
        or "+0.0500 moving" in told.reasons[0]
        or "+0.050 moving" in told.reasons[0]
    )


def test_who_has_to_leave_saves_nothing_and_takes_the_cheaper_road():
    # A second place in the same cloud is dearer by the hour, and nearer.
    near = subcluster("near", "ec2", "eu-west-1", price=(0.04, 0.0))
    one = with_volumes(service("web", cpu="1"), claim("data", "40Gi"))
    drained = subcluster("here", "ec2", "eu-central-1", price=(0.05, 0.0), drain={})
    judgement = moved([one], fleet=(drained, CHEAP, near))
    assert where(judgement.plan, "web") == {"near": 1}
    found = judgement.move(WEB)
    assert found.transfer_usd == pytest.approx(40 * 0.02)
    assert (found.saving_usd_per_hour, found.payback_hours) == (None, None)


def test_from_a_lost_place_nothing_is_copied():
    lost = subcluster("here", "ec2", "eu-central-1", price=(0.05, 0.0), status={"health": "Lost"})
    judgement = moved([with_volumes(service("web", cpu="1"), claim("data"))], fleet=(lost, CHEAP))
    found = judgement.move(WEB)
    assert MOVING not in planned(judgement.plan, "web").terms
    assert (found.volume_bytes, found.overlap_usd) == (None, 0.0)
    assert "what has to be copied (the place that has it is lost)" in found.unknown


def test_what_is_new_or_stays_moves_nothing():
    judgement = moved([service("web"), service("new")], cheap=1)
    assert judgement.move(WEB) is None
    assert judgement.move(Key("shop", "new")) is None
    assert all(MOVING not in each.terms for each in judgement.plan.placements)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 200)), min_size=1, max_size=5))
def test_a_term_is_its_move_by_the_hour(rows):
    services = [
        with_volumes(service(f"s{i}", count, cpu=str(cpu)), claim("data", f"{gib}Gi"), stateful=bool(gib % 2))
        for i, (count, cpu, gib) in enumerate(rows)
    ]
    running = {one.key: placement(one.metadata.name, here=one.spec.replicas) for one in services}
    asked = request(services, fleet=(HERE, CHEAP), placements=running)
    judgement = Judgement(asked, decide(asked))
    for each in judgement.plan.placements:
        found = judgement.move(Key("shop", each.service))
        assert each.terms.get(MOVING, 0.0) == pytest.approx(found.once_usd / 72 if found else 0.0, abs=2e-9)
        assert round(fsum(each.terms.values()), 9) == each.cost_usd_per_hour
        if found is not None:
            assert found.payback_hours <= 72

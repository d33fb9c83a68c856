"""Sub-clusters that sell whole machines: whose price counts, what is bought, and what the plan says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning import ENGINES, places, planned, policy, request, service, subcluster, where

from federation.atlas.machines import is_sold, machines_of
from federation.atlas.prices import Price, Prices
from federation.model.meta import Key
from federation.model.microservice import Microservice
from federation.model.offers import PRICE_LIMIT_S, Offer, capacity_of, remembered
from federation.model.plan import Plan
from federation.model.policy import Policy
from federation.model.subcluster import SubCluster
from federation.planner.decide import decide
from federation.planner.explain import explain
from federation.planner.request import PlanRequest, prepare
from federation.planner.world import World, notices

GIB = 2.0**30
DAY = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
MEDIUM, LARGE = {"type": "t3.medium", "hourly": 0.048, "spotHourly": 0.016}, {"type": "m6i.large", "hourly": 0.115}
FILE = Prices(
    date(2026, 3, 2),
    (
        Price("aws", "eu-central-1", "t3.medium", "machine", 0.05, date(2026, 3, 2)),
        Price("aws", "eu-central-1", "m6i.large", "machine", 1.15, date(2026, 3, 2), doubt="10 times those elsewhere"),
    ),
)


def vms(name: str, *instances: dict[str, Any], offers: tuple[Offer, ...] = (), **spec: Any) -> SubCluster:
    provider, region = ("gce", "europe-west3") if name.startswith("gce") else ("ec2", "eu-central-1")
    found = subcluster(name, provider, region, price=None, instances=list(instances), **spec)
    return found.model_copy(update={"status": found.status.model_copy(update={"offers": offers})})


def sold(name: str, usd: float | None = None, spot: float | None = None, **more: Any) -> Offer:
    size = {"cpu_cores": 2.0, "memory_bytes": 4 * GIB, **more}
    return Offer(name=name, instance_type=name, usd_per_hour=usd, spot_usd_per_hour=spot, **size)


def asked(
    services: list[Microservice],
    fleet: tuple[SubCluster, ...],
    policies: tuple[Policy, ...] = (),
    *,
    prices: Prices | None = None,
    now: float = DAY,
) -> PlanRequest:
    return prepare(World(fleet, tuple(services), policies), ENGINES, places(fleet), now, prices=prices)


def cost(plan: Plan, name: str = "web") -> float:
    return planned(plan, name).cost_usd_per_hour


def price_of(there: SubCluster, prices: Prices | None = None) -> dict[str, tuple[float | None, float | None, str]]:
    found = machines_of(there, places([there])[there.metadata.name], prices)
    return {one.instance_type: (one.usd_per_hour, one.spot_usd_per_hour, one.origin) for one in found}


# --- whose word counts


def test_the_driver_goes_before_the_spec_and_the_spec_before_the_file() -> None:
    medium = {"type": "t3.medium"}
    quoted = sold("t3.medium", 0.04, 0.01, origin="EC2 price list", as_of=DAY)
    file, none = FILE, None
    assert price_of(vms("a", medium), file) == {"t3.medium": (0.05, None, "libcloud's price file")}
    assert price_of(vms("a", medium), none) == {"t3.medium": (None, None, "")}
    assert price_of(vms("a", MEDIUM), file) == {"t3.medium": (0.048, 0.016, "spec.instances")}
    assert price_of(vms("a", MEDIUM, offers=(quoted,)), file) == {"t3.medium": (0.04, 0.01, "EC2 price list")}
    both = {"t3.medium": (0.05, 0.016, "libcloud's price file, spot by spec.instances")}
    assert price_of(vms("a", {**medium, "spotHourly": 0.016}), file) == both
    silent = quoted.model_copy(update={"usd_per_hour": None, "spot_usd_per_hour": None})
    assert price_of(vms("a", medium, offers=(silent,)), file) == {"t3.medium": (0.05, None, "libcloud's price file")}


def test_what_a_driver_offers_is_all_sold_unless_the_spec_names_some() -> None:
    offers = (sold("m6i.large", 0.1), sold("t3.medium", 0.04))
    assert list(price_of(vms("a", offers=offers))) == ["m6i.large", "t3.medium"]
    assert list(price_of(vms("a", {"type": "t3.medium"}, offers=offers))) == ["t3.medium"]
    assert is_sold(vms("a", offers=offers))
    assert not is_sold(vms("a"))
    assert price_of(vms("a", offers=(Offer(name="all", cpu_cores=4, memory_bytes=GIB),))) == {}


def test_sizes_are_the_drivers_the_specs_or_the_atlas() -> None:
    def sizes(*instances: dict[str, Any], offers: tuple[Offer, ...] = ()) -> list[tuple[float, float]]:
        there = vms("a", *instances, offers=offers)
        found = machines_of(there, places([there])["a"], None)
        return [(one.cpu_cores, one.memory_bytes / GIB) for one in found]

    own = {"type": "t3.medium", "cpu": "3", "memory": "6Gi"}
    assert sizes({"type": "t3.medium"}) == [(2, 4)]
    assert sizes(own) == [(3, 6)]
    assert sizes(own, offers=(sold("t3.medium", cpu_cores=5, memory_bytes=GIB),)) == [(5, 1)]
    assert sizes({"type": "never-heard-of"}) == [(0, 0)]


def test_of_the_types_that_the_spec_names_those_are_sold_that_the_driver_offers() -> None:
    offers = (sold("t3.medium", 0.04),)
    named = vms("a", {"type": "t3.medium"}, {"type": "m6i.large", "hourly": 0.01}, offers=offers)
    assert price_of(named, FILE) == {"m6i.large": (None, None, ""), "t3.medium": (0.04, None, "")}
    none = vms("a", {"type": "m6i.large"}, offers=offers, pricing={"cpuHour": 0.01, "memoryGiBHour": 0.001})
    found = decide(asked([service("web")], (none,)))
    assert planned(found, "web").reasons == ("0/1 sub-clusters: 1 without a known compute price",)


def test_a_price_that_a_driver_knew_is_remembered_with_its_age() -> None:
    old = (sold("a", 0.04, 0.01, origin="x", as_of=DAY), sold("b", 0.1, as_of=DAY))
    new = (
        sold("a", cpu_cores=4.0),
        sold("b", 0.2, as_of=DAY + 1),
        sold("c"),
        Offer(name="d", cpu_cores=1, memory_bytes=1),
    )
    found = remembered(new, old)
    assert [one.usd_per_hour for one in found] == [0.04, 0.2, None, None]
    assert (found[0].cpu_cores, found[0].spot_usd_per_hour, found[0].origin, found[0].as_of) == (4.0, 0.01, "x", DAY)
    assert found[1:] == new[1:]


def test_machines_are_no_capacity() -> None:
    whole = Offer(name="all", cpu_cores=8, memory_bytes=16 * GIB)
    assert capacity_of((sold("a", 1.0), whole)) == (8, 16 * GIB)
    assert capacity_of((sold("a", 1.0),)) == (float("inf"), float("inf"))
    there = vms("vms", MEDIUM, offers=(whole,))
    found = asked([service("web", 20, cpu="1")], (there,))
    assert found.view.capacity_cpu_cores.tolist() == [8]
    assert planned(decide(found), "web").verdict == "full"


# --- what is bought


def test_a_service_costs_whole_machines() -> None:
    fleet = (vms("vms", MEDIUM, LARGE),)
    for replicas, usd in ((1, 0.048), (4, 0.048), (5, 0.096), (9, 0.144)):
        plan = decide(asked([service("web", replicas, cpu="500m", memory="1Gi")], fleet))
        assert cost(plan) == pytest.approx(usd)
    reasons = planned(decide(asked([service("web", 3, cpu="2", memory="2Gi")], fleet)), "web").reasons
    assert reasons == ("vms: 0.144 compute", "buys 3x t3.medium on demand")


def test_what_is_cheaper_in_fractions_may_be_dearer_in_machines() -> None:
    cluster = subcluster("cluster", "ec2", "eu-central-1", price=(0.03, 0.003))
    machines = vms("vms", {"type": "big", "cpu": "16", "memory": "64Gi", "hourly": 0.32})
    for replicas, place in ((1, "cluster"), (16, "vms")):
        assert where(decide(asked([service("web", replicas, cpu="1")], (cluster, machines))), "web") == {
            place: replicas
        }


def test_spot_is_bought_within_the_share_of_the_strongest_policy() -> None:
    def bought(*policies: Policy) -> tuple[str, ...]:
        found = decide(asked([service("web", 4, cpu="2", memory="2Gi")], (vms("vms", MEDIUM),), policies))
        return planned(found, "web").reasons[1:]

    some = policy("some", cost={"spot": "50%"})
    assert bought() == ("buys 4x t3.medium on demand",)
    assert bought(some) == ("buys 2x t3.medium on demand + 2x t3.medium spot",)
    assert bought(policy("third", cost={"spot": "33%"})) == ("buys 3x t3.medium on demand + 1x t3.medium spot",)
    assert bought(some, policy("none", precedence=1, cost={"spot": 0})) == ("buys 4x t3.medium on demand",)
    assert bought(some, policy("all", precedence=1, cost={"spot": "100%"})) == ("buys 4x t3.medium spot",)
    assert bought(policy("other", selector={"app": "other"}, cost={"spot": 1})) == ("buys 4x t3.medium on demand",)


def test_two_shares_of_one_precedence_are_a_conflict() -> None:
    found = asked(
        [service("web")], (vms("vms", MEDIUM),), (policy("a", cost={"spot": "50%"}), policy("b", cost={"spot": 0.2}))
    )
    assert found.conflicts == {
        Key("shop", "web"): (
            "cost.spot: ClusterPlacementPolicy a says 50% and ClusterPlacementPolicy b says 20%, both with precedence "
            "0; give one of them a higher precedence",
        )
    }


def test_an_unknown_price_is_no_candidate() -> None:
    fleet = (vms("vms", {"type": "t3.medium"}), vms("gce-dear", {"type": "e2-standard-2", "hourly": 9}))
    found = asked([service("web")], fleet)
    plan = decide(found)
    assert where(plan, "web") == {"gce-dear": 1}
    assert planned(plan, "web").reasons[1:] == (
        "buys 1x e2-standard-2 on demand",
        "1/2 sub-clusters: 1 without a known compute price",
    )
    text = explain(found, plan, Key("shop", "web")).candidates[1].reasons
    assert text == ("no compute price is known there, and unknown is not free; state spec.instances (spec.instances)",)


def test_a_replica_that_fits_no_machine_is_denied() -> None:
    found = decide(asked([service("web", cpu="4", memory="20Gi")], (vms("vms", MEDIUM, LARGE),)))
    assert planned(found, "web").verdict == "denied"
    assert planned(found, "web").reasons == ("0/1 sub-clusters: 1 without a large enough instance type",)
    told = explain(asked([service("web", cpu="4")], (vms("vms", MEDIUM),)), found, Key("shop", "web"))
    assert told.candidates[0].reasons == (
        "no instance type there holds a replica of 4 CPU and 0.5 GiB; the largest is t3.medium of 2 CPU and 4 GiB "
        "(spec.instances)",
    )


def test_no_replicas_cost_nothing() -> None:
    plan = decide(asked([service("web", 0)], (vms("vms", MEDIUM),)))
    assert (cost(plan), planned(plan, "web").reasons) == (0.0, ("vms: 0.000",))


def test_an_old_or_doubtful_price_is_used_and_marked() -> None:
    small = [service("web", cpu="1", memory="1Gi")]
    large = [service("web", cpu="1", memory="6Gi")]
    fleet = (vms("vms", {"type": "t3.medium"}, {"type": "m6i.large"}),)

    def note(services: list[Microservice], now: float) -> str:
        plan = decide(asked(services, fleet, prices=FILE, now=now))
        assert planned(plan, "web").verdict == "placed"
        return planned(plan, "web").reasons[1]

    later = DAY + PRICE_LIMIT_S
    assert note(small, later) == "buys 1x t3.medium on demand"
    assert note(small, later + 86400) == (
        "buys 1x t3.medium on demand (old price: of 2026-03-02, by libcloud's price file)"
    )
    assert note(large, DAY) == (
        "buys 1x m6i.large on demand (the price of m6i.large is doubtful: 10 times those elsewhere)"
    )


def test_the_drivers_price_decides_once_it_is_there() -> None:
    web = [service("web", cpu="1", memory="1Gi")]
    file = vms("vms", {"type": "t3.medium"})
    cluster = subcluster("cluster", "ec2", "eu-central-1", price=(0.045, 0.0))
    assert where(decide(asked(web, (file, cluster), prices=FILE)), "web") == {"cluster": 1}
    quoted = vms("vms", {"type": "t3.medium"}, offers=(sold("t3.medium", 0.04, origin="EC2"),))
    assert where(decide(asked(web, (quoted, cluster), prices=FILE)), "web") == {"vms": 1}


def test_a_part_of_a_divided_service_buys_its_own_machines() -> None:
    """Both replicas would fit on one machine; in two clouds they need two."""
    fleet = (vms("ec2-a", MEDIUM), vms("gce-b", {"type": "e2-medium", "hourly": 0.05}))
    two = policy("two", spread={"topology": "provider", "minDomains": 2})
    web = [service("web", 2, cpu="500m", memory="1Gi")]
    assert cost(decide(asked(web, fleet))) == pytest.approx(0.048)
    plan = decide(asked(web, fleet, (two,)))
    assert cost(plan) == pytest.approx(0.048 + 0.05)
    assert planned(plan, "web").reasons[1:] == (
        "in ec2-a: 1 of 2 replicas, at a price that buys 1x t3.medium on demand for 1 replica",
        "in gce-b: 1 of 2 replicas, at a price that buys 1x e2-medium on demand for 1 replica",
    )


@given(
    st.integers(2, 9),
    st.integers(2, 3),
    st.sampled_from(["250m", "500m", "1", "1500m", "2"]),
    st.sampled_from(["0%", "34%", "50%", "100%"]),
)
def test_equal_parts_cost_what_each_of_them_would_alone(part: int, count: int, cpu: str, spot: str) -> None:
    names = ("ec2-a", "gce-b", "azure-c")[:count]
    fleet = tuple(
        subcluster(name, name[:-2], region, price=None, instances=[MEDIUM, {**LARGE, "spotHourly": 0.04}])
        for name, region in zip(names, ("eu-central-1", "europe-west3", "westeurope"), strict=False)
    )
    fleet = tuple(sized(each) for each in fleet)
    rules = (
        policy("spot", cost={"spot": spot}),
        policy("spread", spread={"topology": "provider", "minDomains": count}),
    )
    divided = decide(asked([service("web", part * count, cpu=cpu)], fleet, rules))
    alone = decide(asked([service("web", part, cpu=cpu)], fleet[:1], rules[:1]))
    assert cost(divided) == pytest.approx(count * cost(alone))


def sized(each: SubCluster) -> SubCluster:
    """With sizes stated, for clouds whose types these are not."""
    sizes = {"t3.medium": ("2", "4Gi"), "m6i.large": ("2", "8Gi")}
    types = tuple(
        one.model_copy(update=dict(zip(("cpu", "memory"), sizes[one.type], strict=True))) for one in each.spec.instances
    )
    return each.model_copy(update={"spec": each.spec.model_copy(update={"instances": types})})


def test_nothing_changes_where_no_machines_are_sold() -> None:
    fleet = (subcluster("a", "ec2", "eu-central-1"), subcluster("b", "gce", "europe-west3", price=None))
    found = request([service("web", 2, cpu="1", memory="1Gi")], fleet=fleet)
    (usd, unknown) = found.prices["compute"][0].tolist()
    assert usd == pytest.approx(2 * 0.034)
    assert isnan(unknown)
    assert all(opinion.noted is None for opinion in found.opinions)


def test_unknown_capacity_is_told_of_machines_too() -> None:
    world = World((vms("vms", MEDIUM),), ())
    assert notices(world) == ("vms: cores and memory unknown, taken as unlimited",)
    assert notices(replace(world, subclusters=(vms("vms", MEDIUM, capacity={"cpu": "8", "memory": "8Gi"}),))) == ()


def test_an_old_price_of_cores_is_marked_too() -> None:
    offer = Offer(name="all", cpu_cores=8, memory_bytes=2.0**36, cpu_hour_usd=0.03, memory_gib_hour_usd=0.0, origin="x")
    there = subcluster("a", "ec2", "eu-central-1")

    def reasons(as_of: float) -> tuple[str, ...]:
        status = there.status.model_copy(update={"offers": (offer.model_copy(update={"as_of": as_of}),)})
        fleet = (there.model_copy(update={"status": status}),)
        return planned(decide(asked([service("web", cpu="1")], fleet)), "web").reasons

    assert reasons(DAY) == ("a: 0.030 compute",)
    assert reasons(DAY - 2 * PRICE_LIMIT_S) == ("a: 0.030 compute", "old price: of 2026-01-01, by x")


def test_what_is_far_off_the_price_file_or_the_others_there_is_doubted() -> None:
    def doubts(*instances: dict[str, Any], prices: Prices | None = None) -> dict[str, str]:
        there = vms("a", *instances)
        found = machines_of(there, places([there])["a"], prices)
        return {one.instance_type: one.doubt for one in found if one.doubt}

    medium, large, xlarge = (
        {"type": f"t3.{size}", "hourly": usd} for size, usd in (("medium", 0.048), ("large", 0.096), ("xlarge", 0.192))
    )
    slip = {"type": "m6i.large", "hourly": 1.15}
    assert doubts(medium, large, xlarge) == {}
    assert doubts(slip) == {}, "nothing to compare with"
    assert doubts(medium, large, xlarge, slip) == {"m6i.large": "12 times those of the others there, by size"}
    typed = {"type": "t3.medium", "hourly": 0.48}
    assert doubts(typed, prices=FILE) == {}
    assert doubts({**typed, "hourly": 0.5}, prices=FILE) == {"t3.medium": "10 times those in libcloud's price file"}
    assert doubts({**typed, "hourly": 0.005}, prices=FILE) == {"t3.medium": "0.1 times those in libcloud's price file"}

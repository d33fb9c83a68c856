"""The price file of libcloud: zeros are unknown, and what can't be true is marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.atlas.prices import ORIGIN, bundled, read
from federation.errors import InvalidInput

MARCH = 1740936978
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "sa-east-1")


def a_file(**tables: Any) -> dict[str, Any]:
    return {"updated": MARCH, "compute": {"ec2_linux": {}, "azure_linux": {}, "gce_instances": {}, **tables}}


def everywhere(usd: float, **others: float) -> dict[str, float]:
    return {**dict.fromkeys(REGIONS, usd), **{name.replace("_", "-"): price for name, price in others.items()}}


@pytest.fixture
def fresh() -> Iterator[None]:
    bundled.cache_clear()
    yield
    bundled.cache_clear()


def test_a_price_has_origin_and_age() -> None:
    prices = read(
        a_file(ec2_linux={"m5.large": everywhere(0.115)}, azure_linux={"standardd2sv3": {"westeurope": 0.12}})
    )
    found = prices.machine("aws", "eu-central-1", "m5.large")
    assert found is not None
    assert (found.usd_per_hour, found.origin, found.as_of, found.doubt) == (0.115, ORIGIN, date(2025, 3, 2), "")
    assert found.age_days(date(2025, 3, 12)) == 10
    azure = prices.machine("azure", "westeurope", "Standard_D2s_v3")
    assert azure is not None
    assert azure.usd_per_hour == 0.12


def by_region(**markets: float) -> dict[str, Any]:
    return {name: {"europe-west3": {"price": usd, "sku": "x"}} for name, usd in markets.items()}


def test_a_machine_of_a_family_costs_its_cores_and_its_memory() -> None:
    n2 = {"cpu": by_region(on_demand=0.04, preemptible=0.01), "ram": by_region(on_demand=0.005)}
    f1 = {"cpu": by_region(on_demand=0.008, preemptible=0.004)}
    prices = read(a_file(gce_instances={"n2": n2, "f1": f1, "n2d": {"ram": by_region(on_demand=0.005)}}))
    found = prices.machine("gcp", "europe-west3", "n2-standard-4")
    assert found is not None
    assert (found.usd_per_hour, found.unit, found.spot) == (pytest.approx(4 * 0.04 + 16 * 0.005), "machine", False)
    assert prices.machine("gcp", "europe-west3", "n2-standard-4", spot=True) is None, "its memory at spot is unknown"
    assert prices.machine("gcp", "europe-west3", "n2-standard-5") is None, "no such size"
    assert prices.machine("gcp", "europe-west3", "n2d-standard-4") is None, "its cores are unknown"
    micro = prices.machine("gcp", "europe-west3", "f1-micro", spot=True)
    assert micro is not None
    assert (micro.usd_per_hour, micro.unit, micro.spot) == (0.004, "machine", True)


def test_a_doubtful_part_makes_the_machine_doubtful() -> None:
    regions = {f"europe-west{number}": {"price": 0.04} for number in (1, 2, 3, 4, 6)}
    dear = {**regions, "europe-west3": {"price": 4.0}}
    prices = read(a_file(gce_instances={"n2": {"cpu": {"on_demand": dear}, "ram": {"on_demand": regions}}}))
    found, fine = (prices.machine("gcp", region, "n2-standard-2") for region in ("europe-west3", "europe-west1"))
    assert found is not None
    assert fine is not None
    assert (found.doubt, fine.doubt) == ("its core price is 100 times those in other regions", "")


def test_a_zero_is_unknown_and_a_place_that_is_no_region_is_left_out() -> None:
    prices = read(a_file(ec2_linux={"m5.large": {"eu-central-1": 0.0, "eu-west-1": 0, "us-west-2-lax-1": 0.1}}))
    assert prices.all == ()
    assert prices.machine("aws", "eu-central-1", "m5.large") is None


@pytest.mark.parametrize(
    ("table", "doubtful"),
    [
        ({"m5.large": everywhere(0.1, eu_central_1=1.0)}, {("m5.large", "eu-central-1")}),
        ({"m5.large": everywhere(0.1, eu_central_1=0.01)}, {("m5.large", "eu-central-1")}),
        ({"m5.large": everywhere(0.1, eu_central_1=0.9)}, set()),
        # Wrong everywhere: its family tells, size by size.
        (
            {
                "m5.large": everywhere(0.1),
                "m5.xlarge": everywhere(0.2),
                "m5.2xlarge": everywhere(0.4),
                "m5.24xlarge": everywhere(0.048),
            },
            {("m5.24xlarge", region) for region in REGIONS},
        ),
        # Too few neighbours to tell, and a size that its name does not tell.
        ({"m5.large": {"eu-central-1": 0.1, "eu-west-1": 5.0}}, set()),
        ({"m5.large": everywhere(0.1), "m5.metal": everywhere(5.0)}, set()),
    ],
)
def test_what_is_far_off_its_neighbours_is_marked(
    table: dict[str, dict[str, float]], doubtful: set[tuple[str, str]]
) -> None:
    found = read(a_file(ec2_linux=table)).all
    assert {(one.shape, one.region) for one in found if one.doubt} == doubtful


def test_a_doubt_says_why() -> None:
    prices = read(a_file(ec2_linux={"m5.large": everywhere(0.1, eu_central_1=2.0)}))
    found = prices.machine("aws", "eu-central-1", "m5.large")
    assert found is not None
    assert found.doubt == "20 times those in other regions"


def test_sizes_of_azure_are_their_cores() -> None:
    sizes = {2: 0.1, 4: 0.2, 8: 0.4, 16: 0.8, 32: 0.16}
    table = {f"standardd{cores}sv3": {"westeurope": usd} for cores, usd in sizes.items()}
    found = read(a_file(azure_linux=table)).all
    assert {one.shape for one in found if one.doubt} == {"standardd32sv3"}


PRICE = st.floats(0, 1000, allow_nan=False)
TABLE = st.dictionaries(
    st.sampled_from(["m5.large", "m5.xlarge", "c5.nano", "odd"]), st.dictionaries(st.sampled_from(REGIONS), PRICE)
)


@given(TABLE)
def test_every_price_is_there_once_unless_it_is_unknown(table: dict[str, dict[str, float]]) -> None:
    prices = read(a_file(ec2_linux=table))
    for shape, by_region in table.items():
        for region, usd in by_region.items():
            found = prices.machine("aws", region, shape)
            assert (found.usd_per_hour if found else 0.0) == usd
    assert all(one.usd_per_hour > 0 for one in prices.all)


def test_of_the_libcloud_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None) -> None:
    """Found beside its package, which is not imported."""
    folder = tmp_path / "libcloud" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "libcloud" / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "pricing.json").write_text(json.dumps(a_file(ec2_linux={"m5.large": everywhere(0.115)})))
    monkeypatch.syspath_prepend(tmp_path)
    prices = bundled()
    assert prices is not None
    assert len(prices.all) == len(REGIONS)


def test_a_file_that_is_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None) -> None:
    folder = tmp_path / "libcloud" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "libcloud" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for text in ("{", "[]", "{}", '{"updated": 1, "compute": {"ec2_linux": 3}}'):
        (folder / "pricing.json").write_text(text)
        with pytest.raises(InvalidInput, match="not a price file of libcloud"):
            bundled()
    (folder / "pricing.json").unlink()
    assert bundled() is None

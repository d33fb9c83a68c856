"""The atlas's data: no gaps, no impossible values, nothing missing that others know."""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import date
from itertools import pairwise, product
from pathlib import Path

import pytest

from federation.atlas import data
from federation.atlas.distance import distance_km
from federation.atlas.lookup import country_place, find_region, members, region_place
from federation.atlas.transfer import ANYWHERE, OTHER, RELATIONS

FILES = ("countries.csv", "instances.csv", "jurisdictions.csv", "operators.csv", "regions.csv", "tariffs.csv")
OPTIONAL = {"operator", "operator_country", "partition"}
CONTINENTS = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
ELSEWHERE = Path(__file__).parents[1] / "fixtures" / "atlas" / "regions-elsewhere.csv"

FREE = {
    # Between zones of one region.
    **{
        cloud: {"same_region"}
        for cloud in ("azure", "digitalocean", "hetzner", "linode", "oracle", "rackspace", "vultr")
    },
    # Traffic is part of the price of the machine, at least from some continents; an own line is paid by its capacity.
    **{cloud: set(RELATIONS) for cloud in ("onprem", "ovh", "scaleway", "upcloud")},
}
"""What costs nothing, by cloud; that within one zone never does."""
CHEAPER_FAR_AWAY = {("gcp", "SA"): "Google asks less for the internet than for its own network in South America"}
"""Where going further costs less, and why."""
ASSUMED = {"alibaba", "exoscale", "ibm", "tencent"}
"""Clouds with regions but without a tariff: their price lists were not at hand, the assumed tariff holds."""


@pytest.mark.parametrize("name", FILES)
def test_each_row_is_complete_and_says_where_it_is_from_and_when(name: str) -> None:
    rows = data.rows(name)
    assert rows
    for row in rows:
        gaps = [column for column, value in row.items() if not value and column not in OPTIONAL]
        assert not gaps, row
        assert None not in row, f"too many columns: {row}"
        assert all(value == value.strip() for value in row.values())
        assert date(2020, 1, 1) <= date.fromisoformat(row["as_of"]) <= date(2100, 1, 1)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("countries.csv", ["code"]),
        ("instances.csv", ["cloud", "type"]),
        ("jurisdictions.csv", ["code"]),
        ("operators.csv", ["cloud"]),
        ("regions.csv", ["cloud", "name"]),
        ("tariffs.csv", ["cloud", "sender", "relation"]),
    ],
)
def test_no_row_is_there_twice(name: str, columns: list[str]) -> None:
    counted = Counter(tuple(row[column] for column in columns) for row in data.rows(name))
    assert [key for key, count in counted.items() if count > 1] == []


def test_countries() -> None:
    countries = data.countries()
    assert len(countries) == 249
    assert len({country.name for country in countries.values()}) == 249
    for country in countries.values():
        assert re.fullmatch("[A-Z]{2}", country.code)
        assert country.continent in CONTINENTS
        assert -90 <= country.latitude <= 90
        assert -180 <= country.longitude <= 180


WIDE_KM = {"AU": 3300, "BR": 1100, "CA": 3400, "CN": 2100, "IN": 2000, "US": 8000}
"""How far from its point a large country has regions, at most; the others are within 1,300 km of theirs."""


def test_regions_stand_in_known_countries_near_their_country() -> None:
    for region in data.regions().values():
        assert region.country in data.countries(), region
        assert region.operator_country in data.countries(), region
        assert region.operator
        assert -90 <= region.latitude <= 90
        assert -180 <= region.longitude <= 180
        distance = distance_km(region_place(region.full_name), country_place(region.country))
        assert distance is not None
        assert distance < WIDE_KM.get(region.country, 1300), region


def test_no_region_stands_where_another_country_is() -> None:
    """City states aside: a region that is away from its country's point is not at another's."""
    for region in data.regions().values():
        place = region_place(region.full_name)
        if (distance_km(place, country_place(region.country)) or 0.0) > 100:
            others = data.countries().keys() - {region.country}
            assert min(distance_km(place, country_place(code)) or 0.0 for code in others) > 20, region


def test_region_names() -> None:
    """Those of the clouds that are listed as a whole are unique, as a name without a cloud means theirs."""
    whole = [region for region in data.regions().values() if region.cloud in data.complete_clouds()]
    assert {region.cloud for region in whole} == {"aws", "azure", "gcp"}
    assert len({region.name for region in whole}) == len(whole)
    for region in data.regions().values():
        assert re.fullmatch("[a-z0-9-]+" if region.cloud != "ovh" else "[A-Z0-9-]+", region.name)
        assert not region.name.startswith("-")


def test_regions_of_one_city_have_one_pair_of_coordinates() -> None:
    found: dict[tuple[str, str], set[tuple[float, float]]] = {}
    for region in data.regions().values():
        found.setdefault((region.country, region.city), set()).add((region.latitude, region.longitude))
    assert [city for city, places in found.items() if len(places) > 1] == []


def test_every_region_that_others_know_is_there_in_the_same_country() -> None:
    """What the SDKs' own data files list (region ids and countries only; partitions that the public can use)."""
    with ELSEWHERE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 70
    known = {(region.cloud, region.name, region.country) for region in data.regions().values()}
    assert {(row["cloud"], row["name"], row["country"]) for row in rows} - known == set()


@pytest.mark.parametrize(
    ("name", "operator", "law", "partition"),
    [
        ("cn-north-1", "Sinnet", "CN", "aws-cn"),
        ("cn-northwest-1", "NWCD", "CN", "aws-cn"),
        ("chinanorth3", "21Vianet", "CN", "azure-china"),
        ("us-gov-west-1", "Amazon", "US", "aws-us-gov"),
        ("usgovvirginia", "Microsoft", "US", "azure-us-gov"),
        ("u-france-east1", "S3NS", "FR", "s3ns"),
        # They belong to US companies, which a rule against US operators has to count.
        ("eusc-de-east-1", "AWS European Sovereign Cloud GmbH (of Amazon)", "US", "aws-eusc"),
        ("eu-madrid-2", "EU companies of Oracle", "US", "oracle-eu-sovereign"),
        ("US-EAST-VA-1", "OVHcloud US", "US", "ovh-us"),
        ("eu-central-1", "Amazon", "US", None),
    ],
)
def test_operators_of_partitions(name: str, operator: str, law: str, partition: str | None) -> None:
    region = find_region(name)
    assert (region.operator, region.operator_country, region.partition) == (operator, law, partition)


def test_another_operator_means_another_partition() -> None:
    for region in data.regions().values():
        if region.operator != data.operators()[region.cloud].name:
            assert region.partition, region


def test_jurisdictions() -> None:
    for code, one in data.jurisdictions().items():
        assert one.members, code
        assert one.members <= data.countries().keys(), code
        assert code not in data.countries(), "a code means one thing"
    assert len(members("EU")) == 27
    assert members("EEA") == members("EU") | {"IS", "LI", "NO"}
    assert members("EEA") - members("EU") < members("EFTA")
    assert members("Schengen") == (members("EEA") | {"CH"}) - {"CY", "IE"}
    assert members("UK") == members("GB") == {"GB"}
    adequate = members("GDPR-adequate") - members("EEA")
    assert adequate == {*["AD", "AR", "BR", "CA", "CH", "FO", "GB", "GG", "IL", "IM", "JE", "JP", "KR", "NZ", "UY"]}
    assert members("Baltics") < members("EU")
    assert len(members("APEC-CBPR")) == 9


def test_every_cloud_has_an_operator_and_a_whole_tariff() -> None:
    clouds = {cloud for cloud, _, _ in data.tariffs()}
    standing = {region.cloud for region in data.regions().values()}
    assert standing <= data.operators().keys()
    assert standing - clouds == ASSUMED
    assert clouds - standing == {data.ONPREM, OTHER}
    assert {
        one.cloud for one in data.operators().values() if one.regions == "none"
    } == data.operators().keys() - standing
    assert {one.regions for one in data.operators().values()} == {"all", "some", "none"}
    for cloud, how in product(clouds, RELATIONS):
        assert (cloud, ANYWHERE, how) in data.tariffs()
    for operator in data.operators().values():
        assert operator.country in data.countries()


def test_senders_are_continents_or_regions_of_the_cloud() -> None:
    for cloud, sender, how in data.tariffs():
        assert sender == ANYWHERE or sender in CONTINENTS or (cloud, sender) in data.regions()
        assert how in RELATIONS


def test_tariffs_have_one_source_and_date_for_each_sender() -> None:
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for one in data.tariffs().values():
        found.setdefault((one.cloud, one.sender), set()).add((one.source, one.as_of))
    assert [key for key, sources in found.items() if len(sources) > 1] == []


def test_no_price_is_negative_and_only_what_is_free_costs_nothing() -> None:
    for (cloud, _, how), one in data.tariffs().items():
        assert 0 <= one.usd_per_gib < 1
        if one.usd_per_gib == 0:
            assert how == "same_zone" or how in FREE.get(cloud, ()), one


def test_further_never_costs_less() -> None:
    found = set()
    for cloud, sender in {(cloud, sender) for cloud, sender, _ in data.tariffs()}:
        prices = [data.tariffs().get((cloud, sender, how)) or data.tariffs()[cloud, ANYWHERE, how] for how in RELATIONS]
        if any(nearer.usd_per_gib > further.usd_per_gib for nearer, further in pairwise(prices)):
            found.add((cloud, sender))
    assert found == CHEAPER_FAR_AWAY.keys()


def test_instance_types_have_sizes_that_exist() -> None:
    """Between a slice of a core and the largest server that is rented out."""
    for one in data.instances().values():
        assert one.cloud in data.complete_clouds()
        assert 0.1 <= one.cpu_cores <= 1000
        assert 0.25 <= one.memory_gib <= 33_000
        assert 0.25 <= one.memory_gib / one.cpu_cores <= 65, one
    known = {name: (one.cpu_cores, one.memory_gib) for (_, name), one in data.instances().items()}
    assert known["t3.medium"] == (2, 4)
    assert known["m6i.xlarge"] == (4, 16)
    assert known["Standard_D4s_v4"] == (4, 16)
    assert known["n2-standard-4"] == (4, 16)
    assert known["e2-micro"] == (0.25, 1)

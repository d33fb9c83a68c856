"""The atlas: data without gaps or impossible values, and what is computed from it."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date
from itertools import product

import pytest

from federation.atlas import data
from federation.atlas.distance import FLOOR_MS, distance_km, latency_matrix, latency_ms
from federation.atlas.lookup import country_place, is_known, members, place_of, region_place
from federation.atlas.places import Place
from federation.atlas.transfer import relation, transfer_matrix, transfer_usd_per_gib
from federation.errors import InvalidInput
from federation.model.subcluster import Location, SubClusterSpec

FILES = ("countries.csv", "jurisdictions.csv", "operators.csv", "regions.csv", "tariffs.csv")
OPTIONAL = {"operator", "operator_country"}
CONTINENTS = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
UNKNOWN = Place(None, "onprem", None, None, None, None, None, None)


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
        ("jurisdictions.csv", ["code"]),
        ("operators.csv", ["cloud"]),
        ("regions.csv", ["name"]),
        ("tariffs.csv", ["cloud", "continent", "relation"]),
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


def test_regions_stand_in_known_countries_near_their_country() -> None:
    assert {region.cloud for region in data.regions().values()} == {"aws", "azure", "gcp"}
    for region in data.regions().values():
        assert region.country in data.countries(), region
        assert region.operator_country in data.countries(), region
        assert region.operator
        distance = distance_km(region_place(region.name), country_place(region.country))
        # The United States, Australia and China are wide; nothing is further from its country's point than this.
        assert distance is not None
        assert distance < 4100, region
        assert region.name == region.name.lower()


def test_regions_of_one_city_have_one_pair_of_coordinates() -> None:
    found: dict[tuple[str, str], set[tuple[float, float]]] = {}
    for region in data.regions().values():
        found.setdefault((region.country, region.city), set()).add((region.latitude, region.longitude))
    assert [city for city, places in found.items() if len(places) > 1] == []


def test_jurisdictions() -> None:
    for code, countries in data.jurisdictions().items():
        assert countries, code
        assert countries <= data.countries().keys(), code
        assert code not in data.countries(), "a code means one thing"
    assert len(members("EU")) == 27
    assert members("EEA") == members("EU") | {"IS", "LI", "NO"}
    assert members("UK") == members("GB") == {"GB"}
    assert members("EEA") < members("GDPR-adequate")
    assert {"CH", "GB", "JP"} < members("GDPR-adequate")
    assert "US" not in members("GDPR-adequate")


def test_every_cloud_has_an_operator_and_a_whole_tariff() -> None:
    relations = ("same_region", "same_continent", "other_continent", "internet")
    clouds = {cloud for cloud, _, _ in data.tariffs()}
    assert {"aws", "azure", "gcp", "onprem", "other"} == clouds
    assert {"aws", "azure", "gcp"} <= data.operators().keys()
    for cloud, how in product(clouds, relations):
        assert (cloud, "*", how) in data.tariffs()
    for (_, continent, how), price in data.tariffs().items():
        assert continent == "*" or continent in CONTINENTS
        assert how in relations
        assert 0 <= price < 1
    for operator in data.operators().values():
        assert operator.country in data.countries()


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("XX", "write an ISO 3166-1 alpha-2 code such as DE, or one of ASEAN, "),
        ("eu", "did you mean EU?"),
        ("de", "did you mean DE?"),
        ("Germany", "did you mean DE?"),
        ("GDPR", "did you mean GDPR-adequate?"),
        ("", "write an ISO 3166-1 alpha-2 code"),
    ],
)
def test_an_unknown_code_is_told_with_the_nearest(code: str, hint: str) -> None:
    assert not is_known(code)
    with pytest.raises(InvalidInput, match=re.escape(f"unknown country or jurisdiction {code!r}; {hint}")):
        members(code)


def spec(region: str | None = None, **location: object) -> SubClusterSpec:
    return SubClusterSpec(provider="x", region=region, location=Location.model_validate(location))


def test_a_region_gives_the_place() -> None:
    frankfurt = Place("eu-central-1", "aws", "DE", "EU", 50.11, 8.68, "Amazon", "US")
    assert place_of(spec("eu-central-1"), "aws") == frankfurt
    assert place_of(spec("eu-central-1"), None) == frankfurt
    assert place_of(spec("eu-central-1"), "onprem") == frankfurt
    assert place_of(spec("cn-north-1"), "aws").operator_country == "CN"


def test_the_location_overrides_field_by_field() -> None:
    assert place_of(spec(), None) == UNKNOWN
    assert place_of(spec("eu-central-1", operator="T-Systems"), "aws").operator_country is None
    assert place_of(spec("eu-central-1", operatorCountry="DE"), "aws").operator == "Amazon"
    assert place_of(spec("eu-central-1", latitude=1.0, longitude=2.0), "aws").latitude == 1.0
    swiss = place_of(spec("eu-central-1", country="CH"), "aws")
    assert (swiss.country, swiss.latitude) == ("CH", 47.4)
    assert place_of(spec(cloud="hetzner", country="FI"), "onprem") == Place(
        None, "hetzner", "FI", "EU", 60.2, 24.9, "Hetzner Online", "DE"
    )
    assert place_of(spec("hall-3", country="DE"), "onprem").region == "hall-3"


@pytest.mark.parametrize(
    ("given", "cloud", "message"),
    [
        (spec("eu-centrl-1"), "aws", "spec.region: unknown region 'eu-centrl-1' of aws; did you mean eu-central-1 or"),
        (spec("hall-3"), None, "spec.region: unknown region 'hall-3'; for instance"),
        (spec("hall-3", country="DE"), "gcp", "spec.region: unknown region 'hall-3' of gcp; for instance"),
        (spec("europe-west3"), "aws", "spec.region: europe-west3 is a region of gcp, not of aws"),
        (
            spec(country="XX"),
            None,
            "spec.location.country: unknown country 'XX'; write an ISO 3166-1 alpha-2 code such as DE",
        ),
        (spec(operatorCountry="UK"), None, "spec.location.operatorCountry: unknown country 'UK'; did you mean GB?"),
        (spec(latitude=1.0), None, "spec.location.longitude: latitude and longitude go together"),
    ],
)
def test_unknown_places_are_refused(given: SubClusterSpec, cloud: str | None, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        place_of(given, cloud)
    assert str(caught.value).startswith(message)


def test_places_for_users() -> None:
    assert country_place("US").continent == "NA"
    assert region_place("us-east4").cloud == "gcp"
    with pytest.raises(InvalidInput, match="unknown country 'EU'"):
        country_place("EU")
    with pytest.raises(InvalidInput, match="did you mean europe-west3"):
        region_place("europe-west-3")


@pytest.mark.parametrize(
    ("a", "b", "measured_ms"),
    [
        ("eu-central-1", "us-east-1", 90),
        ("eu-west-1", "us-east-1", 68),
        ("ap-northeast-1", "us-east-1", 150),
        ("eu-central-1", "ap-southeast-1", 157),
        ("eu-central-1", "eu-west-2", 13),
        ("us-west-2", "us-east-1", 62),
        ("sa-east-1", "us-east-1", 113),
    ],
)
def test_estimated_round_trips_are_near_what_is_commonly_measured(a: str, b: str, measured_ms: float) -> None:
    estimate = latency_ms(region_place(a), region_place(b))
    assert estimate is not None
    assert abs(estimate - measured_ms) <= max(5.0, 0.25 * measured_ms)


def test_latency_where_little_is_known() -> None:
    frankfurt, gcp = region_place("eu-central-1"), region_place("europe-west3")
    assert latency_ms(frankfurt, UNKNOWN) is None
    assert distance_km(UNKNOWN, UNKNOWN) is None
    assert latency_ms(frankfurt, frankfurt) == FLOOR_MS
    assert latency_ms(frankfurt, gcp) == pytest.approx(FLOOR_MS)


def test_distance_of_antipodes_is_half_the_way_round() -> None:
    north, south = (Place(None, "x", None, None, latitude, 0.0, None, None) for latitude in (90.0, -90.0))
    assert distance_km(north, south) == pytest.approx(math.pi * 6371, rel=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "how", "usd"),
    [
        ("eu-central-1", "eu-central-1", "same_region", 0.01),
        ("westeurope", "westeurope", "same_region", 0.0),
        ("eu-central-1", "eu-west-1", "same_continent", 0.02),
        ("europe-west3", "us-east4", "other_continent", 0.08),
        ("eu-central-1", "europe-west3", "internet", 0.09),
        ("europe-west3", "eu-central-1", "internet", 0.12),
        ("sa-east-1", "eu-central-1", "other_continent", 0.138),
    ],
)
def test_transfer_is_priced_by_the_sender_and_the_relation(a: str, b: str, how: str, usd: float) -> None:
    assert relation(region_place(a), region_place(b)) == how
    assert transfer_usd_per_gib(region_place(a), region_place(b)) == usd


def test_on_premises_sends_for_nothing_and_an_unknown_cloud_does_not() -> None:
    frankfurt = region_place("eu-central-1")
    assert transfer_usd_per_gib(UNKNOWN, frankfurt) == 0.0
    assert transfer_usd_per_gib(frankfurt, UNKNOWN) == 0.09
    assert transfer_usd_per_gib(place_of(spec(cloud="hetzner", country="DE"), None), frankfurt) > 0


def test_matrices_agree_with_the_single_values() -> None:
    places = [*map(region_place, data.regions()), UNKNOWN, country_place("US"), country_place("US")]
    latencies, prices = latency_matrix(places), transfer_matrix(places)
    for (i, a), (j, b) in product(enumerate(places), repeat=2):
        if i == j:
            assert latencies[i, j] == prices[i, j] == 0.0
            continue
        single = latency_ms(a, b)
        assert math.isnan(latencies[i, j]) if single is None else latencies[i, j] == pytest.approx(single)
        assert prices[i, j] == transfer_usd_per_gib(a, b)


def test_matrices_of_nothing_are_empty() -> None:
    assert latency_matrix([]).shape == transfer_matrix([]).shape == (0, 0)

"""The atlas's look-ups, and what is computed from its data (see test_atlas_data.py for the data)."""

from __future__ import annotations

import math
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.atlas import data
from federation.atlas.distance import (
    FLOOR_MS,
    distance_km,
    estimated_ms,
    latency_matrix,
    latency_ms,
    measured_ms,
)
from federation.atlas.lookup import (
    country_place,
    find_region,
    is_known,
    jurisdictions_of,
    members,
    place_of,
    region_place,
    regions_named,
    short_name,
)
from federation.atlas.places import Place
from federation.atlas.transfer import relation, tariff, transfer_matrix, transfer_usd_per_gib
from federation.errors import InvalidInput
from federation.model.subcluster import Location, SubClusterSpec

UNKNOWN = Place(None, "onprem", None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("XX", "write an ISO 3166-1 alpha-2 code such as DE, or one of APEC-CBPR, "),
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


def test_jurisdictions_of_a_country() -> None:
    assert jurisdictions_of("CH") == ("EFTA", "Schengen", "GDPR-adequate", "DACH")
    assert jurisdictions_of("AQ") == ()


def test_a_name_that_several_clouds_have_is_that_of_the_large_ones_or_written_in_full() -> None:
    assert find_region("eu-central-1").cloud == "aws"
    assert find_region("alibaba/eu-central-1").cloud == "alibaba"
    assert find_region("fsn1") is find_region("hetzner/fsn1")
    assert [region.cloud for region in regions_named("fr-par")] == ["linode", "scaleway"]
    assert regions_named("nowhere") == ()
    with pytest.raises(InvalidInput, match="fr-par is a region of linode and of scaleway; write linode/fr-par or"):
        find_region("fr-par")
    with pytest.raises(InvalidInput, match="unknown cloud 'hetzer'; did you mean hetzner/fsn1"):
        find_region("hetzer/fsn1")
    with pytest.raises(InvalidInput, match="unknown cloud 'zzz'; known: aws, azure, gcp, alibaba, "):
        find_region("zzz/fsn1")
    with pytest.raises(InvalidInput, match="unknown region 'fsn2' of hetzner; did you mean fsn1"):
        find_region("hetzner/fsn2")
    with pytest.raises(InvalidInput, match=r"unknown region 'nl-amz'; did you mean .*linode/nl-ams"):
        find_region("nl-amz")


def test_every_region_is_found_by_its_short_and_its_full_name() -> None:
    for region in data.regions().values():
        assert find_region(short_name(region)) is find_region(region.full_name) is region


def test_the_cloud_tells_which_region_a_sub_cluster_means() -> None:
    assert place_of(spec("eu-central-1", cloud="alibaba"), None).operator == "Alibaba Cloud"
    assert place_of(spec("us-east-1"), "alibaba").operator_country == "CN"
    assert place_of(spec("fr-par"), "scaleway").operator == "Scaleway"
    assert place_of(spec("eusc-de-east-1"), "aws").partition == "aws-eusc"
    # Of these the atlas has the common regions only.
    assert place_of(spec("fsn9", country="DE"), "hetzner").region == "fsn9"


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
        (
            spec("fr-par"),
            None,
            "spec.region: fr-par is a region of linode and of scaleway; state spec.location.cloud: ",
        ),
        (spec("fsn9"), "hetzner", "spec.region: unknown region 'fsn9' of hetzner; did you mean fsn1"),
        (
            spec(latencies={"eu-centrl-1": "3ms"}),
            None,
            "spec.location.latencies: unknown region 'eu-centrl-1'; did you",
        ),
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
        ("ap-northeast-2", "eu-central-1", "other_continent", 0.08),
        ("ap-southeast-1", "ap-northeast-2", "same_continent", 0.09),
        # Partitions of one cloud have networks of their own.
        ("eu-central-1", "eusc-de-east-1", "internet", 0.09),
        ("cn-north-1", "ap-northeast-1", "internet", 0.12),
        ("cn-north-1", "cn-northwest-1", "same_continent", 0.09),
        ("fsn1", "hel1", "same_continent", 0.0012),
        ("GRA11", "BHS5", "other_continent", 0.0),
        ("exoscale/ch-gva-2", "exoscale/at-vie-1", "same_continent", 0.02),
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


def test_the_row_that_prices_is_the_most_special_one() -> None:
    frankfurt = region_place("eu-central-1")
    assert tariff(region_place("ap-northeast-2"), frankfurt).sender == "ap-northeast-2"
    assert tariff(region_place("ap-southeast-1"), frankfurt).sender == "AS"
    assert tariff(frankfurt, region_place("ap-southeast-1")).sender == "*"
    assert tariff(region_place("eu-de"), frankfurt).cloud == "other"


MEASURED = {"eu-central-1": "3ms", "FR": "12ms", "scaleway/fr-par": "15ms"}


def test_what_is_measured_replaces_the_estimate_in_both_directions() -> None:
    hall = place_of(spec(country="DE", latencies=MEASURED), None)
    frankfurt, paris = region_place("eu-central-1"), region_place("scaleway/fr-par")
    assert latency_ms(hall, frankfurt) == latency_ms(frankfurt, hall) == measured_ms(hall, frankfurt) == 3.0
    assert latency_ms(hall, paris) == 15.0
    # A country is for its users and what is there in no cloud.
    assert latency_ms(hall, country_place("FR")) == 12.0
    assert measured_ms(hall, region_place("eu-west-3")) is None
    assert latency_ms(hall, region_place("eu-west-3")) == estimated_ms(hall, region_place("eu-west-3"))
    # Where both ends have a figure, the longer one holds; the region's goes before the country's.
    other = place_of(spec("eu-central-1", latencies={"DE": "5ms"}), "aws")
    assert latency_ms(hall, other) == latency_ms(other, hall) == 3.0
    slower = place_of(spec(country="FR", latencies={"DE": "20ms"}), None)
    assert latency_ms(hall, slower) == latency_ms(slower, hall) == 20.0
    # It tells even where coordinates don't.
    assert latency_ms(place_of(spec(latencies={"eu-central-1": "9ms"}), None), frankfurt) == 9.0


NAMES = st.sampled_from(["eu-central-1", "westeurope", "us-east4", "fsn1", "DE", "FR", "US"])
LATENCIES = st.dictionaries(NAMES, st.integers(0, 400).map("{}ms".format), max_size=4)
SPECS = st.builds(
    lambda region, country, latencies: spec(region, country=country, latencies=latencies),
    st.sampled_from(["eu-central-1", "westeurope", "us-east4", "fsn1", None]),
    st.sampled_from(["DE", "FR", "US", None]),
    LATENCIES,
)


@given(st.lists(SPECS, max_size=6))
def test_latencies_are_symmetric_and_the_matrix_agrees(specs: list[SubClusterSpec]) -> None:
    places = [*(place_of(one, None) for one in specs), country_place("FR")]
    matrix = latency_matrix(places)
    for (i, a), (j, b) in product(enumerate(places), repeat=2):
        single = latency_ms(a, b)
        assert single == latency_ms(b, a)
        assert distance_km(a, b) == pytest.approx(distance_km(b, a))
        if i == j:
            assert matrix[i, j] == 0.0
        elif single is None:
            assert math.isnan(matrix[i, j])
        else:
            assert single >= 0
            assert matrix[i, j] == pytest.approx(single)


def test_a_place_is_no_way_from_itself() -> None:
    for region in data.regions().values():
        place = region_place(region.full_name)
        assert distance_km(place, place) == 0.0
        assert latency_ms(place, place) == FLOOR_MS


def test_matrices_agree_with_the_single_values() -> None:
    few = [region.full_name for region in data.regions().values()][::3]
    places = [*map(region_place, few), UNKNOWN, country_place("US"), country_place("US")]
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

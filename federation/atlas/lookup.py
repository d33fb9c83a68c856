"""Names to facts: the place of a sub-cluster or of users, and the countries behind a code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from federation.atlas import data
from federation.atlas.places import Place
from federation.errors import InvalidInput
from federation.model.nearest import nearest

if TYPE_CHECKING:
    from federation.model.subcluster import Location, SubClusterSpec


def members(code: str, instead: Mapping[str, frozenset[str]] | None = None) -> frozenset[str]:
    """The countries (ISO 3166-1 alpha-2) of a jurisdiction such as EU, or the country itself.

    Args: instead, the members of jurisdictions that are taken to be others than the atlas says.
    Raises: InvalidInput for a code that is neither, with the nearest known ones.
    """
    if instead and code in instead:
        return instead[code]
    if code in data.jurisdictions():
        return data.jurisdictions()[code]
    if code in data.countries():
        return frozenset({code})
    raise InvalidInput(f"unknown country or jurisdiction {code!r}; {_code_hint(code)}")


def is_known(code: str) -> bool:
    """Whether `members` knows the code."""
    return code in data.jurisdictions() or code in data.countries()


def region_place(region: str) -> Place:
    """The place of a cloud's region. Raises InvalidInput with the nearest names when no cloud has it."""
    found = data.regions().get(region)
    if found is None:
        raise InvalidInput(_unknown_region(region, None))
    return Place(
        region=region,
        cloud=found.cloud,
        country=found.country,
        continent=data.countries()[found.country].continent,
        latitude=found.latitude,
        longitude=found.longitude,
        operator=found.operator,
        operator_country=found.operator_country,
    )


def country_place(country: str) -> Place:
    """Where a country's users are taken to be: one point of it, in no cloud. Raises InvalidInput when it is unknown."""
    found = data.countries().get(country)
    if found is None:
        raise InvalidInput(f"unknown country {country!r}; {_country_hint(country)}")
    return Place(None, data.ONPREM, country, found.continent, found.latitude, found.longitude, None, None)


def place_of(spec: SubClusterSpec, cloud: str | None) -> Place:
    """What is known of where a sub-cluster stands: its region's facts, each overridden by `spec.location`.

    Args: cloud, the provider's (aws, gcp, azure, ...); None or onprem where the provider runs anywhere: then the
    region tells. `spec.location.cloud` goes first.
    Without a region and a location everything is unknown (None) and the cloud is `onprem`. A location that gives a
    country but no coordinates gets the country's point. A region's operator does not stand in for an overridden
    cloud's, nor its country for an overridden operator's.

    Raises: InvalidInput (field `spec.region` or `spec.location...`) for a region or country that nobody knows, and a
    region of another cloud. A region unknown to the atlas is fine outside its clouds when the location has a country.
    """
    location = spec.location
    cloud = location.cloud or cloud
    known = data.regions().get(spec.region) if spec.region else None
    if spec.region and known is None and (location.country is None or cloud in _clouds()):
        raise InvalidInput(_unknown_region(spec.region, cloud), field="spec.region")
    if known and cloud in _clouds() and cloud != known.cloud and location.cloud is None:
        raise InvalidInput(f"{spec.region} is a region of {known.cloud}, not of {cloud}", field="spec.region")
    for field, code in (("country", location.country), ("operatorCountry", location.operator_country)):
        if code is not None and code not in data.countries():
            raise InvalidInput(f"unknown country {code!r}; {_country_hint(code)}", field=f"spec.location.{field}")
    if cloud in (None, data.ONPREM) and known and location.cloud is None:
        cloud = known.cloud
    cloud = cloud or data.ONPREM
    country = location.country or (known.country if known else None)
    latitude, longitude = _coordinates(location, known)
    operator, operator_country = _operator(location, known, cloud)
    return Place(
        region=spec.region,
        cloud=cloud,
        country=country,
        continent=data.countries()[country].continent if country else None,
        latitude=latitude,
        longitude=longitude,
        operator=operator,
        operator_country=operator_country,
    )


def _coordinates(location: Location, known: data.Region | None) -> tuple[float | None, float | None]:
    if location.latitude is not None and location.longitude is not None:
        return location.latitude, location.longitude
    if location.latitude is not None or location.longitude is not None:
        missing = "longitude" if location.longitude is None else "latitude"
        raise InvalidInput("latitude and longitude go together", field=f"spec.location.{missing}")
    if known and location.country in (None, known.country):
        return known.latitude, known.longitude
    if location.country is None:
        return None, None
    point = data.countries()[location.country]
    return point.latitude, point.longitude


def _operator(location: Location, known: data.Region | None, cloud: str) -> tuple[str | None, str | None]:
    if location.operator is not None:
        return location.operator, location.operator_country
    if known and known.cloud == cloud:
        return known.operator, location.operator_country or known.operator_country
    found = data.operators().get(cloud)
    if found is None:
        return None, location.operator_country
    return found.name, location.operator_country or found.country


def _clouds() -> frozenset[str]:
    return frozenset(region.cloud for region in data.regions().values())


def _unknown_region(region: str, cloud: str | None) -> str:
    names = [one.name for one in data.regions().values() if cloud not in _clouds() or one.cloud == cloud]
    close = nearest(region, names, 3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"for instance {', '.join(sorted(names)[:3])}"
    where = f" of {cloud}" if cloud in _clouds() else ""
    return f"unknown region {region!r}{where}; {hint}"


def _code_hint(code: str) -> str:
    """What may have been meant by an unknown code of a country or jurisdiction."""
    folded = code.casefold()
    known = [*data.jurisdictions(), *data.countries()]
    close = [one for one in known if one.casefold() == folded]
    close = close or [one for one in data.jurisdictions() if len(code) > 1 and one.casefold().startswith(folded)]
    close = close or [*nearest(code, data.jurisdictions()), *_countries_named(code)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"write an ISO 3166-1 alpha-2 code such as DE, or one of {', '.join(sorted(data.jurisdictions()))}"


def _country_hint(code: str) -> str:
    """What may have been meant by an unknown code of a country."""
    close = [code.upper()] if code.upper() in data.countries() else _countries_named(code)
    if len(data.jurisdictions().get(code, ())) == 1:
        close = sorted(data.jurisdictions()[code])
    return f"did you mean {' or '.join(close)}?" if close else "write an ISO 3166-1 alpha-2 code such as DE"


def _countries_named(name: str) -> list[str]:
    by_name = {country.name: country.code for country in data.countries().values()}
    return [by_name[one] for one in nearest(name, by_name)]

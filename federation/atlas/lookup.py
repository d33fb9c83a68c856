"""Names to facts: the place of a sub-cluster or of users, and the countries behind a code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from federation.atlas import data
from federation.atlas.places import Place
from federation.errors import InvalidInput
from federation.model.nearest import nearest
from federation.model.quantity import parse_duration_s

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
        return data.jurisdictions()[code].members
    if code in data.countries():
        return frozenset({code})
    raise InvalidInput(f"unknown country or jurisdiction {code!r}; {_code_hint(code)}")


def is_known(code: str) -> bool:
    """Whether `members` knows the code."""
    return code in data.jurisdictions() or code in data.countries()


def jurisdictions_of(country: str) -> tuple[str, ...]:
    """The jurisdictions that a country belongs to, in the order of the data."""
    return tuple(code for code, one in data.jurisdictions().items() if country in one.members)


def find_region(name: str) -> data.Region:
    """The region of that name, written alone or as `cloud/name`.

    A name that several clouds have means that of aws, azure or gcp, the clouds that are listed as a whole.
    Raises: InvalidInput with the nearest names when no cloud has it, with the full ones when several others do.
    """
    cloud, slash, plain = name.partition("/")
    if slash:
        if cloud not in clouds():
            hint = nearest(cloud, clouds())
            raise InvalidInput(
                f"unknown cloud {cloud!r}; " + (f"did you mean {hint[0]}/{plain}?" if hint else _known_clouds())
            )
        found = data.regions().get((cloud, plain))
        if found is None:
            raise InvalidInput(_unknown_region(plain, cloud))
        return found
    return _only(regions_named(name), name, "write {}".format)


def short_name(region: data.Region) -> str:
    """The shortest name by which `find_region` finds it."""
    named = regions_named(region.name)
    return region.name if named == (region,) else region.full_name


def region_place(region: str) -> Place:
    """The place of a cloud's region (see `find_region`). Raises: InvalidInput."""
    found = find_region(region)
    return Place(
        region=found.name,
        cloud=found.cloud,
        country=found.country,
        continent=data.countries()[found.country].continent,
        latitude=found.latitude,
        longitude=found.longitude,
        operator=found.operator,
        operator_country=found.operator_country,
        partition=found.partition,
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

    Raises: InvalidInput (field `spec.region` or `spec.location...`) for a region or country that nobody knows, a
    region of another cloud, and one that several clouds have when nothing says which. A region unknown to the atlas is
    fine, when the location has a country, in clouds of which it does not have all regions.
    """
    location = spec.location
    cloud = location.cloud or cloud
    known = _region_of(spec.region, cloud) if spec.region else None
    if spec.region and known is None and (location.country is None or cloud in data.complete_clouds()):
        raise InvalidInput(_unknown_region(spec.region, cloud), field="spec.region")
    if known and cloud in clouds() and cloud != known.cloud and location.cloud is None:
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
        partition=known.partition if known and known.cloud == cloud else None,
        latencies=_latencies(location),
    )


def clouds() -> tuple[str, ...]:
    """The clouds of which the atlas has regions, in the order of the data."""
    return tuple(cloud for cloud, operator in data.operators().items() if operator.regions != "none")


def _region_of(name: str, cloud: str | None) -> data.Region | None:
    """The region that a sub-cluster names: its cloud's, else the only one of that name."""
    own = data.regions().get((cloud or "", name))
    named = regions_named(name)
    if own is not None or not named:
        return own
    if cloud in clouds():
        return named[0]
    return _only(named, name, "state spec.location.cloud: {}".format, field="spec.region")


def regions_named(name: str) -> tuple[data.Region, ...]:
    """The regions that a name without a cloud may mean, see `find_region`; () where no cloud has it."""
    found = tuple(region for cloud in clouds() if (region := data.regions().get((cloud, name))) is not None)
    return tuple(region for region in found if region.cloud in data.complete_clouds()) or found


def _only(
    found: Sequence[data.Region], name: str, remedy: Callable[[str], str], *, field: str | None = None
) -> data.Region:
    if not found:
        raise InvalidInput(_unknown_region(name, None), field=field)
    if len(found) > 1:
        several = [region.cloud for region in found]
        names = several if field else [region.full_name for region in found]
        raise InvalidInput(
            f"{name} is a region of {' and of '.join(several)}; {remedy(' or '.join(names))}", field=field
        )
    return found[0]


def _latencies(location: Location) -> tuple[tuple[str, float], ...]:
    """What was measured from there, in milliseconds, by a region's full name or a country."""
    found = []
    for name, duration in location.latencies.items():
        try:
            where = name if name in data.countries() else find_region(name).full_name
        except InvalidInput as error:
            hint = "or a country, such as DE, for the places there that are in no cloud"
            raise InvalidInput(f"{error.message} ({hint})", field="spec.location.latencies") from error
        found.append((where, round(parse_duration_s(duration) * 1000.0, 6)))
    return tuple(found)


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


def _unknown_region(region: str, cloud: str | None) -> str:
    known = [one for one in data.regions().values() if cloud not in clouds() or one.cloud == cloud]
    names = {one.name: one.name if one.cloud == cloud else short_name(one) for one in reversed(known)}
    close = [names[one] for one in nearest(region, names, 3)]
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else f"for instance {', '.join(sorted(names.values(), key=str.casefold)[:3])}"
    )
    where = f" of {cloud}" if cloud in clouds() else ""
    return f"unknown region {region!r}{where}; {hint}"


def _known_clouds() -> str:
    return f"known: {', '.join(clouds())}"


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
    if code in data.jurisdictions() and len(members(code)) == 1:
        close = sorted(members(code))
    return f"did you mean {' or '.join(close)}?" if close else "write an ISO 3166-1 alpha-2 code such as DE"


def _countries_named(name: str) -> list[str]:
    by_name = {country.name: country.code for country in data.countries().values()}
    return [by_name[one] for one in nearest(name, by_name)]

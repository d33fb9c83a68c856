"""What may be named on `roam atlas`'s command line, for a shell that completes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from federation.atlas import data
from federation.atlas.lookup import clouds, short_name
from federation.cli.atlas import SUBJECTS


def candidates(metavar: str, words: Sequence[str]) -> Mapping[str, str]:
    """Names with a few words about each. Args: metavar, of what is completed; words, those before it."""
    if metavar == "CLOUD":
        return {cloud: data.operators()[cloud].name for cloud in clouds()}
    if metavar == "COUNTRY":
        return {code: one.name for code, one in data.countries().items()}
    if metavar == "JURISDICTION":
        return {code: one.name for code, one in data.jurisdictions().items()}
    if metavar == "REGION":
        return _regions()
    subject = SUBJECTS.get(words[0] if words else "")
    if subject == "distance":
        return {**_regions(), **candidates("COUNTRY", ())} if len(words) < 3 else {}
    if subject == "regions":
        return {name: about for name, about in _regions().items() if name not in words}
    if subject == "clouds":
        return {cloud: one.name for cloud, one in data.operators().items() if cloud not in words}
    if subject == "instances":
        return {
            one.type: f"{one.cpu_cores:g} CPU, {one.memory_gib:g} GiB"
            for one in data.instances().values()
            if one.type not in words
        }
    found = {"countries": "COUNTRY", "jurisdictions": "JURISDICTION"}.get(subject or "")
    return {name: about for name, about in candidates(found, ()).items() if name not in words} if found else {}


def _regions() -> dict[str, str]:
    return {short_name(one): f"{one.city}, {one.country}" for one in data.regions().values()}

"""`roam atlas`: facts about the world that decisions rest on, looked up without a server."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from federation.cli.parsing import add_files, add_output
from federation.errors import InvalidInput

SUBJECTS = {
    "regions": "regions",
    "region": "regions",
    "clouds": "clouds",
    "cloud": "clouds",
    "jurisdictions": "jurisdictions",
    "jurisdiction": "jurisdictions",
    "countries": "countries",
    "country": "countries",
    "tariffs": "tariffs",
    "instances": "instances",
    "instance": "instances",
    "distance": "distance",
}
"""What may be asked for, by each word for it."""
_FILTERS = {"cloud": ("regions", "tariffs", "instances"), "country": ("regions",), "within": ("regions", "countries")}
_OPTIONS = {"cloud": "--cloud", "country": "--country", "within": "--in", "files": "--filename"}


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "regions, clouds, jurisdictions, countries, tariffs   all of them, or those that the options leave\n"
        "region, cloud, jurisdiction, country                 with a name: all about it\n"
        "instances, instance   machines that are bought whole: their size, and with --region or a name their prices\n"
        "distance   km, round trip and transfer prices between two regions, countries or sub-clusters of files\n\n"
        "A region is written by its name, or as CLOUD/NAME where several clouds have it. Each fact has a source and\n"
        "a date: -o wide and json show them. Round trips are estimated, unless location.latencies of a sub-cluster\n"
        "has a measured one. Prices are list prices at the first paid tier.\n\n"
        "examples:\n"
        "  roam atlas regions --cloud aws --in EU\n"
        "  roam atlas region eu-central-1\n"
        "  roam atlas jurisdiction EEA\n"
        "  roam atlas country CH\n"
        "  roam atlas distance eu-central-1 us-east-1\n"
        "  roam atlas distance onprem-frankfurt JP -f fleet.yaml\n"
        "  roam atlas tariffs --cloud gcp -o wide\n"
        "  roam atlas instances --region eu-central-1\n"
        "  roam atlas instance t3.medium"
    )
    parser.add_argument("subject", metavar="SUBJECT", choices=tuple(SUBJECTS), help="what to look up, see below")
    parser.add_argument("names", nargs="*", default=[], metavar="FACT", help="which one; with distance: two places")
    parser.add_argument("--cloud", metavar="CLOUD", help="regions, tariffs, instances of this cloud, such as aws")
    parser.add_argument("--country", metavar="COUNTRY", help="regions in this country, such as DE")
    parser.add_argument("--in", dest="within", metavar="JURISDICTION", help="regions and countries in it, such as EU")
    parser.add_argument("--region", metavar="REGION", help="instances: what they cost there, such as eu-central-1")
    add_files(parser, required=False, what="with distance: files whose sub-clusters are places, too; repeat for more")
    add_output(parser)


def run(args: Any) -> int:
    """Look it up and show it. Raises: NotFound for a name that nobody knows; InvalidInput."""
    subject = SUBJECTS[args.subject]
    _check(subject, args)
    if subject == "distance":
        from federation.cli.atlas.apart import show_distance

        show_distance(args.names, args.files, args.output)
    elif subject == "instances":
        from federation.cli.atlas.instances import show_instances

        show_instances(args.names, cloud=args.cloud, region=args.region, output=args.output)
    elif args.names:
        from federation.cli.atlas.pages import show_pages

        show_pages(subject, args.names, args.output)
    else:
        from federation.cli.atlas.lists import show_list

        show_list(subject, cloud=args.cloud, country=args.country, within=args.within, output=args.output)
    return 0


def _check(subject: str, args: Any) -> None:
    """Raises: InvalidInput for what does not go together."""
    for name, subjects in _FILTERS.items():
        if getattr(args, name) is not None and (subject not in subjects or args.names):
            words = ", ".join(subjects[:-1]) + " and " * (len(subjects) > 1) + subjects[-1]
            raise InvalidInput(f"{_OPTIONS[name]} is for {words} without a name (roam atlas --help)")
    if args.region is not None and subject != "instances":
        raise InvalidInput("--region is for instances (roam atlas --help)")
    if args.files and subject != "distance":
        raise InvalidInput("--filename is for distance (roam atlas --help)")
    if subject == "tariffs" and args.names:
        raise InvalidInput(f"tariffs takes no name; write roam atlas tariffs --cloud {args.names[0]}")
    if subject == "distance":
        if len(args.names) != 2:
            raise InvalidInput("distance takes two places, as in roam atlas distance eu-central-1 us-east-1")
        if args.output == "name":
            raise InvalidInput("a distance has no name; use -o table, wide, json or yaml")

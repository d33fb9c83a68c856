"""`roam simulate`: what would become of everything, step by step, if this or that happened."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from federation.cli.output import note, print_json, print_yaml
from federation.cli.parsing import add_connection, add_files, add_namespace, add_output
from federation.errors import InvalidInput, InvalidInputs

if TYPE_CHECKING:
    from federation.intake.loading import Manifests
    from federation.intake.tree import Document

_KIND = "Scenario"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "One of the files is a Scenario: steps, each with changes (lose, regain, cordon, drain, uncordon, add, apply,\n"
        "remove, prices, traffic, replicas, jurisdiction). Each step is played on what the one before left, with what\n"
        "runs moving only where the controller would move it. With sub-clusters among the files all else is from the\n"
        "files, too; otherwise the server's objects are read and the files laid over them. Nothing is changed.\n\n"
        "examples:\n"
        "  roam simulate -f examples/scenarios/lose-a-cloud.yaml -f examples/shop -f examples/fleet.yaml\n"
        "  roam simulate -f price-doubles.yaml -o markdown\n\n"
        "exit codes: 4 after some step a service is denied everywhere (else), 3 one has no room, 0 otherwise"
    )
    add_files(parser, required=True)
    add_namespace(parser)
    add_output(parser, "table", "json", "markdown", "yaml")
    parser.add_argument("--offline", action="store_true", help="never ask a server")
    add_connection(parser)


def run(args: Any) -> int:
    """Show what comes of the scenario."""
    from federation.app import schemas, whatif_planner
    from federation.cli.plan import beside_server
    from federation.cli.world import load_files, overlay
    from federation.whatif.playing import play
    from federation.whatif.reading import read_scenario
    from federation.whatif.state import state_of

    manifests = load_files(args.files, args.namespace, aside=(_KIND,))
    errors: list[InvalidInput] = []
    scenario = read_scenario(_only(manifests.aside), schemas(), args.namespace, errors)
    if scenario is None:
        raise InvalidInputs(tuple(errors))
    if not scenario.steps:
        note("roam: warning: the scenario has no steps; what is shown is the start")
    stored, new = beside_server(args, manifests if _holds_more(manifests) or args.offline else None)
    at = scenario.scenario.spec.at
    state = state_of(overlay(stored or (), new), time.time() if at is None else at)
    found = play(scenario, state, whatif_planner())
    if args.output == "json":
        print_json(found.document())
    elif args.output == "yaml":
        print_yaml([found.document()])
    else:
        from federation.cli.simulated import print_markdown, print_report

        print_markdown(found) if args.output == "markdown" else print_report(found)
    return found.exit_code


def _only(documents: tuple[Document, ...]) -> Document:
    if not documents:
        raise InvalidInput(f"no {_KIND} is among the files; add -f SCENARIO")
    if len(documents) > 1:
        first, second = (f"{one.file}:{one.line}" for one in documents[:2])
        raise InvalidInput(f"one {_KIND} at a time: there is one at {first} and one at {second}")
    return documents[0]


def _holds_more(manifests: Manifests) -> bool:
    return bool(manifests.resources or manifests.unattached)

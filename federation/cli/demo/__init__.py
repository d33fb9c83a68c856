"""`roam demo`: a shop under load, moved and robbed of a sub-cluster, with its own bars checked."""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Four sub-clusters on this machine, a shop, its plan, and under load:\n"
        "  (a) a service migrated by command\n"
        "  (b) the sub-cluster it runs in killed hard\n"
        "  (c) a residency rule added that forbids where it runs\n"
        "  (d) a sub-cluster drained\n"
        "Ends 0 when every bar was met, 1 when one was missed."
    )
    parser.add_argument("--rate", type=float, default=150.0, metavar="N", help="requests per second (default: 150)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was measured as JSON")
    parser.add_argument("--keep", action="store_true", help="leave all running, and say what to try")
    parser.add_argument("--service", default="catalogue", metavar="NAME", help="who moves (default: catalogue)")
    parser.add_argument("--interval", default="3s", metavar="T", help="between traffic steps (default: 3s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the load's arrivals (default: 0)")
    parser.add_argument("--examples", type=Path, default=EXAMPLES, metavar="DIR", help=SUPPRESS)


def run(options: Any) -> int:
    """Play, judge, report; the exit code. Raises: FederationError when the play could not be played."""
    from federation.cli.demo.play import Play, remove
    from federation.cli.demo.screen import Screen
    from federation.cli.demo.stage import Options
    from federation.errors import InvalidInput

    if not (options.examples / "shop").is_dir():
        raise InvalidInput(
            f"no shop in {options.examples}: the demo's manifests come with the repository; clone it, or name the "
            "folder with --examples"
        )
    if not 1.0 <= options.rate <= 2000.0:
        raise InvalidInput(f"--rate {options.rate:g}: from 1 to 2000 requests per second")
    home = Path(tempfile.mkdtemp(prefix="roam-demo-"))
    played = False
    try:
        with Screen() as screen:
            play = Play(
                Options(home, options.examples, options.rate, options.service, options.interval, options.seed), screen
            )
            try:
                report = play.run()
            finally:
                play.close()
            screen.result(report)
        played = True
    finally:
        if not (options.keep and played):
            remove(home)
    if options.report is not None:
        options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.keep:
        print(_things_to_try(home), file=sys.stderr)
    return 1 if report["missed"] else 0


def _things_to_try(home: Path) -> str:
    return "\n".join(
        (
            "",
            "Everything is still running. Try:",
            f"  export ROAM_HOME={home}",
            "  roam get placements -A                                 # what runs where",
            "  roam why frontend -n shop                              # every candidate, and why not",
            "  roam migrate recommendation -n shop --to gce-frankfurt --wait",
            "  roam sandbox status",
            "  roam sandbox down                                      # when you are done",
        )
    )

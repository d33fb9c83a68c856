"""`python -m federation.testing.simulate`: run the engine through the faults of one seed or many.

Prints the first violation of each failing seed with the shortest schedule that still fails. Exit 1 if any seed failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from federation.testing.simulation.scenario import make_scenario
from federation.testing.simulation.shrink import explain_failure
from federation.testing.simulation.simulation import simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m federation.testing.simulate", description=__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--seed", type=int, help="one seed, with its schedule and all that happened")
    group.add_argument("--seeds", metavar="A-B", help="all seeds from A to B, both included")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    else:
        first, _, last = options.seeds.partition("-")
        if not (first.isdigit() and last.isdigit()):
            parser.error(f"argument --seeds: {options.seeds!r} is not a range such as 0-199")
        seeds = range(int(first), int(last) + 1)
    failed = 0
    for seed in seeds:
        scenario = make_scenario(seed)
        outcome = simulate(scenario, keep_lines=options.seed is not None)
        if options.seed is not None:
            print(scenario, *outcome.lines, sep="\n")
            print(f"{outcome.virtual_s:.0f} virtual s, {outcome.steps} steps, {outcome.lives} lives: {outcome.trace}")
        if outcome.violation:
            failed += 1
            print(explain_failure(scenario, outcome), flush=True)
    print(f"{len(seeds) - failed} of {len(seeds)} seeds hold", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m federation.testing.fuzz`: random requests and manifests, in process; exit 1 when one goes wrong.

A failure is printed with its batch; `--seed S --batch B --count 2000` plays that batch again, from a new server on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from federation.testing.fuzzing.campaign import PER_BATCH, Report, run

_EVERY_S = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m federation.testing.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which cases (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=0, help=f"begin with this batch of {PER_BATCH} (default: 0)")
    options = parser.parse_args(arguments)
    began = said = time.monotonic()
    told = 0

    def progress(report: Report) -> None:
        nonlocal said, told
        for failure in report.failures[told:]:
            print(f"\nbatch {failure.batch}, case {failure.index}: {failure.sent[:2000]}\n{failure.what}")
            again = f"--seed {options.seed} --batch {failure.batch} --count {PER_BATCH}"
            print(f"again: python -m federation.testing.fuzz {again}", flush=True)
        told = len(report.failures)
        if time.monotonic() - said >= _EVERY_S:
            said = time.monotonic()
            print(f"{report.cases} cases, {len(report.failures)} failures, {said - began:.0f} s", flush=True)

    report = run(options.count, options.seed, first_batch=options.batch, progress=progress)
    for outcome, times in sorted(report.outcomes.items()):
        print(f"{times:9d}  {outcome}")
    took_s = time.monotonic() - began
    print(f"{report.cases} cases in {took_s:.0f} s, {len(report.failures)} failures, seed {options.seed}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
